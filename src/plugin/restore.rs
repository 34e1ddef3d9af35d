//! A file brought back from its archive, by the plugin version that wrote it.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use super::PluginError;
use super::archive::Restorer;
use super::blobs::{Restored, Source};
use super::engine::Machine;
use super::guest::RunFacts;
use super::load::Catalogue;
use crate::destination::{Destination, DestinationError};
use crate::path::RelPath;
use crate::receipt::Receipt;
use crate::store::{Attributes, NewFile, Root, Shortfall};
use crate::time::{Now, Stamp};

/// A file that is there again, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoration {
    /// Its length in bytes.
    pub bytes: u64,
    /// Attributes that could not be given back.
    pub shortfalls: Vec<Shortfall>,
}

/// Why a file was not brought back. Nothing is left behind in any of these cases.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A file of that name is there.
    #[error("`{0}` exists, and nothing is overwritten")]
    Exists(RelPath),
    /// It cannot be written.
    #[error("cannot write `{path}`: {}", crate::store::in_words(source))]
    Write {
        /// The file.
        path: RelPath,
        /// What the system said.
        source: std::io::Error,
    },
    /// The version that wrote the archive is not to be had.
    #[error(
        "the archive was written by `{name}` {version}, whose component is neither configured nor \
         kept in `{}`; put the component with the BLAKE3 `{digest}` under any name into the \
         configuration, or take another version of it by `--with DIGEST`",
        kept.display()
    )]
    Version {
        /// The plugin's name.
        name: String,
        /// Its version.
        version: String,
        /// Its digest.
        digest: String,
        /// Where copies are kept.
        kept: std::path::PathBuf,
    },
    /// The plugin does not run.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The archive cannot be read.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// An object is not what was stored.
    #[error("the object `{0}` is not what was stored: its bytes have changed")]
    Altered(String),
    /// The plugin did not succeed, or wrote something else.
    #[error("plugin `{plugin}` did not restore it: {reason}")]
    Failed {
        /// The plugin.
        plugin: String,
        /// Why.
        reason: String,
    },
    /// The receipt itself is broken.
    #[error("the receipt is broken: {0}")]
    Receipt(String),
}

impl Catalogue {
    /// Writes an archived file under a path that is free, with its attributes.
    ///
    /// The file appears under its name only after its bytes were compared with the
    /// receipt's hash. The plugin is told the run and the moment it was told when the
    /// archive was proved: it cannot know whether this is the proof or the emergency.
    pub fn restore(
        &self,
        receipt: &Receipt,
        root: &Root,
        path: &RelPath,
    ) -> Result<Restoration, RestoreError> {
        let writing = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AlreadyExists => RestoreError::Exists(path.clone()),
            _ => RestoreError::Write {
                path: path.clone(),
                source,
            },
        };
        let attributes = attributes(receipt)?;
        let file = Arc::new(Mutex::new(Some(root.create_file(path).map_err(writing)?)));
        self.write(receipt, Some(Box::new(Shared(Arc::clone(&file)))))?;
        let written = file.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(written) = written else {
            return Err(RestoreError::Receipt("its file was lost".to_owned()));
        };
        let shortfalls = written.publish(&attributes).map_err(writing)?;
        Ok(Restoration {
            bytes: receipt.source.size,
            shortfalls,
        })
    }

    /// Proves an archive again as on the day it was written: its objects are what was
    /// stored, and the plugin makes the file's bytes of them.
    pub fn verify(&self, receipt: &Receipt) -> Result<(), RestoreError> {
        self.write(receipt, None)
    }

    /// Runs the plugin's `restore` into a writer and compares what came.
    fn write(
        &self,
        receipt: &Receipt,
        onward: Option<Box<dyn Write + Send>>,
    ) -> Result<(), RestoreError> {
        let plugin = self
            .version(&receipt.plugin)
            .ok_or_else(|| RestoreError::Version {
                name: receipt.plugin.name.clone(),
                version: receipt.plugin.version.clone(),
                digest: receipt.plugin.digest.clone(),
                kept: self.kept().to_owned(),
            })?;
        let failed = |reason: String| RestoreError::Failed {
            plugin: receipt.plugin.name.clone(),
            reason,
        };
        let machine = Machine::shared()?;
        let prepared = plugin.prepare(&machine)?;
        let Some(craft) = prepared.craft() else {
            return Err(failed("it is no archiver".to_owned()));
        };
        let at = receipt.at.parse().map_err(|_| {
            RestoreError::Receipt(format!("`{}` is no time", receipt.at.escape_debug()))
        })?;
        let run = RunFacts::new(receipt.run.clone(), Now::at(at));
        let restorer = Restorer {
            machine: &machine,
            plugin: &plugin,
            craft,
            settings: receipt.settings.to_string().into(),
            run: &run,
            limits: receipt.limits,
        };
        let note = bytes(&receipt.note)
            .ok_or_else(|| RestoreError::Receipt("its note is not hexadecimal".to_owned()))?;
        let restored = Restored::new(receipt.source.size, onward);
        let content = restorer
            .restore(
                &note,
                objects(receipt, &self.objects_at(receipt))?,
                restored,
            )
            .map_err(|trouble| failed(trouble.reason))?;
        match content == receipt.source {
            true => Ok(()),
            false => Err(failed(
                "other bytes came back than were archived".to_owned(),
            )),
        }
    }
}

/// The stored objects, each compared with its hash before a plugin sees it.
fn objects(receipt: &Receipt, url: &str) -> Result<Vec<Source>, RestoreError> {
    let destination = Destination::open_existing(&receipt.destination.name, url)?;
    let mut sources = Vec::with_capacity(receipt.objects.len());
    for object in &receipt.objects {
        let name = destination.parse_name(&object.name)?;
        let file = destination.open_object(&name)?;
        let mut hasher = blake3::Hasher::new();
        let read = std::io::copy(&mut &file, &mut hasher)
            .map_err(|_| RestoreError::Receipt(format!("the object `{name}` cannot be read")))?;
        let same = read == object.size && hasher.finalize().to_hex().as_str() == object.blake3;
        if !same {
            return Err(RestoreError::Altered(name.to_string()));
        }
        sources.push(Source::new(file, object.size));
    }
    Ok(sources)
}

pub(super) fn attributes(receipt: &Receipt) -> Result<Attributes, RestoreError> {
    let metadata = &receipt.metadata;
    let xattrs = metadata.xattrs.iter().map(|(name, value)| {
        let bytes = bytes(value).ok_or_else(|| {
            RestoreError::Receipt(format!("its attribute `{name}` is not hexadecimal"))
        })?;
        Ok((name.clone(), bytes))
    });
    let xattrs = xattrs.collect::<Result<_, RestoreError>>()?;
    Ok(Attributes {
        mode: metadata.mode,
        owner: metadata.owner,
        group: metadata.group,
        modified: Stamp::new(metadata.modified_seconds, metadata.modified_nanoseconds),
        xattrs,
    })
}

pub(super) fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

/// The new file as the guest's writer, to be had back afterwards.
struct Shared(Arc<Mutex<Option<NewFile>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.write(bytes),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
