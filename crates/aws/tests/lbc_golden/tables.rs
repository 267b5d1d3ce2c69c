//! The tables of the controller's unit tests, as far as a row can be made a whole Service. A row that no whole Service
//! can reach (it calls an inner function with what an earlier step refuses) does not apply, and is named.

use std::collections::BTreeMap;
use std::path::Path;

use plenipo_aws::annotations::Annotations;
use plenipo_aws::stack::{
    Controller, HealthPort, ListenerProtocol, NetworkingRule, Stack, TargetGroup, TargetType,
};
use plenipo_aws::{lbc_json, owner};
use plenipo_resources::View;
use serde_json::{Map, Value, json};

use crate::Tally;
use crate::case::{cases, difference, items, object, subnet, text, wanted_error};
use crate::rows::Row;

/// How a row fares: equal, different, or not for us.
enum Outcome {
    Equal,
    Differs(String),
    NotReached,
}

type Check = fn(&Value) -> Outcome;

const TABLES: &[(&str, Check)] = &[
    ("annotations/parser/Test_annotationParser_ParseStringAnnotation", annotation_text),
    ("annotations/parser/Test_serviceAnnotationParser_ParseBoolAnnotation", annotation_flag),
    ("annotations/parser/Test_serviceAnnotationParser_ParseInt64Annotation", annotation_number),
    ("annotations/parser/Test_serviceAnnotationParser_ParseJSONAnnotation", annotation_json),
    ("annotations/parser/Test_serviceAnnotationParser_ParseStringMapAnnotation", annotation_map),
    ("annotations/parser/Test_serviceAnnotationParser_ParseStringSliceAnnotation", annotation_list),
    ("service/service_utils/Test_defaultServiceUtils_IsServiceSupported", supported),
    ("service/model_build_listener/Test_defaultModelBuilderTask_buildListenerALPNPolicy", alpn),
    (
        "service/model_build_listener/Test_defaultModelBuilderTask_buildListenerAttributes",
        listener_attributes,
    ),
    ("service/model_build_listener/Test_defaultModelBuilderTask_buildListenerConfig", listener_config),
    ("service/model_build_listener/Test_defaultModelBuildTask_buildListenerTags", tags),
    ("service/model_build_listener/Test_shouldUseTCPUDP", tcp_udp),
    ("service/model_build_listener/Test_validateMultiProtocolUsage", merging),
    ("service/model_build_load_balancer/Test_defaultModelBuildTask_buildAdditionalResourceTags", tags),
    ("service/model_build_load_balancer/Test_defaultModelBuildTask_buildLoadBalancerTags", tags),
    ("service/model_build_load_balancer/Test_defaultModelBuilderTask_buildLBAttributes", balancer_attributes),
    ("service/model_build_load_balancer/Test_defaultModelBuilderTask_buildLbCapacity", capacity),
    (
        "service/model_build_load_balancer/Test_defaultModelBuildTask_buildLoadBalancerEnablePrefixForIpv6SourceNat",
        source_nat,
    ),
    ("service/model_build_load_balancer/Test_defaultModelBuilderTask_buildSubnetMappings", mappings),
    (
        "service/model_build_load_balancer/Test_defaultModelBuildTask_buildLoadBalancerIPAddressType",
        addresses,
    ),
    ("service/model_build_load_balancer/Test_defaultModelBuildTask_buildLoadBalancerName", balancer_name),
    (
        "service/model_build_load_balancer/Test_defaultModelBuildTask_buildManageSecurityGroupRulesFlag",
        manage_rules,
    ),
    (
        "service/model_build_managed_sg/Test_buildCIDRsFromSourceRanges_buildManagedSecurityGroupIngressPermissions",
        grants,
    ),
    ("service/model_build_managed_sg/Test_buildCIDRsFromSourceRanges_buildCIDRsFromSourceRanges", ranges),
    ("service/model_build_managed_sg/Test_defaultModelBuildTask_buildManagedSecurityGroupTags", tags),
    ("service/model_build_target_group/Test_defaultModelBuilderTask_buildTargetHealthCheck", health_check),
    (
        "service/model_build_target_group/Test_defaultModelBuilder_buildTargetGroupHealthCheckPort",
        health_port,
    ),
    ("service/model_build_target_group/Test_defaultModelBuilder_buildTargetType", target_type),
    ("service/model_build_target_group/Test_defaultModelBuilderTask_targetGroupAttrs", target_attributes),
    ("service/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupTags", tags),
    (
        "service/model_build_target_group/Test_defaultModelBuilder_buildTargetGroupBindingNodeSelector",
        node_selector,
    ),
    (
        "service/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupBindingMultiClusterFlag",
        multi_cluster,
    ),
    (
        "service/model_build_target_group/Test_defaultModelBuilderTask_buildTargetGroupBindingNetworking",
        networking,
    ),
    (
        "service/model_build_target_group/Test_defaultModelBuilderTask_buildTargetGroupBindingNetworkingLegacy",
        legacy_networking,
    ),
];

pub(crate) fn run(folder: &Path) -> Vec<Tally> {
    let table = |(name, check): &(&str, Check)| {
        let mut not_reached = 0;
        let mut tally = Tally::new("");
        for (file, case) in cases(&folder.join("table").join(name)) {
            match check(&case["case"]) {
                Outcome::Equal => tally.count(&file, None),
                Outcome::Differs(difference) => tally.count(&file, Some(difference)),
                Outcome::NotReached => not_reached += 1,
            }
        }
        tally.what = match not_reached {
            0 => format!("rows of {name}"),
            some => format!("rows of {name} ({some} not reached)"),
        };
        tally
    };
    TABLES.iter().map(table).collect()
}

/// Compares with what the row wants: an error (by its text, where it has one), or `wanted`.
fn outcome(row: &Value, wanted: &Value, got: Result<Value, String>) -> Outcome {
    let found = match (wanted_error(row), got) {
        (None, Ok(got)) => difference(wanted, &got),
        (None, Err(error)) => Some(format!("error: {error}")),
        (Some(error), Ok(_)) => Some(format!("no error, wanted {error:?}")),
        // Behind the text stands what Go's own parser says.
        (Some(wanted), Err(error)) if wanted.starts_with(&error) || wanted.is_empty() => None,
        (Some(wanted), Err(error)) => Some(format!("wanted the error {wanted:?}, got {error:?}")),
    };
    found.map_or(Outcome::Equal, Outcome::Differs)
}

/// Prefix and suffix under which a row's parser looks, first to last.
fn places(row: &Value) -> Vec<(String, String)> {
    let (prefix, suffix) =
        (row["prefix"].as_str().unwrap_or_default(), row["suffix"].as_str().unwrap_or_default());
    let options = items(&row["opts"]);
    if options.iter().any(|option| option["$call"] == "WithExact") {
        let (prefix, suffix) = suffix.split_once('/').unwrap_or(("", suffix));
        return vec![(prefix.to_owned(), suffix.to_owned())];
    }
    let others = options.iter().flat_map(|option| items(&option["$args"]));
    let prefixes = std::iter::once(prefix.to_owned()).chain(others.map(|other| text(&other)));
    prefixes.map(|prefix| (prefix, suffix.to_owned())).collect()
}

fn annotation(row: &Value, read: impl Fn(Annotations<'_>, &str) -> Result<Option<Value>, String>) -> Outcome {
    let written = row["annotations"].as_object().cloned().unwrap_or_default();
    let values: BTreeMap<String, String> =
        written.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    let places = places(row);
    // A key without any slash has no prefix to look under.
    if places.iter().any(|(prefix, _)| prefix.is_empty()) && row["wantExist"] == true {
        return Outcome::NotReached;
    }
    let found = places.iter().map(|(prefix, suffix)| read(Annotations::new(prefix, &values), suffix));
    let found = found.into_iter().find(|found| !matches!(found, Ok(None))).unwrap_or(Ok(None));
    let wanted = if row["wantExist"] == true { row["wantValue"].clone() } else { Value::Null };
    outcome(row, &wanted, found.map(Option::unwrap_or_default))
}

fn annotation_text(row: &Value) -> Outcome {
    annotation(row, |notes, suffix| Ok(notes.text(suffix).map(|text| json!(text))))
}

fn annotation_flag(row: &Value) -> Outcome {
    annotation(row, |notes, suffix| {
        notes.flag(suffix).map(|flag| flag.map(|flag| json!(flag))).map_err(|error| error.to_string())
    })
}

fn annotation_number(row: &Value) -> Outcome {
    annotation(row, |notes, suffix| {
        notes
            .int64(suffix)
            .map(|number| number.map(|number| json!(number)))
            .map_err(|error| error.to_string())
    })
}

fn annotation_json(row: &Value) -> Outcome {
    annotation(row, |notes, suffix| notes.json::<Value>(suffix, &[]).map_err(|error| error.to_string()))
}

fn annotation_map(row: &Value) -> Outcome {
    annotation(row, |notes, suffix| {
        notes.map(suffix).map(|map| map.map(|map| json!(map))).map_err(|error| error.to_string())
    })
}

fn annotation_list(row: &Value) -> Outcome {
    annotation(row, |notes, suffix| {
        // The empty list is Go's nil.
        Ok(notes.list(suffix).filter(|list| !list.is_empty()).map(|list| json!(list)))
    })
}

fn supported(row: &Value) -> Outcome {
    let object = object("Service", row["svc"].clone());
    let View::Service(service) = &object.view else { panic!("not a Service") };
    let gates = plenipo_aws::Gates {
        only_load_balancer_services: row["restrictToTypeLoadBalancer"] == true,
        ..plenipo_aws::Gates::default()
    };
    let owner = owner::service(&object, service, &gates).owner;
    let ours = owner.is_some_and(|owner| owner.controller == Controller::LoadBalancerController);
    outcome(row, &json!(row["want"] == true), Ok(json!(ours)))
}

fn alpn(row: &Value) -> Outcome {
    let built = Row::new(&row["svc"]).with_node_ports().with("aws-load-balancer-ssl-cert", "arn").build();
    let policy =
        |stack: &Stack| resource(stack, "AWS::ElasticLoadBalancingV2::Listener", "80")["alpnPolicy"].clone();
    outcome(row, &row["want"], built.map(|stack| policy(&stack)))
}

fn listener_attributes(row: &Value) -> Outcome {
    let ports = items(&row["svc"]["spec"]["ports"]);
    let of_port = |port: &Value| {
        let row = Row::new(&row["svc"]).with_spec("ports", json!([port]));
        row.build().map(|stack| pairs(&stack.listeners[0].attributes, "Key", "Value"))
    };
    let got: Result<Vec<Value>, String> = ports.iter().map(of_port).collect();
    outcome(row, &row["wantValue"], got.map(Value::Array))
}

fn listener_config(row: &Value) -> Outcome {
    let ports: Vec<String> = items(&row["want"]["quicPortsSet"]).iter().map(text).collect();
    let got = Row::new(&row["svc"]).build().map(|_| Value::Null);
    if !ports.is_empty() {
        return Outcome::NotReached;
    }
    outcome(row, &Value::Null, got)
}

fn tags(row: &Value) -> Outcome {
    let fields = if row["fields"].is_object() { &row["fields"] } else { row };
    let service = [&fields["svc"], &fields["service"]].into_iter().find(|value| value.is_object());
    let gates = &row["enabledFeatureGates"]["$featureGates"];
    let low = items(&gates["enable"]).contains(&json!("EnableDefaultTagsLowPriority"));
    let built = Row::new(service.unwrap_or(&Value::Null))
        .with_node_ports()
        .account(|account| {
            let defaults = fields["defaultTags"].as_object().cloned().unwrap_or_default();
            account.default_tags = defaults.iter().map(|(key, value)| (key.clone(), text(value))).collect();
            account.external_tag_keys =
                items(&fields["externalManagedTags"]["$set"]).iter().map(text).collect();
            account.gates.default_tags_low_priority = low;
        })
        .build();
    let wanted = [&row["want"], &row["wantTags"]].into_iter().find(|value| value.is_object());
    let got = built.map(|stack| {
        let group = stack.security_group.as_ref().expect("it has one");
        let all = [&stack.load_balancer.tags, &group.tags, &stack.listeners[0].tags, &target(&stack).tags];
        assert!(all.iter().all(|tags| *tags == all[0]), "tags are of everything");
        json!(all[0])
    });
    outcome(row, wanted.unwrap_or(&json!({})), got)
}

fn tcp_udp(row: &Value) -> Outcome {
    let both = json!([{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]);
    let built = Row::new(&row["svc"])
        .with_spec("ports", both)
        .with_node_ports()
        .account(|account| account.gates.tcp_udp_listener = row["defaultValue"] == true)
        .build();
    let merged = built.map(|stack| json!(stack.listeners[0].protocol == ListenerProtocol::TcpUdp));
    outcome(row, &row["expected"], merged)
}

fn merging(row: &Value) -> Outcome {
    let built = Row::new(&Value::Null)
        .with_spec("ports", row["ports"].clone())
        .account(|account| account.gates.tcp_udp_listener = true)
        .build();
    outcome(row, &Value::Null, built.map(|_| Value::Null))
}

fn balancer_attributes(row: &Value) -> Outcome {
    let wanted: BTreeMap<String, String> =
        items(&row["wantValue"]).iter().map(|pair| (text(&pair["key"]), text(&pair["value"]))).collect();
    let built = Row::new(&row["svc"]).with_node_ports().build();
    outcome(row, &json!(wanted), built.map(|stack| json!(stack.load_balancer.attributes)))
}

fn capacity(row: &Value) -> Outcome {
    let built = Row::new(&row["svc"]).with_node_ports().build();
    let wanted = row["wantValue"]["capacityUnits"].clone();
    outcome(row, &wanted, built.map(|stack| json!(stack.load_balancer.minimum_capacity)))
}

/// A Service in given subnets, of which everything is known.
fn in_subnets(row: &Value, service: &Value) -> Row {
    let mut made = Row::new(service).with_node_ports().account(|account| {
        account.subnets = items(&row["subnets"]).iter().map(subnet).collect();
        account.subnets_known = true;
    });
    if let Some(addresses) = row["ipAddressType"].as_str() {
        made = made.with("aws-load-balancer-ip-address-type", addresses);
    }
    match row["scheme"].as_str() {
        Some(scheme) => made.with("aws-load-balancer-scheme", scheme),
        None => made,
    }
}

fn source_nat(row: &Value) -> Outcome {
    let built = in_subnets(row, &row["service"]).build();
    if built.as_ref().is_err_and(|error| error.starts_with("unable to resolve at least one subnet")) {
        // Discovery leaves subnets without IPv6 aside, so that none is ever complained of.
        return Outcome::NotReached;
    }
    let on = |stack: Stack| if stack.load_balancer.ipv6_source_nat == Some(true) { "on" } else { "off" };
    outcome(row, &row["want"], built.map(|stack| json!(on(stack))))
}

fn mappings(row: &Value) -> Outcome {
    let mut made = in_subnets(row, &row["svc"]);
    if row["enablePrefixForIpv6SourceNat"] == "on" && row["ipAddressType"] != "ipv4" {
        made = made.with("aws-load-balancer-enable-prefix-for-ipv6-source-nat", "on");
    }
    let built = made.build();
    let got = built.map(|stack| {
        resource(&stack, "AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancer")["subnetMapping"].clone()
    });
    outcome(row, &row["want"], got)
}

fn addresses(row: &Value) -> Outcome {
    let service = [&row["service"], &row["svc"], &row["fields"]["service"]];
    let service = service.into_iter().find(|value| value.is_object()).unwrap_or(&Value::Null);
    let got = Row::new(service).with_node_ports().build().map(|stack| {
        resource(&stack, "AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancer")["ipAddressType"].clone()
    });
    outcome(row, &row["want"], got)
}

fn balancer_name(row: &Value) -> Outcome {
    let fields = if row["fields"].is_object() { &row["fields"] } else { row };
    let service = [&fields["service"], &fields["svc"]].into_iter().find(|value| value.is_object()).unwrap();
    let scheme = [&row["args"]["scheme"], &row["scheme"], &fields["scheme"]];
    let scheme = scheme.into_iter().find_map(Value::as_str).unwrap_or("internal");
    let cluster = fields["clusterName"].as_str().unwrap_or_default();
    let built = Row::new(service)
        .with_node_ports()
        .with("aws-load-balancer-scheme", scheme)
        .account(|account| account.cluster = cluster.to_owned())
        .build();
    outcome(row, &row["want"], built.map(|stack| json!(stack.load_balancer.name)))
}

fn manage_rules(row: &Value) -> Outcome {
    let service = json!({"metadata": {"annotations": row["annotations"]}});
    let built = Row::new(&service)
        .with_node_ports()
        .with("aws-load-balancer-security-groups", "sg-own")
        .account(|account| account.gates.manage_backend_rules = row["enableManageBackendSGRules"] == true)
        .build();
    let managed = |stack: Stack| stack.load_balancer.security_groups.len() == 2;
    outcome(row, &row["wantManageSGRules"], built.map(|stack| json!(managed(stack))))
}

fn grants(row: &Value) -> Outcome {
    let fields = &row["fields"];
    let addresses = fields["ipAddressType"].as_str().unwrap_or("ipv4");
    let built = Row::new(&fields["svc"])
        .with("aws-load-balancer-ip-address-type", addresses)
        .account(|account| account.subnets_known = false)
        .build();
    let mut wanted = row["want"].clone();
    for grant in wanted.as_array_mut().into_iter().flatten() {
        // Kubernetes fills in the protocol that these Services leave out.
        if grant["ipProtocol"] == "" {
            grant["ipProtocol"] = json!("tcp");
        }
    }
    let group =
        |stack| resource(&stack, "AWS::EC2::SecurityGroup", "ManagedLBSecurityGroup")["ingress"].clone();
    outcome(row, &wanted, built.map(group))
}

fn ranges(row: &Value) -> Outcome {
    let fields = &row["fields"];
    let addresses = fields["ipAddressType"].as_str().unwrap_or("ipv4");
    let mut made =
        Row::new(&fields["svc"]).with_node_ports().with("aws-load-balancer-ip-address-type", addresses);
    if fields["prefixListsConfigured"] == true {
        made = made.with("aws-load-balancer-security-group-prefix-lists", "pl-1");
    }
    let cidr = |grant: &plenipo_aws::stack::Grant| match &grant.peer {
        plenipo_aws::stack::PeerRef::Cidr(range) => Some(range.clone()),
        _ => None,
    };
    let got = made.build().map(|stack| {
        let group = stack.security_group.expect("it has one");
        let first = i32::from(stack.listeners[0].port);
        let of_first = group.ingress.iter().filter(|grant| grant.from_port == first);
        json!(of_first.filter_map(cidr).collect::<Vec<_>>())
    });
    let wanted = if row["want"].is_null() { json!([]) } else { row["want"].clone() };
    outcome(row, &wanted, got)
}

fn of_type(row: &Value) -> Row {
    let type_ = row["targetType"].as_str().unwrap_or("instance");
    Row::new(&row["svc"]).with_node_ports().with("aws-load-balancer-nlb-target-type", type_)
}

fn health_check(row: &Value) -> Outcome {
    let got = of_type(row).build().map(|stack| {
        let id = stack.target_groups.keys().next().unwrap().clone();
        resource(&stack, "AWS::ElasticLoadBalancingV2::TargetGroup", &id)["healthCheckConfig"].clone()
    });
    outcome(row, &row["wantValue"], got)
}

fn health_port(row: &Value) -> Outcome {
    let mut made = of_type(row);
    let suffix = "aws-load-balancer-healthcheck-port";
    let key = format!("{}{suffix}", crate::rows::PREFIX);
    if made.value["metadata"]["annotations"][&key].is_null() {
        made = made.with(suffix, row["defaultPort"].as_str().unwrap_or("traffic-port"));
    }
    let got = made.build().map(|stack| match target(&stack).health_check.port {
        HealthPort::Traffic => json!("traffic-port"),
        HealthPort::Port(port) => json!(port),
    });
    // The rows' Services have neither name nor namespace.
    let got = got.map_err(|error| error.replace("default/x", "/"));
    outcome(row, &row["want"], got)
}

fn target_type(row: &Value) -> Outcome {
    let made = Row::new(&row["svc"]).account(|account| {
        account.ip_targets = row["enableIPTargetType"] != false;
        account.default_target_type = row["defaultTargetType"].as_str().unwrap_or("instance").to_owned();
    });
    let unallocated = row["svc"]["spec"]["allocateLoadBalancerNodePorts"] == false;
    let made = if unallocated { made } else { made.with_node_ports() };
    let got = made.build().map(|stack| json!(target(&stack).target_type));
    outcome(row, &row["want"], got)
}

fn target_attributes(row: &Value) -> Outcome {
    let port = row["port"]["port"].as_i64().unwrap_or(80);
    let made = Row::new(&row["svc"])
        .with_spec("ports", json!([{"port": port, "protocol": "TCP"}]))
        .with_node_ports();
    let wanted: BTreeMap<String, String> =
        items(&row["wantValue"]).iter().map(|pair| (text(&pair["key"]), text(&pair["value"]))).collect();
    outcome(row, &json!(wanted), made.build().map(|stack| json!(target(&stack).attributes)))
}

fn node_selector(row: &Value) -> Outcome {
    let wanted = match &row["want"]["matchLabels"] {
        Value::Null => json!({}),
        labels => labels.clone(),
    };
    outcome(row, &wanted, of_type(row).build().map(|stack| json!(target(&stack).node_selector)))
}

fn multi_cluster(row: &Value) -> Outcome {
    let got = of_type(row).build().map(|stack| json!(target(&stack).multi_cluster == Some(true)));
    let wanted = [&row["want"], &row["wantValue"], &row["wantMultiCluster"]];
    let wanted = wanted.into_iter().find(|value| value.is_boolean()).cloned().unwrap_or(json!(false));
    outcome(row, &wanted, got)
}

/// A Service with pods as targets, of a protocol of target groups.
fn reached(row: &Value) -> Row {
    let protocol = row["tgProtocol"].as_str().unwrap_or("TCP");
    let port = |name: &str, protocol: &str| json!({"name": name, "port": 4000, "targetPort": row["tgPort"], "protocol": protocol});
    let ports = match protocol {
        "TCP_UDP" | "TCP_QUIC" => json!([port("a", "TCP"), port("b", "UDP")]),
        "UDP" | "QUIC" => json!([port("a", "UDP")]),
        _ => json!([port("a", "TCP")]),
    };
    let check = match &row["hcPort"] {
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or("traffic-port").to_owned(),
    };
    let mut made = Row::new(&row["svc"])
        .with_spec("ports", ports)
        .with("aws-load-balancer-nlb-target-type", "ip")
        .with("aws-load-balancer-healthcheck-port", check)
        .account(|account| account.gates.tcp_udp_listener = true);
    if protocol.contains("QUIC") {
        made = made.with("aws-load-balancer-quic-enabled-ports", "4000");
    }
    if protocol == "TLS" {
        made =
            made.with("aws-load-balancer-ssl-cert", "arn").with("aws-load-balancer-backend-protocol", "ssl");
    }
    made
}

fn networking(row: &Value) -> Outcome {
    let Some(backend) = row["backendSGIDToken"].as_str() else {
        let own = reached(row).with("aws-load-balancer-security-groups", "sg-own").build();
        return outcome(row, &row["want"], own.map(|stack| rules(&stack)));
    };
    let built = reached(row)
        .account(|account| {
            account.backend_security_group = Some(backend.to_owned());
            account.gates.restricted_security_group_rules = row["disableRestrictedRules"] != true;
        })
        .build();
    outcome(row, &row["want"], built.map(|stack| rules(&stack)))
}

fn legacy_networking(row: &Value) -> Outcome {
    let mut made = reached(row)
        .with("aws-load-balancer-scheme", row["scheme"].as_str().unwrap_or("internet-facing"))
        .account(|account| {
            account.gates.nlb_security_group = false;
            account.subnets = items(&row["subnets"]).iter().map(subnet).collect();
            let vpc = row.pointer("/fetchVPCInfoCalls/0/wantVPCInfo").cloned().unwrap_or_default();
            account.vpc_cidrs = items(&vpc["cidrBlockAssociationSet"])
                .iter()
                .map(|range| text(&range["CidrBlock"]))
                .collect();
            account.vpc_cidrs_v6 = items(&vpc["ipv6CidrBlockAssociationSet"])
                .iter()
                .map(|range| text(&range["Ipv6CidrBlock"]))
                .collect();
        });
    let attributes = "aws-load-balancer-target-group-attributes";
    if let Some(preserved) = row["preserveClientIP"].as_bool() {
        made = made.with(attributes, format!("preserve_client_ip.enabled={preserved}"));
    }
    if row["ipAddressType"] == "ipv6" {
        made = made
            .with_spec("ipFamilies", json!(["IPv6"]))
            .with("aws-load-balancer-ip-address-type", "dualstack");
    }
    outcome(row, &row["want"], made.build().map(|stack| rules(&stack)))
}

fn rules(stack: &Stack) -> Value {
    let id = stack.target_groups.keys().next().unwrap();
    let none: Option<&Vec<NetworkingRule>> = None;
    if target(stack).networking.as_ref() == none {
        return Value::Null;
    }
    resource(stack, "K8S::ElasticLoadBalancingV2::TargetGroupBinding", id)["template"]["spec"]["networking"]
        .clone()
}

fn target(stack: &Stack) -> &TargetGroup {
    let group = stack.target_groups.values().next().expect("it has one");
    assert!(group.target_type != TargetType::Alb);
    group
}

fn resource(stack: &Stack, kind: &str, id: &str) -> Value {
    lbc_json::stack(stack)["resources"][kind][id]["spec"].clone()
}

fn pairs(map: &BTreeMap<String, String>, key: &str, value: &str) -> Value {
    let pair = |(name, content): (&String, &String)| {
        Value::Object(Map::from_iter([(key.to_owned(), json!(name)), (value.to_owned(), json!(content))]))
    };
    map.iter().map(pair).collect()
}
