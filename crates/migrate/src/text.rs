//! A migration in words.

use std::io::{self, Write};

use crate::difference::{Difference, Effect};
use crate::migration::Migration;
use crate::routes::{Cell, HostRoutes, Line, Place};

const EFFECTS: [(Effect, &str); 5] = [
    (Effect::Lost, "Lost: served or guarded by Emissary, not by Plenipo"),
    (Effect::Missing, "Missing: neither serves nor guards requests, and is not carried out"),
    (Effect::Frozen, "Frozen: Emissary takes no change while these are there"),
    (Effect::Changed, "Changed: served by both, in another way"),
    (Effect::Gained, "Gained: served by Plenipo, not by Emissary"),
];

/// One line of a table.
struct Columns {
    place: Place,
    what: String,
    before: String,
    after: String,
}

/// Prints everything.
pub(crate) fn write(out: &mut impl Write, migration: &Migration) -> io::Result<()> {
    writeln!(out, "Objects")?;
    for row in &migration.objects {
        writeln!(out, "  {:>5}  {}  {}", row.count, row.kind, row.version)?;
    }
    writeln!(out, "\nRoutes: before (Emissary) and after (Plenipo)")?;
    for host in &migration.routes.0 {
        routes(out, host)?;
    }
    for (effect, title) in EFFECTS {
        let found = migration.differences.iter().filter(|difference| difference.rule.effect == effect);
        for (index, difference) in found.enumerate() {
            if index == 0 {
                writeln!(out, "\n{title}")?;
            }
            self::difference(out, difference)?;
        }
    }
    if !migration.neither.is_empty() {
        writeln!(out, "\nServed by neither")?;
        for (id, problem) in &migration.neither {
            writeln!(out, "  [{}] {id} {}: {}", problem.code, problem.field, problem.message)?;
        }
    }
    around(out, migration)?;
    summary(out, migration)
}

fn routes(out: &mut impl Write, host: &HostRoutes) -> io::Result<()> {
    let insecure = match host.insecure {
        [Some(before), Some(after)] if before != after => format!("  (insecure: {before} → {after})"),
        [Some(action), _] | [None, Some(action)] => format!("  (insecure: {action})"),
        [None, None] => String::new(),
    };
    writeln!(out, "  {}  {}  {}{insecure}", host.listener, host.protocol, host.host)?;
    let what = |line: &Line| {
        let mut text = line.path.clone();
        for also in &line.also {
            text.push(' ');
            text.push_str(also);
        }
        text
    };
    let cell = |line: &Line| {
        let told = |cell: &Cell| format!("{}. {} ({})", cell.order, cell.action, cell.source);
        let before = line.before.as_ref().map_or("–".to_owned(), told);
        let after = match (line.place, &line.after) {
            (Place::Same, _) => "the same".to_owned(),
            (_, Some(cell)) => told(cell),
            (_, None) => "–".to_owned(),
        };
        (before, after)
    };
    let rows: Vec<Columns> = host
        .lines
        .iter()
        .map(|line| {
            let (before, after) = cell(line);
            Columns { place: line.place, what: what(line), before, after }
        })
        .collect();
    let width =
        |text: fn(&Columns) -> &str| rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0);
    let [what, before] = [width(|row| &row.what), width(|row| &row.before)];
    for Columns { place, what: text, before: left, after: right } in &rows {
        let mark = match place {
            Place::Same => ' ',
            Place::Changed => '~',
            Place::Before => '-',
            Place::After => '+',
        };
        writeln!(out, "  {mark} {text:<what$}  {left:<before$}  {right}")?;
    }
    Ok(())
}

fn difference(out: &mut impl Write, difference: &Difference) -> io::Result<()> {
    let rule = difference.rule;
    let object = difference.object.as_ref().map_or("the whole configuration".to_owned(), ToString::to_string);
    let field = if difference.field.is_empty() { String::new() } else { format!(" {}", difference.field) };
    writeln!(out, "  [{}] {object}{field}", rule.code)?;
    if !difference.about.is_empty() {
        writeln!(out, "      here      {}", difference.about)?;
    }
    writeln!(out, "      Emissary  {} ({})", rule.emissary, rule.evidence)?;
    writeln!(out, "      Plenipo   {}", rule.plenipo)?;
    if !rule.todo.is_empty() {
        writeln!(out, "      do        {}", rule.todo)?;
    }
    Ok(())
}

fn around(out: &mut impl Write, migration: &Migration) -> io::Result<()> {
    writeln!(out, "\nAround the gateway")?;
    for advice in &migration.around {
        let objects: Vec<String> = advice.objects.iter().map(ToString::to_string).collect();
        let objects = if objects.is_empty() { String::new() } else { format!(" {}", objects.join(", ")) };
        writeln!(out, "  [{}]{objects}", advice.about)?;
        writeln!(out, "      {}", advice.message)?;
        for line in advice.todo.lines() {
            writeln!(out, "      do        {line}")?;
        }
    }
    Ok(())
}

fn summary(out: &mut impl Write, migration: &Migration) -> io::Result<()> {
    let routes = |place| migration.routes.count(place);
    writeln!(
        out,
        "\nroutes: {} the same, {} changed, {} only before, {} only after",
        routes(Place::Same),
        routes(Place::Changed),
        routes(Place::Before),
        routes(Place::After)
    )?;
    let effects = EFFECTS.map(|(effect, _)| format!("{} {effect}", migration.count(effect)));
    writeln!(out, "differences: {}", effects.join(", "))
}
