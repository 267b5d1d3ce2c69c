//! Certificates and trust stores of load balancers: ACM gives no private keys, so files stand for its ARNs, and a
//! self-signed certificate for an ARN that no file stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use plenipo_aws::local::{TrustStore, Wanted};
use plenipo_model::{Certificate, RevocationList, RootStore};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};

use crate::arguments::{PemPair, TrustFiles};
use crate::exit::Ending;

/// The files that the command line names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// By ARN.
    pub(crate) certificates: Vec<PemPair>,
    /// By ARN or name.
    pub(crate) trust_stores: Vec<TrustFiles>,
}

/// What the files hold, and what was made in place of others.
#[derive(Default)]
pub(super) struct Material {
    given: BTreeMap<String, Arc<Certificate>>,
    pub(super) trust_stores: BTreeMap<String, TrustStore>,
    made: BTreeMap<Wanted, Arc<Certificate>>,
    /// ARNs with files that no load balancer asked for.
    unused: Vec<String>,
}

impl Material {
    /// # Errors
    /// When a file cannot be read or holds something else.
    pub(super) fn read(files: &Files) -> anyhow::Result<Self> {
        let mut material = Self::default();
        for PemPair { arn, certificate, key } in &files.certificates {
            let found = Certificate::from_pem(&content(certificate)?, &content(key)?)
                .map_err(|error| unusable(certificate, &error))?;
            material.given.insert(arn.clone(), Arc::new(found));
        }
        for TrustFiles { name, roots, revocation } in &files.trust_stores {
            let found = RootStore::from_pem(&content(roots)?).map_err(|error| unusable(roots, &error))?;
            let lists = match revocation {
                Some(path) => {
                    let lists =
                        RevocationList::from_pem(&content(path)?).map_err(|error| unusable(path, &error))?;
                    Some(Arc::new(lists))
                }
                None => None,
            };
            let store = TrustStore { roots: Arc::new(found), revocation: lists };
            material.trust_stores.insert(name.clone(), store);
        }
        Ok(material)
    }

    /// Takes what was read anew, and keeps what was made.
    pub(super) fn replace(&mut self, read: Self) {
        (self.given, self.trust_stores) = (read.given, read.trust_stores);
    }

    /// What discovery by host name finds in the account.
    pub(super) fn discoverable(&self) -> Vec<plenipo_aws::Certificate> {
        let found = |(arn, certificate): (&String, &Arc<Certificate>)| plenipo_aws::Certificate {
            arn: arn.clone(),
            names: certificate.names().to_vec(),
        };
        self.given.iter().map(found).collect()
    }

    /// Every certificate that is wanted: the file's, the stand-in, or one that is made.
    pub(super) fn certificates(
        &mut self,
        wanted: &[Wanted],
        stand_in: Option<&Arc<Certificate>>,
    ) -> BTreeMap<String, Arc<Certificate>> {
        self.made.retain(|made, _| wanted.contains(made));
        let is_unused = |arn: &&String| wanted.iter().all(|wanted| wanted.arn != **arn);
        self.unused = self.given.keys().filter(is_unused).cloned().collect();
        let mut all = self.given.clone();
        for wanted in wanted {
            if all.contains_key(&wanted.arn) {
                continue;
            }
            let made = match (stand_in, self.made.get(wanted)) {
                (Some(given), _) => Some(Arc::clone(given)),
                (None, Some(made)) => Some(Arc::clone(made)),
                (None, None) => self.make(wanted),
            };
            all.extend(made.map(|made| (wanted.arn.clone(), made)));
        }
        all
    }

    /// What stands for ARNs that no file was given for.
    pub(super) fn made(&self) -> impl Iterator<Item = &Wanted> {
        self.made.keys()
    }

    /// ARNs that files were given for, and that no load balancer shows.
    pub(super) fn unused(&self) -> &[String] {
        &self.unused
    }

    fn make(&mut self, wanted: &Wanted) -> Option<Arc<Certificate>> {
        match self_signed(&wanted.hosts) {
            Ok(made) => {
                let made = Arc::new(made);
                self.made.insert(wanted.clone(), Arc::clone(&made));
                Some(made)
            }
            Err(error) => {
                tracing::error!(arn = wanted.arn, "no certificate can be made: {error:#}");
                None
            }
        }
    }
}

/// Certificates and trust stores for nobody to meet: what is only explained needs some.
pub(crate) fn stand_ins(
    wanted: &[Wanted],
    stores: BTreeSet<String>,
) -> (BTreeMap<String, Arc<Certificate>>, BTreeMap<String, TrustStore>) {
    let certificates = Material::default().certificates(wanted, None);
    let root = certificate_and_key(&[]).ok().and_then(|(pem, _)| RootStore::from_pem(pem.as_bytes()).ok());
    let store = root.map(|root| TrustStore { roots: Arc::new(root), revocation: None });
    let stores = stores.into_iter().filter_map(|name| Some((name, store.clone()?)));
    (certificates, stores.collect())
}

fn self_signed(hosts: &[String]) -> anyhow::Result<Certificate> {
    let (certificate, key) = certificate_and_key(hosts)?;
    Ok(Certificate::from_pem(certificate.as_bytes(), key.as_bytes())?)
}

/// PEM of a self-signed certificate, and of its key.
fn certificate_and_key(hosts: &[String]) -> anyhow::Result<(String, String)> {
    let local = ["localhost".to_owned()];
    let hosts = if hosts.is_empty() { &local[..] } else { hosts };
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "plenipo edge, self-signed");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(90);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn content(path: &Path) -> anyhow::Result<Vec<u8>> {
    let read =
        std::fs::read(path).map_err(|error| Ending::unreadable(format!("{}: {error}", path.display())));
    read.context("a certificate cannot be read")
}

fn unusable(path: &Path, error: &impl std::fmt::Display) -> Ending {
    Ending::unreadable(format!("{}: {error}", path.display()))
}
