//! TLS towards services: what a DestinationRule asks for, and what workloads of the mesh demand where none does.

mod asked;

use std::collections::BTreeSet;
use std::sync::Arc;

use plenipo_model::{MeshIdentity, Roots, Source, TlsClient, UpstreamProtocol, Verify};
use plenipo_resources::Object;
use plenipo_resources::istio::ClientTls;

use super::destination_rule::Part;
use super::destinations::{Carries, Missing};
use super::endpoints::{Found, Spot};
use super::mesh::Mesh;
use super::peer_authentication::{Mode, PeerAuthentications};
use super::registry::{Declared, Port, Service};
use super::told::Told;
use super::workloads::Workload;
use crate::findings::{Findings, source_of};
use crate::secrets::Secrets;
use asked::Reading;

const GIVE_AN_IDENTITY: &str = "give the gateway an identity in the mesh (--mesh-identity)";

/// One way to a service.
pub(super) struct Hop<'h, 'a> {
    pub(super) mesh: &'a Mesh,
    pub(super) identity: Option<&'h MeshIdentity>,
    /// There is none yet, but somebody will give one.
    pub(super) identity_expected: bool,
    pub(super) demands: &'h PeerAuthentications<'a>,
    /// Who would be behind a Service, as far as it is said.
    pub(super) expected: Option<&'h Workload>,
    pub(super) service: &'h Service<'a>,
    pub(super) port: &'h Port,
    pub(super) subset: &'h str,
    pub(super) carries: Carries,
    pub(super) protocol: UpstreamProtocol,
}

impl Hop<'_, '_> {
    /// As the rule asks.
    ///
    /// # Errors
    /// When something it asks for cannot be had: nothing less is spoken.
    pub(super) fn asked(
        &self,
        part: &Part<'_, ClientTls>,
        found: &Found,
        secrets: &mut Secrets<'_>,
        told: &mut Told,
        findings: &mut Findings,
    ) -> Result<Option<TlsClient>, Missing> {
        let tls = part.spec;
        if let Some(unknown) = super::unknown_within(part.object, &part.field) {
            let message = "it may be what the service must show: nothing is sent".to_owned();
            let fix = "check the spelling, or remove it";
            findings.error(part.object, "bad-tls", unknown, message, fix);
            return Err(Missing);
        }
        match tls.mode.as_deref().unwrap_or("DISABLE") {
            "DISABLE" => {
                self.disabled(part, found, findings);
                Ok(None)
            }
            "ISTIO_MUTUAL" => self.mesh_asked(part, found, told, findings).map(Some),
            mode @ ("SIMPLE" | "MUTUAL") => {
                let mut reading = Reading { hop: self, part, secrets, findings };
                reading.originate(mode == "MUTUAL").map(Some)
            }
            other => {
                let message =
                    format!("'{other}' is not known: rather than speak clear text, nothing is sent");
                let fix = "write DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL";
                findings.error(part.object, "bad-tls-mode", &part.field("mode"), message, fix);
                Err(Missing)
            }
        }
    }

    /// Where no rule says anything: mutual TLS to those that speak it, unless the mesh does not want that.
    ///
    /// # Errors
    /// When it is demanded and we have no identity: they would refuse clear text, and are not to see any.
    pub(super) fn automatic(&self, found: &mut Found, told: &mut Told) -> Result<Option<TlsClient>, Missing> {
        if self.is_external() {
            return Ok(None);
        }
        let spots = match found {
            Found::Spots(spots) if !spots.is_empty() => spots,
            _ => return self.unseen(told),
        };
        let ways: Vec<Way<'_>> =
            spots.iter().map(|spot| self.way(&spot.workload, spot.address.port())).collect();
        let strict = ways.iter().find(|way| way.takes == Takes::TlsOnly);
        if !self.mesh.auto_mtls {
            if let Some(policy) = strict.and_then(|way| way.policy) {
                let message = format!(
                    "{} takes mutual TLS only ({}), and the mesh settings say not to speak it",
                    self.service.host, policy.id
                );
                let fix = "set enableAutoMtls, or write a DestinationRule with tls.mode ISTIO_MUTUAL";
                told.warn("strict-without-tls", message, fix);
            }
            return Ok(None);
        }
        if ways.iter().all(|way| way.takes == Takes::ClearText) {
            return Ok(None);
        }
        if self.identity.is_none() {
            return self.without_identity(strict, told);
        }
        for (spot, way) in spots.iter_mut().zip(&ways) {
            spot.clear_text = way.takes == Takes::ClearText;
        }
        let accounts = accounts(spots);
        self.mutual(self.service.source(), None, accounts, told).map(Some)
    }

    /// As [`Self::automatic`] where nobody has seen who is there: the pods are as those who make them say.
    fn unseen(&self, told: &mut Told) -> Result<Option<TlsClient>, Missing> {
        let Some(workload) = self.expected else { return Ok(None) };
        let way = self.way(workload, self.port.number);
        if !self.mesh.auto_mtls || way.takes == Takes::ClearText {
            return Ok(None);
        }
        if self.identity.is_none() {
            return self.without_identity(Some(&way).filter(|way| way.takes == Takes::TlsOnly), told);
        }
        let names = match &workload.account {
            Some(account) => Names::Accounts(BTreeSet::from([account])),
            None => Names::Unknown,
        };
        self.mutual(self.service.source(), None, names, told).map(Some)
    }

    fn without_identity(
        &self,
        strict: Option<&Way<'_>>,
        told: &mut Told,
    ) -> Result<Option<TlsClient>, Missing> {
        let Some(strict) = strict else {
            if !self.identity_expected {
                let message = format!(
                    "{} is spoken to in clear text: it would take mutual TLS, but the gateway has no identity in the mesh",
                    self.service.host
                );
                told.note("permissive-in-clear-text", message, GIVE_AN_IDENTITY);
            }
            return Ok(None);
        };
        if !self.identity_expected {
            let policy = strict.policy.map_or_else(|| "a policy".to_owned(), |policy| policy.id.to_string());
            let message = format!(
                "{} takes mutual TLS only ({policy}), and the gateway has no identity in the mesh: requests are answered 503",
                self.service.host
            );
            told.error("strict-without-identity", message, GIVE_AN_IDENTITY);
        }
        Err(Missing)
    }

    fn is_external(&self) -> bool {
        match &self.service.origin {
            Declared::Kubernetes { .. } => false,
            Declared::Entries(entries) => entries.iter().any(|entry| {
                entry.spec.location.as_deref().is_none_or(|location| location == "MESH_EXTERNAL")
            }),
        }
    }

    fn way<'s>(&'s self, workload: &Workload, port: u16) -> Way<'s> {
        let demand = self.demands.demand(&self.service.namespace, workload, port);
        let takes = match (demand.mode, workload.sidecar) {
            // Without a sidecar there is nobody to demand anything.
            (Mode::Disable, _) | (_, Some(false)) | (Mode::Permissive, None) => Takes::ClearText,
            (Mode::Strict, _) => Takes::TlsOnly,
            (Mode::Permissive, Some(true)) => Takes::Both,
        };
        Way { takes, policy: demand.policy }
    }

    /// Somebody asked for clear text to those who do not take it.
    fn disabled(&self, part: &Part<'_, ClientTls>, found: &Found, findings: &mut Findings) {
        let Found::Spots(spots) = found else { return };
        let ways = spots.iter().map(|spot| self.way(&spot.workload, spot.address.port()));
        let Some(policy) = ways.filter(|way| way.takes == Takes::TlsOnly).find_map(|way| way.policy) else {
            return;
        };
        let message = format!(
            "{} demands mutual TLS of who connects to {}, and this asks for clear text",
            policy.id, self.service.host
        );
        let fix = "write ISTIO_MUTUAL, or remove tls so that what is demanded is spoken";
        findings.warn(part.object, "mutual-tls-conflict", &part.field("mode"), message, fix);
    }

    fn mesh_asked(
        &self,
        part: &Part<'_, ClientTls>,
        found: &Found,
        told: &mut Told,
        findings: &mut Findings,
    ) -> Result<TlsClient, Missing> {
        let tls = part.spec;
        let own = [
            ("clientCertificate", tls.client_certificate.is_some()),
            ("privateKey", tls.private_key.is_some()),
            ("caCertificates", tls.ca_certificates.is_some()),
            ("credentialName", tls.credential_name.is_some()),
            ("caCrl", tls.ca_crl.is_some()),
        ];
        if let Some((field, _)) = own.into_iter().find(|(_, written)| *written) {
            let message = "ISTIO_MUTUAL uses the gateway's identity in the mesh and no other certificate: nothing is sent".to_owned();
            findings.error(
                part.object,
                "bad-credential",
                &part.field(field),
                message,
                "remove it, or write mode: MUTUAL",
            );
            return Err(Missing);
        }
        if self.identity.is_none() {
            if !self.identity_expected {
                let message = format!(
                    "the gateway has no identity in the mesh: requests for {} are answered 503",
                    self.service.host
                );
                findings.error(
                    part.object,
                    "strict-without-identity",
                    &part.field("mode"),
                    message,
                    GIVE_AN_IDENTITY,
                );
            }
            return Err(Missing);
        }
        let names = match (tls.subject_alt_names.is_empty(), found) {
            (false, _) => Names::Written(&tls.subject_alt_names),
            (true, Found::Spots(spots)) => accounts(spots),
            (true, _) => Names::Unknown,
        };
        let sni = tls.sni.as_deref().filter(|sni| !sni.is_empty());
        self.mutual(source_of(part.object), sni, names, told)
    }

    /// Mutual TLS as workloads of a mesh speak it.
    fn mutual(
        &self,
        source: Source,
        sni: Option<&str>,
        names: Names<'_>,
        told: &mut Told,
    ) -> Result<TlsClient, Missing> {
        let Some(identity) = self.identity else { return Err(Missing) };
        let names = match names {
            Names::Written(names) => names.to_vec(),
            Names::Accounts(accounts) => {
                let domains =
                    || std::iter::once(&self.mesh.trust_domain).chain(&self.mesh.trust_domain_aliases);
                let ids = accounts.iter().flat_map(|account| domains().map(|domain| account.id(domain)));
                ids.collect::<BTreeSet<String>>().into_iter().collect()
            }
            Names::Unknown => {
                let message = format!(
                    "the service accounts of {} are not known: any workload of the mesh is taken for it",
                    self.service.host
                );
                let fix = "give the gateway the pods, or write subjectAltNames in a DestinationRule";
                told.note("unknown-service-account", message, fix);
                Vec::new()
            }
        };
        let alpn: &[&str] = match (self.carries, self.protocol) {
            (Carries::Http, UpstreamProtocol::Http2) => &["istio-h2", "istio", "h2"],
            (Carries::Http, UpstreamProtocol::Http1) => &["istio-http/1.1", "istio", "http/1.1"],
            (Carries::Tcp | Carries::Tls, _) => &["istio-peer-exchange", "istio"],
        };
        let usual = || format!("outbound_.{}_.{}_.{}", self.port.number, self.subset, self.service.host);
        Ok(TlsClient {
            server_name: Some(sni.map_or_else(usual, str::to_owned)),
            verify: Verify::Chain { roots: Roots::Given(Arc::clone(&identity.roots)), names },
            certificate: Some(Arc::clone(&identity.certificate)),
            alpn: alpn.iter().map(|name| (*name).to_owned()).collect(),
            ..TlsClient::unverified(source)
        })
    }
}

/// How an endpoint can be reached.
#[derive(Clone, Copy, Debug)]
struct Way<'a> {
    takes: Takes,
    policy: Option<&'a Object>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Takes {
    ClearText,
    Both,
    TlsOnly,
}

/// Whom a certificate may be of.
enum Names<'n> {
    Written(&'n [String]),
    Accounts(BTreeSet<&'n super::workloads::Account>),
    Unknown,
}

/// The service accounts of those that are spoken to by TLS, if those of all are known.
fn accounts(spots: &[Spot]) -> Names<'_> {
    let spoken = || spots.iter().filter(|spot| !spot.clear_text);
    if spoken().next().is_none() || spoken().any(|spot| spot.workload.account.is_none()) {
        return Names::Unknown;
    }
    Names::Accounts(spoken().filter_map(|spot| spot.workload.account.as_ref()).collect())
}
