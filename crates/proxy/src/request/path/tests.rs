use proptest::prelude::*;

use super::*;

const KEEP: PathPolicy = PathPolicy {
    merge_slashes: false,
    reject_escaped_slashes: false,
    decode_escaped_slashes: false,
    as_written: false,
};
const MERGE: PathPolicy = PathPolicy { merge_slashes: true, ..KEEP };
const REJECT: PathPolicy = PathPolicy { reject_escaped_slashes: true, ..KEEP };

fn canonical(path: &str) -> String {
    canonical_path(path, KEEP).unwrap_or_else(|refused| panic!("{path}: {refused}")).into_owned()
}

#[test]
fn table() {
    for (path, expected) in [
        ("/", "/"),
        ("*", "*"),
        ("/a/b?x=/../%61", "/a/b?x=/../%61"),
        ("/%7Euser/%61%2D%2e%5f", "/~user/a-._"),
        ("/a%2fb%2F%5c", "/a%2fb%2F%5c"),
        ("/a%20b%3F%25", "/a%20b%3F%25"),
        ("/a%3b;b", "/a%3b;b"),
        ("/a\\b\\..\\c", "/a/c"),
        ("/%zz%", "/%zz%"),
        ("/%2", "/%2"),
        ("/%%36%31", "/%2561"),
        ("/%%361", "/%2561"),
        ("/%6%31", "/%2561"),
        ("/%%%36%31", "/%%2561"),
        ("/%%32%66", "/%252f"),
        ("/a//b", "/a//b"),
        ("/a/./b/.", "/a/b/"),
        ("/a/../b/..", "/"),
        ("/a/b/../..", "/"),
        ("/../../x", "/x"),
        ("/..", "/"),
        ("/.", "/"),
        ("/a//../b", "/a/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2E%2e/%2e/b", "/b"),
        ("/..a/.b/c..", "/..a/.b/c.."),
        ("/...", "/..."),
        ("/a%2f..%2fb", "/a%2f..%2fb"),
        ("/%2e%2e%2fb", "/..%2fb"),
        ("/\"<>^`{|}", "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("/a[b]@!$&'()*+,;=:", "/a[b]@!$&'()*+,;=:"),
        ("/need-normalization/../x/", "/x/"),
        ("/?\"{\\", "/?\"{\\"),
    ] {
        assert_eq!(canonical(path), expected, "{path}");
    }
}

#[test]
fn merging_slashes() {
    for (path, expected) in [
        ("//", "/"),
        ("/a///b//?x=//", "/a/b/?x=//"),
        ("/a//../b", "/a/b"),
        ("/\\a", "/a"),
        ("/a/..//b", "/b"),
    ] {
        assert_eq!(canonical_path(path, MERGE).expect("fine"), expected, "{path}");
    }
}

#[test]
fn refusals() {
    for path in [
        "",
        "a",
        "http://h/",
        "?",
        "/a#b",
        "/?a#b",
        "/%00",
        "/a b",
        "/\u{e4}",
        "/?\u{e4}",
        "/\t",
        "/\x7f",
        "**",
    ] {
        let refused = canonical_path(path, KEEP).expect_err(path);
        assert_eq!(refused.status, http::StatusCode::BAD_REQUEST);
    }
    for path in ["/a%2fb", "/a%2F", "/%5c", "/%5C"] {
        assert_eq!(canonical_path(path, REJECT).expect_err(path).details, "path_escaped_slash");
    }
    assert_eq!(canonical_path("/a?%2f%5c%00", REJECT), Ok("/a?%2f%5c%00".into()));
    assert_eq!(canonical_path("/%%32f", REJECT).expect("no escape was written"), "/%252f");
}

#[test]
fn a_canonical_path_is_borrowed() {
    for path in ["/", "/a/b.c/d?x=%61&y=..", "/a//b", "/a/b..c", "/.well-known/x", "/..."] {
        assert!(matches!(canonical_path(path, KEEP), Ok(Cow::Borrowed(_))), "{path}");
    }
}

proptest! {
    #[test]
    fn twice_is_once(
        path in "/[a.%2f5cE36/\\\\?~ -\\x7f]{0,24}",
        merge_slashes: bool,
        reject_escaped_slashes: bool,
    ) {
        let policy = PathPolicy { merge_slashes, reject_escaped_slashes, ..KEEP };
        if let Ok(once) = canonical_path(&path, policy) {
            let twice = canonical_path(&once, policy);
            prop_assert!(matches!(twice, Ok(Cow::Borrowed(_))) || once.contains('%'), "{once} is not seen as canonical");
            prop_assert_eq!(twice.as_deref(), Ok(&*once));
            let path = once.split('?').next().unwrap_or_default();
            prop_assert!(path.starts_with('/'));
            prop_assert!(!path.split('/').any(|segment| segment == "." || segment == ".."));
            prop_assert!(!(merge_slashes && path.contains("//")));
        }
    }

    #[test]
    fn the_query_stays(path in "/[a-z./%]{0,12}", query in "[!-~&&[^#]]{0,12}") {
        let target = format!("{path}?{query}");
        if let Ok(once) = canonical_path(&target, MERGE) {
            prop_assert_eq!(once.split_once('?').map(|(_, query)| query), Some(query.as_str()));
        }
    }
}
