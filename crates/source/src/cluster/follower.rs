//! The task that follows a cluster: hears what the watchers tell, and makes sets of it.

mod courses;
mod fetching;
mod served;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use plenipo_resources::{ObjectId, Set, SourceState};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch as channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{debug, info, warn};

use super::ClusterOptions;
use super::api::{Failure, Target};
use super::discovery::Served;
use super::glimpses::Glimpses;
use super::kinds::{KINDS, Kind, Need};
use super::plan::Key;
use super::standing::{Course, problems, state, unread};
use super::store::Store;
use super::watch::{Item, News, Place};

/// So long the cluster may take to say what it serves.
const DISCOVERY: Duration = Duration::from_secs(10);

/// At least so long from one set to the next: however much changes, the rest of the program is not asked more often.
const BETWEEN_SETS: Duration = Duration::from_millis(20);

/// Objects that are fetched at the same time.
const FETCHES: usize = 8;

/// News that wait to be heard, and that are heard in one go.
const NEWS: usize = 256;

/// What a task comes back with.
enum Done {
    Served(Result<Served, String>),
    Fetched(Box<Fetched>),
}

/// What came of fetching an object.
struct Fetched {
    id: ObjectId,
    /// The version that was seen when it was asked for.
    version: String,
    target: Target,
    answer: Result<Option<Value>, Failure>,
}

/// Follows a cluster.
pub(super) struct Follower {
    client: Client,
    options: ClusterOptions,
    sets: channel::Sender<Option<Arc<Set>>>,
    states: channel::Sender<Arc<SourceState>>,
    store: Store,
    glimpses: Glimpses,
    /// What the cluster serves; none before it has been asked.
    served: Option<Served>,
    /// Kinds that were served and are not, as often as that was said.
    vanished: BTreeMap<&'static str, u32>,
    /// What keeps us from knowing what the cluster serves.
    error: Option<String>,
    /// Is it being asked?
    asking: bool,
    /// Everything that is followed, by the number that its news come with.
    courses: BTreeMap<usize, Course>,
    next_number: usize,
    /// Whether the plan may not be what it was.
    replan: bool,
    has_mesh: bool,
    complete: bool,
    /// Whether something is not followed for another reason than that we may not.
    lost: bool,
    published: Option<Instant>,
    tasks: JoinSet<()>,
    errands: JoinSet<Done>,
    permits: Arc<Semaphore>,
    news: mpsc::Sender<(usize, News)>,
    inbox: mpsc::Receiver<(usize, News)>,
}

impl Follower {
    pub(super) fn new(
        client: Client,
        options: ClusterOptions,
        sets: channel::Sender<Option<Arc<Set>>>,
        states: channel::Sender<Arc<SourceState>>,
    ) -> Self {
        let (news, inbox) = mpsc::channel(NEWS);
        Self {
            client,
            store: Store::new(options.gateways.clone(), &options.needed),
            options,
            sets,
            states,
            glimpses: Glimpses::default(),
            served: None,
            vanished: BTreeMap::new(),
            error: None,
            asking: false,
            courses: BTreeMap::new(),
            next_number: 0,
            replan: false,
            has_mesh: false,
            complete: false,
            lost: false,
            published: None,
            tasks: JoinSet::new(),
            errands: JoinSet::new(),
            permits: Arc::new(Semaphore::new(FETCHES)),
            news,
            inbox,
        }
    }

    /// Runs until nobody listens any more.
    pub(super) async fn run(mut self) {
        let mut tick = interval(self.options.discovery);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.due();
            tokio::select! {
                Some((number, news)) = self.inbox.recv() => {
                    self.hear(number, news);
                    for _ in 1..NEWS {
                        let Ok((number, news)) = self.inbox.try_recv() else { break };
                        self.hear(number, news);
                    }
                }
                Some(done) = self.errands.join_next(), if !self.errands.is_empty() => {
                    // A task that panicked is a mistake of ours; what it was to do is tried again with the next.
                    if let Ok(done) = done {
                        self.done(done);
                    }
                }
                _ = tick.tick() => {
                    self.discover();
                    let again = self.glimpses.again();
                    again.into_iter().for_each(|(id, version)| self.fetch(id, version));
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.publish(),
                () = self.sets.closed() => return,
            }
            // The watchers that ended are of no interest.
            while self.tasks.try_join_next().is_some() {}
            self.settle();
        }
    }

    /// When the next set is due, if one is.
    fn due(&self) -> Option<Instant> {
        let is_due = self.complete && (self.store.is_changed() || self.published.is_none());
        let earliest = self.published.map_or_else(Instant::now, |published| published + BETWEEN_SETS);
        is_due.then_some(earliest)
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Served(Ok(served)) => {
                self.asking = false;
                if self.error.take().is_some() {
                    info!("the cluster answers");
                }
                self.learn(served);
            }
            Done::Served(Err(error)) => {
                self.asking = false;
                if self.error.as_ref() != Some(&error) {
                    warn!("the cluster does not say what it serves: {error}");
                }
                self.error = Some(error);
            }
            Done::Fetched(fetched) => self.fetched(*fetched),
        }
    }

    fn hear(&mut self, number: usize, news: News) {
        let Some(course) = self.courses.get_mut(&number) else { return };
        let was_forbidden = course.is_forbidden();
        let (key, kind) = (course.key.clone(), course.target.kind);
        match news {
            News::Listed(items) => {
                self.replan |= course.is_back();
                self.list(&key, kind, items);
            }
            News::Changed(place, item) => self.change(kind, place, item),
            News::Gone(place) => self.lose(kind, &place),
            News::Back => self.replan |= course.is_back(),
            News::Lost(failure) => {
                let is_missing = matches!(failure, Failure::Missing(_));
                self.replan |= course.is_lost(failure);
                if is_missing {
                    self.discover();
                }
            }
        }
        if self.courses.get(&number).is_some_and(|course| course.is_forbidden() != was_forbidden) {
            // What we may not read is a problem of the set.
            self.store.touch();
        }
    }

    /// All there is: what is not among them is no more.
    fn list(&mut self, key: &Key, kind: &'static Kind, items: Vec<(Place, Item)>) {
        let there: BTreeSet<Place> = items.iter().map(|(place, _)| place.clone()).collect();
        let mut gone: BTreeSet<Place> = BTreeSet::new();
        gone.extend(self.store.places(kind.name).cloned());
        let glimpsed = self.glimpses.of_kind(kind.name);
        gone.extend(glimpsed.map(|id| (id.namespace.to_string(), id.name.to_string())));
        gone.retain(|place| key.covers(&place.0, &place.1) && !there.contains(place));
        gone.iter().for_each(|place| self.lose(kind, place));
        items.into_iter().for_each(|(place, item)| self.change(kind, place, item));
    }

    fn change(&mut self, kind: &'static Kind, place: Place, item: Item) {
        match item {
            Item::Whole(decoded) => self.store.put(kind.name, place, *decoded),
            Item::Glimpse(glimpse) => {
                let id = ObjectId::new(kind.name, &place.0, &place.1);
                self.glimpses.see(id.clone(), glimpse);
                self.pursue([id]);
            }
        }
    }

    fn lose(&mut self, kind: &'static Kind, place: &Place) {
        if kind.need == Need::Referenced {
            let id = ObjectId::new(kind.name, &place.0, &place.1);
            self.glimpses.lose(&id);
            self.pursue([id]);
        }
        self.store.remove(kind.name, place);
    }

    /// Draws the conclusions from whatever was heard.
    fn settle(&mut self) {
        if self.store.wants_changed() {
            let ids: BTreeSet<ObjectId> = self.store.wanted().chain(self.glimpses.read()).cloned().collect();
            self.pursue(ids);
            self.replan |= self.courses.values().any(|course| course.refused_list);
        }
        let has_mesh = KINDS.iter().any(|kind| kind.is_of_mesh() && self.store.count(kind.name) > 0);
        // It is not given up again: objects that come back would find the gateway knowing no pods.
        if has_mesh && !self.has_mesh {
            self.has_mesh = true;
            self.replan = true;
        }
        if std::mem::take(&mut self.replan) {
            self.plan();
        }
        if !self.complete && self.is_complete() {
            self.complete = true;
            info!(kinds = self.served.as_ref().map_or(0, BTreeMap::len), "the cluster was read");
        }
        self.tell();
        if self.due().is_some_and(|due| due <= Instant::now()) {
            self.publish();
        }
    }

    fn is_complete(&self) -> bool {
        self.served.is_some() && self.courses.values().all(Course::is_settled) && !self.glimpses.is_waiting()
    }

    /// Says how it is going, to the log only what is new.
    fn tell(&mut self) {
        let state = state(&self.courses, self.complete, self.error.as_ref(), &self.options);
        let lost = self.courses.values().find_map(Course::lost);
        match &lost {
            Some(why) if !self.lost => warn!("changes of the cluster are not noticed: {why}"),
            None if self.lost => info!("changes of the cluster are noticed again"),
            _ => {}
        }
        self.lost = lost.is_some();
        self.states.send_if_modified(|last| {
            let is_new = **last != state;
            if is_new {
                *last = Arc::new(state);
            }
            is_new
        });
    }

    fn publish(&mut self) {
        let problems = problems(&self.courses, &self.options).chain(unread(&self.glimpses));
        let set = self.store.set(problems);
        self.published = Some(Instant::now());
        debug!(objects = set.objects().len(), "the cluster changed");
        self.sets.send_replace(Some(Arc::new(set)));
    }
}
