//! Identities from files and from an authority that speaks istiod's API.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use plenipo_mesh::{AuthorityAddress, Identity, Origin, keep};
use plenipo_testkit::{Authority, Istiod, Leaf};
use tempfile::TempDir;
use tokio::sync::watch::Receiver;
use tokio::time::timeout;

const GATEWAY: &str = "spiffe://cluster.local/ns/istio-system/sa/gateway";
const OTHER: &str = "spiffe://cluster.local/ns/istio-system/sa/other";

/// Renewed after about two seconds of validity: the shortest that certificates, which count in seconds, can show.
fn short() -> std::time::Duration {
    Duration::from_secs(4)
}

fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).unwrap();
}

/// The identity when `accept` first takes it.
async fn once(identity: &mut Receiver<Identity>, accept: impl Fn(&Identity) -> bool) -> Identity {
    let found = timeout(Duration::from_secs(30), identity.wait_for(|identity| accept(identity))).await;
    found.expect("in time").expect("the keeper lives").clone()
}

fn id(identity: &Identity) -> Option<&str> {
    identity.as_ref().map(|identity| identity.id.as_str())
}

struct Scene {
    istiod: Istiod,
    directory: TempDir,
}

impl Scene {
    async fn new(lifetime: std::time::Duration) -> Self {
        let lifetime = lifetime.try_into().unwrap();
        let istiod = Istiod::start(Authority::new("mesh"), lifetime).await.unwrap();
        istiod.know("first", GATEWAY);
        let directory = TempDir::new().unwrap();
        write(directory.path(), "root-cert.pem", &istiod.authority().pem());
        write(directory.path(), "token", "first\n");
        Self { istiod, directory }
    }

    fn origin(&self) -> Origin {
        Origin::Authority(AuthorityAddress {
            url: self.istiod.url(),
            roots: self.directory.path().join("root-cert.pem"),
            token: self.directory.path().join("token"),
            cluster: "Kubernetes".to_owned(),
            id: GATEWAY.to_owned(),
            lifetime: Duration::from_secs(86_400),
        })
    }
}

#[tokio::test]
async fn an_authority_signs_for_whoever_the_token_is() {
    let scene = Scene::new(Duration::from_secs(3600)).await;
    scene.istiod.know("first", OTHER);
    let mut identity = keep(scene.origin());
    let found = once(&mut identity, Option::is_some).await.unwrap();
    assert_eq!((found.id.as_str(), found.trust_domain()), (OTHER, "cluster.local"));
    assert_eq!(found.certificate.chain().len(), 1);
    assert_eq!(found.roots.certificates().len(), 1);
    let signed = scene.istiod.signed();
    assert_eq!(signed[0].cluster.as_deref(), Some("Kubernetes"));
    assert_eq!(signed[0].lifetime_asked_for, 86_400);
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_ends_with_the_token_of_that_time() {
    let scene = Scene::new(short()).await;
    let mut identity = keep(scene.origin());
    let first = once(&mut identity, Option::is_some).await;
    scene.istiod.know("second", OTHER);
    write(scene.directory.path(), "token", "second");
    let second = once(&mut identity, |found| id(found) == Some(OTHER)).await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_refusal_is_no_end() {
    let scene = Scene::new(Duration::from_secs(3600)).await;
    scene.istiod.forget_all();
    let mut identity = keep(scene.origin());
    assert_eq!(*identity.borrow_and_update(), None);
    scene.istiod.know("first", GATEWAY);
    assert_eq!(id(&once(&mut identity, Option::is_some).await), Some(GATEWAY));
}

#[tokio::test]
async fn an_authority_with_another_root_is_not_believed() {
    let scene = Scene::new(Duration::from_secs(3600)).await;
    write(scene.directory.path(), "root-cert.pem", &Authority::new("somebody").pem());
    let mut identity = keep(scene.origin());
    // The right root appears later: only then is there an identity.
    assert!(timeout(Duration::from_millis(700), identity.wait_for(Option::is_some)).await.is_err());
    assert!(scene.istiod.signed().is_empty());
    write(scene.directory.path(), "root-cert.pem", &scene.istiod.authority().pem());
    assert_eq!(id(&once(&mut identity, Option::is_some).await), Some(GATEWAY));
}

#[tokio::test]
async fn files_are_followed_and_half_a_rotation_changes_nothing() {
    let authority = Authority::new("mesh");
    let directory = TempDir::new().unwrap();
    let issue = |uri: &str| authority.issue(&Leaf::client("gateway").uri(uri));
    let (first, second) = (issue(GATEWAY), issue(OTHER));
    let at = directory.path();
    write(at, "cert-chain.pem", &first.cert_pem());
    write(at, "key.pem", first.key_pem());
    write(at, "root-cert.pem", &authority.pem());
    let mut identity = keep(Origin::Files(at.to_owned()));
    assert_eq!(id(&once(&mut identity, Option::is_some).await), Some(GATEWAY));
    write(at, "cert-chain.pem", &second.cert_pem());
    write(at, "key.pem", second.key_pem());
    let found = once(&mut identity, |found| id(found) != Some(GATEWAY)).await;
    assert_eq!(id(&found), Some(OTHER));
}
