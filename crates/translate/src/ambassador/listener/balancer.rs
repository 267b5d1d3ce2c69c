//! A Listener behind a load balancer that ends the clients' TLS and tells which certificate they showed.

use std::sync::Arc;

use ipnet::IpNet;
use plenipo_model::{ClientAuth, ClientCertificateFields, ForwardedIdentity, TlsServer};
use plenipo_resources::Object;

use super::super::hosts::HostTls;
use super::super::module::network;
use crate::findings::Flaw;

/// Annotation: how the load balancer tells of certificates.
const CERTIFICATE_FROM: &str = "plenipo.io/client-certificate-from";
/// Annotation: networks of load balancers.
const TRUSTED_PEERS: &str = "plenipo.io/trusted-peers";
const NAME_THEM: &str = "write the networks of the load balancer's subnets, as in 10.0.8.0/21";

/// Who tells which certificate a client showed, and in which fields.
#[derive(Debug, Clone)]
pub(crate) struct ToldBy {
    peers: Vec<IpNet>,
    fields: ClientCertificateFields,
}

impl ToldBy {
    /// What a Listener's annotations say; none when they say nothing.
    ///
    /// # Errors
    /// When anybody could tell anything: the Listener is not opened then.
    pub(super) fn read(listener: &Object) -> Result<Option<Self>, Flaw> {
        let annotations = &listener.meta.annotations;
        let Some(from) = annotations.get(CERTIFICATE_FROM) else { return Ok(None) };
        let fields = match from.trim() {
            "alb-passthrough" => ClientCertificateFields::passthrough(),
            "alb-verify" => ClientCertificateFields::verified(),
            other => {
                let message = format!("'{other}' is no way to tell of client certificates");
                let fix = "write alb-passthrough or alb-verify, as the load balancer is set up";
                return Err(flaw(CERTIFICATE_FROM, message, fix));
            }
        };
        let written = annotations.get(TRUSTED_PEERS).map_or("", String::as_str);
        let words = written.split(',').map(str::trim).filter(|word| !word.is_empty());
        let peers = words.map(peer).collect::<Result<Vec<_>, _>>()?;
        if peers.is_empty() {
            let message = "nothing says who the load balancer is: anybody could show any certificate";
            return Err(flaw(TRUSTED_PEERS, message.to_owned(), NAME_THEM));
        }
        Ok(Some(Self { peers, fields }))
    }
}

fn peer(text: &str) -> Result<IpNet, Flaw> {
    match network(text) {
        Some(network) if network.prefix_len() > 0 => Ok(network),
        Some(_) => {
            let message = format!("'{text}' is everybody: anybody could show any certificate");
            Err(flaw(TRUSTED_PEERS, message, NAME_THEM))
        }
        None => Err(flaw(TRUSTED_PEERS, format!("'{text}' is not a network"), NAME_THEM)),
    }
}

fn flaw(annotation: &str, message: String, fix: &'static str) -> Flaw {
    Flaw::new("bad-client-certificate-source", format!("metadata.annotations.{annotation}"), message, fix)
}

/// What is asked of the clients of a Host: of those who connect to us, and of those that somebody tells of.
pub(super) struct Asked {
    pub(super) tls: HostTls,
    pub(super) identity: Option<Arc<ForwardedIdentity>>,
}

/// The Host's terms for client certificates, put where the certificates are: at our own handshake, or in what the load
/// balancer tells.
pub(super) fn asked(tls: &HostTls, told_by: Option<&ToldBy>) -> Asked {
    if let (HostTls::Terminate(server), Some(told_by)) = (tls, told_by)
        && let (ClientAuth::Required(roots), required) | (ClientAuth::Optional(roots), required) =
            (&server.client_auth, matches!(server.client_auth, ClientAuth::Required(_)))
    {
        let passed_through = matches!(told_by.fields, ClientCertificateFields::Passthrough { .. });
        let identity = ForwardedIdentity {
            from: told_by.peers.clone(),
            fields: told_by.fields.clone(),
            roots: passed_through.then(|| roots.clone()),
            required,
        };
        let server = TlsServer { client_auth: ClientAuth::None, ..(**server).clone() };
        return Asked { tls: HostTls::Terminate(Arc::new(server)), identity: Some(Arc::new(identity)) };
    }
    Asked { tls: tls.clone(), identity: None }
}
