//! Which directory a destination's URL means.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::error::DestinationError;

/// The directory of a `file://` URL; other schemes are refused by name.
pub(super) fn directory(destination: &str, url: &str) -> Result<PathBuf, DestinationError> {
    let refuse = |reason| DestinationError::Url {
        destination: destination.to_owned(),
        url: url.to_owned(),
        reason,
    };
    let (scheme, rest) = url.split_once("://").ok_or(refuse(
        "it has no scheme; a directory is written `file:///absolute/path`",
    ))?;
    match scheme {
        "file" => {}
        "s3" => {
            return Err(DestinationError::Unsupported {
                destination: destination.to_owned(),
                scheme: scheme.to_owned(),
            });
        }
        _ => return Err(refuse("only `file:///absolute/path` is understood")),
    }
    // RFC 8089 allows the local host to be named.
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(refuse(
            "the path must be absolute: three slashes, as in `file:///srv/backup`",
        ));
    }
    let bytes = decode(path).ok_or(refuse(
        "`%` must be followed by two hexadecimal digits; a literal one is written `%25`",
    ))?;
    if bytes.contains(&0) {
        return Err(refuse("the path contains a NUL byte"));
    }
    Ok(PathBuf::from(OsString::from_vec(bytes)))
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

    #[test]
    fn a_file_url_is_an_absolute_path() {
        let path = |url| directory("vault", url).unwrap();
        assert_eq!(path("file:///srv/back%20up"), PathBuf::from("/srv/back up"));
        assert_eq!(path("file://localhost/srv"), PathBuf::from("/srv"));
    }

    #[test]
    fn other_urls_are_refused_with_what_to_write_instead() {
        let message = |url| directory("vault", url).unwrap_err().to_string();
        assert!(message("/srv/backup").contains("file:///absolute/path"));
        assert!(message("file://srv/backup").contains("three slashes"));
        assert!(message("file:///a%2").contains("%25"));
        assert!(message("ftp://host/a").contains("only `file:///absolute/path`"));
        let s3 = message("s3://bucket/prefix");
        assert!(s3.contains("not yet supported"), "{s3}");
    }
}
