//! The program from the outside: what a person meets, and what must never happen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(
    unreachable_pub,
    reason = "modules of one test program share what is `pub`"
)]

mod allocations;
mod archives;
mod attacker;
mod backups;
mod builtins;
mod cancel;
mod check;
mod clients;
mod corpus;
mod crash;
mod docs;
mod explain;
mod filters;
mod fmt;
mod forms;
mod guests;
mod hostile;
mod index;
mod inventory;
mod junk;
mod legal_hold;
mod main_job;
mod mistakes;
mod oddities;
mod plugin_commands;
mod plugin_docs;
mod policies;
mod problems;
mod replace;
mod seed;
mod served;
mod service;
mod shop;
mod small_disk;
mod spans;
mod stock_analysis;
mod tidy;
mod trash;
mod trust;
mod verify;
mod whole;
