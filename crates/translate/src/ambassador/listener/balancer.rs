//! A Listener behind load balancers: which of them tells what of a client.

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
/// Annotation: networks of clients that send a PROXY header of their own through a load balancer that puts one before it.
const INNER_PROXY_FROM: &str = "plenipo.io/inner-proxy-from";
const NAME_THEM: &str = "write their networks, as in 10.0.8.0/21";

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
        let peers = networks(TRUSTED_PEERS, annotations.get(TRUSTED_PEERS).map_or("", String::as_str))?;
        Ok(Some(Self { peers, fields }))
    }
}

/// Whose PROXY headers are followed by another one; nobody's when the Listener's annotations do not say.
///
/// # Errors
/// When anybody could send another one: the Listener is not opened then.
pub(super) fn inner_proxy_from(listener: &Object) -> Result<Vec<IpNet>, Flaw> {
    let written = listener.meta.annotations.get(INNER_PROXY_FROM);
    written.map_or(Ok(Vec::new()), |text| networks(INNER_PROXY_FROM, text))
}

fn networks(annotation: &str, text: &str) -> Result<Vec<IpNet>, Flaw> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let networks: Vec<IpNet> = words.map(|word| one_network(annotation, word)).collect::<Result<_, _>>()?;
    if networks.is_empty() {
        let message = "nobody is named: anybody could say anything of a client";
        return Err(flaw(annotation, message.to_owned(), NAME_THEM));
    }
    Ok(networks)
}

fn one_network(annotation: &str, text: &str) -> Result<IpNet, Flaw> {
    match network(text) {
        Some(network) if network.prefix_len() > 0 => Ok(network),
        Some(_) => {
            let message = format!("'{text}' is everybody: anybody could say anything of a client");
            Err(flaw(annotation, message, NAME_THEM))
        }
        None => Err(flaw(annotation, format!("'{text}' is not a network"), NAME_THEM)),
    }
}

fn flaw(annotation: &str, message: String, fix: &'static str) -> Flaw {
    Flaw::new("bad-load-balancer", format!("metadata.annotations.{annotation}"), message, fix)
}

/// What is asked of the clients of a Host: of those who connect to us, and of those that somebody tells of.
pub(super) struct Asked {
    pub(super) tls: HostTls,
    pub(super) identity: Option<Arc<ForwardedIdentity>>,
}

/// The Host's terms for client certificates, put where the certificates are: at our own handshake, or in what the load
/// balancer tells. Where a Host has none, nobody but the load balancer may tell its upstreams either.
pub(super) fn asked(tls: &HostTls, told_by: Option<&ToldBy>) -> Asked {
    let Some(told_by) = told_by else { return Asked { tls: tls.clone(), identity: None } };
    let mut identity = ForwardedIdentity {
        from: told_by.peers.clone(),
        fields: ClientCertificateFields::None,
        roots: None,
        required: false,
    };
    let mut asked = Asked { tls: tls.clone(), identity: None };
    if let HostTls::Terminate(server) = tls
        && let ClientAuth::Required(roots) | ClientAuth::Optional(roots) = &server.client_auth
    {
        identity.fields = told_by.fields.clone();
        let passed_through = matches!(told_by.fields, ClientCertificateFields::Passthrough { .. });
        identity.roots = passed_through.then(|| roots.clone());
        identity.required = matches!(server.client_auth, ClientAuth::Required(_));
        let server = TlsServer { client_auth: ClientAuth::None, ..(**server).clone() };
        asked.tls = HostTls::Terminate(Arc::new(server));
    }
    asked.identity = Some(Arc::new(identity));
    asked
}
