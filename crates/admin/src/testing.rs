//! A state for the tests of this crate: a real data plane that serves nothing yet.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use plenipo_model::Edge;
use plenipo_proxy::Proxy;
use plenipo_resources::{Report, Set, SourceState};
use tokio::sync::watch;

use crate::state::{Identity, LogLevel, Published, State, StatusNumbers, StatusWriter};

/// A state, and the way to publish into it.
pub(crate) fn state() -> (State, watch::Sender<Option<Arc<Published>>>) {
    let (publish, published) = watch::channel(None);
    let proxy = Proxy::start(plenipo_proxy::Settings { workers: 1, ..Default::default() }).unwrap();
    let level = Arc::new(Mutex::new("info".to_owned()));
    let written = Arc::clone(&level);
    let state = State {
        identity: Identity {
            version: "1.2.3",
            ambassador_id: "default".into(),
            namespace: "default".into(),
            single_namespace: false,
            hostname: "here".into(),
        },
        published,
        source: watch::channel(Arc::new(SourceState::directory("conf"))).1,
        status: Some(StatusWriter::new(|| StatusNumbers {
            leads: true,
            writes: vec![("written", 7)],
            ..StatusNumbers::default()
        })),
        proxy: proxy.handle(),
        log_level: LogLevel::new(
            move || level.lock().unwrap().clone(),
            move |filter| {
                if filter.contains('=') {
                    return Err("no filters here".into());
                }
                filter.clone_into(&mut written.lock().unwrap());
                Ok(())
            },
        ),
        token: None,
        started: (Instant::now(), SystemTime::now()),
    };
    // The threads of the data plane live as long as the test.
    std::mem::forget(proxy);
    (state, publish)
}

/// An edge as it was published.
pub(crate) fn published(edge: Edge) -> Published {
    Published {
        revision: 1,
        edge: Arc::new(edge),
        report: Report::default(),
        set: Set::default(),
        broken: Vec::new(),
        unbound: Vec::new(),
        at: SystemTime::now(),
        translated_in: Duration::from_millis(2),
        built_in: Duration::from_millis(3),
    }
}
