//! Following the changes of a directory.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use plenipo_resources::Set;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::tree::{Concern, Watched};
use super::{Directory, DirectoryError};
use crate::shelf::is_same;

/// How long a change that may be half of one is left alone: a file that is being written, or is taken away only to be
/// put back by an editor. What is certainly whole (closed after writing, renamed into place) is read at once.
const HALF_DONE: Duration = Duration::from_millis(50);

/// How long after a change others are waited for, and how long at most: a file comes with several events, a copied
/// directory with thousands.
const MORE: Duration = Duration::from_micros(500);
const MOST: Duration = Duration::from_millis(3);

/// A directory being followed, until it is dropped.
#[derive(Debug)]
pub struct Following {
    messages: mpsc::Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// Reads a directory (or a single file), and again whatever changes in it. The first set is there when this returns, so
/// it takes as long as reading everything takes; later ones are made on a thread of their own.
///
/// # Errors
/// When there is no such path, or the system does not tell about changes.
pub fn follow(path: impl Into<PathBuf>) -> Result<(watch::Receiver<Arc<Set>>, Following), DirectoryError> {
    let mut directory = Directory::open(path)?;
    let path = directory.root.display().to_string();
    let unwatchable = |source| DirectoryError::Unwatchable { path: path.clone(), source };
    let (messages, inbox) = mpsc::channel();
    let events = messages.clone();
    let watcher = notify::recommended_watcher(move |event| {
        // The other end is gone when nobody follows any more.
        drop(events.send(Message::Event(event)));
    })
    .map_err(unwatchable)?;
    let mut watches = Watches { watcher, watched: BTreeMap::new(), failed: BTreeMap::new() };
    watches.settle(&mut directory);
    let (sets, receiver) = watch::channel(Arc::new(directory.set()));
    let mut follower = Follower { directory, watches, sets, doubtful: BTreeMap::new() };
    let thread = std::thread::Builder::new()
        .name("directory".to_owned())
        .spawn(move || follower.run(&inbox))
        .map_err(|error| unwatchable(notify::Error::io(error)))?;
    Ok((receiver, Following { messages, thread: Some(thread) }))
}

impl Following {
    /// Looks at everything again, as after SIGHUP. Returns at once.
    pub fn rescan(&self) {
        drop(self.messages.send(Message::Rescan));
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.messages.send(Message::Stop));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

enum Message {
    Event(notify::Result<Event>),
    Rescan,
    Stop,
}

/// The thread that follows.
struct Follower {
    directory: Directory,
    watches: Watches,
    sets: watch::Sender<Arc<Set>>,
    /// Real paths with changes that may be half of one, and when they are read.
    doubtful: BTreeMap<PathBuf, Instant>,
}

/// What a batch of messages asks for.
#[derive(Default)]
struct Work {
    files: HashSet<PathBuf>,
    rescan: bool,
}

impl Follower {
    fn run(&mut self, inbox: &mpsc::Receiver<Message>) {
        loop {
            let mut work = Work::default();
            let first = match self.doubtful.values().min() {
                Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let deadline = Instant::now() + MOST;
            let mut next = first;
            loop {
                match next {
                    Ok(Message::Event(event)) => self.note(event, &mut work),
                    Ok(Message::Rescan) => work.rescan = true,
                    Err(RecvTimeoutError::Timeout) => break,
                    Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                }
                if Instant::now() >= deadline {
                    break;
                }
                next = inbox.recv_timeout(MORE);
            }
            self.note_due(&mut work);
            self.work(&work);
        }
    }

    fn note(&mut self, event: notify::Result<Event>, work: &mut Work) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                warn!(%error, "an event of the file system was lost");
                work.rescan = true;
                return;
            }
        };
        work.rescan |= event.need_rescan();
        for path in event.paths {
            match Certainty::of(event.kind) {
                Certainty::Nothing => {}
                // Emptied, and perhaps about to be filled by another process.
                Certainty::Whole if path.metadata().is_ok_and(|it| it.is_file() && it.len() == 0) => {
                    self.doubtful.insert(path, Instant::now() + HALF_DONE);
                }
                Certainty::Whole => self.certain(&path, work),
                Certainty::Gone => {
                    self.watches.forget(&path);
                    self.doubtful.insert(path, Instant::now() + HALF_DONE);
                }
                // A link is whole from the beginning; a file that was created is going to be written to.
                Certainty::Half if path.is_symlink() || path.is_dir() => self.certain(&path, work),
                Certainty::Half => drop(self.doubtful.insert(path, Instant::now() + HALF_DONE)),
            }
        }
    }

    fn certain(&mut self, path: &Path, work: &mut Work) {
        self.doubtful.remove(path);
        match self.directory.tree.concern(path) {
            Concern::Files(files) => work.files.extend(files),
            Concern::Structure => work.rescan = true,
            Concern::Nothing => {}
        }
    }

    fn note_due(&mut self, work: &mut Work) {
        let now = Instant::now();
        let due: Vec<_> =
            self.doubtful.iter().filter(|(_, at)| **at <= now).map(|(path, _)| path.clone()).collect();
        due.into_iter().for_each(|path| self.certain(&path, work));
    }

    fn work(&mut self, work: &Work) {
        if !work.files.is_empty() {
            debug!(files = work.files.len(), "reading changed files");
            self.directory.refresh(&work.files);
            self.publish();
        }
        if work.rescan {
            self.watches.settle(&mut self.directory);
            self.publish();
        }
    }

    fn publish(&self) {
        let set = self.directory.set();
        if is_same(&self.sets.borrow(), &set) {
            return;
        }
        info!(
            objects = set.objects().len(),
            problems = set.problems().len(),
            "the configuration directory changed"
        );
        self.sets.send_replace(Arc::new(set));
    }
}

/// How sure it is, after an event, that the change is whole.
enum Certainty {
    Whole,
    Half,
    Gone,
    Nothing,
}

impl Certainty {
    fn of(kind: EventKind) -> Self {
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Self::Whole,
            // Our own reading is such an event.
            EventKind::Access(_) => Self::Nothing,
            EventKind::Create(CreateKind::Folder) => Self::Whole,
            EventKind::Create(_) => Self::Half,
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Self::Whole,
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Self::Gone,
            // Told before, as the two it consists of.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => Self::Nothing,
            EventKind::Modify(_) => Self::Half,
            EventKind::Remove(_) => Self::Gone,
            EventKind::Any | EventKind::Other => Self::Half,
        }
    }
}

/// The directories the system tells us about. Each on its own rather than a tree by the library, because links lead out
/// of the tree and directories are exchanged under their names.
struct Watches {
    watcher: RecommendedWatcher,
    watched: BTreeMap<PathBuf, Watched>,
    /// Those of them the system refuses to tell about, and why.
    failed: BTreeMap<PathBuf, String>,
}

impl Watches {
    /// Looks at everything, until it has been looked at after the last directory was being listened to.
    fn settle(&mut self, directory: &mut Directory) {
        // A directory made while we look is met in the next round; a machine that makes them all the time is told apart
        // from that by the number of rounds, and its events come anyway.
        for _ in 0..8 {
            directory.rescan();
            let any_new = self.follow(&directory.tree.directories);
            directory.deaf_to = self.failed.values().map(|error| directory.deaf(error)).collect();
            if !any_new {
                return;
            }
        }
    }

    /// Listens to these directories and no others; whether any of them is new.
    fn follow(&mut self, wanted: &BTreeMap<PathBuf, Watched>) -> bool {
        let is_wanted = |path: &PathBuf, watched: &Watched| {
            wanted.get(path).is_some_and(|wanted| wanted.identity == watched.identity)
        };
        let leave: Vec<_> = self
            .watched
            .iter()
            .filter(|(path, it)| !is_wanted(path, it))
            .map(|(path, _)| path.clone())
            .collect();
        // Before the new ones: a directory that was renamed is the same to the system under both names.
        leave.iter().for_each(|path| self.forget(path));
        let mut any = false;
        for (path, directory) in wanted {
            if self.watched.contains_key(path) {
                continue;
            }
            match self.watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => any = true,
                Err(error) => {
                    warn!(path = %path.display(), %error, "changes of a directory will not be noticed");
                    self.failed.insert(path.clone(), error.to_string());
                }
            }
            self.watched.insert(path.clone(), directory.clone());
        }
        any
    }

    fn forget(&mut self, path: &PathBuf) {
        self.failed.remove(path);
        if self.watched.remove(path).is_some() {
            // It fails when the directory is gone, and the watch with it.
            drop(self.watcher.unwatch(path));
        }
    }
}
