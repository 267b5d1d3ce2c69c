//! Certificates that are not there, not right, or no longer there.

use super::*;

fn yaml(extra: &str) -> String {
    gateway("a", &format!("{}, {}", secured("a.test", "a"), secured("b.test", "b")))
        + &virtual_service("a", "a.test, b.test", "a", TO_UP)
        + "---\n"
        + extra
}

#[tokio::test]
async fn a_missing_secret_costs_its_names_only() {
    let authority = Authority::new("ca");
    let good = authority.server(&["a.test"]).secret_yaml("a", "istio-system");
    let scene = Scene::of(&yaml(&good)).await;
    assert_eq!(scene.secure("a.test", "a.test", &authority, None).await, 200);
    assert_eq!(scene.secure("b.test", "b.test", &authority, None).await, 0);
    let misdirected = scene.secure("a.test", "b.test", &authority, None).await;
    assert!(misdirected == 421 || misdirected == 503, "nor by another name's connection: {misdirected}");
    let words = ["istio-system/b"];
    let told =
        scene.report.problems().iter().any(|problem| words.iter().all(|word| problem.message.contains(word)));
    assert!(told, "{:?}", scene.report.problems());
}

#[tokio::test]
async fn a_broken_secret_serves_as_it_was_and_a_wrong_one_never() {
    let authority = Authority::new("ca");
    let (a, b) = (authority.server(&["a.test"]), authority.server(&["b.test"]));
    let secret = |issued: &Issued, name: &str| issued.secret_yaml(name, "istio-system");
    let mixed = plenipo_testkit::certs::secret_yaml(
        "b",
        "istio-system",
        "kubernetes.io/tls",
        &[("tls.crt", &b.cert_pem()), ("tls.key", a.key_pem())],
    );
    let mut scene = Scene::of(&yaml(&format!("{}---\n{mixed}", secret(&a, "a")))).await;
    assert_eq!(
        scene.secure("b.test", "b.test", &authority, None).await,
        0,
        "key and certificate do not belong together"
    );
    scene.change(&yaml(&format!("{}---\n{}", secret(&a, "a"), secret(&b, "b")))).await;
    assert_eq!(scene.secure("b.test", "b.test", &authority, None).await, 200);
    scene.change(&yaml(&format!("{}---\n{mixed}", secret(&a, "a")))).await;
    assert_eq!(scene.secure("b.test", "b.test", &authority, None).await, 200, "the one before");
    let told = scene.report.problems().iter().any(|problem| problem.message.contains("keeps serving"));
    assert!(told, "{:?}", scene.report.problems());
    // One that is deleted while a server names it serves on, too.
    scene.change(&yaml(&secret(&a, "a"))).await;
    assert_eq!(scene.secure("b.test", "b.test", &authority, None).await, 200);
    let told = scene.report.problems().iter().any(|problem| problem.message.contains("serves on"));
    assert!(told, "{:?}", scene.report.problems());
    assert_eq!(scene.secure("a.test", "a.test", &authority, None).await, 200);
}

#[tokio::test]
async fn revoked_clients_are_not_let_in_and_a_list_of_another_authority_lets_nobody_in() {
    let (authority, clients, others) =
        (Authority::new("ca"), Authority::new("clients"), Authority::new("others"));
    let (good, bad) = (clients.client("good"), clients.client("bad"));
    for (list, expected) in
        [(clients.revocation_list(&[&bad]), [200, 0]), (others.revocation_list(&[]), [0, 0])]
    {
        let ca = [("ca.crt", clients.pem()), ("ca.crl", list)];
        let ca: Vec<(&str, &str)> = ca.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let yaml = gateway("a", &mutual("a.test", "a", "MUTUAL"))
            + &virtual_service("a", "a.test", "a", TO_UP)
            + "---\n"
            + &authority.server(&["a.test"]).secret_yaml("a", "istio-system")
            + "---\n"
            + &plenipo_testkit::certs::secret_yaml("a-cacert", "istio-system", "Opaque", &ca);
        let scene = Scene::of(&yaml).await;
        for (client, expected) in [&good, &bad].into_iter().zip(expected) {
            assert_eq!(scene.secure("a.test", "a.test", &authority, Some(client)).await, expected);
        }
        assert_eq!(scene.secure("a.test", "a.test", &authority, None).await, 0);
    }
}
