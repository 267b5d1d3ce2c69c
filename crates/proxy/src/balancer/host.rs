//! Which host a request is for, and what its target reads in `Host`.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderValue, Version, header};
use plenipo_model::BalancerRules;

use crate::exchange::Connection;
use crate::failure::Failure;
use crate::message::RequestHead;
use crate::request::{self, Host, Refused};

/// The host that rules look at, and the `Host` to write; none leaves what is there.
///
/// # Errors
/// 400 when there is none (but for HTTP/1.0), when there are several that are not to be preserved, and when it is no
/// host name.
pub(super) fn of(
    rules: &BalancerRules,
    connection: &Connection,
    parts: &RequestHead,
) -> Result<(Host, Option<HeaderValue>), Failure> {
    let target = parts.uri.authority().map(Authority::as_str);
    let mut lines = parts.headers.get_all(header::HOST).iter();
    let first = match lines.next() {
        Some(line) => Some(line.to_str().map_err(|_| Refused::bad_request("host_invalid"))?),
        None => None,
    };
    if lines.next().is_some() && !rules.preserve_host {
        return Err(Refused::bad_request("several_host_headers").into());
    }
    let written = if rules.preserve_host { first.or(target) } else { target.or(first) };
    let own = match connection.local.ip().to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let written = match written {
        Some(written) => written,
        None if parts.version < Version::HTTP_11 => &own,
        None => return Err(Refused::bad_request("missing_host_header").into()),
    };
    let host = request::parse_authority(written)?;
    if rules.preserve_host && first.is_some() {
        return Ok((host, None));
    }
    let field = if rules.preserve_host { written.to_owned() } else { for_port(written, &host, connection) };
    let field = HeaderValue::from_str(&field).map_err(|_| Refused::bad_request("host_invalid"))?;
    Ok((host, Some(field)))
}

/// On the ports that go without saying no port is written, on others one always is.
fn for_port(written: &str, host: &Host, connection: &Connection) -> String {
    let port = connection.declared_port;
    match (port, host.port) {
        (80 | 443, Some(_)) => written.rsplit_once(':').map_or(written, |(name, _)| name).to_owned(),
        (80 | 443, None) | (_, Some(_)) => written.to_owned(),
        (_, None) => format!("{written}:{port}"),
    }
}
