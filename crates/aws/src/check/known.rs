//! What is known besides the objects.

use std::collections::BTreeMap;

use plenipo_resources::{Set, View};
use serde::Deserialize;

use crate::account::{Account, Certificate};

/// Facts that no object shows. All are optional: a rule that needs one says nothing without it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Known {
    /// Region of the cluster: `eu-west-1`.
    pub region: Option<String>,
    /// Number of the AWS account.
    pub account: Option<String>,
    /// Name of the cluster.
    pub cluster: Option<String>,
    /// Address ranges of the VPC.
    pub vpc_cidrs: Vec<String>,
    /// Zone of each subnet, by id or Name tag.
    pub subnets: BTreeMap<String, String>,
    /// Names in each certificate, by ARN.
    pub certificates: BTreeMap<String, Vec<String>>,
    /// Load balancers that exist, by `namespace/name` of the Service or Ingress, or by the name of an Ingress group.
    pub load_balancers: BTreeMap<String, KnownLoadBalancer>,
    /// Actions that the controller's IAM policy allows (`elasticloadbalancing:*` stands for all of a service).
    pub iam_actions: Option<Vec<String>>,
}

/// A load balancer that exists.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct KnownLoadBalancer {
    /// `internal` or `internet-facing`.
    pub scheme: Option<String>,
    /// `classic`, `network` or `application`.
    pub kind: Option<String>,
}

impl Known {
    /// The account to build load balancers for. Without known certificates every host has one: whether there is one in
    /// ACM no object tells.
    #[must_use]
    pub fn account(&self, set: &Set) -> Account {
        let mut account = Account::default();
        if let Some(cluster) = &self.cluster {
            account.cluster.clone_from(cluster);
        }
        if !self.vpc_cidrs.is_empty() {
            account.vpc_cidrs.clone_from(&self.vpc_cidrs);
        }
        let known = self.certificates.iter();
        account.certificates =
            known.map(|(arn, names)| Certificate { arn: arn.clone(), names: names.clone() }).collect();
        if account.certificates.is_empty() {
            let names = hosts(set);
            account.certificates.push(Certificate { arn: "arn:aws:acm:found-by-host".to_owned(), names });
        }
        account
    }
}

fn hosts(set: &Set) -> Vec<String> {
    let ingresses = set.of_kind("Ingress").iter().filter_map(|object| match &object.view {
        View::Ingress(ingress) => Some(ingress),
        _ => None,
    });
    let mut hosts: Vec<String> = ingresses
        .flat_map(|ingress| {
            let ruled = ingress.rules.iter().filter_map(|rule| rule.host.clone());
            ruled.chain(ingress.tls.iter().flat_map(|tls| tls.hosts.clone()))
        })
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}
