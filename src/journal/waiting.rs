//! Plans that wait for a person, in the state directory.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::{Journal, JournalError};
use crate::fault::{Point, around};
use crate::plan::Plan;

const PLANS: &str = "plans";

/// How the names of such plans end.
const SUFFIX: &str = ".json.gz";

/// The fewest digits of a digest that name a plan.
const DIGITS: usize = 8;

impl Journal {
    /// Keeps a plan, compressed, until somebody applies it by its digest, which this
    /// returns. Durable then.
    pub fn keep_plan(&self, plan: &Plan) -> Result<String, JournalError> {
        let digest = plan.digest();
        let directory = self.directory.join(PLANS);
        let written = || -> std::io::Result<()> {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)?;
            let draft = directory.join(format!("{digest}.part"));
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            let mut packed = GzEncoder::new(file, Compression::fast());
            plan.write_json(&mut packed)?;
            packed.finish()?.sync_all()?;
            fs::rename(&draft, place(&directory, &digest))?;
            fs::File::open(&directory)?.sync_all()
        };
        around(Point::PlanWrite, written).map_err(|error| JournalError::Directory {
            directory: directory.clone(),
            reason: crate::store::in_words(&error),
        })?;
        Ok(digest)
    }

    /// The document of a plan that waits, by its digest or the first digits of it.
    pub fn kept_plan(directory: &Path, digest: &str) -> Option<impl Read> {
        let directory = directory.join(PLANS);
        let hexadecimal = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digest.len() < DIGITS || !hexadecimal {
            return None;
        }
        let names = fs::read_dir(&directory).ok()?.flatten();
        let mut found = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(digest) && name.ends_with(SUFFIX));
        match (found.next(), found.next()) {
            (Some(one), None) => {
                let packed = File::open(directory.join(one)).ok()?;
                Some(GzDecoder::new(packed))
            }
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
    directory.join(format!("{digest}{SUFFIX}"))
}
