//! Limits on what clients send, and how long they may take.

use std::time::Duration;

use serde::Serialize;

/// Sizes and times of HTTP behind one chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct HttpLimits {
    /// Bytes of a request's head; more is 431. Default 60 KiB.
    pub header_bytes: usize,
    /// Fields of a request's head; more is 431. Default 100.
    pub header_fields: usize,
    /// Bytes of a request's target; more is 414. Default 16 KiB.
    pub target_bytes: usize,
    /// Bytes of a request's body; more is 413. None = no limit.
    pub body_bytes: Option<u64>,
    /// From the first byte of a head to its last. Default 10 s.
    #[serde(with = "crate::duration")]
    pub header_timeout: Duration,
    /// A connection without a request is closed after so long. Default 1 h.
    #[serde(with = "crate::duration")]
    pub idle_timeout: Duration,
    /// A connection takes no new request after so long; none = no limit.
    #[serde(with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Duration>,
    /// Streams of one HTTP/2 connection. Default 100.
    pub max_streams: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_bytes: 60 * 1024,
            header_fields: 100,
            target_bytes: 16 * 1024,
            body_bytes: None,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(3600),
            lifetime: None,
            max_streams: 100,
        }
    }
}

impl HttpLimits {
    /// Those of an Application Load Balancer: 16 KiB of request line, 64 KiB of head, 60 s for a head and between
    /// requests, an hour for a connection, 128 streams.
    pub fn balancer() -> Self {
        Self {
            header_bytes: 64 * 1024,
            header_fields: 1000,
            header_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            lifetime: Some(Duration::from_secs(3600)),
            max_streams: 128,
            ..Self::default()
        }
    }
}
