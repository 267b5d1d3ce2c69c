//! TLS towards a cluster, and the sessions that connections to its endpoints take up again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;

/// Endpoints whose sessions are kept. When there are more, all begin anew.
const MOST_ENDPOINTS: usize = 1024;
/// Sessions of an endpoint: the last eight for each of 32 names.
const SESSIONS: usize = 256;

/// How a connection to an upstream starts TLS.
///
/// A session is only ever taken up again with the endpoint that it was begun with (no other could), under the same name, by the same
/// rules and with the same certificate of ours: whatever differs in one of these has another `OriginatedTls`. All data
/// threads share it, and so do snapshots as long as these stay as they are.
pub(crate) struct OriginatedTls {
    /// What all connections have in common.
    config: ClientConfig,
    /// The same with the sessions of one endpoint.
    by_endpoint: Mutex<HashMap<SocketAddr, Arc<ClientConfig>>>,
    /// Name to send; none = the address, which is never sent.
    server_name: Option<ServerName<'static>>,
    /// The host of a request stands in its place.
    name_by_host: bool,
}

impl OriginatedTls {
    pub(super) fn new(
        config: ClientConfig,
        server_name: Option<ServerName<'static>>,
        name_by_host: bool,
    ) -> Self {
        Self { config, by_endpoint: Mutex::default(), server_name, name_by_host }
    }

    /// The configuration of connections to this endpoint. (Asked once for each connection, never for a request.)
    pub(crate) fn config(&self, endpoint: SocketAddr) -> Arc<ClientConfig> {
        let mut configs = self.by_endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        if configs.len() >= MOST_ENDPOINTS && !configs.contains_key(&endpoint) {
            configs.clear();
        }
        let config = configs.entry(endpoint).or_insert_with(|| {
            let mut config = self.config.clone();
            config.resumption = Resumption::in_memory_sessions(SESSIONS);
            Arc::new(config)
        });
        Arc::clone(config)
    }

    /// The name to send for a request to that host (which may carry a port).
    pub(crate) fn name_for(&self, host: Option<&str>) -> Option<ServerName<'static>> {
        let host = host.filter(|_| self.name_by_host).map(|host| {
            let bare = host.strip_prefix('[').and_then(|rest| Some(rest.split_once(']')?.0));
            bare.unwrap_or_else(|| host.split(':').next().unwrap_or_default())
        });
        host.and_then(|host| ServerName::try_from(host.to_owned()).ok()).or_else(|| self.server_name.clone())
    }
}

#[cfg(test)]
mod tests {
    use plenipo_model::{Source, TlsClient, UpstreamProtocol};

    use super::*;

    #[test]
    fn each_endpoint_has_sessions_of_its_own_and_not_too_many_are_kept() {
        let model = TlsClient::unverified(Source::new("test"));
        let tls = super::super::originate(&model, UpstreamProtocol::Http1).expect("possible");
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert!(Arc::ptr_eq(&tls.config(at(1)), &tls.config(at(1))));
        assert!(!Arc::ptr_eq(&tls.config(at(1)), &tls.config(at(2))));
        for port in 0..3000 {
            tls.config(at(port));
        }
        assert!(tls.by_endpoint.lock().expect("sound").len() <= MOST_ENDPOINTS);
    }
}
