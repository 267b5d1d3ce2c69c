//! The real binary on a real API server (`cargo xtask kapi` builds it).

mod challenges;
mod chart;
mod crds;
mod istio;
mod looking;
mod outages;
mod replica;
mod rights;
mod scale;
mod site;
mod sources;
mod status;
mod versions;
mod watching;

pub(crate) use replica::Replica;
pub(crate) use site::Site;
