//! What the gateway tells: what there is, what became of it, and what of it could not be carried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_resources::{ObjectId, Report, Set};

/// What became of a set of objects, once what they ask for is served. Clones of all of it are cheap.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The objects.
    pub set: Set,
    /// The verdict on each.
    pub report: Report,
    /// Is anything served? Without a single listener nothing is, however good the objects are.
    pub serving: bool,
    /// What of the objects could not be carried out, though they are right.
    pub faults: Vec<Fault>,
    /// The Ingresses that are ours, each with the addresses of the Services that clients reach it by; empty while they have
    /// none. Of others nothing is written, whatever the report says of them.
    pub addresses: Arc<BTreeMap<ObjectId, Vec<String>>>,
}

/// Something that the gateway could not do, which is no flaw of the object that asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Who asked for it, as the model names sources: `Listener edge/http`, perhaps with a field behind.
    pub source: String,
    /// What could not be done.
    pub kind: FaultKind,
    /// Why.
    pub message: String,
}

/// What could not be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// The address could not be bound.
    NotBound,
    /// A part could not be compiled; its traffic is refused.
    NotCompiled,
}
