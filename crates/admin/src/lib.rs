//! Health, metrics and dumps over HTTP.
//!
//! *In:* what was published last ([`Published`], over a watch channel), a handle to the data plane, a way to change the
//! log level. *Out:* answers to probes, to Prometheus and to people, on one address. The binary starts it; everything
//! runs on the control thread.
//!
//! Probes and metrics are for everybody who reaches the address. Dumps and the log level are for the same machine
//! (`kubectl port-forward` counts) or for who shows the token. Nothing here changes what is served, and no answer holds
//! key material: secrets are named by fingerprint.

mod access;
mod answer;
mod diagnostics;
mod exposition;
mod health;
mod metrics;
mod routes;
mod server;
mod state;
#[cfg(test)]
mod testing;

pub use access::Token;
pub use routes::{RouteRow, route_table};
pub use server::Server;
pub use state::{Identity, LogLevel, Published, State, StatusNumbers, StatusWriter};
