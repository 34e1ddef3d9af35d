//! Copies a file into a destination, byte for byte.
//!
//! The bytes are spliced by the host and never enter the plugin, so a copy is as
//! fast as the file system makes it. Each generation of a file has an object of its
//! own: `{collection}/{path}@{modified}`.

use retain_plugin::{
    Archiver, Destination, Draft, Entry, Failure, OnExisting, Sink, Source, export, settings,
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
    "{collection}/{path}@{modified}".into()
}

/// The longest component file systems take, in bytes.
const COMPONENT: usize = 255;

impl Archiver for Backup {
    fn archive(entry: Entry, source: &Source, destination: &Destination) -> Result<Draft, Failure> {
        let settings: Settings = settings()?;
        let name = name(&settings.name, &entry)?;
        let stored = match copy(source, destination, &name) {
            // Another generation with the same time: its bytes differ.
            Err(failure) if failure.code == "exists" => {
                let name = shortened(&format!("{name}-{}", start(&entry.key, 8)), &entry.key);
                copy(source, destination, &name)?
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

/// Fills the template in. Values are not looked into again, so a file called
/// `{key}` stays what it is.
fn name(template: &str, entry: &Entry) -> Result<String, Failure> {
    let mut name = String::new();
    let mut rest = template;
    while let Some((text, tail)) = rest.split_once('{') {
        let (field, tail) = tail
            .split_once('}')
            .ok_or_else(|| Failure::misconfigured("`name` has a `{` that is never closed"))?;
        name.push_str(text);
        match field {
            "store" => name.push_str(&entry.store),
            "collection" => name.push_str(&entry.collection),
            "path" => name.push_str(&entry.path),
            "modified" => name.push_str(&entry.modified.to_basic_utc()),
            "key" => name.push_str(start(&entry.key, 16)),
            other => {
                let message = format!(
                    "`name` has no `{{{other}}}`; there are {{store}}, {{collection}}, {{path}}, {{modified}}, {{key}}"
                );
                return Err(Failure::misconfigured(message));
            }
        }
        rest = tail;
    }
    name.push_str(rest);
    if template.split('/').any(str::is_empty) {
        let message = "`name` begins or ends with `/`, or has nothing between two";
        return Err(Failure::misconfigured(message));
    }
    Ok(shortened(&name, &entry.key))
}

/// The name with every component short enough; one that was cut is told apart by
/// the file's key.
fn shortened(name: &str, key: &str) -> String {
    let fitting = |component: &str| {
        if component.len() <= COMPONENT {
            return component.to_owned();
        }
        let mark = format!("~{}", start(key, 16));
        let mut end = COMPONENT - mark.len();
        while !component.is_char_boundary(end) {
            end -= 1;
        }
        component[..end].to_owned() + &mark
    };
    let components: Vec<String> = name.split('/').map(fitting).collect();
    components.join("/")
}

fn start(key: &str, length: usize) -> &str {
    key.get(..length).unwrap_or(key)
}
