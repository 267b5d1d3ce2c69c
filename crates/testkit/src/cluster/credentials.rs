//! Who the API server is, whom it believes, and what clients show it: files made for one run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::KeyPair;
use serde_json::json;

use crate::certs::Authority;

/// The files, in the cluster's folder, and what belongs to them.
#[derive(Debug)]
pub(super) struct Credentials {
    folder: PathBuf,
    /// Signed the API server's certificate.
    pub(super) authority: Authority,
    /// Whoever shows this may do everything.
    pub(super) admin: String,
}

impl Credentials {
    pub(super) fn write(folder: &Path) -> Result<Self> {
        let authority = Authority::new("kubernetes");
        let server = authority.server(&["127.0.0.1", "localhost", "kubernetes.default.svc"]);
        let accounts = KeyPair::generate()?;
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random)?;
        let admin = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let credentials = Self { folder: folder.to_owned(), authority, admin };
        let file = |name: &str, text: &str| fs::write(credentials.file(name), text);
        file("ca.crt", &credentials.authority.pem())?;
        file("apiserver.crt", &server.cert_pem())?;
        file("apiserver.key", server.key_pem())?;
        file("accounts.key", &accounts.serialize_pem())?;
        file("accounts.pub", &accounts.public_key_pem())?;
        file("admin.token", &credentials.admin)?;
        // Of the group that may do everything before there is any rule.
        file("tokens.csv", &format!("{},admin,admin,\"system:masters\"\n", credentials.admin))?;
        Ok(credentials)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a kubeconfig for the API server at this URL, with the token that is in this file whenever a client reads it.
    pub(super) fn kubeconfig(&self, name: &str, url: &str, token: &Path) -> Result<PathBuf> {
        let path = self.file(name);
        let cluster = json!({"server": url, "certificate-authority": self.file("ca.crt")});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"tokenFile": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        });
        fs::write(&path, config.to_string())?;
        Ok(path)
    }
}
