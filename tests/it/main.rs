//! What a person meets from the outside: shipped policies, and messages about mistakes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod inventory;
mod mistakes;
mod policies;
mod stock_analysis;
