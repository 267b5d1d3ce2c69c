//! Where sets come from: a directory or a cluster.

use std::sync::Arc;

use anyhow::Context;
use kube::Client;
use plenipo_resources::{Set, SourceState};
use plenipo_source::{Following, cluster};
use tokio::sync::watch;

use crate::exit::Ending;
use crate::settings::Place;

/// Where sets come from.
pub(super) struct Sets {
    feed: Feed,
    /// How well it knows what there is.
    pub(super) state: watch::Receiver<Arc<SourceState>>,
    /// The cluster, if it is one.
    pub(super) client: Option<Client>,
}

enum Feed {
    Directory(watch::Receiver<Arc<Set>>, Following),
    Cluster(watch::Receiver<Option<Arc<Set>>>),
}

impl Sets {
    /// Begins to read.
    ///
    /// # Errors
    /// When the directory cannot be read, or it cannot be known which cluster.
    pub(super) async fn open(place: &Place) -> anyhow::Result<Self> {
        match place {
            Place::Directory(path) => {
                let (sets, following) =
                    plenipo_source::follow(path).map_err(|error| Ending::unreadable(error.to_string()))?;
                let state = SourceState::directory(&path.display().to_string());
                let (_, state) = watch::channel(Arc::new(state));
                Ok(Self { feed: Feed::Directory(sets, following), state, client: None })
            }
            Place::Cluster(access, options) => {
                let client = cluster::connect(access).await;
                let client = client.map_err(|error| Ending::unreadable(error.to_string()))?;
                let (sets, state) = cluster::follow(client.clone(), options.clone());
                Ok(Self { feed: Feed::Cluster(sets), state, client: Some(client) })
            }
        }
    }

    /// The first set, when there is one.
    pub(super) async fn first(&mut self) -> anyhow::Result<Arc<Set>> {
        match &mut self.feed {
            Feed::Directory(sets, _) => Ok(Arc::clone(&sets.borrow_and_update())),
            Feed::Cluster(sets) => {
                let set =
                    sets.wait_for(Option::is_some).await.context("the cluster is no longer followed")?;
                set.clone().context("there is a set")
            }
        }
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> anyhow::Result<Arc<Set>> {
        match &mut self.feed {
            Feed::Directory(sets, _) => {
                sets.changed().await.context("the directory is no longer followed")?;
                Ok(Arc::clone(&sets.borrow_and_update()))
            }
            Feed::Cluster(sets) => {
                sets.changed().await.context("the cluster is no longer followed")?;
                sets.borrow_and_update().clone().context("there is a set")
            }
        }
    }

    /// Looks at everything again, as after SIGHUP. A cluster tells of its own accord.
    pub(super) fn rescan(&self) {
        if let Feed::Directory(_, following) = &self.feed {
            following.rescan();
        }
    }
}
