//! HTTP as Istio's ingress gateway speaks it to clients.

use plenipo_model::{ClientCertDetails, ClientCertHeader, Forwarding, HttpServer, PathPolicy, Source};

use super::mesh::{ForwardClientCert, Mesh};

/// All but its hosts, which each listener has of its own.
pub(super) fn template(mesh: &Mesh) -> HttpServer {
    let topology = &mesh.topology;
    let headers = mesh.proxy.proxy_headers.clone().unwrap_or_default();
    let server = headers.server.unwrap_or_default();
    let name = (server.disabled != Some(true))
        .then(|| server.value.filter(|name| !name.is_empty()).unwrap_or_else(|| "istio-envoy".to_owned()));
    let hidden = headers.envoy_debug_headers.is_some_and(|switch| switch.disabled == Some(true));
    HttpServer {
        forwarding: Forwarding { use_remote_address: true, trusted_hops: topology.trusted_proxies },
        path: path_policy(mesh),
        server_name: name,
        keep_request_id: true,
        http10: mesh.proxy.proxy_metadata.get("ISTIO_META_HTTP10").is_some_and(|value| value == "1"),
        suppress_envoy_headers: hidden,
        attempt_count: headers.attempt_count.is_none_or(|switch| switch.disabled != Some(true)),
        client_cert: client_cert(topology.client_cert),
        ..HttpServer::new(Source::new("gateway"), Vec::new())
    }
}

/// `pathNormalization`; by default what RFC 3986 says, and no more.
fn path_policy(mesh: &Mesh) -> PathPolicy {
    let written = mesh.config.path_normalization.as_ref();
    let usual = PathPolicy::default();
    match written.and_then(|written| written.normalization.as_deref()).unwrap_or("DEFAULT") {
        "NONE" => PathPolicy { as_written: true, ..usual },
        "MERGE_SLASHES" => PathPolicy { merge_slashes: true, ..usual },
        "DEFAULT" | "BASE" => usual,
        // What is not understood was meant to protect, too.
        _ => PathPolicy { merge_slashes: true, decode_escaped_slashes: true, ..usual },
    }
}

fn client_cert(mode: ForwardClientCert) -> ClientCertHeader {
    let details = ClientCertDetails { subject: true, cert: true, chain: false, dns: true, uri: true };
    match mode {
        ForwardClientCert::Sanitize => ClientCertHeader::Sanitize,
        ForwardClientCert::ForwardOnly => ClientCertHeader::ForwardOnly,
        ForwardClientCert::AppendForward => ClientCertHeader::AppendForward(details),
        ForwardClientCert::SanitizeSet => ClientCertHeader::SanitizeSet(details),
        ForwardClientCert::AlwaysForwardOnly => ClientCertHeader::AlwaysForwardOnly,
    }
}
