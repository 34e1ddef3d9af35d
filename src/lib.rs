//! `retain` deletes files by policy, and only what can be brought back.
//!
//! Everything flows one way, and each stage's result can only be built by the
//! stage before it: policy text is checked, a store is scanned, the two make a
//! plan, plugins may shrink it, what is left is applied and journalled. The
//! modules stand in that order; `ARCHITECTURE.md` shows the whole house.

pub mod fault;

pub mod units;

pub mod time;

pub mod path;

pub mod url;

pub mod entry;

pub mod diagnostic;

pub mod receipt;

pub mod store;

pub mod policy;

pub mod config;

pub mod confine;

pub mod scan;

pub mod plan;

pub mod destination;

pub mod plugin;

pub mod journal;

pub mod apply;

pub mod run;

pub mod cli;
