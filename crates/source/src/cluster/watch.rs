//! One kind (of one namespace, or one object), listed and followed.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use futures_util::StreamExt;
use kube::Client;
use kube::core::WatchEvent;
use plenipo_resources::{Decoded, Origin, decode};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::api::{self, Failure, SILENCE, Target};
use super::shape;

/// Between two attempts: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Rights change seldom, and somebody has to change them.
const PAUSE_WHEN_FORBIDDEN: Duration = Duration::from_secs(10);

/// So often something must be refused before it is believed: rights that were granted just now are not yet everywhere.
const REFUSALS: u32 = 3;

/// Where an object is: namespace (empty where there is none) and name.
pub(super) type Place = (String, String);

/// What is known of an object.
#[derive(Debug)]
pub(super) enum Item {
    /// Everything.
    Whole(Box<Decoded>),
    /// That it is there.
    Glimpse(Glimpse),
}

/// What is known of an object that nobody has asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Glimpse {
    /// `metadata.resourceVersion`.
    pub(super) version: String,
    pub(super) labels: BTreeMap<String, String>,
}

/// What a watcher tells.
#[derive(Debug)]
pub(super) enum News {
    /// All there is.
    Listed(Vec<(Place, Item)>),
    /// One that is new, or not what it was.
    Changed(Place, Item),
    /// One that is no more.
    Gone(Place),
    /// Changes are noticed again.
    Back,
    /// Changes are not noticed, for this reason.
    Lost(Failure),
}

/// Follows one kind until it is aborted. `versions` of the kind are those that the cluster serves, best first.
pub(super) async fn run(
    client: Client,
    mut target: Target,
    versions: Vec<&'static str>,
    news: mpsc::Sender<(usize, News)>,
    number: usize,
) {
    let mut watcher = Watcher { client, pause: Pause::default(), refusals: 0, lost: false, news, number };
    loop {
        let failure = match watcher.list(&target).await {
            Ok((items, version)) => {
                watcher.tell(News::Listed(items)).await;
                watcher.settle();
                let Some(failure) = watcher.follow(&target, version).await else { continue };
                failure
            }
            Err(failure) => failure,
        };
        if let Failure::Unconvertible(_) = failure {
            // The version it is stored in needs no conversion.
            let at = versions.iter().position(|version| *version == target.version).unwrap_or(0);
            target.version = versions.get(at + 1).or(versions.first()).copied().unwrap_or(target.version);
        }
        watcher.fail(failure).await;
    }
}

struct Watcher {
    client: Client,
    pause: Pause,
    /// How often in a row we were not allowed to ask.
    refusals: u32,
    /// Whether everybody knows that changes are not noticed.
    lost: bool,
    news: mpsc::Sender<(usize, News)>,
    number: usize,
}

impl Watcher {
    async fn tell(&self, news: News) {
        // Nobody listens any more when the follower is gone, and this task with it.
        drop(self.news.send((self.number, news)).await);
    }

    fn settle(&mut self) {
        self.pause = Pause::default();
        self.refusals = 0;
        self.lost = false;
    }

    /// Says that changes are not noticed, and waits before the next attempt.
    async fn fail(&mut self, failure: Failure) {
        let forbidden = matches!(failure, Failure::Forbidden(_));
        self.refusals = if forbidden { self.refusals + 1 } else { 0 };
        let believed = forbidden && self.refusals >= REFUSALS;
        let pause = if believed { PAUSE_WHEN_FORBIDDEN } else { self.pause.next() };
        if !forbidden || believed {
            self.lost = true;
            self.tell(News::Lost(failure)).await;
        }
        sleep(pause).await;
    }

    /// All there is, and the version that it is of.
    async fn list(&self, target: &Target) -> Result<(Vec<(Place, Item)>, String), Failure> {
        let (mut items, mut next) = (Vec::new(), None);
        loop {
            let page = api::page(&self.client, target, next).await?;
            items.extend(page.items.into_iter().flatten().filter_map(|value| read(target, value)));
            if page.metadata.next.is_empty() {
                return Ok((items, page.metadata.resource_version));
            }
            next = Some(page.metadata.next);
        }
    }

    /// Follows from a version on, again and again. Returns when a new list is needed, with what went wrong if that is
    /// more than time having passed.
    async fn follow(&mut self, target: &Target, mut version: String) -> Option<Failure> {
        loop {
            let begin = Instant::now();
            let failure = match api::watch(&self.client, target, &version).await {
                Ok(events) => {
                    if self.lost {
                        self.tell(News::Back).await;
                    }
                    self.settle();
                    self.events(target, events, &mut version).await
                }
                Err(failure) => Err(failure),
            };
            match failure {
                // Whoever ends every watch at once is asked at a leisurely pace.
                Ok(()) if begin.elapsed() < FIRST_PAUSE => sleep(self.pause.next()).await,
                Ok(()) => {}
                Err(Failure::Expired) => return None,
                Err(failure @ (Failure::Missing(_) | Failure::Unconvertible(_))) => return Some(failure),
                Err(failure) => self.fail(failure).await,
            }
        }
    }

    /// Passes on what comes of one watch until it ends.
    async fn events(
        &self,
        target: &Target,
        mut events: api::Events,
        version: &mut String,
    ) -> Result<(), Failure> {
        // A peer that is gone without a word is taken for one that ended the watch: the next attempt will show.
        while let Ok(Some(event)) = timeout(SILENCE, events.next()).await {
            let (value, is_gone) = match event? {
                WatchEvent::Added(value) | WatchEvent::Modified(value) => (value, false),
                WatchEvent::Deleted(value) => (value, true),
                WatchEvent::Bookmark(bookmark) => {
                    *version = bookmark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(status) => return Err(Failure::of_status(&status)),
            };
            if let Some(reached) = resource_version(&value) {
                *version = reached.to_owned();
            }
            if is_gone {
                if let Some(place) = place(&value) {
                    self.tell(News::Gone(place)).await;
                }
            } else if let Some((place, item)) = read(target, value) {
                self.tell(News::Changed(place, item)).await;
            }
        }
        Ok(())
    }
}

fn resource_version(value: &Value) -> Option<&str> {
    value.pointer("/metadata/resourceVersion")?.as_str()
}

fn place(value: &Value) -> Option<Place> {
    let metadata = value.get("metadata")?;
    let namespace = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    Some((namespace.to_owned(), metadata.get("name")?.as_str()?.to_owned()))
}

/// Reads an object as far as it is needed.
pub(super) fn read(target: &Target, value: Value) -> Option<(Place, Item)> {
    let place = place(&value)?;
    if target.is_glimpsed() {
        let version = resource_version(&value).unwrap_or_default().to_owned();
        let labels = value.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        return Some((place, Item::Glimpse(Glimpse { version, labels: labels.collect() })));
    }
    let value = shape::trimmed(target, value);
    Some((place, Item::Whole(Box::new(decode(value, Origin::Cluster)))))
}

/// Longer from one attempt to the next; not the same for all, so that not everything comes at once.
struct Pause {
    next: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: FIRST_PAUSE }
    }
}

impl Pause {
    fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(LONGEST_PAUSE);
        // A hash of nothing is different for every state.
        let chance = RandomState::new().hash_one(0_u8) % 500;
        now.mul_f64(0.75 + f64::from(u32::try_from(chance).unwrap_or(0)) / 1000.0)
    }
}
