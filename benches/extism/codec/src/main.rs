//! `native rust|c INPUT STORED LEVEL`: the plugin's encoder without a plugin, or C's.

use std::io::{self, Read, Write};
use std::path::Path;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [encoder, input, stored, level] = &arguments[..] else {
        return Err(io::Error::other("usage: native rust|c INPUT STORED LEVEL"));
    };
    let level = level.parse().map_err(io::Error::other)?;
    let (input, stored) = (Path::new(input), Path::new(stored));
    match encoder.as_str() {
        "rust" => retain_bench_codec::measure(
            input,
            stored,
            |bytes| retain_bench_codec::compress(bytes, level),
            retain_bench_codec::restore,
        ),
        "c" => retain_bench_codec::measure(
            input,
            stored,
            |bytes| {
                let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
                encoder.include_checksum(true)?;
                encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
                encoder.write_all(bytes)?;
                encoder.finish()
            },
            |frame| {
                let mut restored = Vec::new();
                zstd::Decoder::new(frame)?.read_to_end(&mut restored)?;
                Ok(restored)
            },
        ),
        other => Err(io::Error::other(format!("there is no encoder `{other}`"))),
    }
}
