//! What the documentation says is there.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

use crate::gateway::{plenipo, root};

fn pages() -> Result<Vec<(String, String)>> {
    let mut pages = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned()];
    for page in fs::read_dir(root().join("docs"))? {
        pages.push(format!("docs/{}", page?.file_name().to_string_lossy()));
    }
    let read = |page: String| Ok((page.clone(), fs::read_to_string(root().join(&page)).context(page)?));
    pages.into_iter().filter(|page| page.ends_with(".md")).map(read).collect()
}

#[test]
fn the_pages_on_dialects_name_every_case_and_no_other() -> Result<()> {
    ["emissary", "ingress", "istio"].into_iter().try_for_each(names_every_case)
}

fn names_every_case(dialect: &str) -> Result<()> {
    let page = fs::read_to_string(root().join(format!("docs/{dialect}.md")))?;
    let cases: BTreeSet<String> = fs::read_dir(root().join("testdata").join(dialect))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    let missing: Vec<_> = cases.iter().filter(|case| !page.contains(&format!("`{case}`"))).collect();
    assert!(missing.is_empty(), "not on the page of {dialect}: {missing:?}");
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.trim_end().strip_suffix('|'));
    let named =
        rows.filter_map(|row| row.rsplit('|').next()).flat_map(|cell| cell.split('`').skip(1).step_by(2));
    // The last cell of the second table is a sentence: its cases are in parentheses, and checked by the first half.
    let looks_like_a_case = |word: &&str| {
        word.contains('-') && word.chars().all(|c| c.is_ascii_lowercase() || "-0123456789".contains(c))
    };
    let strange: Vec<_> = named.filter(looks_like_a_case).filter(|word| !cases.contains(*word)).collect();
    assert!(strange.is_empty(), "no such cases of {dialect}: {strange:?}");
    Ok(())
}

/// The lines of code blocks that call the program, with the page they are on.
fn commands() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (page, text) in pages()? {
        let blocks = text.split("```").skip(1).step_by(2);
        let lines = blocks.flat_map(str::lines).map(str::trim).filter(|line| line.is_ascii());
        let calls =
            lines.filter(|line| line.starts_with("plenipo ") || line.starts_with("cargo run --release -- "));
        found.extend(calls.map(|line| (page.clone(), line.to_owned())));
    }
    Ok(found)
}

#[test]
fn commands_on_the_pages_are_understood() -> Result<()> {
    let commands = commands()?;
    assert!(commands.len() >= 10, "{commands:?}");
    for (page, line) in commands {
        let call = line.replace("cargo run --release -- ", "plenipo ");
        // What follows in a table of commands is a description; `[…]` is optional, `>` is the shell's.
        let call = call
            .split("  ")
            .next()
            .unwrap_or_default()
            .split(" > ")
            .next()
            .unwrap_or_default()
            .split(" | ")
            .next()
            .unwrap_or_default()
            .replace(['[', ']'], "");
        let call = call.replace("NAME", "canary").replace(" COMMAND", " run");
        let script = call.replacen("plenipo", "\"$PLENIPO\"", 1) + " --help";
        let mut bash = std::process::Command::new("bash");
        let ran = bash.args(["-c", &script]).env("PLENIPO", plenipo().get_program()).output()?;
        assert!(ran.status.success(), "{page}: {line}\n{}", String::from_utf8_lossy(&ran.stderr));
    }
    Ok(())
}

#[test]
fn links_lead_somewhere() -> Result<()> {
    for (page, text) in pages()? {
        let folder = root().join(&page).parent().context("a page is in a folder")?.to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(folder.join(path).exists(), "{page} links to {target}");
        }
    }
    Ok(())
}

#[test]
fn options_and_variables_of_the_operations_page_exist() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/operations.md"))?;
    let help = plenipo().args(["run", "--help"]).output()?;
    let help = String::from_utf8(help.stdout)?;
    let words = |text: &str| -> BTreeSet<String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        text.split(|c| !is_part(c)).map(str::to_owned).collect()
    };
    let of = |text: &str, begins: fn(&str) -> bool| -> BTreeSet<String> {
        words(text).into_iter().filter(|word| begins(word) && word.len() > 5).collect()
    };
    let options: fn(&str) -> bool = |word| word.starts_with("--");
    let variables: fn(&str) -> bool = |word| word.starts_with("AMBASSADOR_") && !word.ends_with('_');
    let own = ["--fail-on", "--suppress"].map(str::to_owned).into();
    let unknown: Vec<_> = of(&page, options)
        .difference(&of(&help, options))
        .cloned()
        .collect::<BTreeSet<_>>()
        .difference(&own)
        .cloned()
        .collect();
    assert!(unknown.is_empty(), "no such options: {unknown:?}");
    let undocumented: Vec<_> = of(&help, variables).difference(&of(&page, variables)).cloned().collect();
    assert!(undocumented.is_empty(), "not on the page: {undocumented:?}");
    Ok(())
}
