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
pub mod stack;

pub use account::{Account, Certificate, ExistingLoadBalancer, Gates, SecurityGroup, Subnet};
pub use stack::Stack;
