//! Stores a file with its bytes turned over, as the smallest archiver that does
//! something to them.

use std::io::{Read, Write};

use retain_plugin::{
    Archiver, Destination, Draft, Entry, Failure, GENERATIONS, OnExisting, Sink, Source, export,
    settings,
};
use serde::Deserialize;

// What `retain` reads without running anything: the name and version come from
// Cargo.toml, the schema says which settings there are.
export!(archiver Plugin,
    description: "stores a file with its bytes turned over",
    settings: include_str!("settings.json"),
);

struct Plugin;

#[derive(Deserialize)]
struct Settings {
    /// What every byte is turned over with.
    #[serde(default = "usual_mask")]
    mask: u8,
}

fn usual_mask() -> u8 {
    255
}

impl Archiver for Plugin {
    fn archive(entry: Entry, source: &Source, destination: &Destination) -> Result<Draft, Failure> {
        let Settings { mask } = settings()?;
        let name = entry.name(GENERATIONS)?;
        let stored = match store(mask, source, destination, &name) {
            // Another file of that name and time is there, with other bytes.
            Err(failure) if failure.code == "exists" => {
                store(mask, source, destination, &entry.name_beside(&name))?
            }
            stored => stored?,
        };
        // The note is the plugin's only memory: what `restore` needs has to be in it or
        // in the objects, because the settings may be others by then.
        Ok(Draft { objects: vec![stored], note: vec![mask] })
    }

    fn restore(note: Vec<u8>, objects: Vec<Source>, sink: &Sink) -> Result<(), Failure> {
        let (&[mask], [object]) = (&note[..], &objects[..]) else {
            return Err(Failure::permanent("form", "this archive is not one of this plugin"));
        };
        turn_over(mask, object, sink)
    }
}

fn store(
    mask: u8,
    source: &Source,
    destination: &Destination,
    name: &str,
) -> Result<String, Failure> {
    let sink = destination.create()?;
    turn_over(mask, source, &sink)?;
    // The same call may come again after a success that was lost in a crash.
    Ok(Sink::finish(sink, name, OnExisting::SameBytes)?.name)
}

fn turn_over(mask: u8, source: &Source, sink: &Sink) -> Result<(), Failure> {
    let mut reader = source.reader();
    let mut writer = sink.writer();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return writer.end();
        }
        buffer[..read].iter_mut().for_each(|byte| *byte ^= mask);
        writer.write_all(&buffer[..read])?;
    }
}
