//! `extism-host GUEST INPUT STORED LEVEL bare|timeout|fuel`: the plugin of Extism.
//!
//! Compiling is not part of what is measured, making an instance is. What was stored is
//! restored in an instance of its own, as `retain` does it.

use std::io;
use std::path::Path;
use std::time::Duration;

use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm};

/// Never reached, only watched.
const TIMEOUT: Duration = Duration::from_secs(300);

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [guest, input, stored, level, limit] = &arguments[..] else {
        let usage = "usage: extism-host GUEST INPUT STORED LEVEL bare|timeout|fuel";
        return Err(io::Error::other(usage));
    };
    let guest = Wasm::data(std::fs::read(guest)?);
    let mut manifest = Manifest::new([guest]).with_config_key("level", level);
    if limit == "timeout" {
        manifest = manifest.with_timeout(TIMEOUT);
    }
    let mut builder = PluginBuilder::new(manifest)
        .with_wasi(true)
        .with_cache_disabled();
    if limit == "fuel" {
        builder = builder.with_fuel_limit(u64::MAX);
    }
    let compiled = builder.compile().map_err(io::Error::other)?;
    codec::measure(
        Path::new(input),
        Path::new(stored),
        |bytes| call(&compiled, "compress", bytes),
        |frame| call(&compiled, "restore", frame),
    )
}

fn call(compiled: &CompiledPlugin, function: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut plugin = Plugin::new_from_compiled(compiled).map_err(io::Error::other)?;
    plugin.call(function, bytes).map_err(io::Error::other)
}
