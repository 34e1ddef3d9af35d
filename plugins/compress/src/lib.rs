//! Compresses a file with Zstandard.
//!
//! Each archive is one object, a plain `.zst` file: whoever has lost everything else
//! reads it with `zstd -d`. Its checksum is part of the format, and the host's proof
//! decompresses it before the file goes.

use std::io::{self, BufRead, BufReader, Read};

use retain_plugin::{
    Archiver, Destination, Draft, Entry, Failure, GENERATIONS, OnExisting, Sink, SinkWriter, Source,
    export, settings,
};
use serde::Deserialize;
use structured_zstd::decoding::{FrameDecoder, StreamingDecoder};
use structured_zstd::encoding::{CompressionLevel, CompressionParameters, StreamingEncoder};

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
    CompressionLevel::DEFAULT_LEVEL
}

fn usual_name() -> String {
    GENERATIONS.into()
}

/// The window from which on matches are searched for at long distances as well: the
/// one of the highest level everybody's `zstd` decompresses without being told.
const LONG: u64 = 8 << 20;

/// Bytes of a file in one frame. The encoder counts them in a word of the machine, and
/// aborts at 4 GiB where that has 32 bits, as here.
const FRAME: u64 = 1 << 30;

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
        writer.end_after(written)
    }
}

fn compress(
    settings: &Settings,
    source: &Source,
    destination: &Destination,
    name: &str,
) -> Result<String, Failure> {
    let level = CompressionLevel::from_level(settings.level);
    let parameters = settings.window.map(|window| {
        CompressionParameters::builder(level)
            .window_log(window.next_power_of_two().ilog2())
            .enable_long_distance_matching(window > LONG)
            .build()
            .map_err(|error| Failure::misconfigured(format!("`window` and `level`: {error}")))
    });
    let parameters = parameters.transpose()?;
    let sink = destination.create()?;
    let mut writer = sink.writer();
    let written = encode(level, parameters.as_ref(), source, &mut writer);
    writer.end_after(written)?;
    Ok(Sink::finish(sink, name, OnExisting::SameBytes)?.name)
}

fn encode(
    level: CompressionLevel,
    parameters: Option<&CompressionParameters>,
    source: &Source,
    writer: &mut SinkWriter<'_>,
) -> io::Result<()> {
    let mut reader = source.reader();
    let mut left = source.size();
    // An empty file has a frame as well.
    loop {
        let size = left.min(FRAME);
        let mut encoder = StreamingEncoder::new(&mut *writer, level);
        if let Some(parameters) = parameters {
            encoder.set_parameters(parameters)?;
        }
        encoder.set_content_checksum(true)?;
        encoder.set_pledged_content_size(size)?;
        io::copy(&mut reader.by_ref().take(size), &mut encoder)?;
        encoder.finish()?;
        left -= size;
        if left == 0 {
            return Ok(());
        }
    }
}

/// One frame after another, as `zstd -d` reads them.
fn decode(object: &Source, writer: &mut SinkWriter<'_>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(CHUNK, object.reader());
    loop {
        let mut decoder = StreamingDecoder::<_, FrameDecoder>::new(&mut reader);
        io::copy(&mut decoder, writer)?;
        drop(decoder);
        if reader.fill_buf()?.is_empty() {
            return Ok(());
        }
    }
}
