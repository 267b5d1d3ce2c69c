//! Which names a pattern has in common with another.

use plenipo_model::HostPattern;

/// The pattern for what both accept, if there is anything. Of two that overlap in part, the first.
pub(super) fn common(a: &HostPattern, b: &HostPattern) -> Option<HostPattern> {
    let bare = a.without_port();
    if !bare.overlaps(b) {
        return None;
    }
    Some(if within(b, &bare) && !within(&bare, b) { b.clone() } else { a.clone() })
}

/// Does the outer pattern accept everything that the inner one does?
pub(super) fn within(inner: &HostPattern, outer: &HostPattern) -> bool {
    use HostPattern::{Any, Exact, OneLabel, Prefix, Suffix};
    match (inner, outer) {
        (_, Any) => true,
        (Exact(name), outer) => outer.matches(name),
        (Suffix(inner) | OneLabel(inner), Suffix(outer)) => inner.ends_with(outer.as_str()),
        (OneLabel(inner), OneLabel(outer)) => inner == outer,
        (Prefix(inner), Prefix(outer)) => inner.starts_with(outer.as_str()),
        _ => false,
    }
}
