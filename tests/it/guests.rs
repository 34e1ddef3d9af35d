//! Hostile guests: `tests/hostile/*.wat` made into components.

use std::fs;
use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile")
}

/// Names of all guests that get no file removed.
pub fn all() -> Vec<String> {
    let files = fs::read_dir(directory()).unwrap();
    let names = files.map(|file| {
        file.unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    });
    let mut names: Vec<String> = names
        .filter(|name| !["archiver", "reviewer", "knows-proof"].contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

/// A guest as a component, with a manifest.
pub fn component(name: &str) -> Vec<u8> {
    component_with_suffix(name, "")
}

/// The same, with what its archives append to the names of the files they replace.
pub fn component_with_suffix(name: &str, suffix: &str) -> Vec<u8> {
    let kind = match name.starts_with("review") {
        true => "reviewer",
        false => "archiver",
    };
    let read = |name: &str| fs::read_to_string(directory().join(format!("{name}.wat"))).unwrap();
    let own = read(name);
    // Imports come first in a module's text.
    let (imports, rest): (Vec<_>, Vec<_>) =
        own.lines().partition(|line| line.starts_with("(import"));
    let (imports, rest) = (imports.join("\n"), rest.join("\n"));
    let text = format!("(module\n{imports}\n{}\n{rest})", read(kind));
    let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));

    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/sdk/wit");
    let (package, _) = resolve.push_dir(&wit).unwrap();
    let world = match kind {
        "reviewer" if name.starts_with("review-bulk") => "bulk-review-plugin",
        "reviewer" => "review-plugin",
        _ => "archive-plugin",
    };
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let encoder = ComponentEncoder::default().validate(true).module(&module);
    let mut component = encoder
        .unwrap()
        .encode()
        .unwrap_or_else(|error| panic!("{name}: {error:#}"));
    let manifest = format!(
        r#"{{"name":"{name}","version":"6.6.6","contract":"retain:plugin@0.1.0","kind":"{kind}","suffix":"{suffix}"}}"#
    );
    section(&mut component, "retain:manifest", manifest.as_bytes());
    component
}

/// Appends a custom section.
pub fn section(wasm: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut body = vec![u8::try_from(name.len()).unwrap()];
    body.extend(name.bytes());
    body.extend(content);
    wasm.push(0);
    let mut length = body.len();
    while length >= 0x80 {
        wasm.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    wasm.push(u8::try_from(length).unwrap());
    wasm.extend(body);
}
