//! The AWS load balancers in front of the gateway.
//!
//! *In:* the [`plenipo_resources::Set`] and what is known of the AWS account ([`Account`]). *Out:* one [`Stack`] for
//! every load balancer that Services and Ingresses ask for: a plain value, equal for equal input, that is checked,
//! explained, run here as an edge of its own, and compared with what the AWS controllers would make of the same
//! objects.
//!
//! Two controllers read these objects, the AWS Load Balancer Controller and the older cloud provider, with the same
//! annotations and different meanings: each has a module of its own, and both make the same model.

mod account;
pub mod annotations;
pub mod audit;
mod binding;
mod build_error;
pub mod check;
pub mod cloud_provider;
pub mod ingress;
pub mod lbc_json;
pub mod local;
pub mod names;
pub mod owner;
mod proxies;
pub mod reach;
pub mod service;
pub mod stack;
mod subnets;

pub use account::{Account, Certificate, ExistingLoadBalancer, Gates, SecurityGroup, Subnet};
pub use binding::{Binding, Bindings, bindings};
pub use build_error::BuildError;
pub use stack::Stack;

use plenipo_resources::{Code, Object, Problem, Set, Severity};

/// The load balancers that the objects of a set ask for.
#[derive(Clone, Debug, Default)]
pub struct Stacks {
    /// In the order of their ids.
    pub stacks: Vec<Stack>,
    /// What is wrong with the objects that ask for them. One bad object loses only itself.
    pub problems: Vec<Problem>,
}

/// Builds the load balancers that the objects of `set` ask for, from what is known of the account.
///
/// An object that cannot be built loses only itself. (Of a group of Ingresses the controller would leave everything as it
/// is; [`ingress::build`] does as the controller does.)
#[must_use]
pub fn stacks(set: &Set, account: &Account) -> Stacks {
    let (mut stacks, mut problems) = ingress::stacks(set, account);
    for object in set.of_kind("Service") {
        let built = match service::build(set, object, account) {
            Ok(None) => cloud_provider::build(object, account),
            built => built,
        };
        match built {
            Ok(stack) => stacks.extend(stack),
            Err(error) => problems.push(refused(object, error)),
        }
    }
    stacks.sort_by(|a, b| (&a.id, &a.members).cmp(&(&b.id, &b.members)));
    problems.extend(bindings(set).problems);
    problems.sort();
    Stacks { stacks, problems }
}

fn refused(object: &Object, error: BuildError) -> Problem {
    let fix = "correct it: until then no load balancer is made";
    object.problem(Severity::Error, Code("load-balancer-not-built"), &error.field, error.message, fix)
}
