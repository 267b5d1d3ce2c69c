#![allow(clippy::unwrap_used, reason = "tests")]

use plenipo_testkit::{Authority, Leaf};

use super::*;

fn identity() -> MeshIdentity {
    let authority = Authority::new("mesh");
    let issued = authority.issue(&Leaf::client("gateway").uri("spiffe://cluster.local/ns/a/sa/b"));
    let (chain, root) = (issued.cert_pem(), authority.pem());
    MeshIdentity::from_pem(chain.as_bytes(), issued.key_pem().as_bytes(), root.as_bytes()).unwrap()
}

#[test]
fn renewal_is_due_around_half_of_the_time() {
    let identity = identity();
    let (begin, end) = (identity.certificate.not_before(), identity.certificate.not_after());
    let whole = u64::try_from(end - begin).unwrap();
    let wait = until_renewal(&identity, begin).as_secs();
    assert!((whole * 4 / 10..=whole * 6 / 10).contains(&wait), "{wait} of {whole}");
}

#[test]
fn what_is_overdue_is_renewed_soon_and_not_in_a_storm() {
    let identity = identity();
    assert_eq!(until_renewal(&identity, identity.certificate.not_after() + 5), FIRST_WAIT);
}

#[test]
fn only_an_expired_identity_is_dropped() {
    let (sender, receiver) = watch::channel(Some(Arc::new(identity())));
    let keeper = Keeper { sender };
    keeper.drop_expired();
    assert!(receiver.borrow().is_some());
    let authority = Authority::new("mesh");
    let issued = authority.issue(&Leaf::client("gateway").uri("spiffe://cluster.local/ns/a/sa/b").expired());
    let (chain, root) = (issued.cert_pem(), authority.pem());
    let expired = MeshIdentity::from_pem(chain.as_bytes(), issued.key_pem().as_bytes(), root.as_bytes());
    keeper.take(expired.unwrap());
    keeper.drop_expired();
    assert!(receiver.borrow().is_none());
}

#[test]
fn same_again_is_no_change() {
    let (sender, mut receiver) = watch::channel(None);
    let keeper = Keeper { sender };
    let identity = identity();
    keeper.take(identity.clone());
    assert!(receiver.has_changed().unwrap());
    receiver.mark_unchanged();
    keeper.take(identity);
    assert!(!receiver.has_changed().unwrap());
}
