//! Security policies of TLS: what of them the TLS stack speaks.
//!
//! The table is AWS's ("Security policies for your Application Load Balancer"). The TLS stack has TLS 1.2 and 1.3, and of
//! TLS 1.2 the suites with ephemeral keys and authenticated encryption: the rest of a policy is left out and said.

use plenipo_model::TlsVersion;

/// Suites of TLS 1.3.
const T13: &[&str] = &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
/// ECDHE with GCM.
const GCM: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];
/// ECDHE with CBC and SHA-2.
const CBC: &[&str] = &[
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
];
/// RSA key exchange with GCM, or CBC and SHA-2.
const RSA: &[&str] = &["AES128-GCM-SHA256", "AES128-SHA256", "AES256-GCM-SHA384", "AES256-SHA256"];
/// ECDHE with CBC and SHA-1.
const SHA1: &[&str] =
    &["ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA"];
/// RSA key exchange with CBC and SHA-1.
const RSA_SHA1: &[&str] = &["AES128-SHA", "AES256-SHA"];

/// One row of the table.
struct Row {
    /// Without `ELBSecurityPolicy-`.
    name: &'static str,
    /// Minor version of the oldest and the newest TLS 1.x.
    versions: (u8, u8),
    suites: &'static [&'static [&'static str]],
}

const fn row(name: &'static str, versions: (u8, u8), suites: &'static [&'static [&'static str]]) -> Row {
    Row { name, versions, suites }
}

const TABLE: [Row; 17] = [
    row("TLS13-1-3-2021-06", (3, 3), &[T13]),
    row("TLS13-1-2-2021-06", (2, 3), &[T13, GCM, CBC]),
    row("TLS13-1-2-Res-2021-06", (2, 3), &[T13, GCM]),
    row("TLS13-1-2-Ext1-2021-06", (2, 3), &[T13, GCM, CBC, RSA]),
    row("TLS13-1-2-Ext2-2021-06", (2, 3), &[T13, GCM, CBC, RSA, SHA1, RSA_SHA1]),
    row("TLS13-1-1-2021-06", (1, 3), &[T13, GCM, CBC, RSA, SHA1, RSA_SHA1]),
    row("TLS13-1-0-2021-06", (0, 3), &[T13, GCM, CBC, RSA, SHA1, RSA_SHA1]),
    row("2016-08", (0, 2), &[GCM, CBC, RSA, SHA1, RSA_SHA1]),
    row("2015-05", (0, 2), &[GCM, CBC, RSA, SHA1, RSA_SHA1]),
    row("TLS-1-1-2017-01", (1, 2), &[GCM, CBC, RSA, SHA1, RSA_SHA1]),
    row("TLS-1-2-Ext-2018-06", (2, 2), &[GCM, CBC, RSA, SHA1, RSA_SHA1]),
    row("TLS-1-2-2017-01", (2, 2), &[GCM, CBC, RSA]),
    row("FS-1-2-Res-2020-10", (2, 2), &[GCM]),
    row("FS-1-2-Res-2019-08", (2, 2), &[GCM, CBC]),
    row("FS-1-2-2019-08", (2, 2), &[GCM, CBC, SHA1]),
    row("FS-1-1-2019-08", (1, 2), &[GCM, CBC, SHA1]),
    row("FS-2018-06", (0, 2), &[GCM, CBC, SHA1]),
];

/// The policy of a listener that names none.
pub(super) const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

/// What is spoken of a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spoken {
    /// Lowest version.
    pub(super) min: TlsVersion,
    /// Highest version.
    pub(super) max: TlsVersion,
    /// Suites, by OpenSSL's names; empty = the stack's own list.
    pub(super) suites: Vec<String>,
    /// What is left out, or not known.
    pub(super) deviations: Vec<String>,
}

/// What is spoken of the policy of this name.
pub(super) fn spoken(name: &str) -> Spoken {
    let short = name.strip_prefix("ELBSecurityPolicy-").unwrap_or(name);
    // The policies with post-quantum key exchange are their elders with one more group.
    let base = short.strip_suffix("-PQ-2025-09").map(|base| format!("{base}-2021-06"));
    let wanted = base.as_deref().unwrap_or(short);
    let Some(row) = TABLE.iter().find(|row| row.name == wanted) else {
        return Spoken {
            min: TlsVersion::V1_2,
            max: TlsVersion::V1_3,
            suites: Vec::new(),
            deviations: vec![format!("the security policy {name} is not known: TLS 1.2 and 1.3 are spoken")],
        };
    };
    let mut deviations = Vec::new();
    if row.versions.0 < 2 {
        let old = if row.versions.0 == 0 { "TLS 1.0 and 1.1" } else { "TLS 1.1" };
        deviations.push(format!("{name}: {old} is not spoken"));
    }
    let all = row.suites.iter().copied().flatten();
    let is_spoken = |suite: &&&str| T13.contains(suite) || GCM.contains(suite);
    let (spoken, left): (Vec<&&str>, Vec<&&str>) = all.partition(is_spoken);
    if !left.is_empty() {
        let names: Vec<&str> = left.into_iter().copied().collect();
        deviations.push(format!("{name}: not offered are {}", names.join(", ")));
    }
    if base.is_some() {
        deviations.push(format!("{name}: the hybrid group X25519MLKEM768 alone is offered"));
    }
    Spoken {
        min: if row.versions.0 == 3 { TlsVersion::V1_3 } else { TlsVersion::V1_2 },
        max: if row.versions.1 == 3 { TlsVersion::V1_3 } else { TlsVersion::V1_2 },
        suites: spoken.into_iter().map(|suite| (*suite).to_owned()).collect(),
        deviations,
    }
}

/// The highest version towards targets: TLS 1.3 behind a listener that speaks it.
pub(super) fn towards_targets(name: Option<&str>) -> TlsVersion {
    spoken(name.unwrap_or(DEFAULT)).max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_said() {
        let strict = spoken("ELBSecurityPolicy-TLS13-1-3-2021-06");
        assert_eq!((strict.min, strict.max), (TlsVersion::V1_3, TlsVersion::V1_3));
        assert_eq!(strict.suites, T13);
        assert!(strict.deviations.is_empty());
        let old = spoken(DEFAULT);
        assert_eq!((old.min, old.max), (TlsVersion::V1_2, TlsVersion::V1_2));
        assert_eq!(old.suites, GCM);
        assert_eq!(old.deviations.len(), 2);
        assert!(old.deviations[1].ends_with("AES128-SHA, AES256-SHA"), "{:?}", old.deviations);
        assert!(spoken("ELBSecurityPolicy-TLS13-1-2-Res-2021-06").deviations.is_empty());
        assert_eq!(spoken("custom").deviations.len(), 1);
        let hybrid = spoken("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09");
        assert_eq!(hybrid.suites.len(), 7);
    }
}
