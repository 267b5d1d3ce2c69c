use std::net::{Ipv4Addr, SocketAddr};

use plenipo_model::{
    Accepts, Action as Outcome, Balance, Chain, ChainTls, ClientAuth, Endpoints, Listener as Bound,
    ProxyProtocol, SendProxyProtocol, Serve, Source, TcpRoute, Transport,
};
use plenipo_resources::core::IntOrString;
use plenipo_resources::{Origin, SetBuilder};

use super::*;
use crate::stack::{
    Action, AddressType, Forward, HealthCheck, HealthPort, LoadBalancer, MutualAuthentication, MutualMode,
    Rule, TargetGroup, TargetProtocol, TargetRef, TargetType, WeightedTarget,
};

/// A Service `edge` whose port 80 leads to the pods' 8080 and 443 to 8443.
fn set() -> Set {
    let service = serde_json::json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge", "namespace": "default"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "edge"}, "ports": [
            {"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443},
        ]},
    });
    let mut set = SetBuilder::default();
    for object in plenipo_resources::decode(service, Origin::Cluster).objects {
        set.add(Arc::new(object));
    }
    set.build()
}

/// A gateway with listeners on 8080 and 8443, bound at 18080 and 18443.
fn gateway() -> Edge {
    let listener = |declared: u16| {
        let source = Source::new("test");
        let route = Arc::new(TcpRoute::new("test", source.clone(), vec![]));
        let chain = Chain {
            source: source.clone(),
            accepts: Accepts::Anything,
            tls: ChainTls::Untouched,
            serve: Serve::Tcp(route),
        };
        Bound {
            name: declared.to_string(),
            source,
            bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, declared + 10_000)),
            transport: Transport::Tcp,
            declared_port: declared,
            proxy_protocol: ProxyProtocol::Off,
            inner_proxy_from: vec![],
            stats_prefix: String::new(),
            max_connections: None,
            chains: vec![chain],
        }
    };
    Edge { listeners: vec![listener(8080), listener(8443)], ..Edge::default() }
}

fn options(gateway: &Edge) -> LocalOptions<'_> {
    LocalOptions {
        gateway,
        gateway_address: None,
        gateway_ports: BTreeMap::new(),
        resolve: BTreeMap::new(),
        ports: BTreeMap::new(),
        lowest_port: 1024,
        certificates: BTreeMap::new(),
        trust_stores: BTreeMap::new(),
        without_web_acl: false,
    }
}

fn group(kind: Kind, service_port: i64) -> TargetGroup {
    let protocol = if kind == Kind::Application { TargetProtocol::Http } else { TargetProtocol::Tcp };
    TargetGroup {
        name: format!("group-{service_port}"),
        target_type: TargetType::Ip,
        ipv6: false,
        port: 8080,
        protocol,
        protocol_version: None,
        health_check: HealthCheck {
            port: HealthPort::Traffic,
            protocol,
            path: None,
            success_codes: None,
            interval: 10,
            timeout: 10,
            healthy: 3,
            unhealthy: 3,
        },
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        service: ObjectId::new("Service", "default", "edge"),
        service_port: IntOrString::Int(service_port),
        node_selector: BTreeMap::new(),
        multi_cluster: None,
        networking: None,
        vpc: None,
        control_port: None,
    }
}

fn forward(id: &str) -> Action {
    let target = WeightedTarget { target: TargetRef::Own(id.to_owned()), weight: None };
    Action::Forward(Forward { targets: vec![target], stickiness: None, other: None })
}

fn listener(port: u16, protocol: ListenerProtocol, actions: Vec<Action>) -> Listener {
    Listener {
        port,
        protocol,
        certificates: if protocol.ends_tls() { vec!["arn:one".to_owned()] } else { vec![] },
        ssl_policy: None,
        alpn: None,
        mutual_authentication: None,
        default_actions: actions,
        rules: vec![],
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
    }
}

fn stack(name: &str, kind: Kind, listeners: Vec<Listener>) -> Stack {
    let groups = [80, 443].map(|port| (format!("default/edge:{port}"), group(kind, port)));
    Stack {
        id: format!("default/{name}"),
        controller: Controller::LoadBalancerController,
        members: vec![ObjectId::new("Service", "default", "edge")],
        load_balancer: LoadBalancer {
            name: name.to_owned(),
            kind,
            scheme: Scheme::Internal,
            addresses: AddressType::Ipv4,
            subnets: vec![],
            security_groups: vec![],
            attributes: BTreeMap::new(),
            tags: BTreeMap::new(),
            private_link_rules: None,
            ipv6_source_nat: None,
            minimum_capacity: None,
            ipam_pool: None,
            customer_owned_pool: None,
        },
        listeners,
        target_groups: groups.into(),
        security_group: None,
        web_acl: None,
        shield: None,
        frontend: None,
    }
}

fn codes(local: &Local) -> Vec<&str> {
    local.problems.iter().map(|problem| problem.code.0).collect()
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn addresses(cluster: &Cluster) -> Vec<SocketAddr> {
    match &cluster.endpoints {
        Endpoints::Static(all) => all.iter().map(|endpoint| endpoint.address).collect(),
        Endpoints::Dns(_) => vec![],
    }
}

#[test]
fn a_network_load_balancer_leads_to_the_gateways_own_ports() {
    use ListenerProtocol::Tcp;
    let listeners = vec![
        listener(80, Tcp, vec![forward("default/edge:80")]),
        listener(443, Tcp, vec![forward("default/edge:443")]),
    ];
    let mut one = stack("one", Kind::Network, listeners);
    for group in one.target_groups.values_mut() {
        group.attributes.insert(TargetGroup::PROXY_V2.to_owned(), "true".to_owned());
    }
    let gateway = gateway();
    let local = edge(&[one], &set(), &options(&gateway));
    assert_eq!(codes(&local), [""; 0]);
    let bound: Vec<_> =
        local.edge.listeners.iter().map(|listener| (listener.declared_port, listener.bind)).collect();
    assert_eq!(bound, [(80, address("127.0.0.1:9080")), (443, address("127.0.0.1:9443"))]);
    let cluster = &local.edge.clusters["one/group-443"];
    assert_eq!(addresses(cluster), [address("127.0.0.1:18443")]);
    assert_eq!(
        cluster.send_proxy,
        Some(SendProxyProtocol::V2(plenipo_model::ProxyTlvs::network_load_balancer()))
    );
    assert_eq!(
        local.balancers[0].ports[1].targets,
        ["the gateway's 8443 at 127.0.0.1:18443 (TCP, PROXY v2)"]
    );
}

#[test]
fn load_balancers_with_a_port_in_common_have_addresses_of_their_own() {
    let one = |name: &str, port: u16| {
        stack(
            name,
            Kind::Network,
            vec![listener(port, ListenerProtocol::Tcp, vec![forward("default/edge:80")])],
        )
    };
    let gateway = gateway();
    let mut options = options(&gateway);
    options.ports.insert(81, 7000);
    // The gateway has this one: a load balancer there would be its own target.
    options.ports.insert(82, 18_080);
    let local = edge(&[one("a", 80), one("b", 80), one("c", 81), one("d", 82)], &set(), &options);
    let bound: Vec<_> = local.balancers.iter().map(|balancer| balancer.ports[0].bind).collect();
    assert_eq!(bound, ["127.0.0.1:9080", "127.0.0.2:9080", "127.0.0.1:7000", "127.0.0.1:9082"].map(address));
}

#[test]
fn without_its_certificate_or_trust_store_a_listener_shows_nothing() {
    let plain = listener(443, ListenerProtocol::Https, vec![forward("default/edge:80")]);
    let gateway = gateway();
    let mut options = options(&gateway);
    let chain = |local: &Local| local.edge.listeners[0].chains[0].tls.clone();
    let local = edge(&[stack("a", Kind::Application, vec![plain.clone()])], &set(), &options);
    assert_eq!(codes(&local), ["edge-certificate"]);
    assert!(matches!(chain(&local), ChainTls::Broken(_)));

    let made = rcgen::generate_simple_self_signed(["example.com".to_owned()]).expect("a certificate");
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let certificate = Certificate::from_pem(pem.as_bytes(), key.as_bytes()).expect("just made");
    options.certificates.insert("arn:one".to_owned(), Arc::new(certificate));
    let local = edge(&[stack("a", Kind::Application, vec![plain.clone()])], &set(), &options);
    let ChainTls::Terminate(tls) = chain(&local) else { panic!("{local:?}") };
    assert_eq!(tls.alpn, ["h2", "http/1.1"]);
    assert_eq!(tls.client_auth, ClientAuth::None);
    assert!(local.balancers[0].ports[0].deviations.iter().any(|text| text.contains("TLS 1.0 and 1.1")));

    let verify = MutualAuthentication {
        mode: MutualMode::Verify,
        trust_store: Some("clients".to_owned()),
        ignore_expiry: None,
        advertise_names: None,
    };
    let verifying = Listener { mutual_authentication: Some(verify), ..plain };
    let stacks = [stack("a", Kind::Application, vec![verifying])];
    let local = edge(&stacks, &set(), &options);
    assert_eq!(codes(&local), ["edge-trust-store"]);
    assert!(matches!(chain(&local), ChainTls::Broken(_)));
    let roots = Arc::new(RootStore::from_pem(pem.as_bytes()).expect("an authority"));
    options.trust_stores.insert("clients".to_owned(), TrustStore { roots, revocation: None });
    let local = edge(&stacks, &set(), &options);
    let ChainTls::Terminate(tls) = chain(&local) else { panic!("{local:?}") };
    assert!(matches!(&tls.client_auth, ClientAuth::Required(roots) if !roots.advertise_names));
}

fn routes(local: &Local) -> Vec<Arc<plenipo_model::Route>> {
    match &local.edge.listeners[0].chains[0].serve {
        Serve::Http(server) => server.hosts[0].routes.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn authentication_is_never_skipped() {
    let rule = Rule {
        priority: 1,
        source: ObjectId::new("Ingress", "default", "edge"),
        conditions: vec![],
        actions: vec![Action::AuthenticateOidc(serde_json::json!({})), forward("default/edge:80")],
        transforms: vec![],
        tags: BTreeMap::new(),
    };
    let mut http = listener(80, ListenerProtocol::Http, vec![forward("default/edge:80")]);
    http.rules.push(rule);
    let gateway = gateway();
    let local = edge(&[stack("a", Kind::Application, vec![http])], &set(), &options(&gateway));
    assert_eq!(codes(&local), ["edge-authentication"]);
    let routes = routes(&local);
    assert!(matches!(&routes[0].action, Outcome::Respond(answer) if answer.status == 500));
    assert!(matches!(&routes[1].action, Outcome::Forward(_)));
}

#[test]
fn an_answer_for_a_service_that_is_not_there_is_told() {
    let answer = |body: &str| Action::FixedResponse {
        status: "503".to_owned(),
        content_type: Some("text/plain".to_owned()),
        body: Some(body.to_owned()),
    };
    let gateway = gateway();
    for (body, expected) in [(crate::ingress::MISSING_SERVICE, &["edge-no-targets"][..]), ("closed", &[])] {
        let http = listener(80, ListenerProtocol::Http, vec![answer(body)]);
        let local = edge(&[stack("a", Kind::Application, vec![http])], &set(), &options(&gateway));
        assert_eq!(codes(&local), expected);
        assert_eq!(local.balancers[0].ports[0].targets, [format!("its own answer 503: {body}")]);
    }
}

#[test]
fn a_web_acl_closes_unless_told_otherwise() {
    let mut one = stack(
        "a",
        Kind::Application,
        vec![listener(80, ListenerProtocol::Http, vec![forward("default/edge:80")])],
    );
    one.web_acl = Some("arn:acl".to_owned());
    let gateway = gateway();
    let mut options = options(&gateway);
    let refused = |local: &Local| match &local.edge.listeners[0].chains[0].serve {
        Serve::Http(server) => server.refuse.is_some(),
        _ => false,
    };
    assert!(refused(&edge(&[one.clone()], &set(), &options)));
    options.without_web_acl = true;
    assert!(!refused(&edge(&[one], &set(), &options)));
}

#[test]
fn a_load_balancer_in_front_of_another_tells_it_who_the_client_is() {
    let mut inner = stack(
        "a",
        Kind::Application,
        vec![listener(80, ListenerProtocol::Http, vec![forward("default/edge:80")])],
    );
    let mut outer =
        stack("front", Kind::Network, vec![listener(80, ListenerProtocol::Tcp, vec![forward("alb")])]);
    let target = TargetGroup { target_type: TargetType::Alb, port: 80, ..group(Kind::Network, 80) };
    outer.target_groups.insert("alb".to_owned(), target);
    inner.frontend = Some(Box::new(outer));
    let gateway = gateway();
    let local = edge(&[inner], &set(), &options(&gateway));
    let listeners: Vec<_> =
        local.edge.listeners.iter().map(|one| (one.bind.to_string(), one.proxy_protocol.clone())).collect();
    let expected = [
        ("127.0.0.1:9080".to_owned(), ProxyProtocol::Off),
        ("127.0.0.2:9080".to_owned(), ProxyProtocol::Off),
        ("127.1.0.1:9080".to_owned(), ProxyProtocol::Required),
    ];
    assert_eq!(listeners, expected);
    assert_eq!(addresses(&local.edge.clusters["front/group-80"]), [address("127.1.0.1:9080")]);
}

#[test]
fn datagrams_have_a_listener_of_their_own() {
    let both = listener(53, ListenerProtocol::TcpUdp, vec![forward("default/edge:80")]);
    let gateway = gateway();
    let mut options = options(&gateway);
    options.resolve.insert(("edge.default".to_owned(), 80), address("127.0.0.1:5353"));
    let local = edge(&[stack("dns", Kind::Network, vec![both])], &set(), &options);
    let transports: Vec<_> = local.edge.listeners.iter().map(|listener| listener.transport).collect();
    assert_eq!(transports, [Transport::Tcp, Transport::Udp]);
    assert_eq!(addresses(&local.edge.clusters["dns/group-80 (UDP)"]), [address("127.0.0.1:5353")]);
}

#[test]
fn target_groups_choose_by_their_algorithm() {
    let gateway = gateway();
    let chosen = |attributes: &[(&str, &str)]| {
        let http = listener(80, ListenerProtocol::Http, vec![forward("default/edge:80")]);
        let mut one = stack("a", Kind::Application, vec![http]);
        for group in one.target_groups.values_mut() {
            let written = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            group.attributes.extend(written);
        }
        let local = edge(&[one], &set(), &options(&gateway));
        let differs = local.balancers[0].ports[0].deviations.iter().any(|text| text.contains("anomalies"));
        (local.edge.clusters["a/group-80"].balance, differs)
    };
    let algorithm = |value| ("load_balancing.algorithm.type", value);
    let mitigation = |value| ("load_balancing.algorithm.anomaly_mitigation", value);
    assert_eq!(chosen(&[]), (Balance::RoundRobin, false));
    assert_eq!(chosen(&[algorithm("round_robin")]), (Balance::RoundRobin, false));
    assert_eq!(chosen(&[algorithm("least_outstanding_requests")]), (Balance::LeastOutstanding, false));
    assert_eq!(chosen(&[algorithm("weighted_random"), mitigation("off")]), (Balance::Random, false));
    assert_eq!(chosen(&[algorithm("weighted_random"), mitigation("on")]), (Balance::Random, true));
}

#[test]
fn equal_input_gives_an_equal_edge() {
    let stacks = [stack(
        "a",
        Kind::Network,
        vec![listener(80, ListenerProtocol::Tcp, vec![forward("default/edge:80")])],
    )];
    let gateway = gateway();
    assert_eq!(edge(&stacks, &set(), &options(&gateway)), edge(&stacks, &set(), &options(&gateway)));
}
