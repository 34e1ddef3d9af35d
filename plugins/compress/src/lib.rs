//! Compresses a file with Zstandard.
//!
//! Each archive is one object, a plain `.zst` file: whoever has lost everything else
//! reads it with `zstd -d`. Its checksum is part of the format, and the host's proof
//! decompresses it before the file goes.

use std::ops::RangeInclusive;

use retain_plugin::{
    Archiver, Destination, Draft, Entry, Failure, GENERATIONS, OnExisting, Sink, Source, export,
    settings,
};
use serde::Deserialize;
use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, ErrorCode, InBuffer, OutBuffer, compress_bound, get_error_name,
    zstd_sys::{ZSTD_EndDirective, ZSTD_ErrorCode},
};

export!(archiver Compress,
    description: "compresses a file with Zstandard",
    settings: include_str!("settings.json"),
    suffix: ".zst",
);

struct Compress;

const NOTICE: &[u8] = include_bytes!("../LICENSE.zstd");

/// zstd's licence goes wherever its code does; `retain plugin inspect --notices` shows it.
#[used]
#[unsafe(link_section = "retain:notices")]
static NOTICES: [u8; NOTICE.len()] = *NOTICE.first_chunk().unwrap();

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

/// The level whose table of hashes is half of its own size, so that it fits the memory a plugin
/// has unless more is granted; what it stores differs by two bytes in a hundred thousand.
const SLIM: i32 = 15;
const SLIM_HASH: u32 = 22;

/// The levels a file is held whole for, and what the encoder takes beside it then: below it
/// saves nothing, above the encoder itself takes most of what is granted.
const WHOLE: RangeInclusive<i32> = 3..=9;
const BESIDE: usize = 24 << 20;

/// Bytes that are asked for and written at once: the host's own bound.
const CHUNK: usize = 1 << 20;

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
        decode(object, sink)
    }
}

fn compress(
    settings: &Settings,
    source: &Source,
    destination: &Destination,
    name: &str,
) -> Result<String, Failure> {
    let sink = destination.create()?;
    encode(settings, source, &sink)?;
    Ok(Sink::finish(sink, name, OnExisting::SameBytes)?.name)
}

/// One frame. A source that gives more or fewer bytes than it said fails.
fn encode(settings: &Settings, source: &Source, sink: &Sink) -> Result<(), Failure> {
    let mut encoder = CCtx::try_create().ok_or_else(no_memory)?;
    let mut set = |parameter| encoder.set_parameter(parameter).map(drop).map_err(of_zstd);
    set(CParameter::CompressionLevel(settings.level))?;
    if settings.level == SLIM {
        set(CParameter::HashLog(SLIM_HASH))?;
    }
    if let Some(window) = settings.window {
        set(CParameter::WindowLog(window.next_power_of_two().ilog2()))?;
        set(CParameter::EnableLongDistanceMatching(window > LONG))?;
    }
    set(CParameter::ChecksumFlag(true))?;
    if let Some((whole, mut output)) = whole(settings, source)? {
        encoder.compress2(&mut output, &whole).map_err(of_zstd)?;
        return output.chunks(CHUNK).try_for_each(|piece| sink.write(piece));
    }
    encoder.set_pledged_src_size(Some(source.size())).map_err(of_zstd)?;
    // Straight from what the host gave into what it gets: every copy in between shows at
    // level 1.
    let mut output = Vec::with_capacity(CHUNK);
    let mut at = 0;
    loop {
        let piece = source.read(at, CHUNK as u32)?;
        at += piece.len() as u64;
        let directive = match piece.is_empty() {
            true => ZSTD_EndDirective::ZSTD_e_end,
            false => ZSTD_EndDirective::ZSTD_e_continue,
        };
        let mut input = InBuffer::around(&piece);
        loop {
            let held = output.len();
            let mut room = OutBuffer::around_pos(&mut output, held);
            let left = encoder.compress_stream2(&mut room, &mut input, directive);
            let left = left.map_err(of_zstd)?;
            write_full(&mut output, sink)?;
            match piece.is_empty() {
                true if left == 0 => return write_rest(&output, sink),
                false if input.pos() == piece.len() => break,
                true | false => {}
            }
        }
    }
}

/// All of a file, and room for its archive, where there is memory for that. In one piece it
/// takes a tenth less time than in a ring at level 3 and up to a fifth at level 9.
fn whole(settings: &Settings, source: &Source) -> Result<Option<(Vec<u8>, Vec<u8>)>, Failure> {
    let Ok(size) = usize::try_from(source.size()) else { return Ok(None) };
    let bound = compress_bound(size);
    let all = bound.checked_add(size).and_then(|both| both.checked_add(BESIDE + CHUNK));
    // What is there for all of it is given back, and is there for each part then.
    let fits = |all| Vec::<u8>::new().try_reserve_exact(all).is_ok();
    let worth = WHOLE.contains(&settings.level) && settings.window.is_none();
    if !worth || !all.is_some_and(fits) {
        return Ok(None);
    }
    let (mut whole, output) = (Vec::with_capacity(size), Vec::with_capacity(bound));
    loop {
        let piece = source.read(whole.len() as u64, CHUNK as u32)?;
        if piece.is_empty() && whole.len() == size {
            return Ok(Some((whole, output)));
        }
        if piece.is_empty() || piece.len() > size - whole.len() {
            let message = "the file has other bytes than it said";
            return Err(Failure::permanent("data", message));
        }
        whole.extend_from_slice(&piece);
    }
}

/// One frame after another, as `zstd -d` reads them: earlier versions wrote one for each GiB.
fn decode(object: &Source, sink: &Sink) -> Result<(), Failure> {
    let mut decoder = DCtx::try_create().ok_or_else(no_memory)?;
    let mut output = Vec::with_capacity(CHUNK);
    let mut at = 0;
    // Nothing decompresses to nothing, but even an empty file has a frame.
    let mut left = 1;
    loop {
        let piece = object.read(at, CHUNK as u32)?;
        at += piece.len() as u64;
        if piece.is_empty() {
            break;
        }
        let mut input = InBuffer::around(&piece);
        loop {
            let held = output.len();
            let mut room = OutBuffer::around_pos(&mut output, held);
            left = decoder.decompress_stream(&mut room, &mut input).map_err(of_zstd)?;
            let more = write_full(&mut output, sink)? && left > 0;
            // Where there was no room for all of it the rest of the frame is still inside.
            if input.pos() == piece.len() && !more {
                break;
            }
        }
    }
    match left {
        0 => write_rest(&output, sink),
        _ => Err(Failure::permanent("data", "the object ends within a frame")),
    }
}

/// Writes what is held once there is no room for more; whether that was so.
fn write_full(held: &mut Vec<u8>, sink: &Sink) -> Result<bool, Failure> {
    let full = held.len() == held.capacity();
    if full {
        sink.write(held)?;
        held.clear();
    }
    Ok(full)
}

fn write_rest(held: &[u8], sink: &Sink) -> Result<(), Failure> {
    match held.is_empty() {
        true => Ok(()),
        false => sink.write(held),
    }
}

/// The library reports what it cannot have as one error among others. A smaller file may need
/// less, so it is a failure of this one.
fn of_zstd(code: ErrorCode) -> Failure {
    let memory = ZSTD_ErrorCode::ZSTD_error_memory_allocation as usize;
    match code == memory.wrapping_neg() {
        true => no_memory(),
        false => Failure::permanent("data", get_error_name(code)),
    }
}

fn no_memory() -> Failure {
    Failure::permanent(
        "memory",
        "it needs more memory than it is granted; raise `grants.memory`, or lower `level` or `window`",
    )
}
