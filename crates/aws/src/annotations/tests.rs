use super::*;

fn one(value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(format!("{SERVICE}/x"), value.to_owned())])
}

#[test]
fn booleans_are_those_of_go() {
    for (raw, read) in [("1", true), ("T", true), ("True", true), ("0", false), ("FALSE", false)] {
        assert_eq!(Annotations::service(&one(raw)).flag("x"), Ok(Some(read)), "{raw}");
    }
    for raw in ["yes", "on", "tRUE", " true", ""] {
        let error = Annotations::service(&one(raw)).flag("x").unwrap_err();
        assert_eq!(error.to_string(), format!("failed to parse bool annotation, {SERVICE}/x: {raw}"));
    }
    assert_eq!(Annotations::service(&one("1")).flag("y"), Ok(None));
}

#[test]
fn numbers_have_a_range() {
    assert_eq!(Annotations::service(&one("-7")).int32("x"), Ok(Some(-7)));
    assert!(Annotations::service(&one("2147483648")).int32("x").is_err());
    assert_eq!(Annotations::service(&one("2147483648")).int64("x"), Ok(Some(2_147_483_648)));
    assert!(Annotations::service(&one("5s")).int64("x").is_err());
}

#[test]
fn lists_are_trimmed() {
    assert_eq!(
        Annotations::service(&one(" a b ,,\tc,")).list("x"),
        Some(vec!["a b".to_owned(), "c".to_owned()])
    );
    assert_eq!(Annotations::service(&one(" , ")).list("x"), Some(Vec::new()));
    assert_eq!(Annotations::service(&one("")).list("y"), None);
}

#[test]
fn maps_have_escapes() {
    let read = |raw: &str| Annotations::service(&one(raw)).map("x").map(Option::unwrap_or_default);
    let map = |pairs: &[(&str, &str)]| {
        Ok(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    };
    assert_eq!(read(""), map(&[]));
    assert_eq!(read("a=1, b = 2 ,c="), map(&[("a", "1"), ("b", "2"), ("c", "")]));
    assert_eq!(read(r"a=1\,2,b=\=\\"), map(&[("a", "1,2"), ("b", r"=\")]));
    assert_eq!(read("a=1="), map(&[("a", "1=")]));
    assert_eq!(read("a=1,"), map(&[("a", "1,")]));
    for raw in ["a", "a=1,b", "=1", "a=1,,b=2", ",a=1"] {
        assert!(read(raw).is_err(), "{raw}");
    }
}

#[test]
fn json_keys_may_be_in_any_case() {
    let read = |raw: &str| Annotations::service(&one(raw)).json::<Value>("x", &["type", "targetGroups"]);
    assert_eq!(
        read(r#"{"Type": "forward", "TARGETGROUPS": [{"tYpe": 1, "Other": 2}]}"#),
        Ok(Some(serde_json::json!({"type": "forward", "targetGroups": [{"type": 1, "Other": 2}]})))
    );
    assert!(read("{").is_err());
}

#[test]
fn suffixes_by_their_start() {
    let values = BTreeMap::from(
        ["a.io/act", "a.io/actions.b", "a.io/actions.c", "a.io/b"].map(|key| (key.to_owned(), String::new())),
    );
    let found: Vec<&str> =
        Annotations::new("a.io", &values).starting_with("actions.").map(|(suffix, _)| suffix).collect();
    assert_eq!(found, ["actions.b", "actions.c"]);
}

#[test]
fn the_cloud_provider_does_not_trim() {
    use super::cloud_provider::CloudAnnotations;

    let with =
        |suffix: &str, value: &str| BTreeMap::from([(format!("{SERVICE}/{suffix}"), value.to_owned())]);
    let ports = with("aws-load-balancer-ssl-ports", "80, 443,HTTPS");
    let ports = CloudAnnotations::new(&ports).ssl_ports().unwrap();
    assert!(ports.has(80, ""));
    assert!(ports.has(0, "HTTPS"));
    assert!(!ports.has(443, "https"));
    for (value, internal) in
        [("true", true), ("0.0.0.0/0", true), ("no", true), ("", false), ("false", false)]
    {
        let values = with("aws-load-balancer-internal", value);
        assert_eq!(CloudAnnotations::new(&values).internal(), internal, "{value}");
    }
    for all in ["", "*"] {
        let values = with("aws-load-balancer-ssl-ports", all);
        assert_eq!(CloudAnnotations::new(&values).ssl_ports(), None);
    }
}
