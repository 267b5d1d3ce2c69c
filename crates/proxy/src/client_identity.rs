//! Who the client is, told in header fields by a load balancer that ended its TLS.
//!
//! Only from peers that are believed: what others send by these names is left out before anything can read it. A
//! certificate that was passed through unverified is verified here, as the TLS stack would have done; one that does not
//! pass is no certificate but a refused request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode;
use plenipo_model::{ClientCertificateFields, ForwardedIdentity, Source};
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::time::Instant;

use crate::exchange::{ClientCertificate, Connection, Identity};
use crate::failure::Failure;
use crate::fields::Fields;
use crate::snapshot::tls;

#[cfg(test)]
mod tests;

/// Certificates of one chain; longer ones are refused.
const MAX_CHAIN: usize = 10;
/// Verdicts that a connection remembers: a load balancer sends the requests of many clients over one.
const REMEMBERED: usize = 32;
/// For so long: a certificate may expire.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// The rules, compiled.
pub(crate) struct CompiledIdentity {
    pub(crate) model: Arc<ForwardedIdentity>,
    pub(crate) check: Check,
}

/// Who checks certificates that were passed through.
pub(crate) enum Check {
    /// Nobody: the model names no roots.
    Nobody,
    /// The TLS stack's own verifier.
    Verifier(Arc<dyn ClientCertVerifier>),
    /// It cannot be made: all are refused.
    Impossible,
}

/// The rules of a snapshot, by who asked for them.
#[derive(Default)]
pub(crate) struct Identities(HashMap<String, Arc<CompiledIdentity>>);

impl Identities {
    /// The rules of a host: compiled here already, taken over from before, or new.
    pub(crate) fn compile(
        &mut self,
        source: &Source,
        model: &Arc<ForwardedIdentity>,
        before: Option<&Self>,
        problems: &mut Vec<(Source, String)>,
    ) -> Arc<CompiledIdentity> {
        let known = [Some(&*self), before]
            .into_iter()
            .flatten()
            .find_map(|known| known.0.get(source.as_str()).filter(|known| known.model == *model).cloned());
        let identity = known.unwrap_or_else(|| {
            let check = match model.roots.as_ref().map(tls::client_verifier) {
                None => Check::Nobody,
                Some(Ok(verifier)) => Check::Verifier(verifier),
                Some(Err(error)) => {
                    problems.push((source.clone(), error.to_string()));
                    Check::Impossible
                }
            };
            Arc::new(CompiledIdentity { model: Arc::clone(model), check })
        });
        self.0.insert(source.as_str().to_owned(), Arc::clone(&identity));
        identity
    }
}

/// What a request says of its client.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Who it is.
    pub(crate) identity: Option<Arc<Identity>>,
    /// The fields that told it, for the next hop; none that are not believed.
    pub(crate) fields: Fields,
}

/// What a believed load balancer's fields say: nothing, a certificate, or one that is refused for this reason.
type Verdict = Result<Option<Arc<Identity>>, &'static str>;

/// Good certificates that came over one connection.
#[derive(Default)]
pub(crate) struct Remembered(RefCell<Vec<Good>>);

struct Good {
    field: HeaderValue,
    /// By these rules.
    rules: Arc<ForwardedIdentity>,
    since: Instant,
    identity: Arc<Identity>,
}

/// The fields are missing where somebody must be known.
const MISSING: &str = "client_certificate_missing";
const MALFORMED: &str = "client_certificate_malformed";
const INVALID: &str = "client_certificate_invalid";

impl CompiledIdentity {
    /// Takes all fields that tell of certificates out of a request, and believes them, or tells why the request is refused.
    pub(crate) fn take(
        &self,
        connection: &Connection,
        remembered: &Remembered,
        headers: &mut Fields,
    ) -> Result<Taken, Failure> {
        let believed = self.believes(connection.direct.ip()) && self.believes(connection.peer.ip());
        let identity = self.judge(believed, Some(remembered), headers).map_err(Failure::Certificate)?;
        let mut fields = self.strip(headers);
        if !believed {
            fields.clear();
        }
        Ok(Taken { identity, fields })
    }

    /// Does it read anything out of the fields? (Else it only sees to it that nobody but those believed sends them on.)
    pub(crate) fn tells(&self) -> bool {
        self.model.fields != ClientCertificateFields::None
    }

    /// Is a load balancer at this address believed?
    pub(crate) fn believes(&self, address: IpAddr) -> bool {
        self.model.from.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// What becomes of a request with these fields.
    pub(crate) fn judge(&self, believed: bool, remembered: Option<&Remembered>, headers: &Fields) -> Verdict {
        let identity = if believed { self.read(remembered, headers)? } else { None };
        if self.model.required && identity.is_none() { Err(MISSING) } else { Ok(identity) }
    }

    /// Takes the fields out, and with them their look-alikes, which no load balancer writes.
    fn strip(&self, headers: &mut Fields) -> Fields {
        let mut stripped = headers.take(|name| self.looks_told(name));
        stripped.retain(|name| self.is_told(name));
        stripped
    }

    fn is_told(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        let known = text.starts_with(ClientCertificateFields::PREFIX) && !text.contains('_');
        known || self.model.fields.names().any(|told| told == name)
    }

    fn looks_told(&self, name: &HeaderName) -> bool {
        let prefix = ClientCertificateFields::PREFIX;
        let start = name.as_str().get(..prefix.len()).unwrap_or_default();
        looks_like(start, prefix)
            || self.model.fields.names().any(|told| looks_like(name.as_str(), told.as_str()))
    }

    fn read(&self, remembered: Option<&Remembered>, headers: &Fields) -> Verdict {
        match &self.model.fields {
            ClientCertificateFields::None => Ok(None),
            ClientCertificateFields::Passthrough { name } => match only(headers, name)? {
                None => Ok(None),
                Some(value) => self.passed_through(value, remembered).map(Some),
            },
            ClientCertificateFields::Verified { serial, issuer, subject, leaf, .. } => {
                let told = [text(headers, serial)?, text(headers, issuer)?, text(headers, subject)?];
                match only(headers, leaf)? {
                    Some(leaf) => Identity::read(chain(leaf)?).map(Arc::new).map(Some).ok_or(MALFORMED),
                    None if told.iter().all(String::is_empty) => Ok(None),
                    None => Ok(Some(Arc::new(Identity::told(told)))),
                }
            }
        }
    }

    fn passed_through(
        &self,
        value: &HeaderValue,
        remembered: Option<&Remembered>,
    ) -> Result<Arc<Identity>, &'static str> {
        if let Some(known) = remembered.and_then(|remembered| remembered.find(&self.model, value)) {
            return Ok(known);
        }
        let chain = chain(value)?;
        match (&self.check, chain.split_first()) {
            (Check::Nobody, _) => {}
            (Check::Verifier(verifier), Some((leaf, intermediates))) => {
                let verified = verifier.verify_client_cert(leaf, intermediates, UnixTime::now());
                verified.map_err(|_| INVALID)?;
            }
            (Check::Verifier(_), None) => return Err(MALFORMED),
            (Check::Impossible, _) => return Err(INVALID),
        }
        let identity = Arc::new(Identity::read(chain).ok_or(MALFORMED)?);
        if let Some(remembered) = remembered {
            remembered.add(&self.model, value, &identity);
        }
        Ok(identity)
    }
}

/// Cannot CGI-like applications, which read dashes as underscores, tell one name from the other?
fn looks_like(one: &str, other: &str) -> bool {
    let read = |byte: u8| if byte == b'_' { b'-' } else { byte };
    one.bytes().map(read).eq(other.bytes().map(read))
}

/// The value of a field; a load balancer writes it once.
fn only<'a>(headers: &'a Fields, name: &HeaderName) -> Result<Option<&'a HeaderValue>, &'static str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(MALFORMED),
        (value, None) => Ok(value),
    }
}

fn text(headers: &Fields, name: &HeaderName) -> Result<String, &'static str> {
    let value = only(headers, name)?.map_or(&b""[..], |value| value.as_bytes());
    Ok(String::from_utf8_lossy(value).into_owned())
}

/// URL-encoded PEM, leaf first.
fn chain(value: &HeaderValue) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let pem: Vec<u8> = percent_decode(value.as_bytes()).collect();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).take(MAX_CHAIN + 1).collect();
    match chain {
        Ok(chain) if (1..=MAX_CHAIN).contains(&chain.len()) => Ok(chain),
        _ => Err(MALFORMED),
    }
}

impl Identity {
    fn read(chain: Vec<CertificateDer<'static>>) -> Option<Self> {
        Some(Self { client: ClientCertificate::read(chain.first()?)?, chain })
    }

    /// What is told without the certificate itself.
    fn told([serial, issuer, subject]: [String; 3]) -> Self {
        let client = ClientCertificate {
            subject,
            issuer,
            serial: serial.to_ascii_lowercase(),
            sha256: String::new(),
            dns: Vec::new(),
            uris: Vec::new(),
        };
        Self { client, chain: Vec::new() }
    }
}

impl Remembered {
    fn find(&self, rules: &Arc<ForwardedIdentity>, field: &HeaderValue) -> Option<Arc<Identity>> {
        let all = self.0.borrow();
        let good = all.iter().find(|good| {
            Arc::ptr_eq(&good.rules, rules) && good.field == field && good.since.elapsed() < REMEMBERED_FOR
        });
        good.map(|good| Arc::clone(&good.identity))
    }

    fn add(&self, rules: &Arc<ForwardedIdentity>, field: &HeaderValue, identity: &Arc<Identity>) {
        let mut all = self.0.borrow_mut();
        all.retain(|good| good.since.elapsed() < REMEMBERED_FOR);
        if all.len() >= REMEMBERED {
            all.remove(0);
        }
        let (rules, identity) = (Arc::clone(rules), Arc::clone(identity));
        all.push(Good { field: field.clone(), rules, since: Instant::now(), identity });
    }
}
