//! What a person meets from the outside: shipped policies, and messages about mistakes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test fails by panicking, and nobody imports one"
)]

mod builtins;
mod corpus;
mod docs;
mod explain;
mod guests;
mod hostile;
mod inventory;
mod main_job;
mod mistakes;
mod oddities;
mod policies;
mod shop;
mod stock_analysis;
mod tidy;
