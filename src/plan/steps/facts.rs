//! The form of what a file is, for many of them.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Own {
    inode: u64,
    size: u64,
    allocated: u64,
    modified: Moment,
    changed: Moment,
    accessed: Moment,
    created: Option<Moment>,
}

/// Seconds and nanoseconds.
type Moment = (i64, u32);

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

/// The form of what each file has for itself: which of its numbers are how, two bits for
/// each, and then the numbers, of four or eight bytes. Numbers of any length would be as
/// short, but there may be millions of files, and writing those took two thirds of the
/// instructions that a step takes to be written.
#[derive(Clone, Copy)]
struct Numbers {
    bytes: [u8; ROOM],
    end: usize,
    how: u16,
    written: u32,
}

/// The most that all of them take.
const ROOM: usize = 2 + 3 * 8 + 4 * (8 + 4);

/// A number that takes four bytes.
const SHORT: u16 = 0;
/// One of eight.
const LONG: u16 = 1;
/// A moment that is the one of the file's last change of content.
const SAME: u16 = 2;
/// A moment that is not known.
const NONE: u16 = 3;

impl Numbers {
    fn of(own: &Own) -> Numbers {
        let Own {
            inode,
            size,
            allocated,
            modified,
            changed,
            accessed,
            created,
        } = *own;
        let mut numbers = Numbers {
            bytes: [0; ROOM],
            end: 2,
            how: 0,
            written: 0,
        };
        for number in [inode, size, allocated] {
            numbers.number(u32::try_from(number).ok(), number.to_le_bytes());
        }
        numbers.moment(modified);
        for moment in [Some(changed), Some(accessed), created] {
            match moment {
                Some(moment) if moment == modified => numbers.note(SAME),
                Some(moment) => numbers.moment(moment),
                None => numbers.note(NONE),
            }
        }
        let [first, second, ..] = &mut numbers.bytes;
        [*first, *second] = numbers.how.to_le_bytes();
        numbers
    }

    fn moment(&mut self, (seconds, nanoseconds): Moment) {
        self.number(u32::try_from(seconds).ok(), seconds.to_le_bytes());
        self.push(nanoseconds.to_le_bytes());
    }

    fn number(&mut self, short: Option<u32>, long: [u8; 8]) {
        match short {
            Some(short) => {
                self.note(SHORT);
                self.push(short.to_le_bytes());
            }
            None => {
                self.note(LONG);
                self.push(long);
            }
        }
    }

    fn note(&mut self, how: u16) {
        self.how |= how << (2 * self.written);
        self.written += 1;
    }

    fn push<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(to) = self.bytes.get_mut(self.end..self.end + N) {
            to.copy_from_slice(&bytes);
            self.end += N;
        }
    }
}

/// Numbers on their way back.
struct Read<'b> {
    rest: &'b [u8],
    how: u16,
}

impl Read<'_> {
    /// What they are of; nothing where that wrote other bytes.
    fn own(bytes: &[u8]) -> Option<Own> {
        let (how, rest) = bytes.split_first_chunk()?;
        let how = u16::from_le_bytes(*how);
        let mut read = Read { rest, how };
        let [inode, size, allocated] = [read.number()?, read.number()?, read.number()?];
        let modified = read.moment(None)??;
        let own = Own {
            inode,
            size,
            allocated,
            modified,
            changed: read.moment(Some(modified))??,
            accessed: read.moment(Some(modified))??,
            created: read.moment(Some(modified))?,
        };
        let Numbers {
            bytes: same, end, ..
        } = Numbers::of(&own);
        (same.get(..end) == Some(bytes)).then_some(own)
    }

    fn how(&mut self) -> u16 {
        let how = self.how & 3;
        self.how >>= 2;
        how
    }

    fn number(&mut self) -> Option<u64> {
        match self.how() {
            SHORT => Some(u32::from_le_bytes(self.take()?).into()),
            LONG => Some(u64::from_le_bytes(self.take()?)),
            _ => None,
        }
    }

    /// A moment, if there is one; `first` is the one it may be the same as.
    fn moment(&mut self, first: Option<Moment>) -> Option<Option<Moment>> {
        let seconds = match self.how() {
            SHORT => u32::from_le_bytes(self.take()?).into(),
            LONG => i64::from_le_bytes(self.take()?),
            SAME => return first.map(Some),
            _ => return Some(None),
        };
        Some(Some((seconds, u32::from_le_bytes(self.take()?))))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }
}

impl Serialize for Own {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Numbers { bytes, end, .. } = Numbers::of(self);
        serializer.serialize_bytes(bytes.get(..end).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Own {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Own, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Own;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the numbers of a file")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Own, E> {
                Read::own(bytes).ok_or_else(|| E::custom("these are no numbers of a file"))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = u64> {
        let edge = u64::from(u32::MAX);
        prop_oneof![0..9_u64, edge - 1..edge + 2, any::<u64>()]
    }

    fn moment() -> impl Strategy<Value = Moment> {
        let seconds = prop_oneof![0..2_i64, -3..3_i64, any::<i64>(), Just(1 << 32)];
        (seconds, prop_oneof![0..2_u32, any::<u32>()])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn numbers_come_back_as_they_were_and_from_no_other_bytes(
            [inode, size, allocated] in prop::array::uniform3(number()),
            [modified, changed, accessed] in prop::array::uniform3(moment()),
            created in prop::option::of(moment()),
            (at, bit) in (0..ROOM, 0..8),
        ) {
            let own = Own { inode, size, allocated, modified, changed, accessed, created };
            let mut bytes = Vec::new();
            crate::packed::append(&own, &mut bytes);
            prop_assert_eq!(postcard::from_bytes::<Own>(&bytes), Ok(own));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1_u8 << bit;
                prop_assert_ne!(postcard::from_bytes::<Own>(&bytes), Ok(own));
            }
            let numbers = Numbers::of(&own);
            prop_assert_eq!(Read::own(&numbers.bytes[..numbers.end]), Some(own));
            prop_assert_eq!(Read::own(&numbers.bytes[..numbers.end - 1]), None);
        }
    }
}
