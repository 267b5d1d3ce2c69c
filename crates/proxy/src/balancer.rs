//! What a load balancer does otherwise than a gateway, where [`plenipo_model::BalancerRules`] ask for it: how it reads a
//! request's head, what it tells its targets, how it remembers where a client went, what it answers by itself.
//!
//! The rules are those of AWS's guides for Application and Classic Load Balancers; where those are silent, what the
//! balancers were seen to do. Each stage of [`crate::serve`] asks here in one place, and only when there is a balancer.

pub(crate) mod affinity;
pub(crate) mod answers;
mod certificate;
mod cookies;
mod fields;
pub(crate) mod head;
mod host;
mod trace_id;
