//! What is known of the AWS account and of the controller's settings.

use std::collections::BTreeMap;

use crate::stack::GroupRef;

/// What the controllers would ask AWS for before they build anything, and their own flags. In front of a directory
/// nothing is known: [`Account::default`] answers with placeholders, and what depends on them is marked so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Is this all there is? In front of a directory it is not: names of subnets and security groups that are not here
    /// are then taken as they are, and a Service without a UID gets one made of its name.
    pub complete: bool,
    /// Name of the cluster: part of every name that a controller makes.
    pub cluster: String,
    /// Id of the VPC.
    pub vpc: String,
    /// Address ranges of the VPC.
    pub vpc_cidrs: Vec<String>,
    /// IPv6 address ranges of the VPC.
    pub vpc_cidrs_v6: Vec<String>,
    /// Subnets that discovery finds, for internal and internet-facing load balancers alike.
    pub subnets: Vec<Subnet>,
    /// Is all known of the subnets that is to be known: IPv6 ranges, fixed prefixes? Otherwise nothing is missed in them.
    pub subnets_known: bool,
    /// Security groups, by id and by Name tag. Ids that are not here are taken as they are.
    pub security_groups: Vec<SecurityGroup>,
    /// Certificates of ACM, for discovery by host name; where they are not complete, one is found for every host.
    pub certificates: Vec<Certificate>,
    /// Load balancers that exist, by the id of the stack that owns them.
    pub existing: BTreeMap<String, Vec<ExistingLoadBalancer>>,
    /// Security group that targets admit (shared by the load balancers); none when the feature is off.
    pub backend_security_group: Option<String>,
    /// Targets are `instance` unless an annotation says `ip` (or the reverse).
    pub default_target_type: String,
    /// `internal` unless an annotation says otherwise.
    pub default_scheme: String,
    /// Policy of TLS listeners without one of their own.
    pub default_ssl_policy: String,
    /// Tags put on everything.
    pub default_tags: BTreeMap<String, String>,
    /// Tag keys that belong to somebody else.
    pub external_tag_keys: Vec<String>,
    /// May targets be pods?
    pub ip_targets: bool,
    /// Feature gates and flags.
    pub gates: Gates,
}

/// Feature gates and flags of the AWS Load Balancer Controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gates {
    /// Network load balancers get security groups.
    pub nlb_security_group: bool,
    /// Only Services of `type: LoadBalancer` are looked at.
    pub only_load_balancer_services: bool,
    /// TCP and UDP listeners of one port are merged.
    pub tcp_udp_listener: bool,
    /// Rules towards targets name only the ports needed.
    pub restricted_security_group_rules: bool,
    /// A missing Service or action of an Ingress answers 503, instead of failing the group.
    pub tolerate_missing_backend: bool,
    /// Ingresses without any class belong to the controller.
    pub ingresses_without_class: bool,
    /// An application load balancer may have one subnet.
    pub single_subnet: bool,
    /// Subnets that are tagged for other clusters only are left aside.
    pub subnet_cluster_tag: bool,
    /// Subnets without role tags are found by whether they reach an internet gateway.
    pub subnet_reachability: bool,
    /// Tags of annotations win over the default tags.
    pub default_tags_low_priority: bool,
    /// Capacity units can be reserved.
    pub capacity_reservation: bool,
    /// Rules of the targets' security groups are managed even when a load balancer's groups are its user's own.
    pub manage_backend_rules: bool,
}

/// A subnet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its `Name` tag.
    pub name: Option<String>,
    /// Availability zone; empty = not known.
    pub zone: String,
    /// IPv4 range.
    pub cidr: String,
    /// IPv6 ranges.
    pub cidrs_v6: Vec<String>,
    /// Its tags, `Name` among them or not.
    pub tags: BTreeMap<String, String>,
    /// Addresses that are free; none = not known.
    pub free_addresses: Option<u32>,
    /// `availability-zone`, `local-zone`, `wavelength-zone` or `outpost`; empty = an availability zone.
    pub locale: String,
    /// Does it reach an internet gateway? None = not known.
    pub public: Option<bool>,
}

/// A security group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Its `Name` tag.
    pub name: Option<String>,
}

/// A certificate of ACM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// Its ARN.
    pub arn: String,
    /// Names it is for; `*.` stands for one label.
    pub names: Vec<String>,
}

/// A load balancer that exists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExistingLoadBalancer {
    /// `internal` or `internet-facing`.
    pub scheme: String,
    /// Ids of its subnets.
    pub subnets: Vec<String>,
    /// Ids of its security groups.
    pub security_groups: Vec<String>,
}

impl Account {
    /// Security groups by id (`sg-…`) or `Name` tag, in the order they are named in.
    pub(crate) fn security_groups_called(&self, names: &[String]) -> Result<Vec<GroupRef>, String> {
        let one = |name: &String| {
            let is_called = |group: &&SecurityGroup| group.name.as_ref() == Some(name);
            match self.security_groups.iter().find(is_called) {
                Some(group) => Some(GroupRef::Id(group.id.clone())),
                None if name.starts_with("sg-") || !self.complete => Some(GroupRef::Id(name.clone())),
                None => None,
            }
        };
        let found = names.iter().filter(|name| one(name).is_some()).cloned().collect::<Vec<_>>();
        let missing = || {
            let (names, found) = (names.join(", "), found.join(", "));
            format!("couldn't find all security groups: requested names [{names}] but found [{found}]")
        };
        names.iter().map(|name| one(name).ok_or_else(missing)).collect()
    }
}

impl Default for Account {
    /// Two zones, nothing existing, the controllers' own defaults.
    fn default() -> Self {
        let subnet = |id: &str, zone: &str, cidr: &str| Subnet {
            id: id.to_owned(),
            zone: zone.to_owned(),
            cidr: cidr.to_owned(),
            ..Subnet::default()
        };
        Self {
            complete: false,
            cluster: "cluster".to_owned(),
            vpc: "vpc".to_owned(),
            vpc_cidrs: vec!["10.0.0.0/16".to_owned()],
            vpc_cidrs_v6: Vec::new(),
            subnets: vec![
                subnet("subnet-a", "zone-a", "10.0.0.0/20"),
                subnet("subnet-b", "zone-b", "10.0.16.0/20"),
            ],
            subnets_known: false,
            security_groups: Vec::new(),
            certificates: Vec::new(),
            existing: BTreeMap::new(),
            backend_security_group: Some("sg-backend".to_owned()),
            default_target_type: "instance".to_owned(),
            default_scheme: "internal".to_owned(),
            default_ssl_policy: "ELBSecurityPolicy-2016-08".to_owned(),
            default_tags: BTreeMap::new(),
            external_tag_keys: Vec::new(),
            ip_targets: true,
            gates: Gates::default(),
        }
    }
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            nlb_security_group: true,
            only_load_balancer_services: false,
            tcp_udp_listener: false,
            restricted_security_group_rules: true,
            tolerate_missing_backend: true,
            ingresses_without_class: false,
            single_subnet: false,
            subnet_cluster_tag: true,
            subnet_reachability: true,
            default_tags_low_priority: false,
            capacity_reservation: true,
            manage_backend_rules: false,
        }
    }
}
