//! One file, read down to its documents.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use plenipo_resources::{Document, Object, ObjectId, Origin, Problem, decode, documents};

use super::path_problem;
use super::tree::Stamp;
use crate::shelf::Placed;

/// What is in a file.
#[derive(Debug)]
pub(super) struct File {
    /// As people are shown it.
    path: Arc<str>,
    /// None when it could not be read: to be tried again.
    stamp: Option<Stamp>,
    entries: Vec<Arc<Entry>>,
    /// Objects that are no longer in it, or not as they should be, but were: they serve until the file is mended.
    kept: Vec<Arc<Object>>,
    /// Of the file as a whole.
    problem: Option<Problem>,
}

/// What is in one document.
#[derive(Debug)]
struct Entry {
    text: Box<str>,
    line: u32,
    objects: Vec<Arc<Object>>,
    problems: Vec<Problem>,
    is_yaml: bool,
}

/// The objects that only one of two readings of a file has.
pub(super) struct Difference {
    pub(super) gone: Vec<Placed>,
    pub(super) new: Vec<Placed>,
}

/// A configuration that is larger is a mistake, or an attempt on our memory.
const MAX_LENGTH: u64 = 256 << 20;

impl File {
    /// Reads a file. What is as in the previous reading is taken from there; what was sound there and is not now too.
    pub(super) fn read(path: &Path, shown: &str, stamp: Stamp, previous: Option<&Self>) -> Self {
        let text = if stamp.length() > MAX_LENGTH {
            Err((1, format!("it has {} MiB, more than {}", stamp.length() >> 20, MAX_LENGTH >> 20)))
        } else {
            fs::read(path).map_err(|error| (1, error.to_string())).and_then(|bytes| {
                String::from_utf8(bytes).map_err(|error| {
                    let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                    let line = 1 + sound.iter().filter(|byte| **byte == b'\n').count();
                    (u32::try_from(line).unwrap_or(u32::MAX), "it is not UTF-8 text".to_owned())
                })
            })
        };
        match text {
            Ok(text) => Self::parse(&text, shown, stamp, previous),
            Err((line, message)) => Self {
                path: shown.into(),
                stamp: None,
                entries: previous.map_or_else(Vec::new, |file| file.entries.clone()),
                kept: previous.map_or_else(Vec::new, |file| file.kept.clone()),
                problem: Some(path_problem(
                    "unreadable",
                    shown,
                    line,
                    message,
                    "let it be a readable YAML file",
                )),
            },
        }
    }

    fn parse(text: &str, shown: &str, stamp: Stamp, previous: Option<&Self>) -> Self {
        let path: Arc<str> = shown.into();
        let documents = documents(text);
        let known = Known::new(previous.map_or(&[], |file| &file.entries), &documents);
        let entries = documents.iter().enumerate().map(|(at, document)| match known.find(at, document) {
            Some(entry) => entry.moved_to(&path, document),
            None => Arc::new(Entry::new(&path, document, &known.objects)),
        });
        let entries = entries.collect();
        let mut file = Self { path, stamp: Some(stamp), entries, kept: Vec::new(), problem: None };
        if let Some(previous) = previous {
            file.keep(previous);
        }
        file
    }

    /// Keeps the last good version of what cannot be read any more. Nobody knows which objects a document that is no
    /// YAML was to be, so while there is one, nothing of the file is given up.
    fn keep(&mut self, previous: &Self) {
        if self.problems().next().is_none() {
            return;
        }
        let broken = self.entries.iter().any(|entry| !entry.is_yaml);
        let present: HashSet<_> = self.objects().map(|object| &object.id).collect();
        let concerns = |object: &Object| {
            self.problems().any(|problem| match (&problem.object, &object.origin) {
                (Some(id), _) if *id == object.id => true,
                (Some(id), Origin::Annotation { parent, .. }) => {
                    problem.field.contains("annotations") && *id == **parent
                }
                _ => false,
            })
        };
        let kept = previous.objects().filter(|object| !present.contains(&object.id));
        self.kept = kept.filter(|object| broken || concerns(object)).cloned().collect();
    }

    /// All its objects, those that are kept among them.
    fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.entries.iter().flat_map(|entry| &entry.objects).chain(&self.kept)
    }

    /// All its problems.
    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.entries.iter().flat_map(|entry| &entry.problems).chain(&self.problem)
    }

    /// Whether it has to be read again.
    pub(super) fn is_stale(&self, now: &Stamp) -> bool {
        self.stamp.is_none_or(|stamp| !now.proves_unchanged(stamp))
    }
}

impl Difference {
    /// Between no file and a file: everything.
    pub(super) fn between(old: Option<&File>, new: Option<&File>) -> Self {
        let old_entries = old.map_or(&[][..], |file| &file.entries);
        let new_entries = new.map_or(&[][..], |file| &file.entries);
        // Documents that did not change are the same at both ends; they need no looking into.
        let pairs = old_entries.iter().zip(new_entries);
        let head = pairs.take_while(|(a, b)| Arc::ptr_eq(a, b)).count();
        let (old_rest, new_rest) = (&old_entries[head..], &new_entries[head..]);
        let pairs = old_rest.iter().rev().zip(new_rest.iter().rev());
        let tail = pairs.take_while(|(a, b)| Arc::ptr_eq(a, b)).count();
        let gone = placed(&old_rest[..old_rest.len() - tail], old);
        let new = placed(&new_rest[..new_rest.len() - tail], new);
        let identities = |placed: &[Placed]| placed.iter().map(Placed::identity).collect::<HashSet<_>>();
        let (in_old, in_new) = (identities(&gone), identities(&new));
        Self {
            gone: gone.into_iter().filter(|placed| !in_new.contains(&placed.identity())).collect(),
            new: new.into_iter().filter(|placed| !in_old.contains(&placed.identity())).collect(),
        }
    }
}

fn placed(entries: &[Arc<Entry>], file: Option<&File>) -> Vec<Placed> {
    let Some(file) = file else { return Vec::new() };
    let in_entries = entries.iter().flat_map(|entry| entry.objects.iter().enumerate());
    let kept = file.kept.iter().enumerate().map(|(rank, object)| (usize::MAX - rank, object));
    let placed = |(rank, object)| Placed { object: Arc::clone(object), place: Arc::clone(&file.path), rank };
    in_entries.chain(kept).map(placed).collect()
}

/// The documents of the previous reading. When one of many was edited, nearly all are the same at the beginning and at
/// the end; comparing those is much cheaper than a table of all texts.
struct Known<'a> {
    /// As many as are the same at the beginning.
    head: &'a [Arc<Entry>],
    /// As many as are the same at the end.
    tail: &'a [Arc<Entry>],
    /// The index of the document that is first in `tail`.
    tail_begins: usize,
    middle: HashMap<&'a str, &'a Arc<Entry>>,
    /// What is in `middle`.
    objects: Objects<'a>,
}

type Objects<'a> = HashMap<&'a ObjectId, &'a Arc<Object>>;

impl<'a> Known<'a> {
    fn new(entries: &'a [Arc<Entry>], documents: &[Document<'_>]) -> Self {
        let same = |(entry, document): &(&Arc<Entry>, &Document<'_>)| *entry.text == *document.text;
        let same_first = entries.iter().zip(documents).take_while(same).count();
        let (head, rest) = entries.split_at(same_first);
        let same_last = rest.iter().rev().zip(documents[same_first..].iter().rev()).take_while(same).count();
        let (middle, tail) = rest.split_at(rest.len() - same_last);
        let objects =
            middle.iter().flat_map(|entry| &entry.objects).map(|object| (&object.id, object)).collect();
        let middle = middle.iter().map(|entry| (&*entry.text, entry)).collect();
        Self { head, tail, tail_begins: documents.len() - same_last, middle, objects }
    }

    /// What the document at this index was read as before.
    fn find(&self, at: usize, document: &Document<'_>) -> Option<&'a Arc<Entry>> {
        match at.checked_sub(self.tail_begins) {
            Some(in_tail) => self.tail.get(in_tail),
            None => self.head.get(at).or_else(|| self.middle.get(document.text).copied()),
        }
    }
}

impl Entry {
    /// Reads a document. Objects that turn out as they were before are those: the items of a List, mostly.
    fn new(path: &Arc<str>, document: &Document<'_>, before: &Objects<'_>) -> Self {
        let (line, text) = (document.line, document.text.into());
        match document.value() {
            Ok(value) => {
                let decoded = decode(value, Origin::File { path: Arc::clone(path), line });
                let same = |object: Object| match before.get(&object.id) {
                    Some(before) if ***before == object => Arc::clone(before),
                    _ => Arc::new(object),
                };
                let objects = decoded.objects.into_iter().map(same).collect();
                Self { text, line, objects, problems: decoded.problems, is_yaml: true }
            }
            Err(error) => {
                let fix = if document.text.contains("{{") {
                    "fill in the template's {{…}}, or put it in quotes; until then the last good version of the file's objects serves"
                } else {
                    "mend it; until then the last good version of the file's objects serves, if there was one"
                };
                let problem = path_problem("broken-yaml", path, error.line, error.to_string(), fix);
                Self { text, line, objects: Vec::new(), problems: vec![problem], is_yaml: false }
            }
        }
    }

    /// The same content, now perhaps at another line.
    fn moved_to(self: &Arc<Self>, path: &Arc<str>, document: &Document<'_>) -> Arc<Self> {
        if self.line == document.line {
            return Arc::clone(self);
        }
        if !self.is_yaml {
            return Arc::new(Self::new(path, document, &Objects::new()));
        }
        let moved = |origin: &Origin| match origin {
            Origin::File { path, .. } => Origin::File { path: Arc::clone(path), line: document.line },
            other => other.clone(),
        };
        let objects = self.objects.iter().map(|object| match object.origin {
            Origin::File { .. } => {
                Arc::new(Object { origin: moved(&object.origin), ..Object::clone(object) })
            }
            _ => Arc::clone(object),
        });
        let problems = self.problems.iter();
        Arc::new(Self {
            text: self.text.clone(),
            line: document.line,
            objects: objects.collect(),
            problems: problems
                .map(|problem| Problem { origin: problem.origin.as_ref().map(moved), ..problem.clone() })
                .collect(),
            is_yaml: true,
        })
    }
}
