//! Copies a file into a destination, the same bytes only once.
//!
//! An object is called by the hash of its bytes, `objects/4f/4f9a…`, so equal files
//! of any name, run or store that writes there share one. What is there already is
//! not written again: the host proves that it restores this file, and the receipt
//! says which file it was. An object may be named by many receipts and goes with the
//! last of them.

use retain_plugin::{
    Archiver, Destination, Draft, Entry, Failure, OnExisting, Sink, Source, export, settings,
};
use serde::Deserialize;

export!(archiver DedupBackup,
    description: "copies a file into a destination, the same bytes only once",
    settings: include_str!("settings.json"),
);

struct DedupBackup;

#[derive(Deserialize)]
struct Settings {
    #[serde(default = "usual_directory")]
    directory: String,
}

fn usual_directory() -> String {
    "objects".into()
}

impl Archiver for DedupBackup {
    fn archive(_: Entry, source: &Source, destination: &Destination) -> Result<Draft, Failure> {
        let Settings { directory } = settings()?;
        let digest = source.digest()?;
        let name = format!("{directory}/{}/{digest}", &digest[..2]);
        let known = destination.lookup(&name)?;
        if !known.is_some_and(|object| object.size == source.size()) {
            let sink = destination.create()?;
            sink.splice(source, 0, source.size())?;
            // Another file with the same bytes may be on its way at this moment.
            Sink::finish(sink, &name, OnExisting::SameBytes)?;
        }
        Ok(Draft {
            objects: vec![name],
            note: Vec::new(),
        })
    }

    fn restore(_note: Vec<u8>, objects: Vec<Source>, sink: &Sink) -> Result<(), Failure> {
        let [object] = &objects[..] else {
            let message = format!("a copy is one object, not {}", objects.len());
            return Err(Failure::permanent("objects", message));
        };
        sink.splice(object, 0, object.size())?;
        Ok(())
    }
}
