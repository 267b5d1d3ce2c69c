//! Whole stacks: 42 of Services and 27 of Ingress groups.

use std::path::Path;

use plenipo_aws::ingress::{self, Group, GroupId, Member, Params};
use plenipo_aws::{lbc_json, service};
use plenipo_resources::View;
use serde_json::{Value, json};

use crate::Tally;
use crate::case::{cases, difference, ingress_account, items, object, service_account, set, text};

pub(crate) fn run(folder: &Path) -> Tally {
    let mut tally = Tally::new("stacks");
    for (name, case) in cases(&folder.join("service-stack")) {
        // With the merging of TCP and UDP ports and without it, as the controller's own test.
        let only_merged = case["fakes"]["skipTCPUDPDisabled"] == true;
        let ways: &[bool] = if only_merged { &[true] } else { &[true, false] };
        let differing = ways.iter().find_map(|merged| of_service(&case, *merged));
        tally.count(&format!("service-stack/{name}"), differing);
    }
    for (name, case) in cases(&folder.join("ingress-stack")) {
        tally.count(&format!("ingress-stack/{name}"), of_group(&case));
    }
    tally
}

fn of_service(case: &Value, merged: bool) -> Option<String> {
    let input = &case["input"];
    let main = object("Service", input["service"].clone());
    let id = format!("{}/{}", main.id.namespace, main.id.name);
    let others = items(&input["backendServices"]).into_iter().map(|value| object("Service", value));
    let set = set(others.chain([main.clone()]));
    let built = match service_account(&id, &case["fakes"]) {
        None => Err("listing load balancers failed".to_owned()),
        Some(mut account) => {
            account.gates.tcp_udp_listener = merged;
            service::build(&set, &main, &account).map_err(|error| error.message)
        }
    };
    let wanted = (case["expect"]["error"] == true).then(String::new);
    let got = built.map(|stack| stack.as_ref().map_or_else(|| lbc_json::empty(&id), lbc_json::stack));
    outcome(wanted.as_deref(), &case["expect"]["stack"], got)
}

fn of_group(case: &Value) -> Option<String> {
    let input = &case["input"];
    let group = &input["ingressGroup"];
    let id = match group["ID"]["Namespace"].as_str() {
        Some(namespace) => {
            GroupId::Implicit { namespace: namespace.to_owned(), name: text(&group["ID"]["Name"]) }
        }
        None => GroupId::Explicit(text(&group["ID"]["Name"])),
    };
    let services = items(&input["services"]).into_iter().map(|value| object("Service", value));
    let set = set(services);
    let read: Vec<_> = items(&group["Members"])
        .iter()
        .map(|member| {
            let params = &member["IngClassConfig"]["IngClassParams"];
            let params = (!params.is_null()).then(|| object("IngressClassParams", params.clone()));
            (object("Ingress", member["Ing"].clone()), params)
        })
        .collect();
    let members = read
        .iter()
        .map(|(ingress, params)| {
            let View::Ingress(view) = &ingress.view else { panic!("not an Ingress") };
            let params = params.as_ref().map(|params| {
                let View::IngressClassParams(spec) = &params.view else {
                    panic!("not an IngressClassParams")
                };
                Params { object: params, spec }
            });
            Member { object: ingress, ingress: view, params }
        })
        .collect();
    let leaving: Vec<_> =
        items(&group["InactiveMembers"]).into_iter().map(|value| object("Ingress", value)).collect();
    let group = Group { id, members, leaving: leaving.iter().map(|object| &**object).collect() };
    let built = ingress::build(&group, &set, &ingress_account(&group.id.to_string(), &case["fakes"]));
    let got = built
        .map(|stack| stack.as_ref().map_or_else(|| lbc_json::empty(&group.id.to_string()), lbc_json::stack))
        .map_err(|error| error.message);
    outcome(case["expect"]["error"].as_str(), &case["expect"]["stack"], got)
}

/// `error`: none = none wanted, empty = any.
fn outcome(error: Option<&str>, stack: &Value, got: Result<Value, String>) -> Option<String> {
    match (error, got) {
        (None, Ok(got)) => difference(stack, &got),
        (None, Err(error)) => Some(format!("error: {error}")),
        (Some(_), Ok(_)) => Some("no error".to_owned()),
        (Some(wanted), Err(error)) if wanted.is_empty() || wanted == error => None,
        (Some(wanted), Err(error)) => difference(&json!(wanted), &json!(error)),
    }
}
