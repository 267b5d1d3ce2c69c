//! Faults put in on purpose, before anything is sent upstream.

use http::{HeaderName, HeaderValue, StatusCode, header};
use plenipo_model::{Abort, Fault};

use super::grpc;
use crate::fields::Fields;
use crate::message::RequestHead;
use crate::random::Random;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// What a request that is not let through is answered: a status and, for gRPC, fields that tell of a failed call.
pub(super) struct Aborted {
    pub(super) status: StatusCode,
    pub(super) fields: Fields,
}

/// Waits, if the draw says so, and tells whether the request then goes on: what it is answered if not, and whether it waited.
/// (Envoy lets clients ask for faults by `x-envoy-fault-*`; here they have no say.)
pub(super) async fn befall(fault: &Fault, random: &Random, request: &RequestHead) -> (bool, Option<Aborted>) {
    let draw = || (random.next() >> 32) as u32;
    let wait = fault.delay.filter(|(part, _)| part.draws(draw()));
    if let Some((_, time)) = wait {
        tokio::time::sleep(time).await;
    }
    let abort = fault.abort.filter(|(part, _)| part.draws(draw()));
    (wait.is_some(), abort.map(|(_, abort)| aborted(abort, grpc::is_call(&request.headers))))
}

fn aborted(abort: Abort, grpc: bool) -> Aborted {
    match abort {
        Abort::Http(status) if grpc => aborted(Abort::Grpc(grpc_status(status)), grpc),
        Abort::Http(status) => Aborted { status, fields: Fields::new() },
        Abort::Grpc(code) if grpc => {
            let mut fields = Fields::new();
            fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            fields.insert(GRPC_STATUS, HeaderValue::from(code));
            fields.insert(GRPC_MESSAGE, HeaderValue::from_static("fault filter abort"));
            Aborted { status: StatusCode::OK, fields }
        }
        Abort::Grpc(code) => Aborted { status: http_status(code), fields: Fields::new() },
    }
}

/// The HTTP status that stands for a gRPC status (Envoy's table).
fn http_status(code: u32) -> StatusCode {
    match code {
        0 => StatusCode::OK,
        1 => StatusCode::from_u16(499).expect("three digits"),
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        4 => StatusCode::GATEWAY_TIMEOUT,
        5 => StatusCode::NOT_FOUND,
        6 | 10 => StatusCode::CONFLICT,
        7 => StatusCode::FORBIDDEN,
        8 => StatusCode::TOO_MANY_REQUESTS,
        12 => StatusCode::NOT_IMPLEMENTED,
        14 => StatusCode::SERVICE_UNAVAILABLE,
        16 => StatusCode::UNAUTHORIZED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The gRPC status that stands for an HTTP status ("HTTP to gRPC status code mapping").
fn grpc_status(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}
