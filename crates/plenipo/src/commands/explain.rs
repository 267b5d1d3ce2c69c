//! `plenipo explain DIR URL`: which way a request takes, and why.

mod client;
mod entry;
mod front;
mod guards;
mod way;

use std::io::{self, Write, stdout};
use std::sync::Arc;

use http::{Method, Uri};
use plenipo_proxy::Snapshot;
use plenipo_proxy::fields::Fields;

use crate::arguments::{ExplainArguments, TableFormat};
use crate::environment::Environment;
use crate::exit::{Ending, Exit};
use crate::reading;
use way::Way;

/// A request that nobody sent.
#[derive(Clone)]
pub(crate) struct Request {
    method: Method,
    /// Whether the client speaks TLS.
    tls: bool,
    authority: String,
    /// Host without a port, lower case.
    name: String,
    /// Whoever begins TLS sends the host as server name; a load balancer sends none.
    named: bool,
    port: u16,
    path: String,
    headers: Fields,
    from: std::net::IpAddr,
    /// Who connects to the gateway.
    peer: std::net::IpAddr,
    /// Who connects to the gateway, where the command line says so.
    peer_given: Option<std::net::IpAddr>,
    /// The load balancer that it is to come through: its name, or `Ingress default/shop`.
    through: Option<String>,
    /// It came through a load balancer whose doing is known.
    balanced: bool,
    /// PEM of the certificate that the client shows.
    certificate: Option<String>,
}

impl Request {
    /// The server name in the ClientHello; empty when there is none.
    fn server_name(&self) -> &str {
        if self.named { &self.name } else { "" }
    }
}

/// Explains one request.
pub(crate) fn run(arguments: &ExplainArguments, environment: &Environment) -> anyhow::Result<Exit> {
    let request = request(arguments)?;
    let read = reading::once(&arguments.input, &arguments.reading, environment)?;
    let snapshot = Snapshot::build(Arc::new(reading::without_access_logs(&read.edge)), None);
    let way = Way::of(&request, &read, &snapshot);
    let mut out = io::BufWriter::new(stdout().lock());
    match arguments.output {
        TableFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &way).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        TableFormat::Text => way.write(&mut out)?,
    }
    out.flush()?;
    Ok(Exit::Success)
}

fn request(arguments: &ExplainArguments) -> anyhow::Result<Request> {
    let wrong =
        |why: &str| Ending::usage(format!("{:?} is not a URL that can be explained: {why}", arguments.url));
    let url: Uri = arguments.url.parse().map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
    let tls = match url.scheme_str() {
        Some("https" | "wss") => true,
        Some("http" | "ws") => false,
        _ => return Err(wrong("it begins with neither http:// nor https://").into()),
    };
    let authority = url.authority().ok_or_else(|| wrong("it has no host"))?;
    let method = arguments
        .method
        .parse()
        .map_err(|_| Ending::usage(format!("{:?} cannot be a method", arguments.method)))?;
    let certificate = arguments.cert.as_deref().map(read_certificate).transpose()?;
    let mut headers = Fields::new();
    for (name, value) in &arguments.header {
        headers.append(name, value.clone());
    }
    if let Some(value) = &arguments.xff {
        headers.insert("x-forwarded-for", value.clone());
    }
    let sent_host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    Ok(Request {
        method,
        tls,
        name: authority.host().to_ascii_lowercase(),
        port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        named: true,
        authority: sent_host.unwrap_or_else(|| authority.to_string()),
        path: url.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        headers,
        from: arguments.from,
        peer: arguments.peer.unwrap_or(arguments.from),
        peer_given: arguments.peer,
        through: arguments.through.clone(),
        balanced: false,
        certificate,
    })
}

/// Checks that it is one.
fn read_certificate(path: &std::path::Path) -> anyhow::Result<String> {
    let unreadable = |why: String| Ending::unreadable(format!("--cert {}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    plenipo_model::RootStore::from_pem(&pem).map_err(|error| unreadable(error.to_string()))?;
    Ok(String::from_utf8(pem).map_err(|error| unreadable(error.to_string()))?)
}
