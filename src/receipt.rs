//! The proof that a file's bytes can be had again, as it is stored for years.
//!
//! A receipt exists only after the archive was restored and found equal. It is
//! written into the journal and beside the archive; both use the form defined
//! here, so its fields are only ever added to.

use serde::{Deserialize, Serialize};

use crate::time::Stamp;

/// What is known about one archived generation of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Version of this form; 1.
    pub version: u32,
    /// The run that wrote the archive.
    pub run: String,
    /// The moment that run's decisions hold for, RFC 3339 in UTC: what the plugin was
    /// told, and is told again when it restores.
    pub at: String,
    /// The store the file lay in.
    pub store: String,
    /// The collection whose hook asked for the archive.
    pub collection: String,
    /// The file's path in the store, escaped as `RelPath` shows it.
    pub path: String,
    /// Identity of this generation of the file: the idempotency key plugins get.
    pub key: String,
    /// Which plugin wrote it, so the same one can restore it.
    pub plugin: PluginVersion,
    /// The settings it ran with: canonical JSON.
    pub settings: serde_json::Value,
    /// Where the objects lie.
    pub destination: DestinationName,
    /// The objects the archive consists of, in the plugin's order.
    pub objects: Vec<ObjectRecord>,
    /// The plugin's own note, in hexadecimal; at most 64 KiB before encoding.
    pub note: String,
    /// The file's content.
    pub source: Content,
    /// What `restore` puts back besides the content.
    pub metadata: Metadata,
    /// How the archive was proved.
    pub proof: Proof,
    /// True when the archive took the file's place: its one object lies in the store,
    /// under the file's name with a suffix, and the file itself is gone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub in_place: bool,
    /// What the plugin had when it was proved, so that it has no less when it restores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

impl Receipt {
    /// When the archived version was last modified.
    pub fn modified(&self) -> Stamp {
        let metadata = &self.metadata;
        Stamp::new(metadata.modified_seconds, metadata.modified_nanoseconds)
    }
}

/// What one instance of a plugin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Its memory in bytes.
    pub memory: u64,
    /// Seconds for one call, with the allowance for the file's size.
    pub wall_seconds: u64,
}

/// A plugin at the version that wrote an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginVersion {
    /// Its name in the configuration.
    pub name: String,
    /// Where the configuration took it from (`builtin:backup`, a path).
    pub wasm: String,
    /// The version its manifest states.
    pub version: String,
    /// BLAKE3 of the component, in hexadecimal.
    pub digest: String,
}

/// A destination as the configuration named it when the archive was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationName {
    /// Its name in the configuration.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// True when it lay on the same file system as the store.
    pub same_filesystem: bool,
    /// Its identity, by which an unmounted volume is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// One stored object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Its name in the destination.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub blake3: String,
}

/// Length and hash of some bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3, in hexadecimal.
    pub blake3: String,
}

/// A file's attributes as they were when it was archived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub owner: u32,
    /// Numeric group.
    pub group: u32,
    /// Seconds of the modification time since 1970 UTC.
    pub modified_seconds: i64,
    /// Nanoseconds within that second.
    pub modified_nanoseconds: u32,
    /// Extended attributes, names as text, values in hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<(String, String)>,
}

/// How an archive was shown to give the file's bytes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The plugin's own `restore` ran over the stored bytes in a fresh instance.
    Restore,
    /// The stored bytes were read back and are the file's own.
    ReadBack,
    /// Not at all; the configuration asked for that.
    None,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_false(flag: &bool) -> bool {
    !*flag
}
