//! What lies at which path, directory by directory.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::DirEntry;

/// Files by their paths, and the directories that they lie in.
///
/// A path is looked up by its directory and then among that directory's few names: a disk holds thousands of directories whose paths
/// begin alike, and to order all of them by their paths would be to compare the same letters again and again. Renaming and removing
/// a directory cost what it holds.
#[derive(Debug, Clone)]
pub struct Paths<T> {
    dirs: FxHashMap<String, Dir<T>>,
}

#[derive(Debug, Clone)]
struct Dir<T> {
    /// Whether somebody made it; otherwise it is only where files are.
    made: bool,
    files: BTreeMap<String, T>,
    /// The names of the directories in it.
    dirs: BTreeSet<String>,
}

impl<T> Default for Dir<T> {
    fn default() -> Self {
        Self { made: false, files: BTreeMap::new(), dirs: BTreeSet::new() }
    }
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { dirs: FxHashMap::default() }
    }
}

/// A path's directory and its name there; what has no directory lies in `.`.
fn split(path: &str) -> (&str, &str) {
    // Names are short: a plain loop is sooner done than a search is set up.
    match path.bytes().rposition(|byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (".", path),
    }
}

impl<T> Paths<T> {
    /// What lies at a path.
    pub fn get(&self, path: &str) -> Option<&T> {
        let (dir, name) = split(path);
        self.dirs.get(dir)?.files.get(name)
    }

    /// What lies at a path.
    pub fn get_mut(&mut self, path: &str) -> Option<&mut T> {
        let (dir, name) = split(path);
        self.dirs.get_mut(dir)?.files.get_mut(name)
    }

    /// Puts a file at a path; what lay there is returned.
    pub fn insert(&mut self, path: &str, file: T) -> Option<T> {
        let (dir, name) = split(path);
        self.dir(dir).files.insert(name.to_owned(), file)
    }

    /// Takes a file away.
    pub fn remove(&mut self, path: &str) -> Option<T> {
        let (dir, name) = split(path);
        self.dirs.get_mut(dir)?.files.remove(name)
    }

    /// Makes a directory and those above it.
    pub fn make_dir(&mut self, path: &str) {
        let mut path = path;
        // What lies above a directory that was made was made with it.
        while path != "." && !path.is_empty() && !self.has_dir(path) {
            self.dir(path).made = true;
            path = split(path).0;
        }
    }

    /// Whether a directory was made.
    pub fn has_dir(&self, path: &str) -> bool {
        self.dirs.get(path).is_some_and(|dir| dir.made)
    }

    /// What a directory holds, in order of names.
    pub fn list(&self, path: &str) -> Vec<DirEntry> {
        let Some(dir) = self.dirs.get(path) else { return Vec::new() };
        let files = dir.files.keys().map(|name| DirEntry { name: name.clone(), is_dir: false });
        let made = dir.dirs.iter().filter(|name| self.has_dir(&format!("{path}/{name}")));
        let mut entries: Vec<_> =
            files.chain(made.map(|name| DirEntry { name: name.clone(), is_dir: true })).collect();
        entries.sort();
        entries
    }

    /// Removes a directory; what was in it and under it, with the paths.
    pub fn remove_dir(&mut self, path: &str) -> Vec<(String, T)> {
        let mut removed = Vec::new();
        self.take_dir(path, &mut removed, &mut Vec::new());
        removed
    }

    /// Renames a directory, with everything in it and under it, into one that was made. False when it was never made itself.
    pub fn rename_dir(&mut self, from: &str, to: &str) -> bool {
        if !self.has_dir(from) {
            return false;
        }
        let (mut files, mut dirs) = (Vec::new(), Vec::new());
        self.take_dir(from, &mut files, &mut dirs);
        for dir in dirs {
            self.dir(&format!("{to}{}", &dir[from.len()..])).made = true;
        }
        for (path, file) in files {
            self.insert(&format!("{to}{}", &path[from.len()..]), file);
        }
        true
    }

    /// Every file in a directory and under it, in order of paths.
    pub fn under(&self, path: &str) -> Vec<(String, &T)> {
        let mut found = Vec::new();
        let mut left = vec![path.to_owned()];
        while let Some(path) = left.pop() {
            let Some(dir) = self.dirs.get(&path) else { continue };
            found.extend(dir.files.iter().map(|(name, file)| (format!("{path}/{name}"), file)));
            left.extend(dir.dirs.iter().map(|name| format!("{path}/{name}")));
        }
        found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    /// Every file, in order of paths.
    pub fn all(&self) -> Vec<(String, &T)> {
        let of_dir = |(path, dir): (&String, &'_ Dir<T>)| {
            let path = if path == "." { String::new() } else { format!("{path}/") };
            dir.files.keys().map(|name| format!("{path}{name}")).collect::<Vec<_>>()
        };
        let mut paths: Vec<_> = self.dirs.iter().flat_map(of_dir).collect();
        paths.sort_unstable();
        paths.into_iter().filter_map(|path| Some((path.clone(), self.get(&path)?))).collect()
    }

    /// Every file, in no particular order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.dirs.values_mut().flat_map(|dir| dir.files.values_mut())
    }

    /// The place of a directory, whether or not it was made; those above it know of it.
    fn dir(&mut self, path: &str) -> &mut Dir<T> {
        if !self.dirs.contains_key(path) {
            let (above, name) = split(path);
            if path != "." && !path.is_empty() {
                self.dir(above).dirs.insert(name.to_owned());
            }
            self.dirs.insert(path.to_owned(), Dir::default());
        }
        self.dirs.get_mut(path).expect("it is there, or was just put there")
    }

    /// Takes a directory out, and what it holds: files with their paths, and the paths of directories that were made.
    fn take_dir(&mut self, path: &str, files: &mut Vec<(String, T)>, made: &mut Vec<String>) {
        let Some(dir) = self.dirs.remove(path) else { return };
        let (above, name) = split(path);
        if let Some(above) = self.dirs.get_mut(above) {
            above.dirs.remove(name);
        }
        files.extend(dir.files.into_iter().map(|(name, file)| (format!("{path}/{name}"), file)));
        for name in dir.dirs {
            self.take_dir(&format!("{path}/{name}"), files, made);
        }
        if dir.made {
            made.push(path.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(String),
        Remove(String),
        MakeDir(String),
        RemoveDir(String),
        RenameDir(String, String),
    }

    /// Paths of up to three parts out of two names, of which one begins as the other does.
    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec(prop_oneof![Just("a"), Just("a-1")], 1..4).prop_map(|parts| parts.join("/"))
    }

    fn step() -> impl Strategy<Value = Step> {
        let file = || path().prop_map(|dir| format!("{dir}/f"));
        prop_oneof![
            file().prop_map(Step::Insert),
            file().prop_map(Step::Remove),
            path().prop_map(Step::MakeDir),
            path().prop_map(Step::RemoveDir),
            (path(), path()).prop_map(|(from, to)| Step::RenameDir(from, to)),
        ]
    }

    fn is_under(path: &str, dir: &str) -> bool {
        path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
    }

    proptest! {
        /// Against a map of whole paths and a set of directories.
        #[test]
        fn paths_are_as_a_map_of_them(steps in prop::collection::vec(step(), 1..40)) {
            let mut paths = Paths::default();
            let (mut files, mut dirs) = (BTreeMap::new(), BTreeSet::new());
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(path) => {
                        prop_assert_eq!(paths.insert(&path, n), files.insert(path, n));
                    }
                    Step::Remove(path) => prop_assert_eq!(paths.remove(&path), files.remove(&path)),
                    Step::MakeDir(path) => {
                        paths.make_dir(&path);
                        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
                        dirs.extend(ends.map(|end| path[..end].to_owned()));
                    }
                    Step::RemoveDir(dir) => {
                        let mut removed = paths.remove_dir(&dir);
                        removed.sort();
                        let gone = files.extract_if(.., |path, _| is_under(path, &dir));
                        prop_assert_eq!(removed, gone.collect::<Vec<_>>());
                        dirs.retain(|path: &String| *path != dir && !is_under(path, &dir));
                    }
                    // Into itself, onto something or into nothing: nobody does.
                    Step::RenameDir(from, to)
                        if from == to
                            || to.rsplit_once('/').is_some_and(|(above, _)| !dirs.contains(above))
                            || is_under(&to, &from)
                            || dirs.contains(&to)
                            || files.keys().any(|path| is_under(path, &to)) => {}
                    Step::RenameDir(from, to) => {
                        prop_assert_eq!(paths.rename_dir(&from, &to), dirs.contains(&from));
                        if dirs.contains(&from) {
                            let moved = |path: &String| format!("{to}{}", &path[from.len()..]);
                            let of: Vec<_> = files.extract_if(.., |path, _| is_under(path, &from)).collect();
                            files.extend(of.into_iter().map(|(path, n)| (moved(&path), n)));
                            let of = dirs.extract_if(.., |path| *path == from || is_under(path, &from));
                            let of: Vec<_> = of.map(|path| moved(&path)).collect();
                            dirs.extend(of);
                        }
                    }
                }
                let all = files.iter().map(|(path, n)| (path.clone(), n));
                prop_assert_eq!(paths.all(), all.clone().collect::<Vec<_>>());
                for dir in ["a", "a-1", "a/a", "a-1/a"] {
                    prop_assert_eq!(paths.has_dir(dir), dirs.contains(dir));
                    let under: Vec<_> = all.clone().filter(|(path, _)| is_under(path, dir)).collect();
                    prop_assert_eq!(paths.under(dir), under);
                    let entry = |path: &String, is_dir| {
                        let name = path.strip_prefix(dir)?.strip_prefix('/')?;
                        (!name.contains('/')).then(|| DirEntry { name: name.to_owned(), is_dir })
                    };
                    let mut listed: Vec<_> = files.keys().filter_map(|path| entry(path, false)).collect();
                    listed.extend(dirs.iter().filter_map(|path| entry(path, true)));
                    listed.sort();
                    prop_assert_eq!(paths.list(dir), listed);
                }
            }
        }
    }
}
