//! Subnets: by name, by selector, found.

use plenipo_resources::elbv2::SubnetSelector;
use serde_json::{Value, json};

use super::fixture::{account, items};
use super::{Outcome, Table};
use crate::account::{Account, Subnet};
use crate::stack::{AddressType, Kind, Scheme};
use crate::subnets::{self, Need};

pub(super) const TABLES: &[Table] = &[
    ("networking/subnet_resolver/Test_defaultSubnetsResolver_ResolveViaDiscovery", discovered),
    ("networking/subnet_resolver/Test_defaultSubnetsResolver_ResolveViaNameOrIDSlice", named),
    ("networking/subnet_resolver/Test_defaultSubnetsResolver_ResolveViaSelector", selected),
    ("networking/subnet_resolver/Test_defaultSubnetsResolver_chooseSubnetsPerAZ", per_zone),
    ("networking/subnet_resolver/Test_defaultSubnetsResolver_computeSubnetsMinimalCount", minimum),
    ("networking/subnet_resolver/Test_categorizeSubnetsByEligibility_IPv6CIDR", eligible),
    ("networking/subnet_resolver/Test_validateSubnetsIPv6CIDR", valid_ipv6),
    ("networking/subnet_resolver/Test_IsSubnetInLocalZoneOrOutpost", apart),
    ("networking/subnet_resolver/Test_defaultSubnetsResolver_buildSDKSubnetLocaleType", apart),
    ("networking/subnet_resolver/Test_extractSubnetIDs", apart),
    ("networking/subnet_resolver/Test_isIPv6CIDRRequired", ipv6_required),
    ("networking/subnet_resolver/Test_isSubnetContainsIPv6CIDR", apart),
    ("networking/subnet_resolver/Test_sortSubnetsByID", by_id),
];

/// Rows about answers of AWS's API and the pieces they are taken from: an account here holds what was understood.
fn apart(_: &Value) -> Outcome {
    Outcome::Apart
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn subnet(value: &Value) -> Subnet {
    if value["$call"] == "subnetWithIPv6" {
        let args = &value["$args"];
        let ranges = if args[3] == true { vec!["2600:1f13::/64".to_owned()] } else { Vec::new() };
        return Subnet {
            id: text(&args[0]),
            zone: text(&args[1]),
            cidrs_v6: ranges,
            tags: [("kubernetes.io/role/elb".to_owned(), "1".to_owned())].into(),
            ..Subnet::default()
        };
    }
    let tags = items(&value["Tags"]).iter().map(|tag| (text(&tag["Key"]), text(&tag["Value"]))).collect();
    let free = value["AvailableIpAddressCount"].as_u64().map(|free| u32::try_from(free).unwrap());
    Subnet {
        id: text(&value["SubnetId"]),
        zone: text(&value["AvailabilityZone"]),
        free_addresses: free,
        tags,
        ..Subnet::default()
    }
}

/// What the mocks of a row answer: all subnets they return, with the routes and zones they tell of.
fn known(row: &Value) -> Account {
    let fields = &row["fields"];
    let mut account = Account { subnets: Vec::new(), subnets_known: true, ..account(&Value::Null) };
    account.gates.subnet_cluster_tag = fields["clusterTagCheckEnabled"] != false;
    account.gates.single_subnet = fields["albSingleSubnetEnabled"] == true;
    account.gates.subnet_reachability = fields["discoveryByReachabilityEnabled"] != false;
    for call in items(&fields["describeSubnetsAsListCalls"]) {
        account.subnets.extend(items(&call["output"]).iter().map(subnet));
    }
    for call in items(&fields["describeRouteTablesAsListCalls"]) {
        for table in items(&call["output"]) {
            let gateway = |route: &Value| text(&route["GatewayId"]).starts_with("igw");
            let public = items(&table["Routes"]).iter().any(gateway);
            for association in items(&table["Associations"]) {
                let id = text(&association["SubnetId"]);
                let found = account.subnets.iter_mut().find(|subnet| subnet.id == id);
                if let Some(subnet) = found {
                    subnet.public = Some(public);
                }
            }
        }
    }
    account
}

fn need(row: &Value) -> Need {
    let options = items(&row["args"]["opts"]);
    let option = |name: &str| {
        let found = options.iter().find(|option| option["$call"] == format!("WithSubnetsResolve{name}"));
        found.map(|option| text(&option["$args"][0])).unwrap_or_default()
    };
    Need {
        kind: if option("LBType") == "network" { Kind::Network } else { Kind::Application },
        scheme: match option("LBScheme").as_str() {
            "internal" => Scheme::Internal,
            _ => Scheme::InternetFacing,
        },
        addresses: match option("LBIPAddressType").as_str() {
            "dualstack" => AddressType::Dualstack,
            _ => AddressType::Ipv4,
        },
    }
}

/// Did a call of AWS's API fail?
fn fails(row: &Value) -> bool {
    row["fields"].to_string().contains("\"err\"")
}

fn compared(row: &Value, got: Result<Vec<Subnet>, String>) -> Outcome {
    let wanted: Value = items(&row["want"]).iter().map(|value| subnet(value).id).collect();
    Outcome::result(row, &wanted, got.map(|got| got.into_iter().map(|subnet| subnet.id).collect()))
}

fn discovered(row: &Value) -> Outcome {
    if fails(row) {
        return Outcome::Apart;
    }
    compared(row, subnets::discovered(&known(row), need(row)))
}

fn named(row: &Value) -> Outcome {
    let names: Vec<String> = serde_json::from_value(row["args"]["nameOrIDs"].clone()).unwrap();
    compared(row, subnets::named(&known(row), &names, need(row)))
}

fn selected(row: &Value) -> Outcome {
    if fails(row) {
        return Outcome::Apart;
    }
    let selector: SubnetSelector = serde_json::from_value(row["args"]["selector"].clone()).unwrap();
    compared(row, subnets::selected(&known(row), &selector, need(row)))
}

fn plain(subnets: &Value) -> Account {
    let mut account = Account { subnets_known: true, ..account(&Value::Null) };
    account.subnets = items(subnets).iter().map(subnet).collect();
    account.gates.single_subnet = true;
    account
}

fn need_of(addresses: &Value) -> Need {
    let addresses = match addresses.as_str() {
        Some("dualstack") => AddressType::Dualstack,
        Some("dualstack-without-public-ipv4") => AddressType::DualstackWithoutPublicIpv4,
        _ => AddressType::Ipv4,
    };
    Need { kind: Kind::Application, scheme: Scheme::InternetFacing, addresses }
}

fn per_zone(row: &Value) -> Outcome {
    compared(row, subnets::discovered(&plain(&row["subnets"]), need_of(&Value::Null)))
}

/// One subnet is enough where the row says so.
fn minimum(row: &Value) -> Outcome {
    let args = &row["args"];
    let mut account = plain(&json!([{"SubnetId": "subnet-1", "AvailabilityZone": "a"}]));
    account.gates.single_subnet = row["fields"]["albSingleSubnetEnabled"] == true;
    account.subnets[0].locale = text(&args["subnetLocale"]);
    let kind = if args["resolveOpts"]["LBType"] == "network" { Kind::Network } else { Kind::Application };
    let got = subnets::discovered(&account, Need { kind, ..need_of(&Value::Null) });
    Outcome::of(&row["want"], &json!(if got.is_ok() { 1 } else { 2 }))
}

fn eligible(row: &Value) -> Outcome {
    let got = subnets::discovered(&plain(&row["subnets"]), need_of(&row["ipAddressType"])).unwrap();
    Outcome::of(&row["wantEligible"], &got.into_iter().map(|subnet| subnet.id).collect())
}

fn valid_ipv6(row: &Value) -> Outcome {
    let account = plain(&row["subnets"]);
    let names: Vec<String> = account.subnets.iter().map(|subnet| subnet.id.clone()).collect();
    let got = subnets::named(&account, &names, need_of(&row["ipAddressType"]));
    Outcome::result(row, &Value::Null, got.map(|_| Value::Null))
}

/// A subnet without an IPv6 range will do where none is needed.
fn ipv6_required(row: &Value) -> Outcome {
    let account = plain(&json!([{"SubnetId": "subnet-1", "AvailabilityZone": "a"}]));
    let got = subnets::discovered(&account, need_of(&row["ipAddressType"]));
    Outcome::of(&row["want"], &json!(got.is_err()))
}

fn by_id(row: &Value) -> Outcome {
    let got = subnets::discovered(&plain(&row["args"]["subnets"]), need_of(&Value::Null));
    compared(&json!({"want": row["wantSubnets"]}), got)
}
