//! What the plugin `compress` does with a file, on bytes in memory, and how every
//! contestant is timed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

/// One frame with its length and a checksum, as the plugin writes it.
pub fn compress(input: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(input.len() as u64))?;
    encoder.write_all(input)?;
    encoder.finish()
}

/// What a frame holds.
pub fn restore(frame: &[u8]) -> io::Result<Vec<u8>> {
    let mut restored = Vec::new();
    zstd::Decoder::new(frame)?.read_to_end(&mut restored)?;
    Ok(restored)
}

/// Archives a file as a plugin would, shows that it comes back, and prints how many
/// nanoseconds the former and both took: read, compressed, written and synced; then
/// read again, restored and compared.
pub fn measure<C: AsRef<[u8]>, R: AsRef<[u8]>>(
    input: &Path,
    stored: &Path,
    compress: impl FnOnce(&[u8]) -> io::Result<C>,
    restore: impl FnOnce(&[u8]) -> io::Result<R>,
) -> io::Result<()> {
    let begun = Instant::now();
    let bytes = std::fs::read(input)?;
    {
        let frame = compress(&bytes)?;
        let mut file = File::create(stored)?;
        file.write_all(frame.as_ref())?;
        file.sync_all()?;
    }
    let archived = begun.elapsed();
    let restored = restore(&std::fs::read(stored)?)?;
    if restored.as_ref() != bytes {
        return Err(io::Error::other("other bytes came back"));
    }
    let proved = begun.elapsed();
    println!("{} {}", archived.as_nanos(), proved.as_nanos());
    Ok(())
}
