use std::fmt::Write;

use serde_json::json;

use super::*;

fn values(text: &str) -> Vec<(u32, Result<Value, SyntaxError>)> {
    documents(text).iter().map(|document| (document.line, document.value())).collect()
}

#[test]
fn splits_at_markers() {
    let cases: [(&str, &[(u32, Value)]); 12] = [
        ("", &[]),
        ("# nothing\n---\n# here\n---\n", &[]),
        ("a: 1", &[(1, json!({"a": 1}))]),
        ("a: 1\n---\nb: 2\n", &[(1, json!({"a": 1})), (3, json!({"b": 2}))]),
        ("---\n# comment\n\na: 1\n---\n---\nb: 2", &[(4, json!({"a": 1})), (7, json!({"b": 2}))]),
        ("--- {a: 1}\n--- # no\nb: 2\n", &[(1, json!({"a": 1})), (3, json!({"b": 2}))]),
        ("---\r\na: 1\r\n---\r\nb: 2\r\n", &[(2, json!({"a": 1})), (4, json!({"b": 2}))]),
        ("%YAML 1.2\n---\na: 1\n...\n# end\n---\nb: 2\n...\n", &[(3, json!({"a": 1})), (7, json!({"b": 2}))]),
        ("a: |\n  x\n  --- y\n---\nb: 2", &[(1, json!({"a": "x\n--- y\n"})), (5, json!({"b": 2}))]),
        ("a: ---x\n", &[(1, json!({"a": "---x"}))]),
        ("\u{feff}a: 1\n", &[(1, json!({"a": 1}))]),
        ("{\"a\": [1, 2.5, true, null]}", &[(1, json!({"a": [1, 2.5, true, null]}))]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|(line, value)| (*line, Ok(value.clone()))).collect();
        assert_eq!(values(text), expected, "{text:?}");
    }
}

#[test]
fn reads_scalars_as_kubectl_does() {
    let text = "[yes, no, on, off, 'yes', \"no\", 0755, 10, 1.5, ~, null, 'null', v1, 1.0.0, 12:30]";
    let expected = json!([
        true, false, true, false, "yes", "no", 493, 10, 1.5, null, null, "null", "v1", "1.0.0", "12:30"
    ]);
    assert_eq!(values(text), [(1, Ok(expected))]);
}

#[test]
fn a_broken_document_costs_only_itself() {
    let text = "a: 1\n---\nb: 2\nc: [1, 2\n---\nd: 4\n";
    let read = values(text);
    assert_eq!(read[0], (1, Ok(json!({"a": 1}))));
    assert_eq!(read[2], (6, Ok(json!({"d": 4}))));
    let error = read[1].1.as_ref().expect_err("an open bracket");
    assert!((4..=5).contains(&error.line), "{error}");
}

#[test]
fn errors_are_placed_within_the_text() {
    let error = values("a: 1\n---\nb: 2\nb: 3\n")[1].1.clone().expect_err("a key twice");
    assert_eq!((error.line, error.column), (4, 1), "{error}");
    assert!(error.message.contains("duplicate"), "{error}");
    assert!(!error.message.contains("line"), "{error}");

    let error = values("# one\n# two\na: 1\n  b: 2\n")[0].1.clone().expect_err("indented too much");
    assert_eq!(error.line, 4, "{error}");
}

#[test]
fn twenty_thousand_documents() {
    let mut text = String::new();
    for number in 0..20_000 {
        writeln!(text, "---\nname: n{number}").expect("a String takes everything");
    }
    let documents = documents(&text);
    assert_eq!(documents.len(), 20_000);
    assert_eq!(documents[19_999].line, 40_000);
    assert_eq!(documents[19_999].value(), Ok(json!({"name": "n19999"})));
}

#[test]
fn one_document_with_very_much_in_it() {
    let mut text = String::from("kind: List\nitems:\n");
    for number in 0..100_000 {
        writeln!(text, "- {{a: {number}, b: c}}").expect("a String takes everything");
    }
    let value = documents(&text)[0].value().expect("large, and sound");
    assert_eq!(value["items"].as_array().map(Vec::len), Some(100_000));
}

#[test]
fn anchors_work_and_bombs_do_not() {
    assert_eq!(values("a: &x {b: 1}\nc: *x\n"), [(1, Ok(json!({"a": {"b": 1}, "c": {"b": 1}})))]);
    assert_eq!(
        values("a: &x {b: 1}\nc: {<<: *x, d: 2}\n")[0].1.as_ref().expect("merge")["c"],
        json!({"b": 1, "d": 2})
    );
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{below}]").expect("a String takes everything");
    }
    let error = values(&bomb)[0].1.clone().expect_err("ten thousand million elements");
    assert!(error.message.contains("limit") || error.message.contains("alias"), "{error}");
}

#[test]
fn depth_is_limited() {
    let deep = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(values(&deep)[0].1.is_err());
    let deep: String = (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(values(&deep)[0].1.is_err());
}

#[test]
fn json_is_read() {
    let texts = [
        "{\n\t\"a\": [\n\t\t1,\n\t\t2\n\t]\n}\n",
        r#"{"a":"\/\u00e4\ud83d\ude00\"\\","b":-1.5e3,"c":18446744073709551615,"d":{},"e":[],"f":"---"}"#,
        r#"{"a": "{{ .x }} # no comment: really", "b": "yes", "c": "1", "d": "null", "e": ""}"#,
        "[1, {\"a\": null}]",
    ];
    for text in texts {
        let expected: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(values(text), [(1, Ok(expected))], "{text}");
    }
}
