//! A connection that stops being HTTP: both sides agreed, and from here on bytes are only carried.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header};
use tokio::sync::oneshot;

use super::HttpConnection;
use super::response::{Finish, ResponseBody};
use crate::codec::Incoming;
use crate::http1::server::Upgraded;
use crate::message::Response;
use crate::request;
use crate::snapshot::clusters::Upstream;
use crate::tcp;

/// Passes the upstream's consent to the client, and carries the bytes once it is sent, until nothing moves for
/// `idle_timeout`.
pub(super) fn accept(
    http: &Rc<HttpConnection>,
    mut finish: Box<Finish>,
    idle_timeout: Option<Duration>,
    client: oneshot::Receiver<Upgraded>,
    response: Response<Incoming>,
    reached: (Arc<Upstream>, SocketAddr),
) -> Response<ResponseBody> {
    let Response { head: mut parts, body } = response;
    let upstream = body.into_upgraded();
    let protocol = parts.headers.get(header::UPGRADE).cloned();
    request::strip_hop_by_hop(&mut parts.headers);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        parts.headers.insert(header::UPGRADE, protocol);
    }
    finish.answers(&parts);
    // What follows the client's request head is the new protocol's, not another request.
    http.activity.opaque.set(true);
    let closing = http.worker.draining.clone();
    http.worker.tasks.spawn_local(async move {
        if let (Some(upstream), Ok(client)) = (upstream, client.await) {
            let (cluster, address) = reached;
            let cut = async {
                tokio::select! {
                    why = tcp::told_to_go(&closing) => why,
                    () = cluster.drained(address) => "endpoint_drained",
                }
            };
            finish.carried(tcp::carry(client, upstream, idle_timeout, cut).await);
        }
        finish.end(true);
    });
    Response { head: parts, body: ResponseBody::unrecorded() }
}
