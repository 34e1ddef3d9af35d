//! The stable codes of configuration findings, in one place so none is given twice.

pub(super) const FILE: &str = "R0601";
pub(super) const SYNTAX: &str = "R0602";
pub(super) const UNKNOWN_KEY: &str = "R0603";
pub(super) const MISSING_KEY: &str = "R0604";
pub(super) const TYPE: &str = "R0605";
pub(super) const VALUE: &str = "R0606";
pub(super) const VARIABLE: &str = "R0607";
pub(super) const TEMPLATE: &str = "R0608";
pub(super) const NAME: &str = "R0609";
pub(super) const CONFLICT: &str = "R0610";
pub(super) const NOT_YET: &str = "R0611";
pub(super) const REFERENCE: &str = "R0612";
pub(super) const NESTED_STORES: &str = "R0613";
pub(super) const DESTINATION_PLACE: &str = "R0614";
pub(super) const STATE_PLACE: &str = "R0615";
pub(super) const SAME_STORE: &str = "R0616";
pub(super) const ENVIRONMENT: &str = "R0617";
pub(super) const OPEN_SERVICE: &str = "R0618";
pub(super) const SECRET: &str = "R0620";
