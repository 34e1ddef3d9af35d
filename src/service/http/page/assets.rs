//! The page's own files: in the binary, named by what is in them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::super::problem::Problem;

/// A file that never changes under its name.
pub(super) struct Asset {
    name: String,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, text: &'static str) -> Asset {
        let digest = blake3::hash(text.as_bytes()).to_hex();
        let short: String = digest.chars().take(12).collect();
        Asset {
            name: format!("{stem}.{short}.{ending}"),
            kind,
            text,
        }
    }

    /// Where it is.
    pub(super) fn address(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("page.css");
    Asset::new("page", "css", "text/css; charset=utf-8", text)
});

pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("page.js");
    Asset::new("page", "js", "text/javascript; charset=utf-8", text)
});

pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("icon.svg")));

pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let all: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    let found = all.into_iter().find(|asset| asset.name == name);
    let asset = found.ok_or_else(|| Problem::not_found(format!("there is no `{name}`")))?;
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.text).into_response())
}
