//! What became of objects, told to whoever writes it back to the cluster.

use std::sync::Arc;

use kube::Client;
use plenipo_admin::{Published, StatusNumbers, StatusWriter};
use plenipo_status::{Fault, FaultKind, Handle, Options, Outcome};
use tokio::sync::watch;

/// Begins to write what is published. `translation` is what says which Ingresses are ours.
pub(super) fn keep(
    client: Client,
    options: Options,
    translation: plenipo_translate::Options,
    mut published: watch::Receiver<Option<Arc<Published>>>,
) -> Handle {
    let (tell, outcomes) = watch::channel(None);
    tokio::spawn(async move {
        while published.changed().await.is_ok() {
            let now = published.borrow_and_update().clone();
            if let Some(now) = now {
                tell.send_replace(Some(Arc::new(outcome(&now, &translation))));
            }
        }
    });
    plenipo_status::keep(client, options, outcomes)
}

/// For the page of metrics.
pub(super) fn numbers(handle: &Handle) -> StatusWriter {
    let gauge = handle.gauge();
    StatusWriter::new(move || StatusNumbers {
        leads: gauge.leads(),
        writes: gauge.writes(),
        waiting: gauge.waiting(),
        events: gauge.events(),
    })
}

fn outcome(published: &Published, translation: &plenipo_translate::Options) -> Outcome {
    let broken = published.broken.iter().map(|(source, why)| Fault {
        source: source.as_str().to_owned(),
        kind: FaultKind::NotCompiled,
        message: why.clone(),
    });
    let unbound = published.unbound.iter().flat_map(|(address, why)| {
        let at_address = published.edge.listeners.iter().filter(move |listener| listener.bind == *address);
        at_address.map(move |listener| Fault {
            source: listener.source.as_str().to_owned(),
            kind: FaultKind::NotBound,
            message: why.clone(),
        })
    });
    Outcome {
        set: published.set.clone(),
        report: published.report.clone(),
        serving: published.unbound.len() < published.edge.listeners.len(),
        faults: broken.chain(unbound).collect(),
        addresses: Arc::new(plenipo_translate::ingress_addresses(&published.set, translation)),
    }
}
