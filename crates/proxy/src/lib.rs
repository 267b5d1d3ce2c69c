//! The data plane: sockets to sockets.

mod exchange;
