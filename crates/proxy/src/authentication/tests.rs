//! Where tokens are found, and what is left when they are taken out.

use http::Request;
use proptest::prelude::*;

use super::*;
use crate::message;

fn header(name: &'static str, prefix: &str) -> TokenLocation {
    TokenLocation::Header { name: HeaderName::from_static(name), prefix: prefix.to_owned() }
}

fn parts(target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut request = Request::get(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    message::Request::from(request.body(()).unwrap()).head
}

fn found(location: &TokenLocation, parts: &RequestHead) -> Vec<String> {
    locations::tokens(location, parts).unwrap().into_iter().map(Cow::into_owned).collect()
}

#[test]
fn tokens_are_found_where_they_may_stand() {
    let bearer = header("authorization", "Bearer ");
    for (fields, expected) in [
        (&[("authorization", "Bearer a.b.c")][..], &["a.b.c"][..]),
        (&[("authorization", "bearer  a.b.c ")], &["a.b.c"]),
        (&[("authorization", "Basic a.b.c")], &[]),
        (&[("authorization", "Bearer ")], &[]),
        (&[("authorization", "Bear")], &[]),
        (&[("authorization", "Bearer a"), ("authorization", "Bearer b")], &["a", "b"]),
    ] {
        assert_eq!(found(&bearer, &parts("/", fields)), expected, "{fields:?}");
    }
    let query = TokenLocation::Query("t".to_owned());
    for (target, expected) in [
        ("/?t=a.b.c", &["a.b.c"][..]),
        ("/?x=1&t=a%2Eb&t=c", &["a.b", "c"]),
        ("/?%74=a", &["a"]),
        ("/?t=&t&tt=a", &[]),
        ("/", &[]),
    ] {
        assert_eq!(found(&query, &parts(target, &[])), expected, "{target}");
    }
    let cookie = TokenLocation::Cookie("s".to_owned());
    let fields = [("cookie", "a=1; s=\"x.y\"; ss=2"), ("cookie", "s=z")];
    assert_eq!(found(&cookie, &parts("/", &fields)), ["x.y", "z"]);
}

#[test]
fn more_tokens_than_anybody_looks_at_are_none() {
    let fields = [("x-token", "a"); 5];
    assert!(locations::tokens(&header("x-token", ""), &parts("/", &fields)).is_err());
    assert_eq!(found(&header("x-token", ""), &parts("/", &fields[..4])).len(), 4);
}

proptest! {
    /// What is taken out is gone, and nothing else is.
    #[test]
    fn tokens_are_taken_out(
        query in "([a-c%=&4]{0,3}(t|%74)?=?[a-z.]{0,3}&?){0,4}",
        cookies in "([a-c]?(s=)?[a-z.]{0,4};? ?){0,4}",
    ) {
        let target = format!("/p?{query}");
        for location in [TokenLocation::Query("t".to_owned()), TokenLocation::Cookie("s".to_owned())] {
            let mut parts = parts(&target, &[("cookie", &cookies)]);
            let others = |parts: &RequestHead| {
                let query: Vec<String> = parts.uri.query().unwrap_or_default().split('&')
                    .filter(|pair| !pair.is_empty() && !pair.starts_with("t=") && !pair.starts_with("%74="))
                    .map(str::to_owned).collect();
                (parts.uri.path().to_owned(), query)
            };
            let before = others(&parts);
            locations::remove(&location, &mut parts);
            prop_assert_eq!(locations::tokens(&location, &parts).map(|list| list.len()), Ok(0));
            prop_assert_eq!(others(&parts), before);
        }
    }
}
