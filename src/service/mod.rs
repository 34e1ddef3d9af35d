//! What `retain serve` is made of.

pub mod webhook;
