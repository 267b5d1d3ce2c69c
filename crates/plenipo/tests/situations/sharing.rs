//! Several Gateways, or several dialects, for one port or name.

use super::*;

#[tokio::test]
async fn gateways_of_one_port_that_speak_http_share_it() {
    let yaml = gateway("a", &clear(80, "a.test"))
        + &gateway("b", &other(80, "HTTP2", "b.test", ""))
        + &virtual_service("a", "a.test", "a", TO_UP)
        + &virtual_service("b", "b.test", "b", TO_UP);
    let scene = Scene::of(&yaml).await;
    assert_eq!((scene.get("a.test", "/").await, scene.get("b.test", "/").await), (200, 200));
    scene.silent();
}

#[tokio::test]
async fn a_port_that_speaks_http_does_not_speak_tcp() {
    let tcp = "tcp: [{route: [{destination: {host: up, port: {number: 80}}}]}]";
    let yaml = gateway("a", &clear(80, "'*'"))
        + &gateway("b", &other(80, "TCP", "'*'", ""))
        + &virtual_service("a", "a.test", "a", TO_UP)
        + &virtual_service("b", "'*'", "b", tcp);
    let scene = Scene::of(&yaml).await;
    assert_eq!((scene.get("a.test", "/").await, scene.get("b.test", "/").await), (200, 404));
    scene.told("Gateway default/b", "port-conflict", &["Gateway default/a", "port 80"]);
}

#[tokio::test]
async fn a_port_that_speaks_tcp_has_one_owner() {
    let tcp = "tcp: [{route: [{destination: {host: up, port: {number: 80}}}]}]";
    let yaml = gateway("a", &other(80, "TCP", "'*'", ""))
        + &gateway("b", &other(80, "TCP", "'*'", ""))
        + &virtual_service("a", "'*'", "a", tcp)
        + &virtual_service("b", "'*'", "b", "tcp: [{route: [{destination: {host: nobody.test}}]}]");
    let scene = Scene::of(&yaml).await;
    assert_eq!(scene.get("a.test", "/").await, 200, "the bytes of the first one's upstream");
    scene.told("Gateway default/b", "port-conflict", &["Gateway default/a", "port 80"]);
}

#[tokio::test]
async fn tls_servers_of_one_port_are_told_apart_by_name() {
    let authority = Authority::new("ca");
    let secret = |name: &str, host: &str| authority.server(&[host]).secret_yaml(name, "istio-system");
    let yaml = gateway("a", &secured("a.test", "a"))
        + &gateway("b", &secured("b.test", "b"))
        + &virtual_service("a", "a.test", "a", TO_UP)
        + &virtual_service("b", "b.test", "b", TO_UP)
        + "---\n"
        + &secret("a", "a.test")
        + "---\n"
        + &secret("b", "b.test");
    let scene = Scene::of(&yaml).await;
    for name in ["a.test", "b.test"] {
        assert_eq!(scene.secure(name, name, &authority, None).await, 200, "{name}");
    }
    assert_eq!(scene.secure("c.test", "c.test", &authority, None).await, 0, "nobody's name");
    scene.silent();
}

#[tokio::test]
async fn clear_text_and_tls_share_a_port_in_whatever_order() {
    let authority = Authority::new("ca");
    let tls = "{port: {number: 80, name: https, protocol: HTTPS}, hosts: [a.test], tls: {mode: SIMPLE, credentialName: a}}";
    for servers in [[clear(80, "a.test"), tls.to_owned()], [tls.to_owned(), clear(80, "a.test")]] {
        let yaml = gateway("a", &servers[0])
            + &gateway("b", &servers[1])
            + &virtual_service("a", "a.test", "a, b", TO_UP)
            + "---\n"
            + &authority.server(&["a.test"]).secret_yaml("a", "istio-system");
        let scene = Scene::of(&yaml).await;
        assert_eq!(scene.get("a.test", "/").await, 200);
        let target = Target::tls(scene.address(80), "a.test", tls::client(&authority, None, &[]));
        let request = ::http::Request::get("/").header("host", "a.test");
        assert_eq!(Http::one(target).send(request).await.unwrap().status, 200);
        let clear = if servers[0] == tls { "Gateway default/b" } else { "Gateway default/a" };
        scene.told(clear, "protocol-conflict", &["port 80"]);
    }
}

#[tokio::test]
async fn a_name_that_is_taken_costs_a_server_that_name_only() {
    let authority = Authority::new("ca");
    let secret = |name: &str, hosts: &[&str]| authority.server(hosts).secret_yaml(name, "istio-system");
    // As `./a.test` and `default/a.test` it is the same name still.
    for host in ["a.test", "./a.test", "default/a.test"] {
        let yaml = gateway("a", &secured(host, "a"))
            + &gateway("b", &secured("a.test, b.test", "b"))
            + &virtual_service("a", "a.test", "a", TO_UP)
            + &virtual_service("b", "b.test", "b", TO_UP)
            + "---\n"
            + &secret("a", &["a.test"])
            + "---\n"
            + &secret("b", &["b.test"]);
        let scene = Scene::of(&yaml).await;
        for name in ["a.test", "b.test"] {
            assert_eq!(scene.secure(name, name, &authority, None).await, 200, "{name}");
        }
        scene.told("Gateway default/b", "duplicate-server-name", &["Gateway default/a", "a.test"]);
    }
}

#[tokio::test]
async fn a_connection_for_another_name_serves_what_has_the_same_terms() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let names = ["a.shop.test", "b.shop.test", "*.shop.test"];
    let both = authority.server(&names).secret_yaml("both", "istio-system");
    let pem = clients.pem();
    let ca =
        plenipo_testkit::certs::secret_yaml("both-cacert", "istio-system", "Opaque", &[("ca.crt", &pem)]);
    // Where Istio answers 404; with 421 the client opens the right connection.
    for (wide, mode, expected) in
        [("'*.shop.test'", "SIMPLE", 200), ("'*.shop.test'", "MUTUAL", 421), ("a.shop.test", "SIMPLE", 421)]
    {
        let yaml = gateway("a", &secured(wide, "both"))
            + &gateway("b", &mutual("b.shop.test", "both", mode))
            + &virtual_service("a", "a.shop.test", "a", TO_UP)
            + &virtual_service("b", "b.shop.test", "a, b", TO_UP)
            + "---\n"
            + &both
            + "---\n"
            + &ca;
        let scene = Scene::of(&yaml).await;
        assert_eq!(scene.secure("a.shop.test", "a.shop.test", &authority, None).await, 200);
        let status = scene.secure("a.shop.test", "b.shop.test", &authority, None).await;
        assert_eq!(status, expected, "{wide} {mode}");
    }
}

#[tokio::test]
async fn names_that_nobody_serves_get_no_certificate() {
    let authority = Authority::new("ca");
    let secret = authority.server(&["x.test"]).secret_yaml("a", "istio-system");
    for (hosts, expected) in [("a.test", 0), ("'*'", 200)] {
        let yaml =
            gateway("a", &secured(hosts, "a")) + &virtual_service("a", "'*'", "a", TO_UP) + "---\n" + &secret;
        let scene = Scene::of(&yaml).await;
        assert_eq!(scene.secure("x.test", "x.test", &authority, None).await, expected, "an unknown name");
        // An address is never sent as a server name.
        let config = tls::trusting_client(&[]);
        let target = Target::tls(scene.address(443), "127.0.0.1", config);
        let request = ::http::Request::get("/").header("host", "x.test");
        let status = Http::one(target).send(request).await.map_or(0, |response| response.status.as_u16());
        assert_eq!(status, expected, "no name");
    }
}

#[tokio::test]
async fn dialects_share_a_port_and_a_host() {
    let yaml = "---\napiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: l, namespace: default}\n\
        spec: {port: 80, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}\n\
        ---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {name: h, namespace: default}\n\
        spec: {hostname: a.test, requestPolicy: {insecure: {action: Route}}}\n\
        ---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {name: m, namespace: default}\n\
        spec: {hostname: a.test, prefix: /mapping/, rewrite: /from-mapping/, service: up.default}\n"
        .to_owned()
        + &gateway("g", &clear(80, "'*'"))
        + &virtual_service("v", "a.test", "g", "http: [{match: [{uri: {prefix: /mapping}}], route: [{destination: {host: up}}], rewrite: {uri: /from-virtual-service}}, {route: [{destination: {host: up}}]}]")
        + &virtual_service("w", "b.test", "g", TO_UP);
    let scene = Scene::of(&yaml).await;
    assert_eq!((scene.get("a.test", "/mapping/x").await, scene.get("a.test", "/mapping").await), (200, 200));
    assert_eq!((scene.get("a.test", "/other").await, scene.get("b.test", "/").await), (200, 200));
    let paths: Vec<String> = scene.upstream.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/from-mapping/x", "/from-virtual-service", "/other", "/"]);
    scene.told("Gateway default/g", "conflict", &["Listener default/l"]);
}

#[tokio::test]
async fn three_dialects_share_a_host_in_their_order() {
    let emissary = "---\napiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: l, namespace: default}\n\
        spec: {port: 80, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}\n\
        ---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {name: h, namespace: default}\n\
        spec: {hostname: a.test, requestPolicy: {insecure: {action: Route}}}\n\
        ---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {name: m, namespace: default}\n\
        spec: {hostname: a.test, prefix: /m, rewrite: /mapping, service: up.default}\n";
    let istio = gateway("g", &clear(80, "'*'"))
        + &virtual_service(
            "v",
            "a.test",
            "g",
            "http: [{match: [{uri: {prefix: /m}}, {uri: {prefix: /v}}], rewrite: {uri: /virtual-service}, route: [{destination: {host: up}}]}]",
        );
    let ingress = "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\n\
        metadata: {name: own, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}\n\
        spec: {controller: plenipo.io/ingress-controller}\n\
        ---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: default}\n\
        spec: {rules: [{host: a.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: up, port: {number: 80}}}}]}}]}\n";
    for parts in [[emissary, &istio, ingress], [ingress, &istio, emissary]] {
        let scene = Scene::of(&parts.concat()).await;
        for path in ["/m", "/v", "/i"] {
            assert_eq!(scene.get("a.test", path).await, 200, "{path}");
        }
        let paths: Vec<String> = scene.upstream.seen().into_iter().map(|seen| seen.path).collect();
        assert_eq!(paths, ["/mapping", "/virtual-service", "/i"]);
        scene.told("VirtualService default/v", "conflict", &["Mapping default/m", "a.test"]);
    }
}

#[tokio::test]
async fn client_certificates_of_one_dialect_are_not_given_up_for_another() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let client = clients.client("good");
    let pem = clients.pem();
    let secrets = authority.server(&["a.test"]).secret_yaml("a", "istio-system")
        + "---\n"
        + &authority.server(&["a.test"]).secret_yaml("a", "default")
        + "---\n"
        + &plenipo_testkit::certs::secret_yaml("a-cacert", "istio-system", "Opaque", &[("ca.crt", &pem)]);
    let ingress = "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\n\
        metadata: {name: own, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}\n\
        spec: {controller: plenipo.io/ingress-controller}\n\
        ---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: default}\n\
        spec: {tls: [{hosts: [a.test], secretName: a}], rules: [{host: a.test, http: {paths: [{path: /, pathType: Prefix, \
        backend: {service: {name: up, port: {number: 80}}}}]}}]}\n---\n";
    let yaml = gateway("a", &mutual("a.test", "a", "MUTUAL"))
        + &virtual_service(
            "a",
            "a.test",
            "a",
            "http: [{match: [{uri: {prefix: /v}}], route: [{destination: {host: up}}]}]",
        )
        + ingress
        + &secrets;
    let scene = Scene::of(&yaml).await;
    // The Gateway was there first: the Ingress is behind its client certificates, which is more than it asked for.
    assert_eq!(scene.secure("a.test", "a.test", &authority, Some(&client)).await, 200);
    assert_eq!(scene.secure("a.test", "a.test", &authority, None).await, 0);
}
