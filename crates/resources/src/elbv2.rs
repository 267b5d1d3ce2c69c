//! `elbv2.k8s.aws/v1beta1`: the kinds of the AWS Load Balancer Controller.

#![allow(
    missing_docs,
    reason = "the fields are those of the AWS Load Balancer Controller, and described there"
)]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::core::IntOrString;

/// `spec` of an IngressClassParams.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressClassParams {
    pub namespace_selector: Option<Value>,
    pub group: Option<GroupName>,
    pub scheme: Option<String>,
    #[serde(rename = "inboundCIDRs")]
    pub inbound_cidrs: Vec<String>,
    pub certificate_arn: Vec<String>,
    pub ssl_policy: Option<String>,
    pub ssl_redirect_port: Option<IntOrString>,
    pub subnets: Option<SubnetSelector>,
    pub ip_address_type: Option<String>,
    pub tags: Vec<KeyValue>,
    pub target_type: Option<String>,
    pub load_balancer_attributes: Vec<KeyValue>,
    pub load_balancer_name: Option<String>,
    pub listeners: Vec<ClassListener>,
    pub minimum_load_balancer_capacity: Option<Value>,
    pub ipam_configuration: Option<Value>,
    #[serde(rename = "prefixListsIDs", alias = "PrefixListsIDs")]
    pub prefix_lists: Vec<String>,
    #[serde(rename = "wafv2AclArn")]
    pub wafv2_acl_arn: Option<String>,
    #[serde(rename = "wafv2AclName")]
    pub wafv2_acl_name: Option<String>,
}

/// `group`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GroupName {
    pub name: String,
}

/// `subnets`: ids or tags.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SubnetSelector {
    pub ids: Vec<String>,
    pub tags: BTreeMap<String, Vec<String>>,
}

/// A tag or an attribute.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    pub key: String,
    pub value: String,
}

/// One of `listeners`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClassListener {
    pub protocol: String,
    pub port: i64,
    pub listener_attributes: Vec<KeyValue>,
}

/// `spec` of a TargetGroupBinding.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TargetGroupBinding {
    #[serde(rename = "targetGroupARN")]
    pub target_group_arn: Option<String>,
    pub target_group_name: Option<String>,
    pub target_type: Option<String>,
    pub target_group_protocol: Option<String>,
    pub ip_address_type: Option<String>,
    #[serde(rename = "vpcID")]
    pub vpc_id: Option<String>,
    pub service_ref: BoundService,
    pub networking: Option<Value>,
    pub node_selector: Option<Value>,
    pub multi_cluster_target_group: bool,
    pub iam_role_arn_to_assume: Option<String>,
    pub assume_role_external_id: Option<String>,
}

/// `serviceRef`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BoundService {
    pub name: String,
    pub port: Option<IntOrString>,
}
