//! Copies of the traffic.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Version, header};
use plenipo_model::Balance;

use super::HttpConnection;
use super::forward::{Outgoing, drain};
use crate::body::RequestBody;
use crate::snapshot::clusters::Upstream;
use crate::upstream::balance;
use crate::upstream::pool::LocalCluster;

/// Frames of a body that a copy may lag behind its original.
const COPY_LAG: usize = 64;
/// A copy that nobody answers is given up.
const COPY_TIME: Duration = Duration::from_secs(30);

/// Sends a copy to another cluster and forgets it. Its answer is thrown away; it never delays the original.
pub(super) fn send(
    http: &Rc<HttpConnection>,
    shadow: &Arc<Upstream>,
    outgoing: &Outgoing,
    marked: bool,
    client: Version,
) {
    let protocol = shadow.protocol(client);
    let mut headers = outgoing.headers.clone();
    if marked
        && let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok())
        && let Ok(marked) = HeaderValue::from_str(&match host.split_once(':') {
            Some((name, port)) if !port.contains(':') => format!("{name}-shadow:{port}"),
            _ => format!("{host}-shadow"),
        })
    {
        headers.insert(header::HOST, marked);
    }
    let mut request = outgoing.request(protocol, headers);
    if let Some(inbound) = &outgoing.body {
        let (sender, receiver) = tokio::sync::mpsc::channel(COPY_LAG);
        inbound.borrow_mut().copy_to(sender);
        request.body = RequestBody::copy(receiver);
    }
    let host = outgoing.host().map(str::to_owned);
    let cluster: Rc<LocalCluster> = http.worker.cluster(shadow);
    let (http, shadow) = (Rc::clone(http), Arc::clone(shadow));
    http.worker.tasks.clone().spawn_local(async move {
        let sent = async {
            let endpoints = shadow.live.resolved().await;
            let rule = Balance::RoundRobin;
            let chosen = balance::choose(&endpoints, rule, &cluster.turn, None, |_| 0, &[])?.address;
            let mut lease = cluster
                .lease((chosen, host.as_deref(), protocol), Default::default(), &http.facts, false)
                .await
                .ok()?;
            let response = lease.send(request).await.ok()?;
            drain(response, lease).await;
            Some(())
        };
        // Whatever became of it, nobody waits for it.
        let _ = tokio::time::timeout(COPY_TIME, sent).await;
    });
}
