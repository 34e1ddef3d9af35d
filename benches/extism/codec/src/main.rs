//! `native INPUT STORED LEVEL`: the plugin's encoder without a plugin.

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, stored, level] = &arguments[..] else {
        return Err(io::Error::other("usage: native INPUT STORED LEVEL"));
    };
    let level = level.parse().map_err(io::Error::other)?;
    retain_bench_codec::measure(
        Path::new(input),
        Path::new(stored),
        |bytes| retain_bench_codec::compress(bytes, level),
        retain_bench_codec::restore,
    )
}
