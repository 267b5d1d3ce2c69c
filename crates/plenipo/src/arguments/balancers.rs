//! What `edge` and `run --edge` are told about load balancers.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::{LogFormat, ReadingArguments};

/// What load balancers that run here depend on besides the objects.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct BalancerArguments {
    /// Files that stand for a certificate of ACM or IAM; may be given several times [default: self-signed]
    #[arg(long, value_name = "ARN=CERT.PEM,KEY.PEM", value_parser = pem_pair, help_heading = "Load balancers")]
    pub(crate) acm: Vec<PemPair>,
    /// Files that stand for a trust store, by ARN or name; may be given several times
    #[arg(long, value_name = "NAME=CA.PEM[,CRL.PEM]", value_parser = trust_files, help_heading = "Load balancers")]
    pub(crate) trust_store: Vec<TrustFiles>,
    /// Where the gateway is [default: where its listeners bind, on this machine]
    #[arg(long, value_name = "IP", help_heading = "Load balancers")]
    pub(crate) gateway_address: Option<IpAddr>,
    /// Serve load balancers that have a web ACL, without it, instead of answering 503
    #[arg(long, help_heading = "Load balancers")]
    pub(crate) without_web_acl: bool,
}

#[derive(Args, Debug)]
pub(crate) struct EdgeArguments {
    /// Directory of YAML files; followed while running
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
    #[command(flatten)]
    pub(crate) balancers: BalancerArguments,
    /// Threads that carry traffic [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub(crate) log: String,
}

/// Files that stand for a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PemPair {
    /// Of ACM or IAM.
    pub(crate) arn: String,
    /// Its chain, leaf first.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

/// Files that stand for a trust store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TrustFiles {
    /// Its ARN or name.
    pub(crate) name: String,
    /// Authorities.
    pub(crate) roots: PathBuf,
    /// Revocation lists.
    pub(crate) revocation: Option<PathBuf>,
}

fn pem_pair(text: &str) -> Result<PemPair, String> {
    let read = || {
        let (arn, files) = text.split_once('=')?;
        let (certificate, key) = files.split_once(',')?;
        let whole = ![arn, certificate, key].contains(&"");
        whole.then(|| PemPair { arn: arn.to_owned(), certificate: certificate.into(), key: key.into() })
    };
    read().ok_or_else(|| "should look like arn:aws:acm:…=cert.pem,key.pem".to_owned())
}

fn trust_files(text: &str) -> Result<TrustFiles, String> {
    let read = || {
        let (name, files) = text.split_once('=')?;
        let (roots, revocation) = match files.split_once(',') {
            Some((roots, revocation)) => (roots, Some(revocation)),
            None => (files, None),
        };
        let whole = ![Some(name), Some(roots), revocation].contains(&Some(""));
        let revocation = revocation.map(PathBuf::from);
        whole.then(|| TrustFiles { name: name.to_owned(), roots: roots.into(), revocation })
    };
    read().ok_or_else(|| "should look like clients=ca.pem or clients=ca.pem,crl.pem".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_for_names() {
        let pair = pem_pair("arn:aws:acm:x:1:certificate/a=c.pem,k.pem").unwrap();
        assert_eq!((pair.arn.as_str(), pair.key), ("arn:aws:acm:x:1:certificate/a", PathBuf::from("k.pem")));
        let store = trust_files("clients=ca.pem,crl.pem").unwrap();
        assert_eq!(store.revocation, Some(PathBuf::from("crl.pem")));
        assert_eq!(trust_files("clients=ca.pem").unwrap().revocation, None);
        for bad in ["a", "a=c.pem", "=c.pem,k.pem", "a=,k.pem", "a=c.pem,"] {
            assert!(pem_pair(bad).is_err(), "{bad}");
        }
        for bad in ["a", "=ca.pem", "a=", "a=ca.pem,"] {
            assert!(trust_files(bad).is_err(), "{bad}");
        }
    }
}
