//! Intersections of host patterns, against a naive oracle.

use proptest::prelude::*;

use super::*;

/// Names of up to four labels out of few, so that patterns meet.
fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec("[ab]", 1..4).prop_map(|labels| format!("{}.com", labels.join(".")))
}

fn pattern() -> impl Strategy<Value = HostPattern> {
    prop_oneof![
        1 => Just(HostPattern::Any),
        4 => name().prop_map(HostPattern::Exact),
        4 => name().prop_map(|name| HostPattern::Suffix(format!(".{name}"))),
        1 => Just(HostPattern::Suffix(".com".to_owned())),
    ]
}

proptest! {
    /// A name is in the intersection when it is in both.
    #[test]
    fn intersections_hold_what_both_do(one in pattern(), other in pattern(), name in name()) {
        let both = one.matches(&name) && other.matches(&name);
        let found = narrower(&one, &other);
        prop_assert_eq!(found.is_some_and(|found| found.matches(&name)), both);
        prop_assert_eq!(narrower(&one, &other), narrower(&other, &one));
    }
}
