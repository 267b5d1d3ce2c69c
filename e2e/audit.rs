//! `plenipo audit`: every way from a client to a backend; and `explain`, which begins at the load balancer too.

use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use plenipo_testkit::certs::Authority;

use crate::gateway::{directory, output};

/// Three doors to one gateway: an ALB that talks clear text to it, an NLB that passes TLS through, and a Classic load
/// balancer that ends TLS on layer 4 in front of a Host that redirects.
const IN_FRONT: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  annotations:
    alb.ingress.kubernetes.io/scheme: internet-facing
    alb.ingress.kubernetes.io/listen-ports: '[{"HTTPS": 443}]'
    alb.ingress.kubernetes.io/certificate-arn: arn:aws:acm:eu-west-1:111122223333:certificate/shop
    kubernetes.io/ingress.class: alb
spec:
  rules:
    - host: shop.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: gateway, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata:
  name: gateway
spec:
  type: NodePort
  selector: {app: gateway}
  ports:
    - {name: http, port: 80, targetPort: 8080, nodePort: 30080}
---
apiVersion: v1
kind: Service
metadata:
  name: through
  annotations:
    service.beta.kubernetes.io/aws-load-balancer-type: external
    service.beta.kubernetes.io/aws-load-balancer-nlb-target-type: ip
    service.beta.kubernetes.io/aws-load-balancer-proxy-protocol: "*"
spec:
  type: LoadBalancer
  selector: {app: gateway}
  ports:
    - {name: https, port: 443, targetPort: 8443}
---
apiVersion: v1
kind: Service
metadata:
  name: looping
  annotations:
    service.beta.kubernetes.io/aws-load-balancer-ssl-cert: arn:aws:acm:eu-west-1:111122223333:certificate/shop
    service.beta.kubernetes.io/aws-load-balancer-ssl-ports: "443"
    service.beta.kubernetes.io/aws-load-balancer-backend-protocol: tcp
spec:
  type: LoadBalancer
  selector: {app: gateway}
  ports:
    - {name: https, port: 443, targetPort: 8081}
---
"#;

const GATEWAY: &str = r#"
apiVersion: getambassador.io/v3alpha1
kind: Module
metadata: {name: ambassador}
spec: {config: {xff_num_trusted_hops: 1, use_remote_address: false}}
---
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: behind-alb}
spec: {port: 8080, protocolStack: [HTTP, TCP], securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: behind-classic}
spec: {port: 8081, protocol: HTTP, securityModel: INSECURE, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: through}
spec: {port: 8443, protocol: HTTPSPROXY, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: shop}
spec:
  hostname: shop.example.com
  tlsSecret: {name: shop-tls}
  requestPolicy: {insecure: {action: Redirect}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: clear}
spec: {hostname: shop.example.com, prefix: /, service: "shop:80"}
---
"#;

fn objects() -> TempDir {
    let authority = Authority::new("audit");
    let secret = authority.server(&["shop.example.com"]).secret_yaml("shop-tls", "default");
    directory(&format!("{IN_FRONT}{GATEWAY}{secret}")).expect("a directory can be made")
}

fn audit(directory: &TempDir, arguments: &[&str]) -> Output {
    let path = directory.path().to_str().expect("a path of ASCII letters");
    output(&[&["audit", path], arguments].concat())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The paragraph of the way whose load balancer is of this kind.
fn way<'a>(text: &'a str, scheme: &str, kind: &str) -> &'a str {
    let mut ways = text.split("\n\n");
    let found = ways.find(|way| way.starts_with(scheme) && way.contains(&format!("→ {kind} ")));
    found.unwrap_or_else(|| panic!("no way by {scheme} through {kind} in\n{text}"))
}

#[test]
fn every_hop_says_what_protects_it() {
    let objects = objects();
    let told = text(&audit(&objects, &[]));
    let alb = way(&told, "https", "ALB");
    assert!(alb.starts_with("https://shop.example.com"), "{alb}");
    assert!(alb.contains("certificate arn:aws:acm:eu-west-1:111122223333:certificate/shop"), "{alb}");
    assert!(alb.contains("→ gateway :8080: HTTP in clear text"), "{alb}");
    assert!(alb.contains("X-Forwarded-For, 1 from its right end"), "{alb}");
    let through = way(&told, "https", "NLB");
    assert!(
        through.contains("(passes through), certificate shop.example.com, checked by the client"),
        "{through}"
    );
    assert!(!told.contains("nothing here takes TLS"), "{told}");
    let looping = way(&told, "https", "Classic ELB");
    assert!(looping.contains("! redirects without end: TLS ends at the load balancer"), "{looping}");
}

#[test]
fn it_is_a_gate_when_asked() {
    let objects = objects();
    assert_eq!(audit(&objects, &[]).status.code(), Some(0));
    let gate = audit(&objects, &["--require", "encrypted"]);
    assert_eq!(gate.status.code(), Some(1));
    let said = String::from_utf8_lossy(&gate.stderr).into_owned();
    assert!(said.contains("gateway :8080: clear text"), "{said}");
    assert_eq!(audit(&objects, &["--require", "mtls"]).status.code(), Some(1));
    let nothing = directory("{}").expect("a directory can be made");
    assert_eq!(audit(&nothing, &["--require", "mtls"]).status.code(), Some(0), "no way, no weak way");
}

#[test]
fn json_and_a_page_that_loads_nothing() {
    let objects = objects();
    let json: Value = serde_json::from_str(&text(&audit(&objects, &["-o", "json"]))).expect("JSON");
    let ways = json["ways"].as_array().expect("a list of ways");
    assert!(ways.iter().any(|way| way["hops"][1]["tls"].is_null() && way["host"] == "shop.example.com"));
    let page = text(&audit(&objects, &["-o", "html"]));
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert_eq!(page.matches("<svg").count(), ways.len());
    for loads in ["<script", "src=", "<link", "url(", "@import"] {
        assert!(!page.contains(loads), "{loads}");
    }
}

#[test]
fn names_from_objects_are_text_on_the_page() {
    let objects = directory(&format!(
        "{}---\n{}",
        "apiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: \"<b>x\"}\n\
         spec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}\n",
        "apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {name: \"<script>\"}\n\
         spec: {hostname: \"*\", requestPolicy: {insecure: {action: Route}}}\n",
    ))
    .expect("a directory can be made");
    let page = text(&audit(&objects, &["-o", "html"]));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
}

/// An ALB that speaks TLS to the gateway, and so names no server.
const NAMELESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  annotations:
    alb.ingress.kubernetes.io/certificate-arn: arn:aws:acm:eu-west-1:111122223333:certificate/shop
    alb.ingress.kubernetes.io/backend-protocol: HTTPS
spec:
  ingressClassName: alb
  rules:
    - host: shop.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: gateway, port: {number: 443}}}}
---
apiVersion: v1
kind: Service
metadata: {name: gateway}
spec: {type: NodePort, selector: {app: gateway}, ports: [{port: 443, targetPort: 8443, nodePort: 30443}]}
---
"#;

#[test]
fn without_a_server_name_the_chain_for_all_hosts_is_taken() {
    let secret = Authority::new("audit").server(&["shop.example.com"]).secret_yaml("shop-tls", "default");
    let listener = GATEWAY.replace("protocol: HTTPSPROXY", "protocol: HTTPS");
    let of = |more: &str| {
        let all = format!("{NAMELESS}{listener}{secret}---\n{more}");
        directory(&all).expect("a directory can be made")
    };
    let url = "https://shop.example.com/";
    let refused = "connections without a server name";
    let alone = of("{}");
    assert!(explain(&alone, &[url]).contains(refused), "{}", explain(&alone, &[url]));
    assert!(way(&text(&audit(&alone, &[])), "https", "ALB").contains("! refused"));
    let any = of("apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {name: any}\n\
                  spec: {hostname: \"*\", tlsSecret: {name: shop-tls}}\n");
    let told = explain(&any, &[url]);
    assert!(told.contains("[Host default/any]") && told.contains("Mapping default/clear"), "{told}");
    let told = text(&audit(&any, &[]));
    assert!(!told.contains("sends no server name"), "{told}");
}

fn explain(directory: &TempDir, arguments: &[&str]) -> String {
    let path = directory.path().to_str().expect("a path of ASCII letters");
    text(&output(&[&["explain", path], arguments].concat()))
}

#[test]
fn an_explanation_begins_at_the_load_balancer() {
    let objects = objects();
    let url = "https://shop.example.com/basket?id=1";
    // The Ingress names the host, so of the three load balancers with a port 443 it is the one.
    let told = explain(&objects, &[url, "--from", "203.0.113.9", "--xff", "192.0.2.66"]);
    for part in [
        "balancer     ALB k8s-default-shop-",
        "ends at the load balancer, with arn:aws:acm:eu-west-1:111122223333:certificate/shop",
        "203.0.113.9 at the end of X-Forwarded-For, X-Forwarded-Proto: https, X-Forwarded-Port: 443",
        "hop          port 8080 of the gateway gets clear text",
        "client       203.0.113.9: place 1 from the right of x-forwarded-for",
        "scheme       https: as x-forwarded-proto says",
        "Mapping default/clear",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    let other = explain(&objects, &["https://elsewhere.example.com/"]);
    assert!(other.contains("could take it too (--through NAME)"), "{other}");
    let other = explain(&objects, &["https://elsewhere.example.com/", "--through", "Ingress default/shop"]);
    assert!(other.contains("answer       404 of the load balancer"), "{other}");
}

#[test]
fn what_layer_four_passes_on_is_explained_as_the_gateway_sees_it() {
    let objects = directory(&format!("{}{GATEWAY}", through_only())).expect("a directory can be made");
    let told = explain(&objects, &["https://shop.example.com/", "--from", "203.0.113.9"]);
    for part in [
        "balancer     NLB k8s-default-through-",
        "tls          passes through the load balancer unread",
        "port 8443 of the gateway gets the bytes as they came, after a PROXY header of version 2",
        "there is no Secret default/shop-tls",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

/// Only the Service whose load balancer passes TLS through.
fn through_only() -> String {
    let service = IN_FRONT.split("---\n").find(|document| document.contains("name: through\n"));
    format!("{}---\n", service.expect("it is in the text"))
}

/// A network load balancer of the cloud provider's, whose targets are nodes.
const NODES: &str = r#"
apiVersion: v1
kind: Service
metadata:
  name: gateway
  annotations: {service.beta.kubernetes.io/aws-load-balancer-type: nlb}
spec:
  type: LoadBalancer
  externalTrafficPolicy: POLICY
  selector: {app: gateway}
  ports: [{name: ssh, port: 22, targetPort: 2222, nodePort: 30022}]
---
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: ssh}
spec: {port: 2222, protocolStack: STACK, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: TCPMapping
metadata: {name: ssh}
spec: {port: 2222, service: "ssh:22"}
"#;

#[test]
fn nodes_hide_clients_unless_traffic_stays_local() {
    for (policy, told) in [
        ("Cluster", "client address: lost: the gateway sees the address of a node"),
        ("Local", "client address: the connection: the load balancer preserves it"),
    ] {
        let yaml = NODES.replace("POLICY", policy).replace("STACK", "[TCP]");
        let told_by = text(&audit(&directory(&yaml).expect("a directory can be made"), &[]));
        assert!(way(&told_by, "tcp", "NLB").contains(told), "{told_by}");
        let tls = way(&told_by, "tls", "NLB");
        assert!(tls.contains("+ gateway :2222 → ssh :22: TCP over TLS as the backend says"), "{told_by}");
    }
}

#[test]
fn without_the_proxy_header_that_is_demanded_nobody_comes_in() {
    let yaml = NODES.replace("POLICY", "Cluster").replace("STACK", "[PROXY, TCP]");
    let directory = directory(&yaml).expect("a directory can be made");
    let told = text(&audit(&directory, &[]));
    assert!(way(&told, "tcp", "NLB").contains("! refused: the gateway closes connections without"), "{told}");
    let told = explain(&directory, &["http://ssh.example.com:22/"]);
    assert!(told.contains("no PROXY header comes first") && !told.contains("\nlistener"), "{told}");
}
