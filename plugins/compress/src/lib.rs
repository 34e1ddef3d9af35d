//! Compresses a file with Zstandard.
//!
//! Each archive is one object, a plain `.zst` file: whoever has lost everything else
//! reads it with `zstd -d`. Its checksum is part of the format, and the host's proof
//! decompresses it before the file goes.

use std::io::{self, BufRead, BufReader};

use retain_plugin::{
    Archiver, Destination, Draft, Entry, Failure, GENERATIONS, OnExisting, Sink, SinkWriter, Source,
    export, settings,
};
use serde::Deserialize;
use zstd::stream::{read::Decoder, write::Encoder};
use zstd::zstd_safe::{get_error_name, zstd_sys::ZSTD_ErrorCode};

export!(archiver Compress,
    description: "compresses a file with Zstandard",
    settings: include_str!("settings.json"),
    suffix: ".zst",
);

struct Compress;

#[derive(Deserialize)]
struct Settings {
    #[serde(default = "usual_level")]
    level: i32,
    window: Option<u64>,
    #[serde(default = "usual_name")]
    name: String,
}

fn usual_level() -> i32 {
    zstd::DEFAULT_COMPRESSION_LEVEL
}

fn usual_name() -> String {
    GENERATIONS.into()
}

/// The window from which on matches are searched for at long distances as well: the
/// one of the highest level everybody's `zstd` decompresses without being told.
const LONG: u64 = 8 << 20;

/// Bytes of an object that are asked for at once.
const CHUNK: usize = 256 << 10;

impl Archiver for Compress {
    fn archive(entry: Entry, source: &Source, destination: &Destination) -> Result<Draft, Failure> {
        let settings: Settings = settings()?;
        let name = entry.fitting(&format!("{}.zst", entry.name(&settings.name)?));
        let stored = match compress(&settings, source, destination, &name) {
            // Another generation with the same time: its bytes differ.
            Err(failure) if failure.code == "exists" => {
                let beside = entry.name_beside(&name) + ".zst";
                compress(&settings, source, destination, &beside)?
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
            let message = format!("a compressed file is one object, not {}", objects.len());
            return Err(Failure::permanent("objects", message));
        };
        let mut writer = sink.writer();
        let written = decode(object, &mut writer);
        writer.end_after(written).map_err(of_memory)
    }
}

fn compress(
    settings: &Settings,
    source: &Source,
    destination: &Destination,
    name: &str,
) -> Result<String, Failure> {
    let sink = destination.create()?;
    let mut writer = sink.writer();
    let written = encode(settings, source, &mut writer);
    writer.end_after(written).map_err(of_memory)?;
    Ok(Sink::finish(sink, name, OnExisting::SameBytes)?.name)
}

/// One frame. A source that gives more or fewer bytes than it said fails.
fn encode(settings: &Settings, source: &Source, writer: &mut SinkWriter<'_>) -> io::Result<()> {
    let mut encoder = Encoder::new(writer, settings.level)?;
    if let Some(window) = settings.window {
        encoder.window_log(window.next_power_of_two().ilog2())?;
        encoder.long_distance_matching(window > LONG)?;
    }
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(source.size()))?;
    io::copy(&mut source.reader(), &mut encoder)?;
    encoder.finish()?;
    Ok(())
}

/// One frame after another, as `zstd -d` reads them: earlier versions wrote one for each GiB.
fn decode(object: &Source, writer: &mut SinkWriter<'_>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(CHUNK, object.reader());
    // Nothing decompresses to nothing, but even an empty file has a frame.
    if reader.fill_buf()?.is_empty() {
        return Err(io::Error::other("the object is empty"));
    }
    io::copy(&mut Decoder::with_buffer(reader)?, writer)?;
    Ok(())
}

/// The library reports what it cannot have as one error among others. A smaller file may need
/// less, so it is a failure of this one.
fn of_memory(failure: Failure) -> Failure {
    let none = ZSTD_ErrorCode::ZSTD_error_memory_allocation as usize;
    if failure.code == "data" && failure.message == get_error_name(none.wrapping_neg()) {
        return Failure::permanent(
            "memory",
            "it needs more memory than it is granted; raise `grants.memory`, or lower `level` or `window`",
        );
    }
    failure
}
