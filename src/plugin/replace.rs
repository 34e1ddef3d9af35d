//! Archives that take their files' places.
//!
//! Made and proved like any other, but staged in the store's own control directory.
//! Whoever applies the plan puts one beside its file, with that file's attributes,
//! before the file goes. A copy of the receipt stays in the control directory: it says
//! what the archive is of when the journal is lost.

use std::path::Path;
use std::sync::Arc;

use super::archive::{Part, Proved};
use super::restore::attributes;
use super::trouble::Trouble;
use crate::destination::{Destination, DestinationError, ObjectName, Staged};
use crate::entry::Facts;
use crate::path::RelPath;
use crate::plan::Step;
use crate::receipt::{Content, DestinationName, ObjectRecord, Receipt};
use crate::store::{CONTROL, NotPut, Root, Slot};

/// The directory in a store's control directory for these archives and receipts.
pub(super) const AREA: &str = "replaced";

/// What the destination of such an archive is called.
pub(super) const NAME: &str = "in place";

/// The longest component file systems take, in bytes.
const COMPONENT: usize = 255;

/// A proved archive that is to take its file's place, and that nobody can see yet.
#[derive(Debug)]
pub struct Replacement {
    pub(super) step: usize,
    path: RelPath,
    receipt: Receipt,
    staged: Staged,
    area: Arc<Destination>,
}

/// An archive beside its file.
#[derive(Debug)]
pub struct Placed {
    /// Where it lies.
    pub path: RelPath,
    /// What it is there.
    pub facts: Facts,
    /// What says so, to be recorded before the file goes.
    pub receipt: Receipt,
}

impl Replacement {
    pub(super) fn new(
        step: &Step,
        path: RelPath,
        proved: Proved,
        mut receipt: Receipt,
        area: &Arc<Destination>,
    ) -> Result<Replacement, Trouble> {
        let mut objects = proved.objects.into_iter();
        let (Some(Part::New(object)), None) = (objects.next(), objects.next()) else {
            return Err(Trouble::permanent(
                "what takes a file's place is one object, and its archive has several",
            ));
        };
        let size = object.staged.size();
        if size >= step.facts.size {
            return Err(Trouble::declined(no_smaller(size, step)));
        }
        receipt.in_place = true;
        receipt.objects = vec![ObjectRecord {
            name: path.to_string(),
            size,
            blake3: object.staged.blake3().to_hex().to_string(),
        }];
        Ok(Replacement {
            step: 0,
            path,
            receipt,
            staged: object.staged,
            area: Arc::clone(area),
        })
    }

    /// The same, for a step of the plan.
    pub(super) fn of(self, step: usize) -> Replacement {
        Replacement { step, ..self }
    }

    /// The step it is for: an index into the plan's.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Puts the archive beside its file, durably; the error is why the file is kept.
    pub fn put(self, root: &Root) -> Result<Placed, String> {
        let attributes = attributes(&self.receipt).map_err(|error| error.to_string())?;
        let content = Content {
            size: self.staged.size(),
            blake3: self.staged.blake3().to_hex().to_string(),
        };
        leave_receipt(&self.area, &self.receipt).map_err(|error| error.to_string())?;
        let named = |directory: std::os::fd::BorrowedFd<'_>, name: &[u8]| {
            self.staged.hand_over(directory, name)
        };
        let put = root.put_beside(self.staged.file(), &content, &self.path, &attributes, named);
        let refused = match put {
            Ok(facts) => {
                return Ok(Placed {
                    path: self.path,
                    facts,
                    receipt: self.receipt,
                });
            }
            Err(NotPut::Taken) => taken(&self.path),
            Err(NotPut::Short(shortfalls)) => {
                let shortfalls: Vec<_> = shortfalls.iter().map(ToString::to_string).collect();
                format!("its archive cannot be like it: {}", shortfalls.join("; "))
            }
            Err(NotPut::Failed(error)) => format!(
                "its archive cannot be put beside it: {}",
                crate::store::in_words(&error)
            ),
        };
        forget_in(&self.area, &self.receipt.path);
        Err(refused)
    }
}

/// Why a file is better kept as it is.
pub(super) fn no_smaller(size: u64, step: &Step) -> String {
    format!(
        "its archive of {size} bytes is not smaller than its {} bytes",
        step.facts.size
    )
}

/// Where archives of a store's files are staged that are to take their places.
pub(super) fn open_area(root: &Root) -> Result<(Arc<Destination>, DestinationName), String> {
    let opened = root.establish_area(AREA).map_err(|e| e.to_string())?;
    let path = root.path().join(CONTROL).join(AREA);
    let area = Destination::held(NAME, &path, opened).map_err(|e| e.to_string())?;
    let name = DestinationName {
        name: NAME.to_owned(),
        url: crate::url::write(root.path()),
        same_filesystem: true,
        identity: None,
    };
    Ok((Arc::new(area), name))
}

/// The receipts of archives in their files' places, from the control directory of a
/// store; none where nothing was ever replaced.
pub fn receipts_in_place(root: &Path) -> Result<Vec<Receipt>, DestinationError> {
    let path = root.join(CONTROL).join(AREA);
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let area = Destination::open_existing(NAME, &crate::url::write(&path))?;
    let names = area.receipts()?;
    let receipts = names.iter().filter_map(|name| {
        let file = area.open_object(name).ok()?;
        let receipt: Receipt = serde_json::from_reader(file).ok()?;
        receipt.in_place.then_some(receipt)
    });
    Ok(receipts.collect())
}

/// Forgets what says what an archive in a file's place is of, once it is gone. What
/// stays is only litter.
pub fn forget_in_place(root: &Root, original: &RelPath) {
    if let Ok((area, _)) = open_area(root) {
        forget_in(&area, &original.to_string());
    }
}

/// Where the archive of a file will lie; the error is why it cannot.
pub(super) fn place(root: &Root, step: &Step, suffix: &str) -> Result<RelPath, Trouble> {
    let mut bytes = step.path.as_bytes().to_vec();
    bytes.extend_from_slice(suffix.as_bytes());
    let path = RelPath::parse(bytes).map_err(|error| Trouble::declined(error.to_string()))?;
    if path.name().len() > COMPONENT {
        return Err(Trouble::declined(format!(
            "its name is too long to take `{suffix}`"
        )));
    }
    // A receipt names objects as text, and as the file system has them.
    let text = path.to_string();
    if text.as_bytes() != path.as_bytes() || ObjectName::parse(text).is_err() {
        return Err(Trouble::declined(
            "its name cannot stand in a receipt: it is not plain text",
        ));
    }
    match root.stat(&path) {
        // Perhaps what a run that was cut short has left; the bytes will say.
        Ok(found) if is_like(&found, &step.facts) => Ok(path),
        Ok(_) => Err(Trouble::declined(taken(&path))),
        Err(_) => Ok(path),
    }
}

fn is_like(found: &Facts, file: &Facts) -> bool {
    let facts = |facts: &Facts| {
        (
            facts.kind,
            facts.modified,
            facts.mode,
            facts.owner,
            facts.group,
        )
    };
    facts(found) == facts(file)
}

fn taken(path: &RelPath) -> String {
    format!("`{path}` is there already; move it away and the next run replaces the file")
}

fn leave_receipt(area: &Destination, receipt: &Receipt) -> Result<(), DestinationError> {
    let text = serde_json::to_string_pretty(receipt).unwrap_or_default();
    let name = area.parse_name(&beside(&receipt.path))?;
    match area.publish_text(&name, &text) {
        // Of an archive that is gone: its place would be taken otherwise.
        Err(DestinationError::Exists { .. }) => {
            area.remove(&name)?;
            area.publish_text(&name, &text).map(drop)
        }
        published => published.map(drop),
    }
}

fn forget_in(area: &Destination, original: &str) {
    if let Ok(name) = area.parse_name(&beside(original)) {
        let _ = area.remove(&name);
    }
}

fn beside(original: &str) -> String {
    let slot = RelPath::unescape(original).map(|path| Slot::of(&path).to_string());
    format!("{}.receipt.json", slot.unwrap_or_default())
}
