//! The documents of a directory as people wrote them: with comments, which objects do not have.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use plenipo_aws::check::{Finding, IGNORE};
use plenipo_resources::{ObjectId, Origin, decode, documents};
use plenipo_source::Directory;
use serde_json::Value;

use crate::exit::Ending;

/// All documents of a directory, in the order of the files.
#[derive(Default)]
pub(super) struct Written {
    pub(super) documents: Vec<Document>,
    /// What comments ask not to be told.
    ignored: BTreeSet<(ObjectId, String)>,
}

/// One document.
pub(super) struct Document {
    /// As written.
    pub(super) text: String,
    /// Where it stands.
    pub(super) origin: Origin,
    /// None when it is no YAML.
    pub(super) value: Option<Value>,
}

pub(super) fn read(directory: &Path) -> anyhow::Result<Written> {
    let mut opened = Directory::open(directory).map_err(|error| Ending::unreadable(error.to_string()))?;
    opened.read();
    let mut written = Written { documents: Vec::new(), ignored: BTreeSet::new() };
    // What cannot be read is among the problems of the set.
    for path in opened.paths() {
        let Ok(text) = fs::read_to_string(path) else { continue };
        let shown: Arc<str> = path.to_string_lossy().into();
        for document in documents(&text) {
            let value = document.value().ok();
            written.note_comments(document.text, value.as_ref());
            let origin = Origin::File { path: Arc::clone(&shown), line: document.line };
            written.documents.push(Document { text: document.text.to_owned(), origin, value });
        }
    }
    Ok(written)
}

impl Written {
    /// Did a comment in the object's document ask not to be told this?
    pub(super) fn ignores(&self, finding: &Finding) -> bool {
        self.ignored.contains(&(finding.object.clone(), finding.rule.id.to_owned()))
    }

    fn note_comments(&mut self, text: &str, value: Option<&Value>) {
        let lists = text.lines().filter_map(|line| Some(line.split_once('#')?.1.split_once(IGNORE)?.1));
        let rules: Vec<&str> =
            lists.flat_map(|list| list.split([':', ',', ' '])).filter(|id| !id.is_empty()).collect();
        let Some(value) = value.filter(|_| !rules.is_empty()) else { return };
        for object in decode(value.clone(), Origin::Cluster).objects {
            self.ignored.extend(rules.iter().map(|rule| (object.id.clone(), (*rule).to_owned())));
        }
    }
}
