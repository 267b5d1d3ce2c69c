//! `plenipo run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{BalancerArguments, ClusterArguments, ReadingArguments, StatusArguments, duration};

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Directory of YAML files; followed while running [default: $AMBASSADOR_CONFIG_DIR]
    #[arg(long, value_name = "DIR", conflicts_with = "kubernetes")]
    pub(crate) config: Option<PathBuf>,
    /// The same, and run the AWS load balancers that the YAML asks for in front of the gateway
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "kubernetes"])]
    pub(crate) edge: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
    #[command(flatten)]
    pub(crate) status: StatusArguments,
    #[command(flatten)]
    pub(crate) balancers: BalancerArguments,
    /// Threads that carry traffic [default: $ENVOY_CONCURRENCY, else one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Address of probes, metrics and dumps [default: $AMBASSADOR_HEALTHCHECK_BIND_ADDRESS and _PORT, else 0.0.0.0:8877]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) admin: Option<SocketAddr>,
    /// File whose content opens the dumps to other machines (Authorization: Bearer …)
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// How log lines look [default: json if $AMBASSADOR_JSON_LOGGING is true, else text]
    #[arg(long, value_enum)]
    pub(crate) log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a filter [default: $AES_LOG_LEVEL, else info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// Serve for so long after SIGTERM before closing the listeners: load balancers need it to look away
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub(crate) min_drain: Duration,
    /// Cut what is still running so long after SIGTERM [default: $AMBASSADOR_DRAIN_TIME s, else 600s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_drain: Option<Duration>,
}

/// How log lines look.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}
