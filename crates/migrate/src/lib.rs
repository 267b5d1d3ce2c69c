//! What changes when Plenipo takes over from Emissary.
//!
//! *In:* a [`Set`](plenipo_resources::Set) that Emissary serves now, and the [`Report`](plenipo_resources::Report) of its
//! translation. *Out:* the same set as Emissary takes it, so that translating that one too gives the routes of *before*;
//! every [`Difference`] that this very configuration touches; and what stands around the gateway and must be looked
//! after. Pure: no file, no network, nothing is written.
//!
//! What Emissary does is not believed but was seen: compiled by Emissary 4.1 and sent to Envoy, or read in its source.
//! Each [`Rule`] says which.

mod difference;
mod draft;
mod emissary;
mod migration;
mod objects;
mod routes;
pub mod rules;
mod surroundings;
mod text;
mod values;

pub use difference::{Difference, Effect, Evidence, Rule};
pub use emissary::{Emissary, as_emissary};
pub use migration::Migration;
pub use objects::Count;
pub use routes::{Cell, HostRoutes, Line, Place, Routes, Row};
pub use surroundings::Advice;
pub use values::{Told, Values, values};
