//! Every way in which Plenipo differs from Emissary: `testdata/migrate/<code>/in.yaml` gives `migration.txt`.
//! `UPDATE_GOLDEN=1 cargo test -p plenipo-migrate` writes them anew; read the difference.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

#[path = "../../translate/tests/fixture/mod.rs"]
mod fixture;

use std::fs;
use std::path::{Path, PathBuf};

use plenipo_admin::{RouteRow, route_table};
use plenipo_migrate::{Migration, Place, Row, Rule, as_emissary, rules};
use plenipo_translate::translate;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cases: name and input.
fn cases() -> Vec<(String, PathBuf)> {
    let folder = fs::read_dir(root().join("testdata/migrate")).unwrap();
    let mut cases: Vec<(String, PathBuf)> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("in.yaml").is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    cases.sort();
    cases
}

fn migration(yaml: &str) -> Migration {
    let (set, options) = (fixture::set(yaml), fixture::options(yaml));
    let (after, report) = translate(&set, &options);
    let emissary = as_emissary(&set, &report);
    let (before, _) = translate(&emissary.set, &options);
    let [before, after] = [before, after].map(|edge| route_table(&edge).into_iter().map(row).collect());
    Migration::new(&set, &report, emissary.differences, before, after)
}

fn row(row: RouteRow) -> Row {
    Row {
        refused: row.action.starts_with("refused ") || row.protocol == "tls-broken",
        probe: row.source.to_string() == "gateway",
        listener: row.listener,
        protocol: row.protocol,
        host: row.host,
        insecure: row.insecure,
        order: row.order,
        path: row.path,
        also: row.also,
        action: row.action,
        source: row.source.to_string(),
    }
}

fn text(migration: &Migration) -> String {
    let mut out = Vec::new();
    migration.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_case_is_told_as_it_was() {
    let mut differing = Vec::new();
    for (name, path) in cases() {
        let migration = migration(&fs::read_to_string(path.join("in.yaml")).unwrap());
        let text = text(&migration);
        // What stands around every gateway is in one case only.
        let told = match text.split_once("\nAround the gateway\n") {
            Some((before, around)) if name != "around" => {
                let (_, summary) = around.rsplit_once("\n\n").unwrap();
                format!("{before}\n{summary}")
            }
            _ => text,
        };
        let now = format!("{told}loses: {}\n", migration.loses());
        let golden = path.join("migration.txt");
        if fs::read_to_string(&golden).unwrap_or_default() == now {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &now).unwrap();
        } else {
            differing.push(format!("--- {name}\n{now}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn every_rule_has_a_case_and_a_line_on_its_page() {
    let path = root().join("docs/migration.md");
    let page = fs::read_to_string(&path).unwrap();
    let head = "| code | effect | Emissary | known | Plenipo |\n|---|---|---|---|---|\n";
    let (before, rest) = page.split_once(head).unwrap();
    let (_, after) = rest.split_once("\n## ").unwrap();
    let row = |rule: &&Rule| {
        let Rule { code, effect, evidence, emissary, plenipo, .. } = rule;
        format!("| `{code}` | {effect} | {emissary} | {evidence} | {plenipo} |\n")
    };
    let rows: String = rules::ALL.iter().map(row).collect();
    let now = format!("{before}{head}{rows}\n## {after}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &now).unwrap();
    } else {
        assert!(page == now, "docs/migration.md has other rules; UPDATE_GOLDEN=1 writes them");
    }
    for rule in rules::ALL {
        let case = root().join("testdata/migrate").join(rule.code).join("in.yaml");
        let migration = migration(&fs::read_to_string(case).unwrap());
        let found = migration.differences.iter().any(|one| one.rule == rule);
        assert!(found, "the case {} does not show it", rule.code);
    }
}

/// No difference of routes goes untold, and where nothing is told the objects are the same; over all cases of the dialect.
#[test]
fn routes_differ_for_a_reason() {
    for (name, text) in fixture::cases().into_iter().filter(|(name, _)| name.starts_with("emissary/")) {
        let migration = migration(&text);
        let lines = migration.routes.0.iter().flat_map(|host| &host.lines);
        let changed = lines.filter(|line| line.place != Place::Same).count();
        let told = migration.differences.iter().filter(|one| *one.rule != rules::DIAGNOSTICS).count();
        assert!(
            changed == 0 || told > 0,
            "{name}: routes differ, and nobody says why\n{}",
            self::text(&migration)
        );
    }
}

/// What it prints holds no key, in either form.
#[test]
fn no_key_is_printed() {
    for (name, path) in cases() {
        let migration = migration(&fs::read_to_string(path.join("in.yaml")).unwrap());
        for told in [text(&migration), migration.document().to_string()] {
            assert!(!told.contains("PRIVATE KEY") && !told.contains("BEGIN"), "{name}");
        }
    }
}
