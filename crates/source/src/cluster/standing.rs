//! How each thing that is followed is doing.

use std::collections::BTreeMap;
use std::time::SystemTime;

use plenipo_resources::{Code, KindState, Origin, Problem, Severity, SourceState, Standing};
use tokio::task::AbortHandle;

use super::ClusterOptions;
use super::api::{Failure, Target};
use super::glimpses::Glimpses;
use super::kinds::Need;
use super::plan::Key;

/// One thing that is followed.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) key: Key,
    pub(super) target: Target,
    pub(super) versions: Vec<&'static str>,
    pub(super) task: AbortHandle,
    /// A list of which we are told by name only, and may not be: what is wanted of it is followed one by one.
    pub(super) refused_list: bool,
    /// Has it been listed?
    listed: bool,
    failure: Option<Failure>,
    since: SystemTime,
}

impl Course {
    pub(super) fn new(key: Key, target: Target, versions: Vec<&'static str>, task: AbortHandle) -> Self {
        let since = SystemTime::now();
        Self { key, target, versions, task, refused_list: false, listed: false, failure: None, since }
    }

    /// Its changes are noticed. Whether that lets anything be followed otherwise than before.
    pub(super) fn is_back(&mut self) -> bool {
        if !self.listed || self.failure.is_some() {
            self.since = SystemTime::now();
        }
        self.listed = true;
        self.failure = None;
        std::mem::take(&mut self.refused_list)
    }

    /// Its changes are not noticed. Whether that makes anything be followed otherwise than before.
    pub(super) fn is_lost(&mut self, failure: Failure) -> bool {
        if self.failure.is_none() {
            self.since = SystemTime::now();
        }
        let refused = matches!(failure, Failure::Forbidden(_)) && self.target.is_glimpsed();
        if self.is_forbidden() != matches!(failure, Failure::Forbidden(_)) {
            match &failure {
                Failure::Forbidden(message) if refused => {
                    tracing::info!("{}: {message}; those that are needed are read by name", self.key.kind);
                }
                Failure::Forbidden(message) => tracing::warn!("{}: {message}", self.key.kind),
                _ => {}
            }
        }
        self.failure = Some(failure);
        refused && !std::mem::replace(&mut self.refused_list, true)
    }

    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self.failure, Some(Failure::Forbidden(_)))
    }

    /// Why its changes are not noticed, unless we may not read it.
    pub(super) fn lost(&self) -> Option<String> {
        let failure = self.failure.as_ref().filter(|_| !self.is_forbidden())?;
        Some(format!("{}: {failure}", self.key.kind))
    }

    /// Is there nothing to wait for before the first set?
    pub(super) fn is_settled(&self) -> bool {
        self.listed || self.is_forbidden()
    }

    fn standing(&self, options: &ClusterOptions) -> Standing {
        let spare = self.refused_list || !self.target.kind.namespaced && !options.namespaces.is_empty();
        match &self.failure {
            Some(Failure::Forbidden(_)) if spare => Standing::LeftOut,
            Some(_) => Standing::Lost,
            None if self.listed => Standing::Synced,
            None => Standing::Starting,
        }
    }

    /// What must be known about what is not followed.
    fn problem(&self, options: &ClusterOptions) -> Option<Problem> {
        let Some(Failure::Forbidden(message)) = &self.failure else { return None };
        if self.refused_list {
            return None;
        }
        let (severity, effect) = match self.standing(options) {
            Standing::LeftOut => (Severity::Note, "it is done without"),
            _ => (Severity::Warning, "objects of this kind are not seen"),
        };
        Some(Problem {
            severity,
            code: Code("forbidden-kind"),
            object: None,
            origin: Some(Origin::Cluster),
            field: String::new(),
            message: format!("{}: {message}; {effect}", self.key.kind),
            fix: "allow the gateway's ServiceAccount to get, list and watch it".to_owned(),
        })
    }
}

/// What is to be said of everything that is followed.
pub(super) fn problems(
    courses: &BTreeMap<usize, Course>,
    options: &ClusterOptions,
) -> impl Iterator<Item = Problem> {
    courses.values().filter_map(|course| course.problem(options))
}

/// What is to be said of what objects refer to and that cannot be fetched.
pub(super) fn unread(glimpses: &Glimpses) -> impl Iterator<Item = Problem> {
    glimpses.complaints().map(|(id, failure)| Problem {
        severity: Severity::Error,
        code: Code("unread-object"),
        object: Some(id.clone()),
        origin: Some(Origin::Cluster),
        field: String::new(),
        message: format!("it cannot be read: {failure}"),
        fix: "allow the gateway's ServiceAccount to get it".to_owned(),
    })
}

/// How the cluster is known. A kind that is followed in several places is as the worst of them.
pub(super) fn state(
    courses: &BTreeMap<usize, Course>,
    complete: bool,
    error: Option<&String>,
    options: &ClusterOptions,
) -> SourceState {
    let severity = |standing: Standing| match standing {
        Standing::LeftOut => 0,
        Standing::Synced => 1,
        Standing::Starting => 2,
        Standing::Lost => 3,
    };
    let mut state = SourceState { complete, error: error.cloned(), ..SourceState::cluster() };
    for course in courses.values() {
        let next = KindState {
            standing: course.standing(options),
            since: course.since,
            error: course.failure.as_ref().map(ToString::to_string),
        };
        let known = state.kinds.entry(course.key.kind.to_owned()).or_insert_with(|| next.clone());
        if severity(next.standing) > severity(known.standing) {
            *known = next;
        }
    }
    // What is read by name is no worse for it.
    for course in courses.values().filter(|course| course.target.kind.need == Need::Referenced) {
        if let Some(known) = state.kinds.get_mut(course.key.kind).filter(|known| known.is_good()) {
            known.error = None;
        }
    }
    state
}
