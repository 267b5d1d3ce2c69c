//! The grammar of the cloud provider, where it differs: nothing is trimmed, and an empty value is as none.

use std::collections::{BTreeMap, BTreeSet};

use super::SERVICE;

/// The annotations of one Service, as the cloud provider reads them.
#[derive(Clone, Copy, Debug)]
pub struct CloudAnnotations<'a> {
    values: &'a BTreeMap<String, String>,
}

/// Ports by number or by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortSet {
    numbers: BTreeSet<i64>,
    names: BTreeSet<String>,
}

impl<'a> CloudAnnotations<'a> {
    /// Of a Service.
    pub fn new(values: &'a BTreeMap<String, String>) -> Self {
        Self { values }
    }

    /// Path of the annotation in its object, for problems.
    pub fn field(&self, suffix: &str) -> String {
        format!("metadata.annotations[{SERVICE}/{suffix}]")
    }

    /// The value as it is; none when it is absent or empty.
    pub fn text(&self, suffix: &str) -> Option<&'a str> {
        self.present(suffix).filter(|value| !value.is_empty())
    }

    /// The value as it is, though it be empty.
    pub fn present(&self, suffix: &str) -> Option<&'a str> {
        self.values.get(&format!("{SERVICE}/{suffix}")).map(String::as_str)
    }

    /// Is the load balancer internal? Any text but exactly `false` means that it is (once a CIDR stood there).
    pub fn internal(&self) -> bool {
        self.text("aws-load-balancer-internal").is_some_and(|value| value != "false")
    }

    /// Ports that TLS ends on; none = all of them.
    pub fn ssl_ports(&self) -> Option<PortSet> {
        self.text("aws-load-balancer-ssl-ports").filter(|ports| *ports != "*").map(PortSet::new)
    }

    /// Values with commas between them, blanks around them taken away, empty ones left out.
    pub fn list(&self, suffix: &str) -> Vec<String> {
        self.text(suffix).map(super::list).unwrap_or_default()
    }

    /// `key=value` pairs with commas between them; what has no `=` is a key with an empty value, what has no key is
    /// left out.
    pub fn map(&self, suffix: &str) -> BTreeMap<String, String> {
        let pairs = self.text(suffix).unwrap_or_default().split(',');
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.trim().to_owned(), value.trim().to_owned())
        };
        pairs.map(pair).filter(|(key, _)| !key.is_empty()).collect()
    }
}

impl PortSet {
    /// Split at commas, blanks kept: ` 443` is a name, and one that no port can have.
    fn new(raw: &str) -> Self {
        let mut set = Self::default();
        for item in raw.split(',') {
            match item.parse() {
                Ok(number) => set.numbers.insert(number),
                Err(_) => set.names.insert(item.to_owned()),
            };
        }
        set
    }

    /// Is this port among them, by its number or name?
    pub fn has(&self, number: i64, name: &str) -> bool {
        self.numbers.contains(&number) || self.names.contains(name)
    }
}
