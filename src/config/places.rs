//! Where stores, destinations and state lie relative to one another.
//!
//! A root inside another one becomes a boundary of the outer walk. To see that,
//! symlinks on the way to a root are resolved as far as it exists; nothing inside a
//! tree is looked at.

use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::config::reader::Findings;
use crate::config::{Config, codes};
use crate::diagnostic::{Diagnostic, Severity};
use crate::path::RelPath;

/// A root with the words for it.
struct Site {
    words: String,
    real: PathBuf,
    span: Range<usize>,
    kind: SiteKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SiteKind {
    Store,
    Destination,
    State,
}

/// Fills in every store's boundaries and reports what lies where it should not.
pub(super) fn settle(config: &mut Config, findings: &mut Findings) {
    let sites = sites(config);
    for store in config.stores.values_mut() {
        let real = resolve(&store.path.path);
        let here = format!("the store `{}`", store.name);
        for other in sites.iter().filter(|site| site.words != here) {
            match relation(&real, &other.real) {
                Relation::Apart => {}
                Relation::Same => report_same(&here, &store.path.span, other, findings),
                Relation::Holds(inner) => {
                    report_inner(&here, other, &inner, findings);
                    store.boundaries.push(inner);
                }
                Relation::Within => report_outer(&here, &store.path.span, other, findings),
            }
        }
        store.boundaries.sort();
        store.boundaries.dedup();
    }
}

fn sites(config: &Config) -> Vec<Site> {
    let stores = config.stores.values().map(|store| Site {
        words: format!("the store `{}`", store.name),
        real: resolve(&store.path.path),
        span: store.path.span.clone(),
        kind: SiteKind::Store,
    });
    let destinations = config.destinations.values().map(|destination| Site {
        words: format!("the destination `{}`", destination.name),
        real: resolve(&destination.directory.path),
        span: destination.directory.span.clone(),
        kind: SiteKind::Destination,
    });
    let state = Site {
        words: "the state directory".to_owned(),
        real: resolve(&config.state),
        span: 0..0,
        kind: SiteKind::State,
    };
    stores.chain(destinations).chain([state]).collect()
}

enum Relation {
    Apart,
    Same,
    /// The other lies inside, at this path.
    Holds(RelPath),
    /// The other is outside around this one.
    Within,
}

fn relation(this: &Path, other: &Path) -> Relation {
    if this == other {
        return Relation::Same;
    }
    if this.starts_with(other) {
        return Relation::Within;
    }
    let inner = other.strip_prefix(this).ok();
    match inner.and_then(|rest| RelPath::parse(rest.as_os_str().as_bytes()).ok()) {
        Some(inner) => Relation::Holds(inner),
        None => Relation::Apart,
    }
}

fn report_same(here: &str, span: &Range<usize>, other: &Site, findings: &mut Findings) {
    let (code, help) = match other.kind {
        // Both stores come past here; the later one in the file reports.
        SiteKind::Store if other.span.start > span.start => return,
        SiteKind::Store => (
            codes::SAME_STORE,
            "one tree is one store: write both collections into one policy",
        ),
        SiteKind::Destination => (
            codes::DESTINATION_PLACE,
            "archives would be cleaned away with the rest: use another directory",
        ),
        SiteKind::State => (
            codes::STATE_PLACE,
            "the journal would be cleaned away with the rest: use another directory",
        ),
    };
    let message = format!("{here} and {} are the same directory", other.words);
    let source = findings.source();
    let finding = Diagnostic::error(code, source, span.clone(), message).help(help);
    findings.push(finding);
}

fn report_inner(here: &str, other: &Site, inner: &RelPath, findings: &mut Findings) {
    let (code, help) = match other.kind {
        SiteKind::Store => (
            codes::NESTED_STORES,
            "each file belongs to the innermost store; the outer policy never sees it",
        ),
        SiteKind::Destination => (
            codes::DESTINATION_PLACE,
            "the policy never sees it, but a backup on another device survives more",
        ),
        SiteKind::State => (
            codes::STATE_PLACE,
            "the policy never sees it, but state is safer outside",
        ),
    };
    let message = format!("{} lies inside {here}, at `{inner}`", other.words);
    let source = findings.source();
    let finding = Diagnostic::warning(code, source, other.span.clone(), message).help(help);
    findings.push(finding);
}

/// A store around this one reports as the outer one; archives and state around a
/// store mean that their own files are in reach of its policy.
fn report_outer(here: &str, span: &Range<usize>, other: &Site, findings: &mut Findings) {
    let (code, severity) = match other.kind {
        SiteKind::Store => return,
        SiteKind::Destination => (codes::DESTINATION_PLACE, Severity::Warning),
        SiteKind::State => (codes::STATE_PLACE, Severity::Error),
    };
    let message = format!("{here} lies inside {}", other.words);
    let source = findings.source();
    let finding = match severity {
        Severity::Error => Diagnostic::error(code, source, span.clone(), message),
        Severity::Warning => Diagnostic::warning(code, source, span.clone(), message),
    };
    findings.push(finding.help("keep the two in directories of their own"));
}

/// The path without symlinks as far as it exists, and without `..` behind that.
fn resolve(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut existing = path;
    let real = loop {
        match (existing.canonicalize(), existing.parent()) {
            (Ok(real), _) => break real,
            (Err(_), Some(parent)) => {
                missing.push(existing.components().next_back());
                existing = parent;
            }
            (Err(_), None) => break existing.to_path_buf(),
        }
    };
    let rest = missing.into_iter().rev().flatten();
    rest.fold(real, |mut path, component| {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                path.push(component);
            }
        }
        path
    })
}
