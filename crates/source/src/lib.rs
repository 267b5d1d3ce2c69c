//! Where objects come from.
//!
//! *In:* a directory of YAML files. *Out:* a [`Set`](plenipo_resources::Set), and a new one after every change. Called
//! by the binary only. Whatever is in the files, what served before keeps serving: nothing here gives up on a broken
//! file, and nothing here knows what the objects mean.

mod dir;

pub use dir::{Directory, DirectoryError, Following, follow};
