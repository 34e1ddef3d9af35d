//! `retain` deletes files by policy, and only what can be brought back.
//!
//! Everything flows one way: policy text is checked, a store is scanned, the two make
//! a plan, plugins may shrink it, what is left is applied and journalled. A checked
//! policy and an approved plan can only be built by their own stage; an inventory and
//! a plan are open data, so that they can be saved, compared and made up by a test.
//! The modules stand in that order; `ARCHITECTURE.md` shows the whole house.

pub mod fault;

pub mod cancel;

pub mod units;

pub mod time;

pub mod path;

mod packed;

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

pub mod service;

pub mod cli;
