//! What a component says about itself, read without running any of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use wasmparser::{Parser, Payload};

/// The custom section a manifest lies in.
const SECTION: &str = "retain:manifest";

/// The contract this host speaks.
pub(super) const CONTRACT: &str = "retain:plugin@0.1.0";

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
    /// JSON schema of its settings.
    #[serde(default)]
    pub settings: Value,
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
}

impl Manifest {
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
        match manifest.contract == CONTRACT {
            true => Ok(manifest),
            false => Err(ManifestError::Contract(manifest.contract)),
        }
    }

    /// Settings the schema does not know, or of another type than it asks for: the
    /// key with what is wrong.
    pub fn objections(&self, settings: &Map<String, Value>) -> Vec<(String, String)> {
        let properties: BTreeMap<&str, &Value> = self
            .settings
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.as_str(), schema))
            .collect();
        let unknown = |key: &str| {
            let near = crate::diagnostic::nearest(key, properties.keys().copied());
            match near {
                Some(near) => format!("there is no setting `{key}`; did you mean `{near}`?"),
                None if properties.is_empty() => {
                    format!("there is no setting `{key}`; this plugin has none")
                }
                None => {
                    let names: Vec<_> = properties.keys().map(|n| format!("`{n}`")).collect();
                    format!(
                        "there is no setting `{key}`; there are {}",
                        names.join(", ")
                    )
                }
            }
        };
        let objection = |(key, value): (&String, &Value)| match properties.get(key.as_str()) {
            None => Some((key.clone(), unknown(key))),
            Some(schema) => mistyped(schema, value).map(|wanted| {
                (
                    key.clone(),
                    format!("`{key}` must be {wanted}, not `{value}`"),
                )
            }),
        };
        settings.iter().filter_map(objection).collect()
    }
}

/// The type a schema asks for, when the value has another one.
fn mistyped(schema: &Value, value: &Value) -> Option<&'static str> {
    let (wanted, fits) = match schema.get("type")?.as_str()? {
        "string" => ("a text", value.is_string()),
        "integer" => ("a whole number", value.is_i64() || value.is_u64()),
        "number" => ("a number", value.is_number()),
        "boolean" => ("`true` or `false`", value.is_boolean()),
        "array" => ("a list", value.is_array()),
        "object" => ("a table", value.is_object()),
        _ => return None,
    };
    (!fits).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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

    #[test]
    fn settings_are_held_against_the_schema() {
        let manifest = Manifest::read(&component(&[GOOD])).unwrap();
        let objections = |value: Value| manifest.objections(value.as_object().unwrap());
        assert_eq!(objections(json!({"level": 3})), []);
        assert!(
            objections(json!({"level": "3"}))[0]
                .1
                .contains("a whole number")
        );
        assert!(
            objections(json!({"lvel": 3}))[0]
                .1
                .contains("did you mean `level`")
        );
    }
}
