//! The way to an endpoint: which one, over which connection.

pub(crate) mod balance;
pub(crate) mod breakers;
pub(crate) mod budget;
pub(crate) mod connect;
pub(crate) mod hashing;
pub(crate) mod health;
mod interim;
pub(crate) mod lease;
pub(crate) mod outlier;
pub(crate) mod pool;
pub(crate) mod priority;
pub(crate) mod upkeep;
