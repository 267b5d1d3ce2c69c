//! `plenipo explain`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::{InputArguments, ReadingArguments, TableFormat};

#[derive(Args, Debug)]
#[command(allow_missing_positional = true)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    pub(crate) input: InputArguments,
    /// The request's URL, as a client writes it
    pub(crate) url: String,
    /// Its method
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    pub(crate) method: String,
    /// A header of it; may be given several times
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(http::HeaderName, http::HeaderValue)>,
    /// The address of the client
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) from: IpAddr,
    /// Who connects to the gateway, when a proxy is in front of it [default: the client]
    #[arg(long, value_name = "IP")]
    pub(crate) peer: Option<IpAddr>,
    /// X-Forwarded-For as the gateway gets it [default: none, or what the proxies that it trusts would say of the client]
    #[arg(long, value_name = "IP, …", value_parser = header_value)]
    pub(crate) xff: Option<http::HeaderValue>,
    /// PEM file of the certificate that the client shows
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// The load balancer it comes through, by name or by object ("Ingress default/shop") [default: one that can take it]
    #[arg(long, value_name = "NAME")]
    pub(crate) through: Option<String>,
    /// How the answer is printed
    #[arg(short, long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) output: TableFormat,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
}

fn header_value(text: &str) -> Result<http::HeaderValue, String> {
    text.parse().map_err(|_| format!("{text:?} cannot be the value of a header"))
}

fn header(text: &str) -> Result<(http::HeaderName, http::HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("should look like 'name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} cannot be a header name"))?;
    let value = value.trim().parse().map_err(|_| format!("{value:?} cannot be a header value"))?;
    Ok((name, value))
}
