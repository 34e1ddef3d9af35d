//! Receipts found in a destination, for when nothing else remembers them.

use rustix::io::Errno;

use super::directory::Directory;
use super::name::{ObjectName, RECEIPT, STAGING};
use super::{Destination, DestinationError};

impl Destination {
    /// The names of everything in it that is called like a receipt, in no order.
    ///
    /// Follows no symbolic links; names that are no text are nobody's.
    pub fn receipts(&self) -> Result<Vec<ObjectName>, DestinationError> {
        let failed = |errno| self.context.error("list", None, errno);
        let mut found = Vec::new();
        let mut open = vec![(self.root.try_clone().map_err(failed)?, String::new())];
        while let Some((directory, prefix)) = open.pop() {
            for name in directory.names().map_err(failed)? {
                if prefix.is_empty() && name == STAGING {
                    continue;
                }
                let path = format!("{prefix}{name}");
                match below(&directory, &name).map_err(failed)? {
                    Some(inner) => open.push((inner, format!("{path}/"))),
                    None if name.ends_with(RECEIPT) => found.extend(ObjectName::parse(path)),
                    None => {}
                }
            }
        }
        Ok(found)
    }
}

fn below(directory: &Directory, name: &str) -> Result<Option<Directory>, Errno> {
    match directory.child(name) {
        Ok(inner) => Ok(Some(inner)),
        Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}
