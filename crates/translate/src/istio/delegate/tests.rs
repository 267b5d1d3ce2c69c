//! Which routes of a delegate lie within those of its root.

use super::*;

fn exact(text: &str) -> StringMatch {
    StringMatch { exact: Some(text.to_owned()), ..StringMatch::default() }
}

fn prefix(text: &str) -> StringMatch {
    StringMatch { prefix: Some(text.to_owned()), ..StringMatch::default() }
}

fn regex(text: &str) -> StringMatch {
    StringMatch { regex: Some(text.to_owned()), ..StringMatch::default() }
}

fn uri(value: StringMatch) -> HttpMatch {
    HttpMatch { uri: Some(value), ..HttpMatch::default() }
}

#[test]
fn a_delegate_may_only_narrow() {
    assert!(narrows(&prefix("/a"), &prefix("/a/b")));
    assert!(narrows(&prefix("/a"), &exact("/ab")));
    assert!(narrows(&exact("/a"), &exact("/a")));
    assert!(!narrows(&prefix("/a"), &prefix("/")));
    assert!(!narrows(&exact("/a"), &prefix("/a")));
    assert!(!narrows(&exact("/a"), &exact("/b")));
    assert!(!narrows(&regex("/a.*"), &exact("/ab")));
    assert!(!narrows(&prefix("/a"), &regex("/a.*")));
    assert!(narrows(&StringMatch::default(), &exact("x")));
}

#[test]
fn matches_are_multiplied() {
    let root = [uri(prefix("/a")), uri(prefix("/b"))];
    let with_header = |value: StringMatch| HttpMatch {
        headers: BTreeMap::from([("x".to_owned(), value)]),
        ..HttpMatch::default()
    };
    let leaf = [uri(exact("/b/1")), with_header(exact("1"))];
    let found = matches(&root, &leaf).unwrap();
    let uris: Vec<_> = found.iter().map(|one| one.uri.clone().unwrap()).collect();
    assert_eq!(uris, [exact("/b/1"), prefix("/a"), prefix("/b")]);
    assert_eq!(matches(&root, &[uri(exact("/c"))]), None, "it has no place anywhere");
    assert_eq!(matches(&[], &leaf), Some(leaf.to_vec()));
    assert_eq!(matches(&root, &[]), Some(root.to_vec()));
}
