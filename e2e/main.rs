//! The real binary with real clients: curl, openssl, ssh, psql, gRPC, WebSocket.
//!
//! A missing tool fails the test that needs it.

mod command_line;
mod documentation;
mod examples;
mod gateway;
mod load;
mod protocols;
mod running;
