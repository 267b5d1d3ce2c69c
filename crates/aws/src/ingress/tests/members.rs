//! One bad member of a group: here it is left out, in the controller it stops all.

use std::sync::Arc;

use plenipo_resources::{Origin, Problem, Set, SetBuilder, documents};

use crate::ingress::{build, groups, stacks};
use crate::stack::{Action, TargetRef};
use crate::{Account, Stack};

fn read(text: &str) -> Set {
    let mut set = SetBuilder::default();
    for document in documents(text) {
        let decoded = plenipo_resources::decode(document.value().unwrap(), Origin::Cluster);
        assert!(decoded.problems.is_empty(), "{:?}", decoded.problems);
        decoded.objects.into_iter().for_each(|object| set.add(Arc::new(object)));
    }
    set.build()
}

/// An Ingress of the group `shop` with one path, and the Service behind it.
fn member(name: &str, annotations: &str) -> String {
    format!(
        "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: shop
  annotations:
    kubernetes.io/ingress.class: alb
    alb.ingress.kubernetes.io/group.name: shop
    alb.ingress.kubernetes.io/target-type: ip
{annotations}
spec:
  rules:
  - host: {name}.example.com
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  ports: [{{port: 80, targetPort: 8080}}]
"
    )
}

fn strict(set: &Set) -> Result<Option<Stack>, String> {
    let account = Account::default();
    let (groups, problems) = groups(set, &account);
    assert!(problems.is_empty(), "{problems:?}");
    build(&groups[0], set, &account).map_err(|error| error.message)
}

fn lenient(set: &Set) -> (Vec<Stack>, Vec<Problem>) {
    stacks(set, &Account::default())
}

fn hosts(stack: &Stack) -> Vec<String> {
    stack.members.iter().map(|member| member.name.to_string()).collect()
}

#[test]
fn a_bad_member_is_left_out_and_the_others_are_built() {
    let bad = "    alb.ingress.kubernetes.io/healthcheck-protocol: GOPHER";
    let set = read(&(member("cart", "") + &member("pay", bad) + &member("search", "")));
    let error = strict(&set).unwrap_err();
    assert_eq!(error, "ingress: shop/pay: healthCheckProtocol must be within [HTTP, HTTPS]");

    let (stacks, problems) = lenient(&set);
    assert_eq!(stacks.len(), 1);
    assert_eq!(hosts(&stacks[0]), ["cart", "search"]);
    assert_eq!(stacks[0].listeners[0].rules.len(), 2);
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(problem.object.as_ref().unwrap().to_string(), "Ingress shop/pay");
    assert_eq!(problem.field, "metadata.annotations[alb.ingress.kubernetes.io/healthcheck-protocol]");
    assert!(problem.message.ends_with("the whole group shop: shop/cart, shop/search"), "{problem}");
}

#[test]
fn of_two_who_disagree_the_later_is_left_out() {
    let scheme = |scheme: &str| format!("    alb.ingress.kubernetes.io/scheme: {scheme}");
    let set = read(&(member("a", &scheme("internal")) + &member("b", &scheme("internet-facing"))));
    assert_eq!(strict(&set).unwrap_err(), "conflicting scheme: map[internal:{} internet-facing:{}]");
    let (stacks, problems) = lenient(&set);
    assert_eq!(hosts(&stacks[0]), ["a"]);
    assert_eq!(problems[0].object.as_ref().unwrap().to_string(), "Ingress shop/b");
}

#[test]
fn a_bad_service_is_named_and_its_ingress_left_out() {
    let text = member("a", "") + &member("b", "");
    let annotated =
        "metadata: {name: b, namespace: shop, annotations: {alb.ingress.kubernetes.io/backend-protocol: h3}}";
    let set = read(&text.replace("metadata: {name: b, namespace: shop}", annotated));
    let (stacks, problems) = lenient(&set);
    assert_eq!(hosts(&stacks[0]), ["a"]);
    assert_eq!(problems[0].object.as_ref().unwrap().to_string(), "Service shop/b");
    assert!(
        problems[0].message.starts_with("Ingress shop/b: ingress: shop/b: backend protocol must be"),
        "{}",
        problems[0]
    );
}

#[test]
fn a_group_of_bad_members_is_none() {
    let bad = "    alb.ingress.kubernetes.io/group.order: first";
    let (stacks, problems) = lenient(&read(&(member("a", bad) + &member("b", bad))));
    assert!(stacks.is_empty());
    assert_eq!(problems.len(), 2);
}

#[test]
fn a_name_that_no_group_can_have_leaves_its_ingress_alone() {
    let text = member("a", "") + &member("b", "").replace("group.name: shop", "group.name: SHOP");
    let (stacks, problems) = lenient(&read(&text));
    assert_eq!(hosts(&stacks[0]), ["a"]);
    assert_eq!(problems[0].code.0, "ingress-without-load-balancer");
}

#[test]
fn what_is_wrong_with_the_account_stops_the_whole_group() {
    let account = Account { subnets: Vec::new(), ..Account::default() };
    let (stacks, problems) = stacks(&read(&member("a", "")), &account);
    assert!(stacks.is_empty());
    assert_eq!(problems[0].code.0, "ingress-group-not-built");
    assert!(problems[0].message.starts_with("couldn't auto-discover subnets: "), "{}", problems[0]);
}

#[test]
fn a_protected_ingress_that_goes_stops_nobody_here() {
    let protected =
        "    alb.ingress.kubernetes.io/load-balancer-attributes: deletion_protection.enabled=true";
    let leaving =
        member("b", protected).replace("  name: b\n", "  name: b\n  deletionTimestamp: 2026-01-01\n");
    let set = read(&(member("a", "") + &leaving));
    assert_eq!(strict(&set).unwrap_err(), "deletion_protection is enabled, cannot delete the ingress: b");
    let (stacks, problems) = lenient(&set);
    assert_eq!(hosts(&stacks[0]), ["a"]);
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_directory_knows_neither_certificates_nor_secrets_nor_node_ports() {
    let text = member(
        "a",
        r#"    alb.ingress.kubernetes.io/listen-ports: '[{"HTTPS": 443}]'
    alb.ingress.kubernetes.io/auth-type: oidc
    alb.ingress.kubernetes.io/auth-idp-oidc: '{"issuer": "https://id.example.com", "secretName": "client"}'"#,
    );
    let text = text.replace("target-type: ip", "target-type: instance");
    let set = read(&text.replace("spec:\n  ports", "spec:\n  type: NodePort\n  ports"));
    assert_eq!(strict(&set).unwrap_err(), "ingress: shop/a: secrets \"client\" not found");
    let (stacks, problems) = lenient(&set);
    assert!(problems.is_empty(), "{problems:?}");
    let listener = &stacks[0].listeners[0];
    assert_eq!(listener.certificates, ["discovered:a.example.com"]);
    let [Action::AuthenticateOidc(settings), Action::Forward(forward)] = listener.rules[0].actions.as_slice()
    else {
        panic!("{:?}", listener.rules)
    };
    assert_eq!(settings["secret"], "shop/client");
    assert_eq!(forward.targets[0].target, TargetRef::Own("shop/a-a:80".to_owned()));
}

#[test]
fn a_directory_need_not_have_the_class_of_the_controllers_chart() {
    let named = |class: &str| {
        let text = member("a", "").replace("    kubernetes.io/ingress.class: alb\n", "");
        read(&text.replace("spec:\n  rules", &format!("spec:\n  ingressClassName: {class}\n  rules")))
    };
    assert_eq!(lenient(&named("alb")).0.len(), 1);
    assert_eq!(lenient(&named("edge")).0.len(), 1, "its annotations say whose it is");
    let complete = Account { complete: true, ..Account::default() };
    let (stacks, problems) = stacks(&named("alb"), &complete);
    assert!(stacks.is_empty());
    assert!(problems[0].message.contains("\"alb\" not found"), "{}", problems[0]);
}

#[test]
fn a_class_that_is_not_there_is_anothers_where_no_class_is_ours() {
    let text = member("a", "")
        .replace("    kubernetes.io/ingress.class: alb\n", "")
        .replace("    alb.ingress.kubernetes.io/group.name: shop\n", "");
    let text = text.replace("spec:\n  rules", "spec:\n  ingressClassName: traefik\n  rules");
    let class = |name: &str, controller: &str| {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}}}\nspec: {{controller: {controller}}}\n"
        )
    };
    let (_, problems) = lenient(&read(&(text.clone() + &class("nginx", "k8s.io/ingress-nginx"))));
    assert!(problems.is_empty(), "{}", problems[0]);
    let (_, problems) = lenient(&read(&(text + &class("alb", "ingress.k8s.aws/alb"))));
    assert!(problems[0].message.contains("\"traefik\" not found"));
}
