//! What users wrote.
//!
//! *In:* JSON values of Kubernetes objects with the place they were read from. *Out:* [`Object`]s with a typed
//! [`View`], collected in an immutable, indexed [`Set`]; and the words for what is wrong with them: [`Problem`]s, in a
//! [`Report`] that has a verdict for every object.
//!
//! Views are lenient: they hold what the gateway acts on, remember which fields were there and not understood, and one
//! object that cannot be read is one [`Problem`], never the end of a stream. Nothing here knows a file system, a
//! cluster client or the gateway's model.

pub mod ambassador;
pub mod core;
mod decode;
pub mod definition;
mod document;
pub mod elbv2;
pub mod istio;
pub mod networking;
mod object;
mod problem;
mod references;
mod report;
mod set;
mod source_state;

pub use decode::decode;
pub use document::{Document, SyntaxError, documents};
pub use object::{Decoded, Meta, Object, ObjectId, Origin, View};
pub use problem::{Code, Problem, Severity};
pub use references::references;
pub use report::{Earlier, Report, State, Verdict};
pub use set::{Set, SetBuilder};
pub use source_state::{KindState, SourceState, Standing};
