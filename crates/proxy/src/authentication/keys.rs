//! Keys that tokens are verified with, and how they come here.

mod fetch;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plenipo_jwt::Keys;
use plenipo_model::{KeySource, RemoteKeys, Source, TokenRule};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub(crate) use fetch::Places;

/// Between two fetches, as istiod has it.
const EVERY: Duration = Duration::from_secs(20 * 60);
/// After a fetch that failed, doubled each time up to the second.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(30);
/// Between two fetches that tokens of unknown keys ask for.
const WISHES: Duration = Duration::from_secs(5);

/// The keys of one source: the last good ones.
#[derive(Debug)]
pub(crate) struct KeySet {
    state: watch::Sender<State>,
    wished: Notify,
    /// Where they are fetched from; none when they were given.
    pub(crate) remote: Option<RemoteKeys>,
    /// Fetches that brought keys, and that did not.
    fetched: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<Keys>>,
    /// Somebody has tried to get them.
    tried: bool,
}

/// All key sets of a snapshot. Those that are fetched live on in the next one.
#[derive(Debug, Default)]
pub(crate) struct KeySets {
    remote: HashMap<RemoteKeys, Arc<KeySet>>,
}

impl KeySets {
    /// The keys of a rule.
    pub(super) fn keys(
        &mut self,
        rule: &TokenRule,
        before: Option<&Self>,
        problems: &mut Vec<(Source, String)>,
    ) -> Arc<KeySet> {
        match &rule.keys {
            KeySource::Remote(remote) => {
                let kept = || before.and_then(|before| before.remote.get(remote)).cloned();
                let known = self.remote.entry(remote.clone());
                Arc::clone(known.or_insert_with(|| kept().unwrap_or_else(|| KeySet::fetched_from(remote))))
            }
            KeySource::Missing(why) => {
                problems.push((rule.source.clone(), format!("tokens of {} are refused: {why}", rule.issuer)));
                KeySet::given(None)
            }
            KeySource::Inline(text) => match Keys::parse(text.as_bytes()) {
                Ok(keys) => KeySet::given(Some(keys)),
                Err(error) => {
                    problems.push((
                        rule.source.clone(),
                        format!("tokens of {} are refused: {error}", rule.issuer),
                    ));
                    KeySet::given(None)
                }
            },
        }
    }

    /// URL of each that is fetched, and how many fetches brought keys and did not.
    pub(crate) fn fetches(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.remote.iter().map(move |(remote, set)| (&*remote.url, count(&set.fetched), count(&set.failed)))
    }

    /// Those that have to be fetched.
    pub(crate) fn remote(&self) -> impl Iterator<Item = &Arc<KeySet>> {
        self.remote.values()
    }
}

impl KeySet {
    fn given(keys: Option<Keys>) -> Arc<Self> {
        Self::new(State { keys: keys.map(Arc::new), tried: true }, None)
    }

    fn fetched_from(remote: &RemoteKeys) -> Arc<Self> {
        Self::new(State::default(), Some(remote.clone()))
    }

    fn new(state: State, remote: Option<RemoteKeys>) -> Arc<Self> {
        Arc::new(Self {
            state: watch::Sender::new(state),
            wished: Notify::new(),
            remote,
            fetched: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// The keys, if there are any. Nobody waits longer than for the first try to get them.
    pub(super) async fn wait(&self) -> Option<Arc<Keys>> {
        if let State { keys, tried: true } = &*self.state.borrow() {
            return keys.clone();
        }
        let limit = self.remote.as_ref().map_or(Duration::ZERO, |remote| remote.timeout);
        let mut changes = self.state.subscribe();
        let tried = tokio::time::timeout(limit, changes.wait_for(|state| state.tried)).await;
        tried.ok()?.ok()?.keys.clone()
    }

    /// A token names a key that is not here.
    pub(super) fn wish(&self) {
        if self.remote.is_some() {
            self.wished.notify_one();
        }
    }

    /// Fetches the keys, again and again.
    pub(crate) async fn keep(self: Arc<Self>, places: Places) {
        let Some(remote) = &self.remote else { return };
        let mut pause = AGAIN;
        loop {
            let began = Instant::now();
            let got = match tokio::time::timeout(remote.timeout, places.keys(remote)).await {
                Ok(got) => got,
                Err(_) => Err(fetch::FetchError::TimedOut(remote.timeout)),
            };
            let wait = match got {
                Ok(keys) => {
                    tracing::debug!(
                        url = remote.url,
                        keys = keys.len(),
                        skipped = keys.skipped(),
                        "keys fetched"
                    );
                    self.fetched.fetch_add(1, Ordering::Relaxed);
                    self.state.send_replace(State { keys: Some(Arc::new(keys)), tried: true });
                    pause = AGAIN;
                    EVERY
                }
                Err(error) => {
                    // The last good ones stay.
                    tracing::warn!(url = remote.url, %error, "keys for tokens cannot be fetched");
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    self.state.send_modify(|state| state.tried = true);
                    let longer = (pause * 2).min(AGAIN_AT_MOST);
                    std::mem::replace(&mut pause, longer)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.wished.notified() => tokio::time::sleep_until(began + WISHES.min(wait)).await,
            }
        }
    }
}
