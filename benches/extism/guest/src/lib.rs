//! Extism hands a plugin its input whole and takes its output whole.

use extism_pdk::{FnResult, config, plugin_fn};

#[plugin_fn]
pub fn compress(input: Vec<u8>) -> FnResult<Vec<u8>> {
    let level = config::get("level")?.unwrap_or_default().parse()?;
    Ok(codec::compress(&input, level)?)
}

#[plugin_fn]
pub fn restore(frame: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(codec::restore(&frame)?)
}
