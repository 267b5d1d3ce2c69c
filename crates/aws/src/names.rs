//! Names that the controllers give what they make. They are short and must be unique in an account, so they end in a hash
//! of everything that makes the thing what it is: a change of any part is another resource.

use sha2::{Digest, Sha256};

/// `k8s-<namespace>-<name>-<hash>`: load balancers, target groups and security groups of Services and of Ingresses
/// without a named group.
pub fn namespaced(namespace: &str, name: &str, parts: &[&str]) -> String {
    format!("k8s-{}-{}-{}", cut(namespace, 8), cut(name, 8), hash(parts, 10))
}

/// `k8s-<group>-<hash>`: what belongs to a named group of Ingresses.
pub fn grouped(group: &str, parts: &[&str]) -> String {
    format!("k8s-{}-{}", cut(group, 17), hash(parts, 10))
}

/// `k8s-<namespace>-<name>-<hash>-nlb`: target groups of the network load balancer in front of an application one.
pub fn frontend_target_group(namespace: &str, name: &str, parts: &[&str]) -> String {
    format!("k8s-{}-{}-{}-nlb", cut(namespace, 7), cut(name, 7), hash(parts, 6))
}

/// `a` and the UID of the Service without its dashes, at most 32 characters: load balancers of the cloud provider.
pub fn cloud_provider(uid: &str) -> String {
    let mut name = format!("a{}", uid.replace('-', ""));
    name.truncate(name.char_indices().nth(32).map_or(name.len(), |(at, _)| at));
    name
}

/// A UID for an object that has none, because it was read from a file.
pub(crate) fn stand_in_uid(namespace: &str, name: &str) -> String {
    hash(&[namespace, "/", name], 32)
}

/// Letters and digits only, at most so many.
fn cut(text: &str, length: usize) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).take(length).collect()
}

/// The first hexadecimal digits of the SHA-256 of all parts in a row.
fn hash(parts: &[&str], digits: usize) -> String {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update(part.as_bytes());
    }
    let hex: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..digits].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(namespaced("my-namespace", "a.b", &["c", "d"]), namespaced("mynamespx", "ab", &["cd"]));
        assert_eq!(namespaced("kube-system", "gateway-public", &["x"]).len(), 32);
        assert_eq!(grouped("a-very-long-group-of-ingresses", &["x"]).len(), 32);
    }

    #[test]
    fn the_cloud_provider_cuts_the_uid() {
        assert_eq!(
            cloud_provider("0c6a0a2c-9d3c-4a63-8a46-0b0c1f5d4a11"),
            "a0c6a0a2c9d3c4a638a460b0c1f5d4a1"
        );
        assert_eq!(cloud_provider(""), "a");
    }
}
