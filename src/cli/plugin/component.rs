//! A component out of what a C compiler leaves.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::plugin::BULK_REVIEWER;

const CONTRACT: &str = include_str!("../../../plugins/sdk/wit/retain.wit");

/// The section a manifest lies in.
const SECTION: &str = "retain:manifest";

/// Compiles `plugin.c` of a directory and wraps it, with `plugin.json` as its manifest.
pub(super) fn from_c(directory: &Path) -> anyhow::Result<Vec<u8>> {
    let manifest = fs::read_to_string(directory.join("plugin.json"))?;
    let module = directory.join("plugin.core.wasm");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "clang".into());
    let status = Command::new(compiler)
        .args([
            "--target=wasm32",
            "-O2",
            "-Wall",
            "-Wextra",
            "-nostdlib",
            "-ffreestanding",
        ])
        .args(["-fuse-ld=lld", "-Wl,--no-entry", "-o"])
        .arg(&module)
        .arg(directory.join("plugin.c"))
        .status()
        .context("cannot run `clang`; a plugin in C is built with clang and lld")?;
    anyhow::ensure!(status.success(), "the build failed");
    let core = fs::read(&module).with_context(|| format!("cannot read `{}`", module.display()))?;
    fs::remove_file(&module)?;
    let mut component = wrapped(core)?;
    let compact: serde_json::Value =
        serde_json::from_str(&manifest).context("`plugin.json` is no JSON")?;
    append(&mut component, compact.to_string().as_bytes());
    Ok(component)
}

fn wrapped(mut module: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("retain.wit", CONTRACT)?;
    let world = match exports(&module, &format!("{BULK_REVIEWER}#review"))? {
        true => "bulk-review-plugin",
        false => "review-plugin",
    };
    let world = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
    encoder.encode()
}

/// Whether a module has a function of this name for others.
fn exports(module: &[u8], name: &str) -> anyhow::Result<bool> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload? {
            for export in exports {
                if export?.name == name {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Appends the manifest as a custom section.
fn append(wasm: &mut Vec<u8>, manifest: &[u8]) {
    let mut body = Vec::new();
    number(&mut body, SECTION.len());
    body.extend(SECTION.bytes());
    body.extend(manifest);
    wasm.push(0);
    number(wasm, body.len());
    wasm.extend(body);
}

/// LEB128, as WebAssembly writes lengths.
fn number(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}
