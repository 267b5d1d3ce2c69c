//! One case of the controller's tests: its objects, and what its mocks answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plenipo_aws::{Account, ExistingLoadBalancer, Gates, SecurityGroup, Subnet};
use plenipo_resources::{Object, Origin, Set, SetBuilder};
use serde_json::{Value, json};

/// The cases of a folder, by file name.
pub(crate) fn cases(folder: &Path) -> Vec<(String, Value)> {
    let mut files: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(error) => panic!("{}: {error}", folder.display()),
    };
    files.sort();
    let read = |file: &PathBuf| {
        let value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        (file.file_stem().unwrap().to_string_lossy().into_owned(), value)
    };
    files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "json")).map(read).collect()
}

/// An object, with what a manifest would have besides.
pub(crate) fn object(kind: &str, mut value: Value) -> Arc<Object> {
    let version = match kind {
        "Service" => "v1",
        "IngressClassParams" => "elbv2.k8s.aws/v1beta1",
        _ => "networking.k8s.io/v1",
    };
    value["apiVersion"] = json!(version);
    value["kind"] = json!(kind);
    if value.pointer("/metadata/name").is_none() {
        value["metadata"]["name"] = json!("x");
    }
    let decoded = plenipo_resources::decode(value, Origin::Cluster);
    assert!(decoded.problems.is_empty(), "{:?}", decoded.problems);
    Arc::new(decoded.objects.into_iter().next().unwrap())
}

pub(crate) fn set(objects: impl IntoIterator<Item = Arc<Object>>) -> Set {
    let mut builder = SetBuilder::default();
    objects.into_iter().for_each(|object| builder.add(object));
    builder.build()
}

/// What the mocks of a Service's case answer; none where listing load balancers fails, before anything is built.
pub(crate) fn service_account(stack: &str, fakes: &Value) -> Option<Account> {
    let mut account = account("my-cluster", "vpc-xxx", fakes);
    read_subnets(&mut account, fakes);
    if fakes.pointer("/listLoadBalancerCalls/0/err").is_some() {
        return None;
    }
    read_existing(&mut account, stack, fakes.pointer("/listLoadBalancerCalls/0/sdkLBs"));
    let vpc = fakes.pointer("/fetchVPCInfoCalls/0");
    let ranges = |field: &str, cidr: &str| -> Vec<String> {
        let list = vpc.and_then(|vpc| vpc.pointer(&format!("/wantVPCInfo/{field}")));
        list.into_iter().flat_map(items).map(|range| text(&range[cidr])).collect()
    };
    account.vpc_cidrs = ranges("cidrBlockAssociationSet", "CidrBlock");
    account.vpc_cidrs_v6 = ranges("ipv6CidrBlockAssociationSet", "Ipv6CidrBlock");
    for call in items(&fakes["resolveSGViaNameOrIDCall"]) {
        let ids = items(&call["want"]);
        let groups = items(&call["args"]).into_iter().zip(ids);
        account
            .security_groups
            .extend(groups.map(|(name, id)| SecurityGroup { id: text(&id), name: Some(text(&name)) }));
    }
    Some(account)
}

/// What the mocks of an Ingress group's case answer.
pub(crate) fn ingress_account(stack: &str, fakes: &Value) -> Account {
    let fields = &fakes["fields"];
    let mut account = account("cluster-dummy", "vpc-dummy", fakes);
    read_subnets(&mut account, fields);
    account.backend_security_group = fields["enableBackendSG"]
        .as_bool()
        .unwrap_or(false)
        .then(|| fields["backendSecurityGroup"].as_str().unwrap_or("sg-auto").to_owned());
    // The mock lists foreign load balancers, too; the group's own comes first, with its zones.
    let existing: Vec<ExistingLoadBalancer> = fields
        .pointer("/listLoadBalancersCalls/0/matchedLBs")
        .into_iter()
        .flat_map(items)
        .map(|found| ExistingLoadBalancer {
            scheme: text(&found["LoadBalancer"]["Scheme"]),
            subnets: items(&found["LoadBalancer"]["AvailabilityZones"])
                .iter()
                .map(|zone| text(&zone["SubnetId"]))
                .collect(),
            security_groups: Vec::new(),
        })
        .collect();
    if !existing.is_empty() {
        account.existing.insert(stack.to_owned(), existing);
    }
    account
}

fn account(cluster: &str, vpc: &str, fakes: &Value) -> Account {
    let word = |key: &str, default: &str| fakes[key].as_str().unwrap_or(default).to_owned();
    let on = |key: &str, default: bool| fakes[key].as_bool().unwrap_or(default);
    let gate = |name: &str, default: bool| fakes["featureGates"][name].as_bool().unwrap_or(default);
    let defaults = Gates::default();
    Account {
        complete: true,
        cluster: cluster.to_owned(),
        vpc: vpc.to_owned(),
        subnets: Vec::new(),
        backend_security_group: on("enableBackendSG", false).then(|| word("backendSecurityGroup", "")),
        default_target_type: word("defaultTargetType", "instance"),
        default_scheme: word("defaultLoadBalancerScheme", "internal"),
        ip_targets: on("enableIPTargetType", true),
        gates: Gates {
            nlb_security_group: gate("NLBSecurityGroup", true),
            only_load_balancer_services: gate("ServiceTypeLoadBalancerOnly", false),
            restricted_security_group_rules: !on("disableRestrictedSGRules", false),
            ..defaults
        },
        ..Account::default()
    }
}

fn read_subnets(account: &mut Account, fakes: &Value) {
    for call in ["resolveViaDiscoveryCalls", "resolveViaNameOrIDSliceCalls"] {
        let subnets = fakes.pointer(&format!("/{call}/0/subnets"));
        account.subnets.extend(subnets.into_iter().flat_map(items).map(|value| subnet(&value)));
    }
}

pub(crate) fn subnet(value: &Value) -> Subnet {
    Subnet {
        id: text(&value["SubnetId"]),
        zone: value["AvailabilityZone"].as_str().unwrap_or_default().to_owned(),
        cidr: value["CidrBlock"].as_str().unwrap_or_default().to_owned(),
        cidrs_v6: items(&value["Ipv6CidrBlockAssociationSet"])
            .iter()
            .map(|range| text(&range["Ipv6CidrBlock"]))
            .collect(),
        ..Subnet::default()
    }
}

fn read_existing(account: &mut Account, stack: &str, balancers: Option<&Value>) {
    let subnets: Vec<String> = account.subnets.iter().map(|subnet| subnet.id.clone()).collect();
    let existing: Vec<ExistingLoadBalancer> = balancers
        .into_iter()
        .flat_map(items)
        .map(|found| ExistingLoadBalancer {
            scheme: text(&found["LoadBalancer"]["Scheme"]),
            // What the mock resolves is what counts, not always what the load balancer was said to have.
            subnets: subnets.clone(),
            security_groups: items(&found["LoadBalancer"]["SecurityGroups"]).iter().map(text).collect(),
        })
        .collect();
    if !existing.is_empty() {
        account.existing.insert(stack.to_owned(), existing);
    }
}

pub(crate) fn items(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// `wantErr`, in any of its forms: none = no error, `Some("")` = any error.
pub(crate) fn wanted_error(row: &Value) -> Option<String> {
    for key in ["wantErr", "wantError", "expectError"] {
        match &row[key] {
            Value::Bool(true) => return Some(String::new()),
            Value::String(text) => return Some(text.clone()),
            Value::Object(error) => return Some(text(&error["$error"][0])),
            _ => {}
        }
    }
    None
}

/// The first places where two values differ.
pub(crate) fn difference(wanted: &Value, got: &Value) -> Option<String> {
    let mut found = Vec::new();
    compare("", wanted, got, &mut found);
    found.truncate(4);
    (!found.is_empty()).then(|| found.join("; "))
}

fn compare(at: &str, wanted: &Value, got: &Value, found: &mut Vec<String>) {
    match (wanted, got) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                compare(&format!("{at}/{key}"), &wanted[key], &got[key], found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (wanted, got)) in a.iter().zip(b).enumerate() {
                compare(&format!("{at}/{index}"), wanted, got, found);
            }
        }
        _ if wanted == got => {}
        _ => found.push(format!("{at}: wanted {wanted}, got {got}")),
    }
}
