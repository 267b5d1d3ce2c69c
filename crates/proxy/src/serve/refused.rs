//! The record of what the codec (or the gate before it) refused without asking anybody.

use std::rc::Rc;
use std::sync::Arc;

use http::{Method, Version};

use super::HttpConnection;
use super::begun::Begun;
use super::response::Finish;
use crate::exchange::Exchange;
use crate::refusal::RefusedRequest;
use crate::snapshot::CompiledHttp;
use crate::tcp;
use crate::{http1, http2};

/// An HTTP/1 connection has ended: was a request refused with it? One whose head got through has an exchange of its own
/// that tells.
pub(super) fn http1(http: &Rc<HttpConnection>, server: &Arc<CompiledHttp>, error: Option<&http1::Error>) {
    let by_codec = error.and_then(RefusedRequest::by_codec);
    match http.activity.refused.get() {
        // The gate knows better what the codec was made to refuse; and what it answered itself the codec never saw.
        Some(refused) if by_codec.is_some() || refused.details == RefusedRequest::SLOW => {
            request(http, server, *refused);
        }
        _ => by_codec.into_iter().for_each(|refused| request(http, server, refused)),
    }
}

/// Counts a refused request, and gives it its line.
pub(super) fn request(http: &Rc<HttpConnection>, server: &Arc<CompiledHttp>, refused: RefusedRequest) {
    let mut exchange = Box::new(Exchange::begin(&http.facts));
    exchange.begun = refused.since;
    exchange.started -= refused.since.elapsed();
    exchange.status = refused.status.as_u16();
    (exchange.flags, exchange.details) = (refused.flag, refused.details);
    // Nobody knows; and it is counted as no known one.
    exchange.method = Method::from_bytes(b"-").expect("a token");
    let exchange = Begun::new(http, server, exchange).answered();
    Finish::new(http, server, None, exchange).end(true);
}

/// An HTTP/2 connection that we ended because its frames break the rules. Its requests tell their own end.
pub(super) fn http2(http: &HttpConnection, server: &CompiledHttp, error: &http2::Error) {
    let http2::Error::Over(http2::Over::Broken(reason)) = error else { return };
    let calm = *reason == h2::Reason::ENHANCE_YOUR_CALM;
    let reason = if calm { "http2_flood" } else { "http2_protocol_error" };
    http.meter.refused(reason);
    let mut exchange = Exchange::begin(&http.facts);
    (exchange.version, exchange.flags, exchange.details) = (Version::HTTP_2, "DPE", reason);
    tcp::report(&http.worker, server.log.as_deref(), &exchange);
}
