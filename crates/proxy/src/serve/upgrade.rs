//! A connection that stops being HTTP: both sides agreed, and from here on bytes are only carried.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::HttpConnection;
use super::forward::keep_response;
use super::response::{Finish, ResponseBody};
use crate::exchange::Exchange;
use crate::request;
use crate::snapshot::CompiledHttp;
use crate::tcp;
use crate::upstream::pool::{Admission, Lease};

/// Passes the upstream's consent to the client, and carries the bytes once it is sent.
pub(super) fn accept(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    mut exchange: Box<Exchange>,
    client: OnUpgrade,
    response: Response<Incoming>,
    lease: Lease,
    admission: Admission,
) -> Response<ResponseBody> {
    let mut response = response;
    let upstream = hyper::upgrade::on(&mut response);
    let (mut parts, _) = response.into_parts();
    let protocol = parts.headers.get(header::UPGRADE).cloned();
    request::strip_hop_by_hop(&mut parts.headers);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        parts.headers.insert(header::UPGRADE, protocol);
    }
    exchange.status = parts.status.as_u16();
    exchange.details = "via_upstream";
    keep_response(server, &mut exchange, &parts.headers);
    // What follows the client's request head is the new protocol's, not another request.
    http.activity.opaque.store(true, Ordering::Relaxed);
    let mut finish = Finish::new(http, server, None, exchange);
    let closing = http.worker.draining.clone();
    http.worker.tasks.spawn_local(async move {
        if let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) {
            let (client, upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            let carried = tcp::carry(client, upstream, None, &closing).await;
            finish.exchange.bytes_received = carried.up;
            finish.exchange.bytes_sent = carried.down;
        }
        drop(lease);
        drop(admission);
        // Written to the log when the last byte has been carried, as the end of the exchange.
        drop(ResponseBody::whole(Bytes::new(), finish));
    });
    Response::from_parts(parts, ResponseBody::unrecorded())
}
