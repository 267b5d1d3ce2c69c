//! A directory of YAML and JSON files as a [`Set`].

mod file;
mod follow;
mod tree;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use plenipo_resources::{Code, Origin, Problem, Set, Severity};

use crate::shelf::Shelf;
use file::{Difference, File};
use tree::{Place, Tree};

pub use follow::{Following, follow};

/// A directory that cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It is not there, or not to be looked at.
    #[error("{path}: {source}")]
    Unreadable {
        /// As it was given.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The system does not tell about changes.
    #[error("changes of {path} cannot be followed: {source}")]
    Unwatchable {
        /// As it was given.
        path: String,
        /// Why.
        source: notify::Error,
    },
}

/// The `*.yaml`, `*.yml` and `*.json` files below a directory (or one such file), and what is in them.
///
/// Names that begin with a dot are skipped, symbolic links are followed: so a mounted ConfigMap is read once. What has
/// been read is remembered down to the single document, and objects that did not change stay the same `Arc`.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    /// What stands before the paths people are shown: the root's own name, not where this machine has it.
    name: String,
    files: BTreeMap<PathBuf, File>,
    /// Those of them that have problems. Mostly none.
    flawed: BTreeSet<PathBuf>,
    tree: Tree,
    /// Every object of every file.
    shelf: Shelf,
    /// What keeps changes from being noticed.
    deaf_to: Vec<Problem>,
}

impl Directory {
    /// A directory, or a single file. Nothing is read yet.
    ///
    /// # Errors
    /// When there is no such path.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let root = path.into();
        // `.` and `..` have no name; where they lead has one.
        let real = root
            .canonicalize()
            .map_err(|source| DirectoryError::Unreadable { path: root.display().to_string(), source })?;
        let name = root.file_name().or(real.file_name()).unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            root,
            name,
            files: BTreeMap::new(),
            flawed: BTreeSet::new(),
            tree: Tree::default(),
            shelf: Shelf::default(),
            deaf_to: Vec::new(),
        })
    }

    /// Looks at every file and reads those that changed since the last time.
    pub fn read(&mut self) -> Set {
        self.rescan();
        self.set()
    }

    /// The files of the last reading, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.tree.files.keys().map(PathBuf::as_path)
    }

    /// Everything as it was read last.
    fn set(&self) -> Set {
        let flawed = self.flawed.iter().filter_map(|path| self.files.get(path));
        let problems = self.tree.problems.iter().chain(&self.deaf_to).chain(flawed.flat_map(File::problems));
        self.shelf.set(problems.cloned())
    }

    fn rescan(&mut self) {
        let tree = Tree::walk(&self.root, &|path| self.shown(path));
        if !self.files.is_empty() && !self.root.exists() {
            // A volume that went away says nothing about what shall be served.
            self.tree.problems = tree.problems;
            return;
        }
        self.tree = tree;
        let gone: Vec<_> =
            self.files.keys().filter(|path| !self.tree.files.contains_key(*path)).cloned().collect();
        gone.iter().for_each(|path| self.forget(path));
        let known = |path| self.files.get(path);
        let stale = self
            .tree
            .files
            .iter()
            .filter(|(path, it)| known(*path).is_none_or(|file| file.is_stale(&it.stamp)));
        let stale: Vec<_> = stale.map(|(path, place)| (path.clone(), place.clone())).collect();
        stale.iter().for_each(|(path, place)| self.reread(path, place));
    }

    /// Reads these files, whether or not they look changed; those that are gone lose their objects.
    fn refresh(&mut self, paths: &HashSet<PathBuf>) {
        for path in paths {
            match Place::of(path) {
                Some(place) => {
                    self.reread(path, &place);
                    self.tree.insert(path.clone(), place);
                }
                None => {
                    self.tree.remove(path);
                    self.forget(path);
                }
            }
        }
    }

    fn reread(&mut self, path: &Path, place: &Place) {
        let previous = self.files.get(path);
        let file = File::read(path, &self.shown(path), place.stamp, previous);
        let difference = Difference::between(previous, Some(&file));
        if file.problems().next().is_some() {
            self.flawed.insert(path.to_owned());
        } else {
            self.flawed.remove(path);
        }
        self.files.insert(path.to_owned(), file);
        self.apply(difference);
    }

    fn forget(&mut self, path: &Path) {
        let file = self.files.remove(path);
        self.flawed.remove(path);
        self.apply(Difference::between(file.as_ref(), None));
    }

    fn apply(&mut self, difference: Difference) {
        difference.gone.iter().for_each(|placed| self.shelf.remove(placed));
        difference.new.into_iter().for_each(|placed| self.shelf.insert(placed));
    }

    fn deaf(&self, error: &str) -> Problem {
        let message = format!("changes are not noticed: {error}");
        let fix = "raise the limit fs.inotify.max_user_watches, or send SIGHUP after changes";
        Problem { severity: Severity::Warning, ..path_problem("unwatched", &self.name, 1, message, fix) }
    }

    /// A path as people are shown it: below the name of the directory they gave.
    fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.root) {
            Ok(inner) if !inner.as_os_str().is_empty() => format!("{}/{}", self.name, inner.display()),
            _ => self.name.clone(),
        }
    }
}

/// A problem of a path rather than an object.
fn path_problem(code: &'static str, shown: &str, line: u32, message: String, fix: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        code: Code(code),
        object: None,
        origin: Some(Origin::File { path: shown.into(), line }),
        field: String::new(),
        message,
        fix: fix.to_owned(),
    }
}

#[cfg(test)]
mod tests;
