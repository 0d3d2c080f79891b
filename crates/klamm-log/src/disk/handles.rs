//! Open files, not more than so many at a time: a process may hold only some thousands.
#![expect(clippy::disallowed_types, reason = "it holds files")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How many files one disk keeps open.
const MOST: usize = 1000;

/// Open files by number; the ones not used for longest are closed when there are too many, and opened again when asked for.
#[derive(Debug, Default)]
pub(super) struct Handles(RefCell<Open>);

#[derive(Debug, Default)]
struct Open {
    files: BTreeMap<u32, (Arc<File>, u64)>,
    uses: u64,
}

impl Handles {
    /// The file of this number, opened at `path` if it is not open.
    pub(super) fn get(
        &self,
        number: u32,
        path: impl FnOnce() -> io::Result<Arc<File>>,
    ) -> io::Result<Arc<File>> {
        let mut open = self.0.borrow_mut();
        open.uses += 1;
        let now = open.uses;
        if let Some((file, used)) = open.files.get_mut(&number) {
            *used = now;
            return Ok(file.clone());
        }
        if open.files.len() >= MOST {
            open.close_oldest();
        }
        let file = path()?;
        open.files.insert(number, (file.clone(), now));
        Ok(file)
    }

    pub(super) fn forget(&self, number: u32) {
        self.0.borrow_mut().files.remove(&number);
    }
}

impl Open {
    /// Closes the older half.
    fn close_oldest(&mut self) {
        let mut uses: Vec<u64> = self.files.values().map(|(_, used)| *used).collect();
        uses.sort_unstable();
        let middle = uses[uses.len() / 2];
        self.files.retain(|_, (_, used)| *used >= middle);
    }
}

/// Opens a file for appending and reading, creating it when absent.
pub(super) fn open_append(path: &Path) -> io::Result<Arc<File>> {
    Ok(Arc::new(OpenOptions::new().create(true).append(true).read(true).open(path)?))
}

/// A handle that writes where it stands, for a file that is longer than what was written to it.
pub(super) fn open_write(path: &Path) -> io::Result<Arc<File>> {
    Ok(Arc::new(OpenOptions::new().write(true).read(true).open(path)?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it looks at the files from outside")]
    fn files_that_were_closed_are_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let handles = Handles::default();
        let path = |n: u32| dir.path().join(n.to_string());
        for round in 0..2 {
            for n in 0..MOST as u32 * 3 / 2 {
                let file = handles.get(n, || open_append(&path(n))).unwrap();
                (&*file).write_all(&[round]).unwrap();
                assert!(handles.0.borrow().files.len() <= MOST);
            }
        }
        assert!((0..MOST as u32 * 3 / 2).all(|n| std::fs::read(path(n)).unwrap() == [0, 1]));
    }
}
