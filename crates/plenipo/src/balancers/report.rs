//! The load balancers that run here, for people.

use std::fmt::Write as _;
use std::net::SocketAddr;

use plenipo_aws::local::{Balancer, Local, Port};
use plenipo_aws::stack::{Controller, Kind, Scheme};
use plenipo_resources::Severity;

use super::material::Material;

/// What holds for every load balancer on one machine.
const ALWAYS: &str = "Everywhere: no zones, no DNS failover, no security groups.";

/// A table of the load balancers with their listeners, then what differs from AWS and what is wrong.
pub(super) fn text(local: &Local, material: &Material, unbound: &[SocketAddr]) -> String {
    let mut text = String::new();
    if local.balancers.is_empty() {
        text.push_str("No Service or Ingress here asks for an AWS load balancer.\n");
    }
    for balancer in &local.balancers {
        describe(&mut text, balancer, unbound);
    }
    for made in material.made() {
        let hosts = if made.hosts.is_empty() { "localhost".to_owned() } else { made.hosts.join(", ") };
        let _ = writeln!(text, "self-signed, since no --acm names it: {} for {hosts}", made.arn);
    }
    for arn in material.unused() {
        let _ = writeln!(text, "--acm is for {arn}, which no load balancer here shows");
    }
    for problem in local.problems.iter().filter(|problem| problem.severity != Severity::Note) {
        let _ = writeln!(text, "{problem}");
    }
    if !local.balancers.is_empty() {
        let _ = writeln!(text, "{ALWAYS}");
    }
    text
}

fn describe(text: &mut String, balancer: &Balancer, unbound: &[SocketAddr]) {
    let kind = match balancer.kind {
        Kind::Classic => "Classic Load Balancer",
        Kind::Network => "Network Load Balancer",
        Kind::Application => "Application Load Balancer",
    };
    let scheme = match balancer.scheme {
        Scheme::Internal => "internal",
        Scheme::InternetFacing => "internet-facing",
    };
    let reader = match balancer.controller {
        Controller::LoadBalancerController => "AWS Load Balancer Controller",
        Controller::CloudProvider => "cloud provider",
    };
    let members: Vec<String> = balancer.members.iter().map(ToString::to_string).collect();
    let _ = writeln!(
        text,
        "{} ({kind}, {scheme}; {} as the {reader} reads it)",
        balancer.name,
        members.join(", ")
    );
    let _ = writeln!(text, "  {} → {}", balancer.dns_name, balancer.address);
    for port in &balancer.ports {
        describe_port(text, port, unbound.contains(&port.bind));
    }
    for deviation in &balancer.deviations {
        let _ = writeln!(text, "  differs: {deviation}");
    }
    text.push('\n');
}

fn describe_port(text: &mut String, port: &Port, unbound: bool) {
    let head = format!("{} {}", port.protocol.as_str(), port.declared);
    let note = if unbound { ", which could not be bound" } else { "" };
    let _ = writeln!(text, "  {head:<12} {}{note}", port.bind);
    for target in &port.targets {
        let _ = writeln!(text, "  {:<12} → {target}", "");
    }
    for deviation in &port.deviations {
        let _ = writeln!(text, "  {:<12} differs: {deviation}", "");
    }
}
