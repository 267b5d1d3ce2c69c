//! The bodies of the fuzz targets: each takes any bytes and panics when a promise is broken. `cargo fuzz run <target>`
//! looks for such bytes; `cargo test` here runs the committed corpora through the same functions.

mod connection;
mod framing;
mod http1;
mod http2;
mod request;
mod routes;
mod template;
mod token;
mod translate;

#[cfg(test)]
mod replay;

pub use connection::{client_hello, proxy_protocol};
pub use framing::framing;
pub use http1::http1;
pub use http2::http2;
pub use request::{forwarded_for, path_host};
pub use routes::routes;
pub use template::template;
pub use token::token;
pub use translate::translate;
