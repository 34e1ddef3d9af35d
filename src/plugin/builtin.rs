//! The plugins that are part of this program, packed by `build.rs`.

use std::io::Read;

use flate2::read::DeflateDecoder;

use super::PluginError;

/// A plugin that is part of this program.
#[derive(Clone, Copy)]
pub struct Builtin {
    /// Its name behind `builtin:`.
    pub name: &'static str,
    packed: &'static [u8],
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "builtin:{}", self.name)
    }
}

impl Builtin {
    /// Its component.
    pub fn wasm(&self) -> Vec<u8> {
        let mut wasm = Vec::new();
        // What the build packed can be unpacked; were it not so, there would be no component,
        // and its digest and manifest are looked at by all who use one.
        match DeflateDecoder::new(self.packed).read_to_end(&mut wasm) {
            Ok(_) => wasm,
            Err(_) => Vec::new(),
        }
    }
}

macro_rules! packed {
    ($name:literal) => {
        Builtin {
            name: $name,
            packed: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm.deflate")),
        }
    };
}

/// The plugins that are part of this program.
pub const fn builtins() -> &'static [Builtin] {
    &[
        packed!("backup"),
        packed!("compress"),
        packed!("dedup-backup"),
        packed!("keep-linked"),
        packed!("legal-hold"),
    ]
}

pub(super) fn builtin(plugin: &str, wanted: &str) -> Result<Vec<u8>, PluginError> {
    let found = builtins().iter().find(|builtin| builtin.name == wanted);
    found.map(Builtin::wasm).ok_or_else(|| {
        let known: Vec<_> = builtins()
            .iter()
            .map(|builtin| format!("`builtin:{}`", builtin.name))
            .collect();
        PluginError::NoBuiltin {
            plugin: plugin.to_owned(),
            wanted: wanted.to_owned(),
            known: known.join(", "),
        }
    })
}
