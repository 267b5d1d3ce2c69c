//! Faults put in on purpose, to see how clients bear them.

use std::time::Duration;

use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::duration;
use crate::matching::Fraction;

/// What goes wrong on purpose, once for each request, before anything is sent upstream. Clients have no say in it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Fault {
    /// This part of the requests waits for so long first.
    #[serde(serialize_with = "delay", skip_serializing_if = "Option::is_none")]
    pub delay: Option<(Fraction, Duration)>,
    /// This part of the requests is answered here, after its delay. Drawn apart from the delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<(Fraction, Abort)>,
}

/// The answer to a request that is not let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Abort {
    /// This status.
    Http(#[serde(serialize_with = "as_u16")] StatusCode),
    /// This gRPC status; clients that do not speak gRPC get the HTTP status that stands for it.
    Grpc(u32),
}

fn delay<S: Serializer>(delay: &Option<(Fraction, Duration)>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Delay {
        part: Fraction,
        #[serde(with = "duration")]
        time: Duration,
    }
    delay.map(|(part, time)| Delay { part, time }).serialize(serializer)
}

fn as_u16<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
