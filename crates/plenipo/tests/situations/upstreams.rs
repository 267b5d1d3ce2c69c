//! Destinations that are not there, or do not answer.

use plenipo_testkit::Answer;

use super::*;

#[tokio::test]
async fn an_unknown_destination_is_answered_503() {
    for destination in ["{host: missing}", "{host: up, subset: missing}"] {
        let spec = format!("http: [{{route: [{{destination: {destination}}}]}}]");
        let yaml = gateway("a", &clear(80, "'*'")) + &virtual_service("a", "a.test", "a", &spec);
        let scene = Scene::of(&yaml).await;
        assert_eq!(scene.get("a.test", "/").await, 503, "{destination}");
        let told = scene.report.problems().iter().any(|problem| {
            problem.object.as_ref().is_some_and(|id| id.to_string() == "VirtualService default/a")
                && problem.message.contains("missing")
        });
        assert!(told, "{destination}: {:?}", scene.report.problems());
    }
}

#[tokio::test]
async fn without_endpoints_or_connections_it_is_503_and_without_answers_504() {
    let empty = "---\napiVersion: v1\nkind: Service\nmetadata: {name: empty, namespace: default}\n\
        spec: {ports: [{name: http, port: 80}], selector: {app: empty}}\n\
        ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
        metadata: {name: empty-1, namespace: default, labels: {kubernetes.io/service-name: empty}}\n\
        addressType: IPv4\nports: [{name: http, port: 80}]\n\
        endpoints: [{addresses: [127.0.0.1], conditions: {ready: false}}]\n\
        ---\napiVersion: v1\nkind: Service\nmetadata: {name: refusing, namespace: default}\n\
        spec: {ports: [{name: http, port: 80}]}\n\
        ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
        metadata: {name: refusing-1, namespace: default, labels: {kubernetes.io/service-name: refusing}}\n\
        addressType: IPv4\nports: [{name: http, port: 9}]\n\
        endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]\n";
    let http = "http: [{match: [{uri: {exact: /empty}}], route: [{destination: {host: empty}}]}, \
        {match: [{uri: {exact: /refusing}}], route: [{destination: {host: refusing}}]}, \
        {timeout: 300ms, route: [{destination: {host: up}}]}]";
    let yaml = gateway("a", &clear(80, "'*'")) + &virtual_service("a", "a.test", "a", http) + empty;
    let scene = Scene::of(&yaml).await;
    for path in ["/empty", "/refusing"] {
        assert_eq!(scene.get("a.test", path).await, 503, "{path}");
    }
    scene.upstream.plan([Answer::Silence]);
    assert_eq!(scene.get("a.test", "/silent").await, 504);
    scene.upstream.plan([Answer::Reset]);
    assert_eq!(scene.get("a.test", "/reset").await, 503, "what may have been begun is not begun again");
}

#[tokio::test]
async fn a_port_of_tcp_without_a_route_is_not_opened() {
    let yaml = gateway("a", &other(80, "TCP", "'*'", "")) + &gateway("b", &clear(443, "'*'"));
    let scene = Scene::of(&yaml).await;
    assert!(Raw::connect(scene.address(80)).await.is_err());
    scene.told("Gateway default/a", "no-tcp-route", &["port 80"]);
}

#[tokio::test]
async fn tls_that_nobody_routes_on_is_closed() {
    let passthrough = other(443, "TLS", "a.test, b.test", ", tls: {mode: PASSTHROUGH}");
    let tls =
        "tls: [{match: [{sniHosts: [a.test]}], route: [{destination: {host: up, port: {number: 80}}}]}]";
    let yaml = gateway("a", &passthrough) + &virtual_service("a", "a.test", "a", tls);
    let mut scene = Scene::of(&yaml).await;
    let authority = Authority::new("ca");
    assert_eq!(scene.secure("b.test", "b.test", &authority, None).await, 0);
    assert_eq!(scene.upstream.accepted(), 0);
    scene.change(&(gateway("a", &passthrough) + &gateway("b", &clear(80, "'*'")))).await;
    scene.told("Gateway default/a", "no-tls-route", &["port 443"]);
}
