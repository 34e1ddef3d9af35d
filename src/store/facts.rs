//! One `statx` turned into [`Facts`].

use std::io;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, makedev, statx};

use crate::entry::{Facts, FileId, Kind};
use crate::time::Stamp;

/// Which mount an object was reached through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mount {
    /// The kernel's mount id (Linux 5.8): tells bind mounts apart too.
    Id(u64),
    /// Only the device: all that older kernels say.
    Device(u64),
}

/// An object's facts and the mount it was seen on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) facts: Facts,
    pub(super) mount: Mount,
}

/// Looks at one name in a directory without following it.
pub(super) fn look(dir: impl AsFd, name: &[u8]) -> io::Result<Sight> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    Ok(sight(&statx(dir, name, flags, wanted())?))
}

/// The same, past what a client of a network file system remembers.
pub(super) fn look_synced(dir: impl AsFd, name: &[u8]) -> io::Result<Sight> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_FORCE_SYNC;
    Ok(sight(&statx(dir, name, flags, wanted())?))
}

/// Looks at an open object itself.
pub(super) fn look_at(object: impl AsFd) -> io::Result<Sight> {
    Ok(sight(&statx(object, c"", AtFlags::EMPTY_PATH, wanted())?))
}

fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID
}

fn sight(found: &Statx) -> Sight {
    let device = makedev(found.stx_dev_major, found.stx_dev_minor);
    let mount = if found.stx_mask & StatxFlags::MNT_ID.bits() != 0 {
        Mount::Id(found.stx_mnt_id)
    } else {
        Mount::Device(device)
    };
    let facts = Facts {
        kind: kind(FileType::from_raw_mode(found.stx_mode.into())),
        id: FileId {
            device,
            inode: found.stx_ino,
        },
        size: found.stx_size,
        // The kernel counts in units of 512 bytes whatever the block size.
        allocated: found.stx_blocks.saturating_mul(512),
        modified: stamp(&found.stx_mtime),
        changed: stamp(&found.stx_ctime),
        accessed: stamp(&found.stx_atime),
        created: (found.stx_mask & StatxFlags::BTIME.bits() != 0).then(|| stamp(&found.stx_btime)),
        links: found.stx_nlink.into(),
        mode: found.stx_mode.into(),
        owner: found.stx_uid,
        group: found.stx_gid,
    };
    Sight { facts, mount }
}

fn stamp(time: &StatxTimestamp) -> Stamp {
    Stamp::new(time.tv_sec, time.tv_nsec)
}

/// What a file type is to us.
pub(super) fn kind(found: FileType) -> Kind {
    match found {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Special,
    }
}
