//! What is known besides the objects.

use std::collections::BTreeMap;

use serde::Deserialize;

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
