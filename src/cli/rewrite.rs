//! Puts another text into a file: all of it or nothing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

use anyhow::{Context, ensure};
use similar::TextDiff;

/// Replaces a file's text if it is still the one that was read; mode and owner stay,
/// and a symbolic link goes on pointing to it.
pub(super) fn rewrite(path: &Path, read: &str, text: &str) -> anyhow::Result<()> {
    let shown = path.display();
    let target = fs::canonicalize(path).with_context(|| format!("cannot find `{shown}`"))?;
    let directory = target.parent().context("a file has a directory")?;
    let cannot = || format!("cannot write `{shown}`");
    let facts = fs::metadata(&target).with_context(cannot)?;
    let mut new = tempfile::Builder::new()
        .prefix(".retain-")
        .tempfile_in(directory)
        .with_context(cannot)?;
    new.write_all(text.as_bytes()).with_context(cannot)?;
    let made = new.as_file().metadata().with_context(cannot)?;
    if (made.uid(), made.gid()) != (facts.uid(), facts.gid()) {
        fchown(new.as_file(), Some(facts.uid()), Some(facts.gid()))
            .with_context(|| format!("cannot keep the owner of `{shown}`"))?;
    }
    new.as_file()
        .set_permissions(facts.permissions())
        .with_context(cannot)?;
    new.as_file().sync_all().with_context(cannot)?;
    let current = fs::read_to_string(&target).with_context(cannot)?;
    ensure!(
        crate::config::without_mark(&current) == read,
        "`{shown}` was changed by somebody else meanwhile; try again"
    );
    new.persist(&target).with_context(cannot)?;
    Ok(())
}

/// What changes from one text to the other, as `diff -u` shows it.
pub(super) fn diff(name: &str, old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(2)
        .header(name, name)
        .to_string()
}
