//! What a component says about itself, read without running any of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use wasmparser::{Parser, Payload};

use super::trouble::harmless;
use crate::config::Grants;
use crate::units::Size;

/// The custom section a manifest lies in.
const SECTION: &str = "retain:manifest";

/// The custom section that licences of what a component contains lie in.
const NOTICES: &str = "retain:notices";

/// The contract this host speaks.
pub(super) const CONTRACT: &str = "retain:plugin@0.1.0";

/// What a receipt has for the version of a command that knows nothing of us.
pub(super) const FILTER: &str = "filter";

/// A plugin's own description. Asking grants nothing.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// What its author calls it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The contract it was built against.
    pub contract: String,
    /// What it does.
    pub kind: Kind,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// SPDX expression.
    #[serde(default)]
    pub license: String,
    /// What it needs to be granted.
    #[serde(default)]
    pub asks: Asks,
    /// What an archive that can stand in its file's place appends to the name
    /// (`.zst`); empty where it cannot.
    #[serde(default)]
    pub suffix: String,
    /// JSON schema of its settings.
    #[serde(default)]
    pub settings: Value,
}

/// The licences a component carries of what it contains and its author did not write;
/// nothing where it carries none.
pub fn notices(wasm: &[u8]) -> Option<String> {
    let payloads = Parser::new(0).parse_all(wasm).map_while(Result::ok);
    let texts = payloads.filter_map(|payload| match payload {
        Payload::CustomSection(section) if section.name() == NOTICES => {
            let text = String::from_utf8_lossy(section.data());
            let lines: Vec<_> = text.trim_end().lines().map(harmless).collect();
            Some(lines.join("\n"))
        }
        _ => None,
    });
    texts.reduce(|all, text| format!("{all}\n{text}"))
}

/// What a plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It looks at files that are about to go.
    Reviewer,
    /// It puts their bytes somewhere safe.
    Archiver,
}

/// Grants a plugin cannot work without.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asks {
    /// A destination to write into.
    #[serde(default)]
    pub destinations: bool,
    /// Bytes of memory.
    #[serde(default)]
    pub memory: Option<u64>,
    /// What this host knows nothing of, and cannot grant.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl Asks {
    /// Whether grants cover everything.
    pub(super) fn covered_by(&self, grants: &Grants) -> bool {
        let destinations = !self.destinations || !grants.destinations.is_empty() || grants.in_place;
        let memory = self.memory.is_none_or(|bytes| bytes <= grants.memory.0);
        destinations && memory && self.unknown.is_empty()
    }
}

impl fmt::Display for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destinations = self.destinations.then(|| "a destination".to_owned());
        let memory = self
            .memory
            .map(|bytes| format!("{} of memory", Size(bytes)));
        let unknown = self
            .unknown
            .keys()
            .map(|ask| format!("`{}`, which nobody can grant", ask.escape_debug()));
        let asks: Vec<_> = destinations
            .into_iter()
            .chain(memory)
            .chain(unknown)
            .collect();
        match asks.is_empty() {
            true => f.write_str("nothing"),
            false => f.write_str(&asks.join(", ")),
        }
    }
}

/// What a plugin is granted, as people read it beside what it asks for.
pub(super) fn granted(grants: &Grants) -> String {
    let destinations = match grants.destinations.as_slice() {
        [] => "no destination".to_owned(),
        names => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("the destinations {}", names.join(", "))
        }
    };
    let in_place = match grants.in_place {
        true => ", its files' places",
        false => "",
    };
    format!("{destinations}{in_place}, {} of memory", grants.memory)
}

/// Interfaces that every plugin finds, with nothing behind those of the system: what a
/// standard library imports whatever its program does. Only archivers find `blobs`, only
/// reviewers `surroundings`. Nothing else can be had.
pub const LINKED: [&str; 24] = [
    "retain:plugin/types",
    "retain:plugin/log",
    "retain:plugin/config",
    "retain:plugin/run",
    "retain:plugin/surroundings",
    "retain:plugin/blobs",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/insecure-seed",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
];

/// One interface a component wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name with its version.
    pub name: String,
    /// Whether it is there for every plugin; otherwise the component does not load.
    pub linked: bool,
}

/// What a component imports, read without running anything; nothing where it cannot
/// be read.
pub fn imports(wasm: &[u8]) -> Vec<Import> {
    let mut imports = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            // Inner components import from the outer one, which is no grant.
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::ComponentImportSection(section)) if depth == 0 => {
                let named = section.into_iter().flatten();
                imports.extend(named.map(|import| {
                    let name = import.name.name.to_owned();
                    let plain = name.split('@').next().unwrap_or_default();
                    Import {
                        linked: LINKED.contains(&plain),
                        name: name.escape_debug().to_string(),
                    }
                }));
            }
            Ok(_) => {}
            Err(_) => return Vec::new(),
        }
    }
    imports
}

/// Why a component has no usable manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are no WebAssembly component.
    #[error("this is no WebAssembly component: {0}")]
    NotAComponent(String),
    /// There is no manifest in it.
    #[error("it carries no `{SECTION}` section, so it is no plugin of retain")]
    Missing,
    /// There is more than one.
    #[error("it carries more than one `{SECTION}` section")]
    Several,
    /// The section cannot be read.
    #[error("its manifest cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// It was built for another contract.
    #[error("it speaks `{0}`, this version of retain speaks `{CONTRACT}`")]
    Contract(String),
    /// The schema of its settings cannot be checked.
    #[error("{0}")]
    Schema(String),
}

impl Manifest {
    /// What stands for the manifest of a command, which has none.
    pub(super) fn of_filter(name: &str, wasm: &[u8]) -> Result<Manifest, ManifestError> {
        if !Parser::is_component(wasm) && !Parser::is_core_wasm(wasm) {
            let what = "it does not begin like one".to_owned();
            return Err(ManifestError::NotAComponent(what));
        }
        Ok(Manifest {
            name: name.to_owned(),
            version: FILTER.to_owned(),
            contract: FILTER.to_owned(),
            kind: Kind::Archiver,
            description: "a command that reads stdin and writes stdout".to_owned(),
            license: String::new(),
            asks: Asks::default(),
            suffix: String::new(),
            settings: Value::Null,
        })
    }

    pub(super) fn is_filter(&self) -> bool {
        self.contract == FILTER
    }

    /// Finds and reads the manifest; nested modules are looked into, because that is
    /// where compilers leave custom sections.
    pub fn read(wasm: &[u8]) -> Result<Manifest, ManifestError> {
        let mut found = None;
        let broken = |error: wasmparser::BinaryReaderError| {
            ManifestError::NotAComponent(error.message().to_owned())
        };
        if !Parser::is_component(wasm) {
            let what = match Parser::is_core_wasm(wasm) {
                true => "it is a core module; build it for wasm32-wasip2",
                false => "it does not begin like one",
            };
            return Err(ManifestError::NotAComponent(what.to_owned()));
        }
        for payload in Parser::new(0).parse_all(wasm) {
            if let Payload::CustomSection(section) = payload.map_err(broken)?
                && section.name() == SECTION
                && found.replace(section.data()).is_some()
            {
                return Err(ManifestError::Several);
            }
        }
        let manifest: Manifest = serde_json::from_slice(found.ok_or(ManifestError::Missing)?)?;
        if manifest.contract != CONTRACT {
            return Err(ManifestError::Contract(manifest.contract));
        }
        match super::schema::fault(&manifest.settings) {
            None => Ok(manifest),
            Some(fault) => Err(ManifestError::Schema(fault)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(sections: &[&str]) -> Vec<u8> {
        let mut wasm = wat::parse_str("(component)").unwrap();
        for text in sections {
            let mut body = vec![u8::try_from(SECTION.len()).unwrap()];
            body.extend(SECTION.bytes());
            body.extend(text.bytes());
            wasm.push(0);
            let mut length = body.len();
            while length >= 0x80 {
                wasm.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            wasm.push(u8::try_from(length).unwrap());
            wasm.extend(body);
        }
        wasm
    }

    const GOOD: &str = r#"{"name":"n","version":"1","contract":"retain:plugin@0.1.0","kind":"reviewer",
        "settings":{"properties":{"level":{"type":"integer"}}}}"#;

    #[test]
    fn a_manifest_is_read_without_running_anything() {
        assert_eq!(Manifest::read(&component(&[GOOD])).unwrap().name, "n");
        let error = |wasm: &[u8]| Manifest::read(wasm).unwrap_err().to_string();
        assert!(error(&component(&[])).contains("no plugin of retain"));
        assert!(error(&component(&[GOOD, GOOD])).contains("more than one"));
        assert!(error(b"#!/bin/sh").contains("no WebAssembly component"));
        assert!(error(b"\0asm\x01\0\0\0").contains("core module"));
        let other = GOOD.replace("0.1.0", "9.0.0");
        assert!(error(&component(&[&other])).contains("retain:plugin@9.0.0"));
    }
}
