//! Packs the plugins that are part of the program: embedded as they are they would be a
//! twentieth of it.

use std::io::{self, Write};
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::DeflateEncoder;

fn main() -> io::Result<()> {
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    for name in [
        "backup",
        "compress",
        "dedup-backup",
        "keep-linked",
        "legal-hold",
    ] {
        let prebuilt = format!("plugins/prebuilt/{name}.wasm");
        println!("cargo::rerun-if-changed={prebuilt}");
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&fs::read(prebuilt)?)?;
        fs::write(
            Path::new(&out).join(format!("{name}.wasm.deflate")),
            packer.finish()?,
        )?;
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
