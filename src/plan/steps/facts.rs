//! The form of what a file is, for many of them.

use serde::{Deserialize, Serialize};

use crate::entry::{Facts, FileId, Kind};
use crate::time::Stamp;

/// What files of one directory mostly have alike.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::plan) struct Common {
    kind: u8,
    device: u64,
    links: u64,
    mode: u32,
    owner: u32,
    group: u32,
}

/// The rest, which each has for itself.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::plan) struct Own {
    inode: u64,
    size: u64,
    allocated: u64,
    modified: (i64, u32),
    changed: (i64, u32),
    accessed: (i64, u32),
    created: Option<(i64, u32)>,
}

/// Both parts of a file's facts.
pub(in crate::plan) fn form(facts: &Facts) -> (Common, Own) {
    // What has a field more does not compile here before that is part of the form.
    let Facts {
        kind,
        id: FileId { device, inode },
        size,
        allocated,
        modified,
        changed,
        accessed,
        created,
        links,
        mode,
        owner,
        group,
    } = *facts;
    let parts = |stamp: Stamp| (stamp.seconds(), stamp.subsec_nanoseconds());
    let common = Common {
        kind: match kind {
            Kind::File => 0,
            Kind::Directory => 1,
            Kind::Symlink => 2,
            Kind::Special => 3,
        },
        device,
        links,
        mode,
        owner,
        group,
    };
    let own = Own {
        inode,
        size,
        allocated,
        modified: parts(modified),
        changed: parts(changed),
        accessed: parts(accessed),
        created: created.map(parts),
    };
    (common, own)
}

impl Own {
    /// The facts they are parts of; nothing where there are no such.
    pub(in crate::plan) fn with(&self, common: Common) -> Option<Facts> {
        let stamp = |(seconds, nanoseconds)| Stamp::new(seconds, nanoseconds);
        let Common {
            kind,
            device,
            links,
            mode,
            owner,
            group,
        } = common;
        Some(Facts {
            kind: match kind {
                0 => Kind::File,
                1 => Kind::Directory,
                2 => Kind::Symlink,
                3 => Kind::Special,
                _ => return None,
            },
            id: FileId {
                device,
                inode: self.inode,
            },
            size: self.size,
            allocated: self.allocated,
            modified: stamp(self.modified),
            changed: stamp(self.changed),
            accessed: stamp(self.accessed),
            created: self.created.map(stamp),
            links,
            mode,
            owner,
            group,
        })
    }
}
