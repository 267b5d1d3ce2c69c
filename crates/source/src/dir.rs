//! A directory of YAML and JSON files as a [`Set`].

mod file;
mod follow;
mod tree;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plenipo_resources::{Code, Object, Origin, Problem, Set, SetBuilder, Severity};

use file::File;
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
    tree: Tree,
    /// Every object of every file, in the order [`SetBuilder`] wants, so that it has nothing to sort.
    objects: Vec<Arc<Object>>,
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
            tree: Tree::default(),
            objects: Vec::new(),
            deaf_to: Vec::new(),
        })
    }

    /// Looks at every file and reads those that changed since the last time.
    pub fn read(&mut self) -> Set {
        self.rescan();
        self.set()
    }

    /// Everything as it was read last.
    fn set(&self) -> Set {
        let mut set = SetBuilder::default();
        self.objects.iter().for_each(|object| set.add(Arc::clone(object)));
        let problems = self
            .tree
            .problems
            .iter()
            .chain(&self.deaf_to)
            .chain(self.files.values().flat_map(File::problems));
        problems.for_each(|problem| set.problem(problem.clone()));
        set.build()
    }

    fn rescan(&mut self) {
        self.tree = Tree::walk(&self.root, &|path| self.shown(path));
        let gone: Vec<_> =
            self.files.keys().filter(|path| !self.tree.files.contains_key(*path)).cloned().collect();
        let found: Vec<_> =
            self.tree.files.iter().map(|(path, place)| (path.clone(), place.clone())).collect();
        let mut change = Change::default();
        for path in gone {
            change.removed(self.files.remove(&path).as_ref());
        }
        for (path, place) in found {
            let known = self.files.get(&path);
            if known.is_none_or(|known| known.is_stale(&place.stamp)) {
                self.reread(&path, &place, &mut change);
            }
        }
        self.apply(&change);
    }

    /// Reads these files, whether or not they look changed; those that are gone lose their objects.
    fn refresh(&mut self, paths: &HashSet<PathBuf>) {
        let mut change = Change::default();
        for path in paths {
            match Place::of(path) {
                Some(place) => {
                    self.reread(path, &place, &mut change);
                    self.tree.insert(path.clone(), place);
                }
                None => {
                    self.tree.remove(path);
                    change.removed(self.files.remove(path).as_ref());
                }
            }
        }
        self.apply(&change);
    }

    fn reread(&mut self, path: &Path, place: &Place, change: &mut Change) {
        let previous = self.files.remove(path);
        let file = File::read(path, &self.shown(path), place.stamp, previous.as_ref());
        change.removed(previous.as_ref());
        change.added(&file);
        self.files.insert(path.to_owned(), file);
    }

    fn apply(&mut self, change: &Change) {
        let stays = |object: &Arc<Object>| change.0.get(&Arc::as_ptr(object)).is_none_or(|it| it.count >= 0);
        if change.0.values().any(|it| it.count < 0) {
            self.objects.retain(stays);
        }
        let new = change.0.values().filter(|it| it.count > 0);
        self.objects.extend(new.map(|it| Arc::clone(&it.object)));
        // Mostly sorted already, which the standard library's sort makes use of.
        self.objects.sort_by(|a, b| a.id.cmp(&b.id).then_with(|| a.origin.cmp(&b.origin)));
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

/// Which objects come and which go. Most of a file that is read again does both, which is neither.
#[derive(Default)]
struct Change(HashMap<*const Object, Balance>);

struct Balance {
    object: Arc<Object>,
    count: i32,
}

impl Change {
    fn removed(&mut self, file: Option<&File>) {
        file.into_iter().flat_map(File::objects).for_each(|object| self.count(object, -1));
    }

    fn added(&mut self, file: &File) {
        file.objects().for_each(|object| self.count(object, 1));
    }

    fn count(&mut self, object: &Arc<Object>, by: i32) {
        let fresh = || Balance { object: Arc::clone(object), count: 0 };
        self.0.entry(Arc::as_ptr(object)).or_insert_with(fresh).count += by;
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
