//! Files that floors hold, packed: there may be as many as files in the store.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::steps::{Common, Own, form};
use crate::entry::Facts;
use crate::packed::append;
use crate::path::RelPath;

/// Files with what they were, in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FloorFiles {
    count: usize,
    bytes: Box<[u8]>,
}

#[derive(Serialize, Deserialize)]
struct FileForm<'b> {
    path: &'b [u8],
    common: Common,
    own: Own,
}

/// Writes a file behind others.
pub(super) fn write(path: &RelPath, facts: &Facts, to: &mut Vec<u8>) {
    let (common, own) = form(facts);
    let path = path.as_bytes();
    append(&FileForm { path, common, own }, to);
}

impl FloorFiles {
    /// So many files, written one behind the other.
    pub(super) fn of_bytes(count: usize, bytes: &[u8]) -> FloorFiles {
        FloorFiles {
            count,
            bytes: bytes.into(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them; nothing in the place of one that cannot be read, and behind that.
    pub fn iter(&self) -> impl Iterator<Item = Option<(RelPath, Facts)>> {
        let mut rest = Some(&*self.bytes);
        (0..self.count).map(move |_| {
            let (form, behind) = postcard::take_from_bytes::<FileForm<'_>>(rest.take()?).ok()?;
            rest = Some(behind);
            let facts = form.own.with(form.common)?;
            Some((RelPath::parse(form.path).ok()?, facts))
        })
    }
}

impl FromIterator<(RelPath, Facts)> for FloorFiles {
    fn from_iter<I: IntoIterator<Item = (RelPath, Facts)>>(files: I) -> FloorFiles {
        let (mut count, mut bytes) = (0, Vec::new());
        for (path, facts) in files {
            write(&path, &facts, &mut bytes);
            count += 1;
        }
        FloorFiles::of_bytes(count, &bytes)
    }
}

impl fmt::Debug for FloorFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{FileId, Kind};
    use crate::time::Stamp;

    fn file(number: u64) -> (RelPath, Facts) {
        let stamp = Stamp::new(-1 - number.cast_signed(), 999_999_999);
        let facts = Facts {
            kind: Kind::File,
            id: FileId {
                device: u64::MAX,
                inode: number,
            },
            size: number << 40,
            allocated: 4096,
            modified: stamp,
            changed: Stamp::MIN,
            accessed: stamp,
            created: number.is_multiple_of(2).then_some(stamp),
            links: 1,
            mode: 0o100_600,
            owner: 0,
            group: u32::MAX,
        };
        (RelPath::parse(format!("a b/{number}\n")).unwrap(), facts)
    }

    #[test]
    fn files_come_back_as_they_were_in_their_order() {
        let files: Vec<_> = [3, 1, 2].map(file).into();
        let held: FloorFiles = files.iter().cloned().collect();
        assert_eq!(held.len(), 3);
        assert_eq!(held.iter().collect::<Option<Vec<_>>>(), Some(files));
    }

    #[test]
    fn what_cannot_be_read_is_no_file_and_nothing_behind_it_is() {
        let whole: FloorFiles = [1, 2].map(file).into_iter().collect();
        for cut in 0..whole.bytes.len() {
            let held = FloorFiles::of_bytes(2, &whole.bytes[..cut]);
            assert_eq!(held.iter().count(), 2);
            assert_eq!(held.iter().last(), Some(None));
        }
    }
}
