//! `plenipo migrate` on a directory, and on values.

use std::fs;

use anyhow::Result;
use serde_json::Value;

use crate::gateway::{directory, output, root};

/// What the binary says of a case of `testdata/migrate`, and how it ends.
fn migrate(case: &str, arguments: &[&str]) -> Result<(String, Option<i32>)> {
    let yaml = fs::read_to_string(root().join("testdata/migrate").join(case).join("in.yaml"))?;
    let directory = directory(&yaml)?;
    let before: Vec<_> = fs::read_dir(directory.path())?.collect::<Result<_, _>>()?;
    let path = directory.path().to_string_lossy().into_owned();
    let output = output(&[&["migrate", path.as_str()], arguments].concat());
    assert_eq!(fs::read_dir(directory.path())?.count(), before.len(), "nothing is written");
    assert_eq!(fs::read_to_string(directory.path().join("gateway.yaml"))?, yaml);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok((String::from_utf8(output.stdout)?, output.status.code()))
}

#[test]
fn the_exit_code_says_whether_something_is_lost() -> Result<()> {
    for (case, code) in [("nothing", 0), ("tcp-weights", 0), ("consul-resolver", 1), ("all-hosts-broken", 1)]
    {
        let (text, found) = migrate(case, &[])?;
        assert_eq!(found, Some(code), "{text}");
        assert!(text.contains("Routes: before (Emissary) and after (Plenipo)"), "{text}");
    }
    Ok(())
}

#[test]
fn for_scripts() -> Result<()> {
    let (text, code) = migrate("consul-resolver", &["-o", "json"])?;
    let document: Value = serde_json::from_str(&text)?;
    assert_eq!((document["loses"].as_bool(), code), (Some(true), Some(1)));
    assert_eq!(document["differences"][0]["code"], "consul-resolver");
    assert_eq!(document["differences"][0]["object"], "Mapping default/old");
    let lines = document["routes"][0]["lines"].as_array().expect("the routes of a host");
    let places: Vec<&Value> = lines.iter().map(|line| &line["place"]).collect();
    assert_eq!(places, ["before", "same"]);
    Ok(())
}

#[test]
fn options_of_reading_hold_for_both_sides() -> Result<()> {
    let (text, code) = migrate("consul-resolver", &["--ambassador-id", "other", "-o", "json"])?;
    let document: Value = serde_json::from_str(&text)?;
    assert_eq!((document["routes"].as_array().map(Vec::len), code), (Some(0), Some(0)), "{text}");
    Ok(())
}

#[test]
fn values_of_the_chart() -> Result<()> {
    let file = root().join("testdata/migrate/values/emissary.yaml");
    let output = output(&["migrate", "values", &file.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(0));
    let values = String::from_utf8(output.stdout)?;
    assert!(values.contains("ambassadorId: edge") && !values.contains("emissaryingress"), "{values}");
    let told = String::from_utf8(output.stderr)?;
    assert!(told.contains("env.AMBASSADOR_ID is ambassadorId"), "{told}");
    assert!(told.contains("typo is no value of Emissary's chart"), "{told}");
    assert_eq!(crate::gateway::output(&["migrate", "values", "/nowhere"]).status.code(), Some(3));
    Ok(())
}

#[test]
fn what_is_read_must_be_said() {
    for wrong in [&["migrate"][..], &["migrate", ".", "--kubernetes"], &["migrate", "values"]] {
        assert_eq!(output(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
