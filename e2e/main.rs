//! The real binary with real clients: curl, openssl, ssh, psql, gRPC, WebSocket.
//!
//! A missing tool fails the test that needs it.

mod audit;
mod command_line;
mod documentation;
mod edge;
mod edge_certificates;
mod edge_running;
mod edge_table;
mod examples;
mod gateway;
mod h2spec;
mod interop;
mod istio;
mod kubernetes;
mod load;
mod migrate;
mod protocols;
mod running;
mod soak;
