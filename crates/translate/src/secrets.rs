//! Key material: from Secrets, and from files that the caller has read.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use plenipo_model::{Certificate, CertificateError, RevocationList, RootStore};
use plenipo_resources::core::Secret;
use plenipo_resources::{Object, Set, View};

use crate::changes::Changes;
use crate::findings::{Finding, Findings, Flaw};
use crate::options::Options;

/// Where key material is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum SecretName {
    /// A Secret.
    Secret { namespace: String, name: String },
    /// A Secret as Istio's `credentialName` names it, whose entries may have other names.
    Credential { namespace: String, name: String },
    /// Files: a chain with a key, or just one.
    Files { chain: String, key: Option<String> },
}

impl SecretName {
    /// The Secret that `text` names for an object of `namespace`: with `namespacing`, `name.namespace` (the last dot
    /// splits) names one elsewhere.
    pub(crate) fn parse(text: &str, namespace: &str, namespacing: bool) -> Self {
        let (name, namespace) = match text.rsplit_once('.') {
            Some((name, other)) if namespacing && !name.is_empty() && !other.is_empty() => (name, other),
            _ => (text, namespace),
        };
        Self::Secret { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret { namespace, name } | Self::Credential { namespace, name } => {
                write!(f, "Secret {namespace}/{name}")
            }
            Self::Files { chain, key: Some(key) } => write!(f, "files {chain} and {key}"),
            Self::Files { chain, key: None } => write!(f, "file {chain}"),
        }
    }
}

/// Key material, each piece read once for as long as its Secret stays what it is.
#[derive(Debug, Default)]
pub(crate) struct KeyMaterial {
    certificates: BTreeMap<SecretName, Known<Certificate>>,
    roots: BTreeMap<SecretName, Known<RootStore>>,
    revocations: BTreeMap<SecretName, Known<RevocationList>>,
}

/// What a place came to, with what is found by everybody who looks there.
type Known<T> = (Result<Arc<T>, String>, Vec<Finding>);

/// Key material as it is looked up in one translation.
#[derive(Debug)]
pub(crate) struct Secrets<'a> {
    set: &'a Set,
    options: &'a Options,
    known: KeyMaterial,
    asked: Vec<SecretName>,
}

impl KeyMaterial {
    /// Forgets what may not be what it was: Secrets that changed, names that nothing was found under, and files.
    pub(crate) fn follow(&mut self, changes: &Changes) {
        let changed: HashSet<(&str, &str)> = changes
            .all()
            .filter(|object| matches!(object.view, View::Secret(_)))
            .map(|object| (&*object.id.namespace, &*object.id.name))
            .collect();
        fn forget<T>(memo: &mut BTreeMap<SecretName, Known<T>>, changed: &HashSet<(&str, &str)>) {
            memo.retain(|name, (outcome, found)| match name {
                SecretName::Secret { namespace, name } | SecretName::Credential { namespace, name } => {
                    !changed.contains(&(namespace.as_str(), name.as_str()))
                        && (outcome.is_ok() || !found.is_empty())
                }
                SecretName::Files { .. } => false,
            });
        }
        forget(&mut self.certificates, &changed);
        forget(&mut self.roots, &changed);
        forget(&mut self.revocations, &changed);
    }
}

/// Entries of a Secret in which a certificate chain, a key, roots and revocation lists are looked for, in this order.
struct Entries {
    chains: &'static [&'static str],
    keys: &'static [&'static str],
    roots: &'static [&'static str],
    revocations: &'static [&'static str],
}

const USUAL: Entries = Entries {
    chains: &["tls.crt", "cert-chain.pem"],
    keys: &["tls.key", "key.pem", "user.key"],
    roots: &["ca.crt", "root-cert.pem", "tls.crt"],
    revocations: &["crl.pem", "ca.crl"],
};

/// Istio's, whose generic form (`cert`, `key`) goes before that of `kubernetes.io/tls`.
const CREDENTIAL: Entries = Entries {
    chains: &["cert", "tls.crt"],
    keys: &["key", "tls.key"],
    roots: &["cacert", "ca.crt"],
    revocations: &["crl", "ca.crl"],
};

impl<'a> Secrets<'a> {
    pub(crate) fn new(set: &'a Set, options: &'a Options, known: KeyMaterial) -> Self {
        Self { set, options, known, asked: Vec::new() }
    }

    /// For the next translation.
    pub(crate) fn into_material(self) -> KeyMaterial {
        self.known
    }

    /// The places asked for since the last time.
    pub(crate) fn forget_asked(&mut self) -> Vec<SecretName> {
        std::mem::take(&mut self.asked)
    }

    /// Is there such a Secret?
    pub(crate) fn exists(&self, namespace: &str, name: &str) -> bool {
        self.set.get("Secret", namespace, name).is_some()
    }

    /// Does the place hold something under this name?
    pub(crate) fn has_entry(&self, name: &SecretName, entry: &str) -> bool {
        let SecretName::Secret { namespace, name } = name else { return false };
        match self.set.get("Secret", namespace, name).map(|object| &object.view) {
            Some(View::Secret(secret)) => secret.data.get(entry).is_some_and(|bytes| !bytes.is_empty()),
            _ => false,
        }
    }

    /// A certificate with its key.
    ///
    /// # Errors
    /// With the reason, in words for the object that needs it; a broken Secret is refused too.
    pub(crate) fn certificate(
        &mut self,
        name: &SecretName,
        findings: &mut Findings,
    ) -> Result<Arc<Certificate>, String> {
        self.asked.push(name.clone());
        let (set, options) = (self.set, self.options);
        looked_up(&mut self.known.certificates, name, findings, |findings| {
            let material = Material::find(name, set, options)?;
            let chain = material
                .entry(material.entries().chains)
                .ok_or_else(|| material.lacks("tls.crt", findings))?;
            let key = material.key().ok_or_else(|| material.lacks("tls.key", findings))?;
            Certificate::from_pem(chain, key).map_err(|error| material.broken(&error, findings))
        })
    }

    /// Trusted roots.
    ///
    /// # Errors
    /// As [`Self::certificate`].
    pub(crate) fn roots(
        &mut self,
        name: &SecretName,
        findings: &mut Findings,
    ) -> Result<Arc<RootStore>, String> {
        self.asked.push(name.clone());
        let (set, options) = (self.set, self.options);
        looked_up(&mut self.known.roots, name, findings, |findings| {
            let material = Material::find(name, set, options)?;
            let pem =
                material.entry(material.entries().roots).ok_or_else(|| material.lacks("ca.crt", findings))?;
            RootStore::from_pem(pem).map_err(|error| material.broken(&error, findings))
        })
    }

    /// Is there a place for revocation lists, with something in it?
    pub(crate) fn has_revocation(&self, name: &SecretName) -> bool {
        let material = Material::find(name, self.set, self.options);
        material.is_ok_and(|material| material.entry(material.entries().revocations).is_some())
    }

    /// Revocation lists.
    ///
    /// # Errors
    /// As [`Self::certificate`].
    pub(crate) fn revocation(
        &mut self,
        name: &SecretName,
        findings: &mut Findings,
    ) -> Result<Arc<RevocationList>, String> {
        self.asked.push(name.clone());
        let (set, options) = (self.set, self.options);
        looked_up(&mut self.known.revocations, name, findings, |findings| {
            let material = Material::find(name, set, options)?;
            let pem = material
                .entry(material.entries().revocations)
                .ok_or_else(|| material.lacks("crl.pem", findings))?;
            RevocationList::from_pem(pem).map_err(|error| material.broken(&error, findings))
        })
    }
}

/// Reads a place once, and says what is wrong with it to everybody who asks.
fn looked_up<T>(
    memo: &mut BTreeMap<SecretName, Known<T>>,
    name: &SecretName,
    findings: &mut Findings,
    read: impl FnOnce(&mut Findings) -> Result<T, String>,
) -> Result<Arc<T>, String> {
    let (outcome, found) = memo.entry(name.clone()).or_insert_with(|| {
        let mut findings = Findings::default();
        (read(&mut findings).map(Arc::new), findings.into_found())
    });
    findings.repeat(found);
    outcome.clone()
}

/// One place with key material.
enum Material<'a> {
    Secret(&'a Object, &'a Secret, &'static Entries),
    Files { chain: &'a [u8], key: Option<&'a [u8]>, name: String },
}

impl<'a> Material<'a> {
    fn find(name: &SecretName, set: &'a Set, options: &'a Options) -> Result<Self, String> {
        match name {
            SecretName::Secret { namespace, name: secret } => {
                Self::secret(name, set.get("Secret", namespace, secret), &USUAL)
            }
            SecretName::Credential { namespace, name: secret } => {
                Self::secret(name, set.get("Secret", namespace, secret), &CREDENTIAL)
            }
            SecretName::Files { chain, key } => {
                let file = |path: &String| {
                    let bytes = options.files.get(path).map(Vec::as_slice);
                    bytes.ok_or_else(|| format!("the file {path} cannot be read"))
                };
                Ok(Self::Files {
                    chain: file(chain)?,
                    key: key.as_ref().map(file).transpose()?,
                    name: name.to_string(),
                })
            }
        }
    }

    fn secret(
        name: &SecretName,
        object: Option<&'a Arc<Object>>,
        entries: &'static Entries,
    ) -> Result<Self, String> {
        let object = object.ok_or_else(|| format!("there is no {name}"))?;
        match &object.view {
            View::Secret(secret) => Ok(Self::Secret(object, secret, entries)),
            _ => Err(format!("{name} is no Secret")),
        }
    }

    fn entries(&self) -> &'static Entries {
        match self {
            Self::Secret(_, _, entries) => entries,
            Self::Files { .. } => &USUAL,
        }
    }

    fn entry(&self, names: &[&str]) -> Option<&'a [u8]> {
        match self {
            Self::Secret(_, secret, _) => {
                let found = names.iter().filter_map(|name| secret.data.get(*name));
                found.map(Vec::as_slice).find(|bytes| !bytes.is_empty())
            }
            Self::Files { chain, .. } => Some(chain),
        }
    }

    fn key(&self) -> Option<&'a [u8]> {
        match self {
            Self::Secret(_, _, entries) => self.entry(entries.keys),
            Self::Files { key, .. } => *key,
        }
    }

    /// A Secret that has half of a certificate is broken; one that has something else altogether is just the wrong one.
    fn lacks(&self, entry: &'static str, findings: &mut Findings) -> String {
        let half = self.entry(self.entries().chains).is_some() != self.key().is_some();
        if entry.starts_with("tls.") && half {
            return self.refuse(format!("it has no {entry}"), entry, findings);
        }
        match self {
            Self::Secret(object, ..) => format!("{} has no {entry}", object.id),
            Self::Files { name, .. } => format!("{name}: there is no {entry}"),
        }
    }

    fn broken(&self, error: &CertificateError, findings: &mut Findings) -> String {
        self.refuse(error.to_string(), "", findings)
    }

    /// The Secret itself is refused, so that its last good content can serve on.
    fn refuse(&self, message: String, entry: &str, findings: &mut Findings) -> String {
        match self {
            Self::Secret(object, ..) => {
                let field = if entry.is_empty() { "data".to_owned() } else { format!("data.{entry}") };
                let text = format!("{}: {message}", object.id);
                let fix =
                    "put PEM text of a matching certificate and key (or root, or revocation list) there";
                findings.refuse(object, "bad-secret", &field, message, fix);
                text
            }
            Self::Files { name, .. } => format!("{name}: {message}"),
        }
    }
}

/// A flaw of the object that needs the material.
pub(crate) fn flaw(field: &str, reason: String) -> Flaw {
    Flaw::new("bad-tls-secret", field, reason, "create the Secret, or repair its content")
}
