//! Certificates, upstreams and clients for tests.
//!
//! *In:* what a test wants to meet on the other side of the gateway. *Out:* servers on 127.0.0.1 with a free port, clients
//! that show every byte, certificates made for this run, and waiters. Only tests (and the benches) may depend on it; it
//! knows no other crate of ours, so that each of them can use it.
//!
//! What cannot fail in a working test environment (binding a free port, signing a certificate) panics with the reason;
//! what a test may want to see fail (connecting, handshakes, requests) is a `Result`.

pub mod apiserver;
pub mod certs;
pub mod client;
pub mod cluster;
pub mod istiod;
pub mod process;
pub mod proxy_header;
pub mod tls;
pub mod tokens;
pub mod upstream;
pub mod wait;

pub use apiserver::Apiserver;
pub use certs::{Authority, Issued, KeyKind, Leaf};
pub use client::{Http, HttpConnection, Raw, Response};
pub use cluster::Cluster;
pub use istiod::Istiod;
pub use process::Process;
pub use tokens::Signer;
pub use upstream::{Answer, Echoed, Programmed, Scripted, Step, Upstream};
pub use wait::{eventually, free_port};
