//! Directories as `file://` URLs, read and written here and nowhere else.
//!
//! Whoever decides which directory is a boundary of a store and whoever writes
//! archives into it must mean the same one, so there is one reading: after the
//! scheme stands a path in which `%` and two hexadecimal digits mean one byte.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Why a text is no URL of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It has no scheme.
    #[error("it has no scheme; a directory is written `file:///absolute/path`")]
    NoScheme,
    /// It has another scheme.
    #[error("only `file:///absolute/path` is understood")]
    Scheme,
    /// Something stands where a host would.
    #[error("the path must be absolute: three slashes, as in `file:///srv/backup`")]
    Host,
    /// A `%` means no byte.
    #[error("`%` must be followed by two hexadecimal digits; a literal one is written `%25`")]
    Escape,
    /// The path cannot be a path.
    #[error("the path contains a NUL byte")]
    Nul,
}

/// The path of a `file://` URL; one that begins with `./` or `../` is relative to
/// whatever the reader says.
pub fn parse(url: &str) -> Result<PathBuf, UrlError> {
    let (scheme, rest) = url.split_once("://").ok_or(UrlError::NoScheme)?;
    if scheme != "file" {
        return Err(UrlError::Scheme);
    }
    // RFC 8089 allows the local host to be named.
    let local = rest
        .strip_prefix("localhost")
        .filter(|rest| rest.starts_with('/'));
    let path = local.unwrap_or(rest);
    let relative = path.starts_with("./") || path.starts_with("../");
    if !path.starts_with('/') && !relative {
        return Err(UrlError::Host);
    }
    let bytes = decode(path).ok_or(UrlError::Escape)?;
    match bytes.contains(&0) {
        true => Err(UrlError::Nul),
        false => Ok(PathBuf::from(OsString::from_vec(bytes))),
    }
}

/// The URL of an absolute path; [`parse`] gives the same path again.
pub fn write(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
        match plain {
            true => url.push(char::from(byte)),
            false => {
                // Writing into a text cannot fail.
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
    url
}

fn decode(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_url_is_a_path_with_its_escapes_read() {
        let path = |url| parse(url).unwrap();
        assert_eq!(path("file:///srv/back%20up"), Path::new("/srv/back up"));
        assert_eq!(path("file://localhost/srv"), Path::new("/srv"));
        assert_eq!(path("file://./backups"), Path::new("./backups"));
        assert_eq!(path("file:///a b/ä"), Path::new("/a b/ä"));
    }

    #[test]
    fn other_urls_are_refused_with_what_to_write_instead() {
        for (url, error) in [
            ("/srv/backup", UrlError::NoScheme),
            ("ftp://host/a", UrlError::Scheme),
            ("file://srv/backup", UrlError::Host),
            ("file://localhosts/backup", UrlError::Host),
            ("file:///a%2", UrlError::Escape),
            ("file:///100% sure", UrlError::Escape),
            ("file:///a%00", UrlError::Nul),
        ] {
            assert_eq!(parse(url), Err(error), "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_path_survives_its_url(tail in prop::collection::vec(1_u8.., 0..40)) {
            let mut bytes = b"/".to_vec();
            bytes.extend(tail);
            let path = PathBuf::from(OsString::from_vec(bytes));
            prop_assert_eq!(parse(&write(&path)), Ok(path));
        }
    }
}
