//! Copies a file into a destination, byte for byte.
//!
//! The bytes are spliced by the host and never enter the plugin, so a copy is as
//! fast as the file system makes it. Each generation of a file has an object of its
//! own: `{collection}/{path}@{modified}`.

use retain_plugin::{
    Archiver, Destination, Draft, Entry, Failure, GENERATIONS, OnExisting, Sink, Source, export,
    settings,
};
use serde::Deserialize;

export!(archiver Backup,
    description: "copies a file into a destination, byte for byte",
    settings: include_str!("settings.json"),
);

struct Backup;

#[derive(Deserialize)]
struct Settings {
    #[serde(default = "usual_name")]
    name: String,
}

fn usual_name() -> String {
    GENERATIONS.into()
}

impl Archiver for Backup {
    fn archive(entry: Entry, source: &Source, destination: &Destination) -> Result<Draft, Failure> {
        let settings: Settings = settings()?;
        let name = entry.name(&settings.name)?;
        let stored = match copy(source, destination, &name) {
            // Another generation with the same time: its bytes differ.
            Err(failure) if failure.code == "exists" => {
                copy(source, destination, &entry.name_beside(&name))?
            }
            stored => stored?,
        };
        Ok(Draft {
            objects: vec![stored],
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

fn copy(source: &Source, destination: &Destination, name: &str) -> Result<String, Failure> {
    let sink = destination.create()?;
    sink.splice(source, 0, source.size())?;
    Ok(Sink::finish(sink, name, OnExisting::SameBytes)?.name)
}
