//! The `retain` command.

fn main() {}
