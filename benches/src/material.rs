//! Certificates as files, made for this run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use plenipo_testkit::{Authority, Issued, Leaf};

pub(crate) use plenipo_testkit::KeyKind;

/// Name in the server certificates and in the clients' SNI.
pub(crate) const SERVER_NAME: &str = "bench.test";

/// Certificates and where their files are.
#[derive(Clone, Debug)]
pub(crate) struct Material {
    folder: PathBuf,
    /// For clients of the proxy, with an ECDSA key.
    pub(crate) ec: Issued,
    /// For clients of the proxy, with an RSA key.
    pub(crate) rsa: Issued,
    /// With a key that costs the proxy many times what it costs them.
    pub(crate) heavy: Issued,
    /// What the proxy shows to upstreams.
    pub(crate) client: Issued,
}

impl Material {
    /// Makes all certificates and writes them into this folder.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let authority = Authority::new("bench");
        let names = [SERVER_NAME, "127.0.0.1"];
        let material = Self {
            folder: folder.to_owned(),
            ec: authority.server(&names),
            rsa: authority.issue(&Leaf::server(&names).key(KeyKind::Rsa2048)),
            heavy: authority.issue(&Leaf::server(&names).key(KeyKind::Rsa4096)),
            client: authority.client("proxy"),
        };
        fs::write(folder.join("ca.crt"), authority.pem())?;
        let upstream = authority.server(&names);
        for (name, issued) in [
            ("ec", &material.ec),
            ("rsa", &material.rsa),
            ("heavy", &material.heavy),
            ("client", &material.client),
            ("upstream", &upstream),
        ] {
            fs::write(folder.join(format!("{name}.crt")), issued.cert_pem())?;
            fs::write(folder.join(format!("{name}.key")), issued.key_pem())?;
            // HAProxy wants both in one file.
            fs::write(folder.join(format!("{name}.pem")), issued.cert_pem() + issued.key_pem())?;
        }
        Ok(material)
    }

    /// The server certificate with a key of this kind.
    pub(crate) fn server(&self, kind: KeyKind) -> &Issued {
        match kind {
            KeyKind::Rsa2048 => &self.rsa,
            KeyKind::Rsa4096 => &self.heavy,
            KeyKind::EcdsaP256 | KeyKind::Ed25519 => &self.ec,
        }
    }

    /// Path without extension of the server certificate's files; `.crt`, `.key` and `.pem` exist.
    pub(crate) fn server_file(&self, kind: KeyKind) -> String {
        self.file(match kind {
            KeyKind::Rsa2048 => "rsa",
            KeyKind::Rsa4096 => "heavy",
            KeyKind::EcdsaP256 | KeyKind::Ed25519 => "ec",
        })
    }

    /// Path of a file: `ca.crt`, or `client` and `upstream` with `.crt`, `.key` or `.pem`.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}
