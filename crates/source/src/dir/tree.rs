//! Which files there are, and where changes of them show.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use plenipo_resources::Problem;

use super::path_problem;

/// The files below a root. Paths of files are as seen from the root, through symbolic links; paths of directories are
/// real, as they appear in events.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: BTreeMap<PathBuf, Place>,
    /// Where to listen for changes.
    pub(super) directories: BTreeMap<PathBuf, Watched>,
    /// What could not be looked at.
    pub(super) problems: Vec<Problem>,
    /// From the real path of a file to the paths it is seen at.
    seen_at: HashMap<PathBuf, Vec<PathBuf>>,
    /// Hidden links and directories (`..data`), by which files may have been reached.
    hidden: HashSet<PathBuf>,
    /// The root, as its parent directory calls it.
    root: PathBuf,
    /// The root is a file.
    is_file: bool,
}

/// Where a file really is, and what tells whether it changed.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) real: PathBuf,
    pub(super) stamp: Stamp,
}

/// A directory to listen to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Watched {
    /// Device and inode: another directory under the same name is another directory.
    pub(super) identity: (u64, u64),
    /// Where in the tree it is seen. Nowhere: only certain files in it concern us, because links lead there.
    seen_at: Vec<PathBuf>,
}

/// What tells whether a file changed. Two writes within the resolution of the clock look the same, so the stamp of a
/// file that was written just now tells nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    identity: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    settled: bool,
}

/// What an event at a path is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Concern {
    /// The content of these files.
    Files(Vec<PathBuf>),
    /// Which files there are.
    Structure,
    /// Nothing of ours.
    Nothing,
}

/// Network file systems count in whole seconds.
const CLOCK_RESOLUTION: Duration = Duration::from_secs(2);

impl Tree {
    /// Looks at everything below `root`. `shown` gives the path that people are shown.
    pub(super) fn walk(root: &Path, shown: &impl Fn(&Path) -> String) -> Self {
        let mut tree = Self::default();
        // The parent tells when the root itself is exchanged: `current -> release-7`.
        let name = root.file_name().map(ToOwned::to_owned);
        if let (Some(name), Some(parent)) = (name, root.parent().and_then(real)) {
            tree.root = parent.join(name);
            tree.listen(&parent, None);
        }
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => tree.directory(root, &mut Vec::new(), shown),
            Ok(metadata) => {
                tree.is_file = true;
                if let Some(place) = real(root).and_then(|real| Place::new(real, &metadata)) {
                    // Links beside a file that lead to it (`..data` of a ConfigMap) are as good as it.
                    if let Some(parent) = tree.root.parent().map(Path::to_owned) {
                        tree.listen(&parent, Some(&parent));
                    }
                    tree.listen_around(&place.real);
                    tree.insert(root.to_owned(), place);
                }
            }
            Err(error) => tree.unreadable(root, &error, shown),
        }
        tree
    }

    /// `above`: the real directories it is in. A link to one of them is a circle, and ends here.
    fn directory(&mut self, path: &Path, above: &mut Vec<PathBuf>, shown: &impl Fn(&Path) -> String) {
        let Some(real) = real(path).filter(|real| !above.contains(real)) else { return };
        self.listen(&real, Some(path));
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error, shown),
        };
        above.push(real.clone());
        for entry in entries.flatten() {
            if !is_hidden(&entry.file_name()) {
                self.entry(&entry, &real, above, shown);
            } else if entry.file_type().is_ok_and(|kind| !kind.is_file()) {
                self.hidden.insert(real.join(entry.file_name()));
            }
        }
        above.pop();
    }

    fn entry(
        &mut self,
        entry: &DirEntry,
        parent: &Path,
        above: &mut Vec<PathBuf>,
        shown: &impl Fn(&Path) -> String,
    ) {
        let path = entry.path();
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => self.directory(&path, above, shown),
            Ok(metadata) if is_config(&path) => {
                let real = if is_link { real(&path) } else { Some(parent.join(entry.file_name())) };
                let Some(place) = real.and_then(|real| Place::new(real, &metadata)) else { return };
                if is_link {
                    self.listen_around(&place.real);
                }
                self.insert(path, place);
            }
            // Between the listing and the look it was taken away: an event says so.
            Err(error) if error.kind() == ErrorKind::NotFound && !is_link => {}
            Err(error) if is_config(&path) => self.unreadable(&path, &error, shown),
            Ok(_) | Err(_) => {}
        }
    }

    fn listen(&mut self, real: &Path, seen_at: Option<&Path>) {
        let Ok(metadata) = fs::metadata(real) else { return };
        let watched = Watched { identity: (metadata.dev(), metadata.ino()), seen_at: Vec::new() };
        let watched = self.directories.entry(real.to_owned()).or_insert(watched);
        watched.seen_at.extend(seen_at.map(Path::to_owned));
    }

    fn listen_around(&mut self, real: &Path) {
        if let Some(parent) = real.parent() {
            self.listen(parent, None);
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error, shown: &impl Fn(&Path) -> String) {
        let fix = "let the gateway's user read it";
        self.problems.push(path_problem("unreadable", &shown(path), 1, error.to_string(), fix));
    }

    pub(super) fn insert(&mut self, path: PathBuf, place: Place) {
        self.remove(&path);
        self.seen_at.entry(place.real.clone()).or_default().push(path.clone());
        self.files.insert(path, place);
    }

    pub(super) fn remove(&mut self, path: &Path) {
        if let Some(place) = self.files.remove(path)
            && let Some(seen_at) = self.seen_at.get_mut(&place.real)
        {
            seen_at.retain(|other| other != path);
        }
    }

    /// What an event at a real path is about.
    pub(super) fn concern(&self, event: &Path) -> Concern {
        if let Some(paths) = self.seen_at.get(event).filter(|paths| !paths.is_empty()) {
            return Concern::Files(paths.clone());
        }
        if event == self.root || self.directories.contains_key(event) {
            return Concern::Structure;
        }
        let parent = event.parent().and_then(|parent| self.directories.get(parent));
        let (Some(directory), Some(name)) = (parent, event.file_name()) else { return Concern::Nothing };
        let seen_at: Vec<_> = directory.seen_at.iter().map(|path| path.join(name)).collect();
        let hidden = is_hidden(name);
        match fs::symlink_metadata(event) {
            _ if seen_at.is_empty() => Concern::Nothing,
            Ok(metadata) if !metadata.is_file() => Concern::Structure,
            Ok(_) if !self.is_file && !hidden && is_config(event) => Concern::Files(seen_at),
            Ok(_) => Concern::Nothing,
            // A link that is gone: a file itself, or something that led to files.
            Err(_) if seen_at.iter().any(|path| self.files.contains_key(path)) => Concern::Files(seen_at),
            Err(_) if self.hidden.contains(event) => Concern::Structure,
            Err(_) => Concern::Nothing,
        }
    }
}

impl Place {
    /// Where a file is now; none when it is gone, or no regular file (reading a pipe would wait for ever).
    pub(super) fn of(path: &Path) -> Option<Self> {
        Self::new(real(path)?, &fs::metadata(path).ok()?)
    }

    fn new(real: PathBuf, metadata: &Metadata) -> Option<Self> {
        metadata.is_file().then(|| Self { real, stamp: Stamp::of(metadata) })
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let age = metadata.modified().ok().and_then(|then| SystemTime::now().duration_since(then).ok());
        Self {
            identity: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            settled: age.is_some_and(|age| age > CLOCK_RESOLUTION),
        }
    }

    /// Surely the same content as when `earlier` was taken.
    pub(super) fn proves_unchanged(self, earlier: Self) -> bool {
        self == earlier && earlier.settled
    }

    /// In bytes.
    pub(super) fn length(self) -> u64 {
        self.length
    }
}

fn real(path: &Path) -> Option<PathBuf> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    path.canonicalize().ok()
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn is_config(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}
