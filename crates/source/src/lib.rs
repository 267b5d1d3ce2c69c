//! Where objects come from.
//!
//! *In:* a directory of YAML files, or a cluster. *Out:* a [`Set`](plenipo_resources::Set), and a new one after every change. Called
//! by the binary only. Whatever is in the files, what served before keeps serving: nothing here gives up on a broken
//! file, and nothing here knows what the objects mean.

pub mod cluster;
mod dir;
mod shelf;

pub use dir::{Directory, DirectoryError, Following, follow};
