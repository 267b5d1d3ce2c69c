//! Sources, operations and conditions as tests.

use http::HeaderName;
use ipnet::IpNet;
use plenipo_model::{AccessTest, Fact, Pattern, TextMatch};
use plenipo_resources::istio::{RuleCondition, RuleOperation, RuleSource};

use super::{Action, Reading};
use crate::findings::Flaw;

/// What an alternative says.
#[derive(Default)]
pub(super) struct Tests {
    pub(super) tests: Vec<AccessTest>,
    /// Fields that are there, whether they could be read or not.
    pub(super) said: usize,
}

/// Makes the fact of a field's values; the last argument tells whether it is negated.
type Makes<'m, R> = &'m dyn Fn(&R, &[String], bool) -> Result<Fact, String>;

/// A field and its negation.
type Both<'w> = [(Option<&'w [String]>, &'static str); 2];

macro_rules! both {
    ($written:expr, $field:ident, $not:ident, $name:literal, $not_name:literal) => {
        [($written.$field.as_deref(), $name), ($written.$not.as_deref(), $not_name)]
    };
}

impl Reading<'_> {
    pub(super) fn source(&mut self, written: &RuleSource, field: &str) -> Tests {
        let mut tests = Tests::default();
        let accounts = written.service_accounts.is_some() || written.not_service_accounts.is_some();
        if accounts && (written.principals.is_some() || written.namespaces.is_some()) {
            let message = "serviceAccounts stands beside principals or namespaces";
            self.flaw(&Flaw::new("bad-rule", field, message, "write one of them"));
        }
        let mut take = |both: Both<'_>, fact: Makes<'_, Self>| {
            self.tests(&mut tests, both, field, fact);
        };
        take(
            both!(written, principals, not_principals, "principals", "notPrincipals"),
            &|reading, values, _| Ok(Fact::Principal(reading.principals(values))),
        );
        take(
            both!(
                written,
                request_principals,
                not_request_principals,
                "requestPrincipals",
                "notRequestPrincipals"
            ),
            &|_, values, _| Ok(Fact::TokenPrincipal(texts(values))),
        );
        take(both!(written, namespaces, not_namespaces, "namespaces", "notNamespaces"), &|_, values, _| {
            namespaces(values)
        });
        take(
            both!(written, service_accounts, not_service_accounts, "serviceAccounts", "notServiceAccounts"),
            &|reading, values, _| Ok(Fact::Principal(reading.accounts(values))),
        );
        take(
            both!(written, trust_domains, not_trust_domains, "trustDomains", "notTrustDomains"),
            &|_, values, _| trust_domains(values),
        );
        take(both!(written, ip_blocks, not_ip_blocks, "ipBlocks", "notIpBlocks"), &|_, values, _| {
            Ok(Fact::Peer(networks(values)?))
        });
        take(
            both!(written, remote_ip_blocks, not_remote_ip_blocks, "remoteIpBlocks", "notRemoteIpBlocks"),
            &|_, values, _| Ok(Fact::Client(networks(values)?)),
        );
        tests
    }

    pub(super) fn operation(&mut self, written: &RuleOperation, field: &str) -> Tests {
        let mut tests = Tests::default();
        let mut take = |both: Both<'_>, fact: Makes<'_, Self>| {
            self.tests(&mut tests, both, field, fact);
        };
        take(both!(written, hosts, not_hosts, "hosts", "notHosts"), &|reading, values, not| {
            Ok(Fact::Host(reading.hosts(values, not)?))
        });
        take(both!(written, ports, not_ports, "ports", "notPorts"), &|_, values, _| {
            Ok(Fact::LocalPort(ports(values)?))
        });
        take(both!(written, methods, not_methods, "methods", "notMethods"), &|_, values, _| {
            Ok(Fact::Method(texts(values)))
        });
        take(both!(written, paths, not_paths, "paths", "notPaths"), &|_, values, _| {
            Ok(Fact::Path(paths(values)?))
        });
        tests
    }

    pub(super) fn condition(&mut self, written: &RuleCondition, field: &str) -> Tests {
        let mut tests = Tests::default();
        let key = written.key.as_str();
        self.tests(
            &mut tests,
            both!(written, values, not_values, "values", "notValues"),
            field,
            &|reading, values, _| reading.keyed(key, values),
        );
        tests
    }

    /// The tests of a field and of its negation.
    fn tests(&mut self, tests: &mut Tests, both: Both<'_>, field: &str, fact: Makes<'_, Self>) {
        for (not, (values, name)) in [false, true].into_iter().zip(both) {
            let Some(values) = values else { continue };
            tests.said += 1;
            let read = match values {
                [] => Err("the list is empty".to_owned()),
                values if values.iter().any(String::is_empty) => Err("there is an empty value".to_owned()),
                values => fact(self, values, not),
            };
            match read {
                Ok(fact) => tests.tests.push(AccessTest { fact, not }),
                Err(why) => {
                    self.flaw(&Flaw::new(
                        "bad-rule",
                        format!("{field}.{name}"),
                        why,
                        "repair the value, or leave it out",
                    ));
                }
            }
        }
    }

    fn keyed(&self, key: &str, values: &[String]) -> Result<Fact, String> {
        let bracketed = |prefix: &str| key.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']');
        if let Some(name) = bracketed("request.headers") {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("'{name}' is no header field"))?;
            return Ok(Fact::Header(name, texts(values)));
        }
        if let Some(path) = bracketed("request.auth.claims") {
            let path: Vec<String> = path.split("][").map(str::to_owned).collect();
            return match path.iter().any(String::is_empty) {
                true => Err(format!("'{key}' names no claim")),
                false => Ok(Fact::Claim(path, texts(values))),
            };
        }
        let claim = |name: &str| Fact::Claim(vec![name.to_owned()], texts(values));
        Ok(match key {
            "source.ip" => Fact::Peer(networks(values)?),
            "remote.ip" => Fact::Client(networks(values)?),
            "source.namespace" => namespaces(values)?,
            "source.serviceAccount" => Fact::Principal(self.accounts(values)),
            "source.trustDomain" => trust_domains(values)?,
            "source.principal" => Fact::Principal(self.principals(values)),
            "request.auth.principal" => Fact::TokenPrincipal(texts(values)),
            "request.auth.audiences" => claim("aud"),
            "request.auth.presenter" => claim("azp"),
            "destination.ip" => Fact::Local(networks(values)?),
            "destination.port" => Fact::LocalPort(ports(values)?),
            "connection.sni" => Fact::ServerName(texts(values)),
            _ => return Err(format!("'{key}' is no key that is known here")),
        })
    }

    /// Identities of the mesh under another of its names count as well.
    fn principals(&self, values: &[String]) -> Vec<TextMatch> {
        let mesh = self.pods.mesh;
        let own: Vec<&str> =
            [&mesh.trust_domain].into_iter().chain(&mesh.trust_domain_aliases).map(String::as_str).collect();
        let mut matches = Vec::new();
        for value in values {
            let value = value.strip_prefix("spiffe://").unwrap_or(value);
            matches.push(TextMatch::parse(value));
            let Some((domain, rest)) = value.split_once('/') else { continue };
            if domain == "cluster.local" || own.contains(&domain) {
                let others = own.iter().filter(|other| **other != domain);
                matches.extend(others.map(|other| TextMatch::parse(&format!("{other}/{rest}"))));
            }
        }
        matches
    }

    /// `namespace/account`, or an account of the object's own namespace.
    fn accounts(&self, values: &[String]) -> Vec<TextMatch> {
        let own = &*self.object.id.namespace;
        let each = values.iter().map(|value| {
            let (namespace, account) = value.split_once('/').unwrap_or((own, value));
            TextMatch::Suffix(format!("/ns/{namespace}/sa/{account}"))
        });
        each.collect()
    }

    /// A host is meant with whatever port a client writes behind it where that closes, and only as it is written where it
    /// would open.
    fn hosts(&self, values: &[String], not: bool) -> Result<Vec<TextMatch>, String> {
        let closes = (self.action == Action::Allow) == not;
        let mut matches = Vec::new();
        for value in values.iter().map(|value| value.to_ascii_lowercase()) {
            let parsed = TextMatch::parse(&value);
            if closes && !value.contains(':') {
                match &parsed {
                    TextMatch::Exact(host) => matches.push(TextMatch::Prefix(format!("{host}:"))),
                    TextMatch::Suffix(suffix) => {
                        matches.push(pattern(&format!(".*{}:[0-9]*", escaped(suffix)))?);
                    }
                    _ => {}
                }
            }
            matches.push(parsed);
        }
        Ok(matches)
    }
}

fn texts(values: &[String]) -> Vec<TextMatch> {
    values.iter().map(|value| TextMatch::parse(value)).collect()
}

fn networks(values: &[String]) -> Result<Vec<IpNet>, String> {
    let read = |value: &String| {
        let network =
            value.parse::<IpNet>().or_else(|_| value.parse().map(|address: std::net::IpAddr| address.into()));
        network.map_err(|_| format!("'{value}' is no address and no network"))
    };
    values.iter().map(read).collect()
}

fn ports(values: &[String]) -> Result<Vec<u16>, String> {
    let read = |value: &String| match value.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("'{value}' is no port")),
    };
    values.iter().map(read).collect()
}

fn namespaces(values: &[String]) -> Result<Fact, String> {
    let each = values.iter().map(|value| pattern(&format!(".*/ns/{}/.*", starred(value))));
    Ok(Fact::Principal(each.collect::<Result<_, _>>()?))
}

fn trust_domains(values: &[String]) -> Result<Fact, String> {
    let each = values.iter().map(|value| pattern(&format!("{}/.*", starred(value))));
    Ok(Fact::Principal(each.collect::<Result<_, _>>()?))
}

/// A path, or a template with `{*}` for one segment and `{**}` for any number of them.
fn paths(values: &[String]) -> Result<Vec<TextMatch>, String> {
    let read = |value: &String| {
        if !value.contains('{') {
            return Ok(TextMatch::parse(value));
        }
        let (mut text, mut rest) = (String::new(), value.as_str());
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(&escaped(before));
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("'{value}' has a brace too many"))?;
            text.push_str(match name {
                "*" => "[^/]+",
                "**" => ".*",
                _ => return Err(format!("'{value}' has braces around something else than * or **")),
            });
            rest = after;
        }
        if value.replace("{*}", "").replace("{**}", "").contains(['*', '}']) {
            return Err(format!("'{value}' has a star or a brace outside of a template"));
        }
        text.push_str(&escaped(rest));
        pattern(&text)
    };
    values.iter().map(read).collect()
}

/// A text in which stars stand for anything within one part of an identity.
fn starred(text: &str) -> String {
    text.split('*').map(escaped).collect::<Vec<_>>().join("[^/]*")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(one) {
            out.push('\\');
        }
        out.push(one);
    }
    out
}

fn pattern(text: &str) -> Result<TextMatch, String> {
    Pattern::new(text).map(TextMatch::Regex).map_err(|error| error.to_string())
}
