//! Plans that wait for a person, in the state directory.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Journal, JournalError};
use crate::fault::{Point, around};

const PLANS: &str = "plans";

/// The fewest digits of a digest that name a plan.
const DIGITS: usize = 8;

impl Journal {
    /// Keeps a plan until somebody applies it by its digest. Durable on return.
    pub fn keep_plan(&self, digest: &str, document: &str) -> Result<(), JournalError> {
        let directory = self.directory.join(PLANS);
        let written = || -> std::io::Result<()> {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)?;
            let draft = directory.join(format!("{digest}.part"));
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            file.write_all(document.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, place(&directory, digest))?;
            fs::File::open(&directory)?.sync_all()
        };
        around(Point::PlanWrite, written).map_err(|error| JournalError::Directory {
            directory: directory.clone(),
            reason: crate::store::in_words(&error),
        })
    }

    /// The document of a plan that waits, by its digest or the first digits of it.
    pub fn kept_plan(directory: &Path, digest: &str) -> Option<String> {
        let directory = directory.join(PLANS);
        let hexadecimal = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digest.len() < DIGITS || !hexadecimal {
            return None;
        }
        let names = fs::read_dir(&directory).ok()?.flatten();
        let mut found = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(digest) && name.ends_with(".json"));
        match (found.next(), found.next()) {
            (Some(one), None) => fs::read_to_string(directory.join(one)).ok(),
            _ => None,
        }
    }

    /// Forgets a plan that does not wait any more.
    pub fn forget_plan(&self, digest: &str) {
        // One that stays behind is refused as used or as not the latched one.
        let _ = fs::remove_file(place(&self.directory.join(PLANS), digest));
    }
}

fn place(directory: &Path, digest: &str) -> PathBuf {
    directory.join(format!("{digest}.json"))
}
