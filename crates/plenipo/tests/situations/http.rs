//! Requests that nobody asked for, or that break rules.

use super::*;

#[tokio::test]
async fn hosts_and_ports_without_routes_answer_404() {
    let yaml = gateway("a", &clear(80, "'*'")) + &virtual_service("a", "a.test", "a", TO_UP);
    let mut scene = Scene::of(&yaml).await;
    assert_eq!((scene.get("a.test", "/").await, scene.get("b.test", "/").await), (200, 404));
    scene.silent();
    scene.change(&gateway("a", &clear(80, "'*'"))).await;
    assert_eq!(scene.get("a.test", "/").await, 404);
}

#[tokio::test]
async fn a_virtual_service_for_a_gateway_that_is_not_there_is_told() {
    let yaml = gateway("a", &clear(80, "'*'")) + &virtual_service("a", "a.test", "missing", TO_UP);
    let scene = Scene::of(&yaml).await;
    assert_eq!(scene.get("a.test", "/").await, 404);
    let about = |problem: &&&plenipo_resources::Problem| {
        problem.object.as_ref().is_some_and(|id| id.to_string() == "VirtualService default/a")
    };
    let problems = scene.report.problems();
    let told = problems.iter().find(about).unwrap_or_else(|| panic!("{problems:?}"));
    assert!(told.message.contains("missing"), "{told}");
}

#[tokio::test]
async fn clear_text_on_a_port_of_tls_is_not_served() {
    let authority = Authority::new("ca");
    let yaml = gateway("a", &secured("'*'", "a"))
        + &virtual_service("a", "a.test", "a", TO_UP)
        + "---\n"
        + &authority.server(&["a.test"]).secret_yaml("a", "istio-system");
    let scene = Scene::of(&yaml).await;
    assert!(scene.closes(443, b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await);
    assert!(scene.upstream.seen().is_empty());
}

#[tokio::test]
async fn requests_that_break_rules_are_refused() {
    let yaml = gateway("a", &clear(80, "'*'")) + &virtual_service("a", "'*'", "a", TO_UP);
    let scene = Scene::of(&yaml).await;
    let long = "x".repeat(61 * 1024);
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), "400"),
        ("GET /a%00b HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(), "400"),
        ("GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\nHost: a.test\r\nx: {long}\r\n\r\n"), "431"),
        ("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n".to_owned(), "426"),
    ] {
        let mut client = Raw::connect(scene.address(80)).await.unwrap();
        client.send(&request).await.unwrap();
        let answer = client.response().await.unwrap();
        let first = request.lines().next().unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{first}: {answer}");
    }
    assert!(scene.upstream.seen().is_empty());
}
