//! What the translation of objects depends on besides the objects.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use clap::Args;

use super::{IngressArguments, MeshArguments};

/// What the translation of objects depends on besides the objects.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct ReadingArguments {
    /// Objects of which instance are ours [default: $AMBASSADOR_ID, else "default"]
    #[arg(long, value_name = "ID", help_heading = "Reading")]
    pub(crate) ambassador_id: Option<String>,
    /// Our own namespace, for names without one [default: $AMBASSADOR_NAMESPACE, else "default"]
    #[arg(long, value_name = "NAMESPACE", help_heading = "Reading")]
    pub(crate) namespace: Option<String>,
    /// Read only objects of our own namespace [default: whether $AMBASSADOR_SINGLE_NAMESPACE is set]
    #[arg(long, help_heading = "Reading")]
    pub(crate) single_namespace: bool,
    /// Address that listeners bind [default: $AMBASSADOR_ENVOY_BIND_ADDRESS, else 0.0.0.0]
    #[arg(long, value_name = "IP", help_heading = "Reading")]
    pub(crate) bind: Option<IpAddr>,
    /// Where a service is instead of where its name resolves to; may be given several times
    #[arg(long, value_name = "NAME[.NS]:PORT=ADDR:PORT", value_parser = resolution, help_heading = "Reading")]
    pub(crate) resolve: Vec<Resolution>,
    /// Bind another port than the one declared, as a laptop must for 443; may be given several times
    #[arg(long, value_name = "DECLARED=BOUND", value_parser = port_pair, help_heading = "Reading")]
    pub(crate) port_map: Vec<(u16, u16)>,
    #[command(flatten)]
    pub(crate) mesh: MeshArguments,
    #[command(flatten)]
    pub(crate) ingress: IngressArguments,
}

/// Where a service is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Resolution {
    /// `name` or `name.namespace`, as services are written.
    pub(crate) service: String,
    /// Its port.
    pub(crate) port: u16,
    /// The address used instead.
    pub(crate) address: SocketAddr,
}

fn resolution(text: &str) -> Result<Resolution, String> {
    let read = || {
        let (service, address) = text.split_once('=')?;
        let (service, port) = service.rsplit_once(':')?;
        let address = address.parse().ok()?;
        (!service.is_empty()).then_some(())?;
        Some(Resolution { service: service.to_ascii_lowercase(), port: port.parse().ok()?, address })
    };
    read().ok_or_else(|| "should look like quote.default:80=127.0.0.1:9000".to_owned())
}

fn port_pair(text: &str) -> Result<(u16, u16), String> {
    let read = || {
        let (declared, bound) = text.split_once('=')?;
        Some((declared.parse::<NonZeroU16>().ok()?.get(), bound.parse::<NonZeroU16>().ok()?.get()))
    };
    read().ok_or_else(|| "should look like 443=8443".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions() {
        let expected = Resolution {
            service: "quote.default".into(),
            port: 80,
            address: "127.0.0.1:9000".parse().unwrap(),
        };
        assert_eq!(resolution("Quote.default:80=127.0.0.1:9000"), Ok(expected));
        assert!(resolution("quote=127.0.0.1:9000").is_err());
        assert!(resolution(":80=127.0.0.1:9000").is_err());
        assert!(resolution("quote:80=elsewhere:9000").is_err());
    }
}
