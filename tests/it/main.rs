//! What a person meets from the outside: shipped policies, and messages about mistakes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod builtins;
mod check;
mod fmt;
mod guests;
mod hostile;
mod inventory;
mod junk;
mod main_job;
mod mistakes;
mod oddities;
mod policies;
mod shop;
mod stock_analysis;
mod tidy;
