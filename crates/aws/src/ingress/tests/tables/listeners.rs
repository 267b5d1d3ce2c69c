//! Listeners, client certificates, attributes, tags, redirects, what members must agree on; the one in front.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fixture::{account, items, with_members};
use super::{Outcome, Table};
use crate::ingress::fault::GroupError;
use crate::ingress::group::{GroupId, Member};
use crate::ingress::mutual::Entry;
use crate::ingress::ports::{self, Port};
use crate::ingress::{agree, build, frontend, load_balancer, tags};
use crate::stack::{ListenerProtocol, LoadBalancer, MutualAuthentication, MutualMode, Scheme, SubnetMapping};

pub(super) const TABLES: &[Table] = &[
    ("ingress/model_build_listener/Test_buildListenerAttributes", attributes),
    ("ingress/model_build_listener/Test_computeIngressListenPortConfigByPort_Certificates", certificates),
    ("ingress/model_build_listener/Test_computeIngressListenPortConfigByPort_MutualAuthentication", mutual),
    ("ingress/model_build_listener/Test_validateMutualAuthenticationConfig", valid_mutual),
    ("ingress/model_build_listener/Test_defaultModelBuildTask_buildListenerTags", listener_tags),
    ("ingress/model_build_listener/Test_defaultModelBuildTask_buildListenerTags_FeatureGate", listener_tags),
    ("ingress/model_builder/Test_defaultModelBuildTask_buildSSLRedirectConfig", ssl_redirect),
    ("ingress/model_builder/Test_defaultModelBuildTask_buildManageSecurityGroupRulesFlag", manage_rules),
    ("ingress/model_builder/Test_mergeListenPortConfigs_CertDedup", shown),
    ("ingress/model_build_load_balancer/Test_defaultModelBuildTask_buildLoadBalancerTags", group_tags),
    (
        "ingress/model_build_load_balancer/Test_defaultModelBuildTask_buildLoadBalancerTags_FeatureGate",
        group_tags,
    ),
    ("ingress/model_build_load_balancer/Test_defaultModelBuildTask_buildLoadBalancerName", name),
    (
        "ingress/model_build_load_balancer/Test_defaultModelBuildTask_buildLoadBalancerIPAddressType",
        addresses,
    ),
    ("ingress/model_build_load_balancer/Test_defaultModelBuildTask_buildLoadBalancerCOIPv4Pool", pool),
    ("ingress/model_build_ipam/Test_buildIPv4IPAMPoolID", ipam_pool),
    ("ingress/model_build_managed_sg/Test_defaultModelBuildTask_buildManagedSecurityGroupTags", group_tags),
    (
        "ingress/model_build_managed_sg/Test_defaultModelBuildTask_buildManagedSecurityGroupTags_FeatureGate",
        group_tags,
    ),
    ("ingress/model_build_tags/Test_defaultModelBuildTask_buildIngressGroupResourceTags", list_tags),
    (
        "ingress/model_build_load_balancer_attributes/Test_defaultModelBuildTask_buildIngressGroupLoadBalancerAttributes",
        lb_attributes,
    ),
    (
        "ingress/model_build_load_balancer_capacity_reservation/Test_defaultModelBuildTask_buildLoadBalancerMinimumCapacity",
        capacity,
    ),
    ("ingress/model_build_frontend_nlb/Test_buildEnableFrontendNlbViaAnnotation", frontend_wanted),
    ("ingress/model_build_frontend_nlb/Test_buildFrontendNlbSchemeViaAnnotation", frontend_scheme),
    ("ingress/model_build_frontend_nlb/Test_buildFrontendNlbSubnetMappings", frontend_subnets),
    ("ingress/model_build_frontend_nlb/Test_buildFrontendNlbTags", frontend_tags),
    (
        "ingress/model_build_frontend_nlb/Test_defaultModelBuildTask_getFrontendNlbAttributes",
        frontend_attributes,
    ),
    ("ingress/model_build_frontend_nlb/Test_defaultModelBuildTask_buildFrontendNlbListeners", frontend_ports),
];

fn texts<T: Into<Value>>(got: Result<T, GroupError>) -> Result<Value, String> {
    got.map(Into::into).map_err(|error| error.message)
}

fn map(got: Result<BTreeMap<String, String>, GroupError>) -> Result<Value, String> {
    got.map(|map| json!(map)).map_err(|error| error.message)
}

fn group<T>(row: &Value, run: impl FnOnce(&[Member<'_>]) -> T) -> T {
    let group = if row["ingGroup"].is_null() { &row["fields"]["ingGroup"] } else { &row["ingGroup"] };
    with_members(&group["Members"], run)
}

fn attributes(row: &Value) -> Outcome {
    let got = group(row, |members| build::listener_attributes(80, ListenerProtocol::Http, members));
    let wanted: BTreeMap<String, String> =
        items(&row["wantValue"]).iter().map(|pair| (text(&pair["Key"]), text(&pair["Value"]))).collect();
    Outcome::result(row, &json!(wanted), map(got))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn certificates(row: &Value) -> Outcome {
    // Certificates that the controller has ACM make are not modelled.
    if row.to_string().contains("create-acm-cert") && !row.to_string().contains("certificate-arn") {
        return Outcome::Apart;
    }
    group(row, |members| {
        let got = ports::of_member(&members[0], &account(&Value::Null)).unwrap();
        let got: BTreeMap<u64, usize> =
            got.iter().map(|(port, config)| (u64::from(*port), config.certificates.len())).collect();
        // The rows list ports that the listener may have.
        let wanted: BTreeMap<u64, usize> = items(&row["want"])
            .iter()
            .map(|want| (want["port"].as_u64().unwrap(), items(&want["certificates"]).len()))
            .filter(|(port, _)| got.contains_key(port))
            .collect();
        Outcome::of(&json!(wanted), &json!(got))
    })
}

fn mutual(row: &Value) -> Outcome {
    group(row, |members| {
        let got = ports::of_member(&members[0], &account(&Value::Null)).unwrap();
        for want in items(&row["want"]) {
            let port = u16::try_from(want["port"].as_u64().unwrap()).unwrap();
            let wanted = (!want["mutualAuth"].is_null()).then(|| {
                let config = &want["mutualAuth"];
                MutualAuthentication {
                    mode: match config["mode"].as_str().unwrap() {
                        "off" => MutualMode::Off,
                        "verify" => MutualMode::Verify,
                        _ => MutualMode::Passthrough,
                    },
                    trust_store: config["trustStoreArn"].as_str().map(str::to_owned),
                    ignore_expiry: config["ignoreClientCertificateExpiry"].as_bool(),
                    advertise_names: config["advertiseTrustStoreCaNames"].as_str().map(|on| on == "on"),
                }
            });
            if got[&port].mutual != wanted {
                return Outcome::Differs(format!("wanted {wanted:?}, got {:?}", got[&port].mutual));
            }
        }
        Outcome::Equal
    })
}

fn valid_mutual(row: &Value) -> Outcome {
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let entry = Entry {
        port: row["port"].as_i64().unwrap(),
        mode: text("mode"),
        trust_store: text("trustStoreARN"),
        ignore_client_certificate_expiry: row["ignoreClientCert"].as_bool(),
        advertise_trust_store_ca_names: row["advertiseCANames"].as_str().map(str::to_owned),
    };
    Outcome::result(row, &Value::Null, entry.valid().map(|_| Value::Null))
}

fn listener_tags(row: &Value) -> Outcome {
    let account = account(&row["fields"]);
    let got = with_members(&row["fields"]["ingList"], |members| tags::of_group(members, &account));
    Outcome::result(row, &row["want"], map(got))
}

fn group_tags(row: &Value) -> Outcome {
    let account = account(&row["fields"]);
    let got = group(row, |members| tags::of_group(members, &account));
    Outcome::result(row, &row["want"], map(got))
}

fn list_tags(row: &Value) -> Outcome {
    let account = account(&row["fields"]);
    let got = with_members(&row["args"]["ingList"], |members| tags::of_group(members, &account));
    Outcome::result(row, &row["want"], map(got))
}

fn port(protocol: &str, certificates: Vec<String>) -> Port {
    Port {
        protocol: if protocol == "HTTPS" { ListenerProtocol::Https } else { ListenerProtocol::Http },
        cidrs_v4: Default::default(),
        cidrs_v6: Default::default(),
        prefix_lists: Default::default(),
        ssl_policy: None,
        certificates,
        mutual: None,
    }
}

fn ssl_redirect(row: &Value) -> Outcome {
    let ports: BTreeMap<u16, Port> = row["args"]["listenPortConfigByPort"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(number, config)| (number.parse().unwrap(), port(config["protocol"].as_str().unwrap(), vec![])))
        .collect();
    let got = group(row, |members| ports::ssl_redirect(members, &ports));
    Outcome::result(row, &row["want"]["SSLPort"], texts(got.map(|port| json!(port))))
}

fn manage_rules(row: &Value) -> Outcome {
    let default = account(&row["fields"]).gates.manage_backend_rules;
    let got = group(row, |members| {
        agree::flag(
            members,
            "manage-backend-security-group-rules",
            "conflicting manage backend security group rules settings",
        )
    });
    Outcome::result(row, &row["want"], texts(got.map(|flag| json!(flag.unwrap_or(default)))))
}

fn shown(row: &Value) -> Outcome {
    let members: Vec<Value> =
        items(&row["configs"]).iter().map(|config| json!({"Ing": {"metadata": config["ingKey"]}})).collect();
    let ports: Vec<Port> = items(&row["configs"])
        .iter()
        .map(|config| {
            let certificates = items(&config["listenPortConfig"]["tlsCerts"]).iter().map(text).collect();
            port("HTTPS", certificates)
        })
        .collect();
    with_members(&json!(members), |members| {
        let said: Vec<(&Member<'_>, &Port)> = members.iter().zip(&ports).collect();
        let got = ports::merged(&said, &account(&Value::Null)).unwrap();
        Outcome::of(&row["expectedCertCount"], &json!(got.certificates.len()))
    })
}

fn id(row: &Value) -> GroupId {
    let id =
        if row["ingGroup"].is_null() { &row["fields"]["ingGroup"]["ID"] } else { &row["ingGroup"]["ID"] };
    let text = |key: &str| id[key].as_str().unwrap_or_default().to_owned();
    match text("Namespace") {
        namespace if namespace.is_empty() => GroupId::Explicit(text("Name")),
        namespace => GroupId::Implicit { namespace, name: text("Name") },
    }
}

fn name(row: &Value) -> Outcome {
    let scheme = row.pointer("/fields/scheme").or_else(|| row.pointer("/args/scheme"));
    let scheme = scheme.and_then(Value::as_str).and_then(load_balancer::parse_scheme);
    // The rows were made without a cluster's name.
    let account = crate::Account { cluster: String::new(), ..account(&Value::Null) };
    let got = group(row, |members| {
        load_balancer::name(&id(row), members, &account, scheme.unwrap_or(Scheme::Internal))
    });
    Outcome::result(row, &row["want"], texts(got))
}

fn addresses(row: &Value) -> Outcome {
    let got = group(row, load_balancer::addresses);
    // The rows were made without the controller's default.
    let wanted = if row["want"] == "" { json!("ipv4") } else { row["want"].clone() };
    Outcome::result(row, &wanted, texts(got.map(|addresses| json!(addresses))))
}

fn pool(row: &Value) -> Outcome {
    let got = group(row, load_balancer::customer_owned_pool);
    Outcome::result(row, &row["want"], texts(got.map(|pool| json!(pool))))
}

fn ipam_pool(row: &Value) -> Outcome {
    let got = group(row, load_balancer::ipam_pool);
    Outcome::result(row, &row["expectedPoolId"], texts(got.map(|pool| json!(pool))))
}

fn lb_attributes(row: &Value) -> Outcome {
    let got = with_members(&row["args"]["ingList"], load_balancer::attributes);
    Outcome::result(row, &json!(row["want"].as_object().cloned().unwrap_or_default()), map(got))
}

fn capacity(row: &Value) -> Outcome {
    let mut account = account(&Value::Null);
    account.gates.capacity_reservation = row["featureGates"]["LBCapacityReservation"] != false;
    let got = group(row, |members| load_balancer::minimum_capacity(members, &account));
    let wanted = row["want"].get("capacityUnits").or_else(|| row["want"].get("CapacityUnits"));
    Outcome::result(row, wanted.unwrap_or(&Value::Null), texts(got.map(|units| json!(units))))
}

fn frontend_wanted(row: &Value) -> Outcome {
    let got = group(row, |members| {
        agree::flag(members, "enable-frontend-nlb", "conflicting enable frontend NLB values")
    });
    Outcome::result(row, &row["wantEnabled"], texts(got.map(|on| json!(on == Some(true)))))
}

fn frontend_scheme(row: &Value) -> Outcome {
    let members = json!([{"Ing": {"metadata": {"annotations": row["annotations"]}}}]);
    let account = account(row);
    let got = with_members(&members, |members| frontend::scheme(members, &account));
    Outcome::result(row, &row["wantScheme"], texts(got.map(|scheme| json!(scheme))))
}

/// The load balancer behind, with two subnets.
fn behind() -> LoadBalancer {
    let classified = super::fixture::Classified::annotated(&json!({}));
    let id = GroupId::Explicit("x".to_owned());
    let mut behind = load_balancer::build(&id, &[classified.member()], &crate::Account::default()).unwrap();
    behind.subnets = ["subnet-1", "subnet-2"]
        .map(|subnet| SubnetMapping { subnet: subnet.to_owned(), ..SubnetMapping::default() })
        .to_vec();
    behind
}

fn frontend_subnets(row: &Value) -> Outcome {
    let scheme = load_balancer::parse_scheme(row["fields"]["scheme"].as_str().unwrap()).unwrap();
    let account = crate::Account::default();
    let got = group(row, |members| frontend::subnets(members, &account, &behind(), scheme));
    let got = got.map(|mappings| {
        let mapping =
            |mapping: &SubnetMapping| json!({"SubnetID": mapping.subnet, "AllocationID": mapping.allocation});
        mappings.iter().map(mapping).collect::<Value>()
    });
    Outcome::result(row, &row["wantMappings"], texts(got))
}

fn frontend_tags(row: &Value) -> Outcome {
    let account = account(row);
    let got = group(row, |members| frontend::own_tags(members, &account));
    Outcome::result(row, &row["wantTags"], map(got))
}

fn frontend_attributes(row: &Value) -> Outcome {
    let got = group(row, frontend::attributes);
    Outcome::result(row, &json!(row["wantAttributes"].as_object().cloned().unwrap_or_default()), map(got))
}

fn frontend_ports(row: &Value) -> Outcome {
    let asked = &row["listenerPortConfigByIngress"];
    let got = group(row, |members| {
        let ports = |member: &Member<'_>| -> BTreeMap<u16, Port> {
            let id = &member.object.id;
            let key = format!("{{\"Namespace\": {:?}, \"Name\": {:?}}}", &*id.namespace, &*id.name);
            let ports = asked[&key].as_object().cloned().unwrap_or_default();
            ports.keys().map(|number| (number.parse().unwrap(), port("HTTP", vec![]))).collect()
        };
        frontend::ports(members, &members.iter().map(ports).collect()).map(|_| Value::Null)
    });
    Outcome::result(row, &Value::Null, texts(got))
}
