//! Two route tables, side by side.

use serde::Serialize;

/// One route of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Name of the listener.
    pub listener: String,
    /// `https`, `http`, `tcp`, …
    pub protocol: &'static str,
    /// Host pattern; for TCP the server names.
    pub host: String,
    /// What becomes of clear text for this host, where it matters.
    pub insecure: Option<&'static str>,
    /// Place in the order of the host, from 1; counted anew without probes.
    pub order: usize,
    /// Path as matched.
    pub path: String,
    /// Everything else that must hold.
    pub also: Vec<String>,
    /// What happens.
    pub action: String,
    /// Nobody gets through: the host cannot be served as asked.
    pub refused: bool,
    /// A probe of the gateway's own, which both have on every host.
    pub probe: bool,
    /// Who asked for it.
    pub source: String,
}

/// What becomes of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// It is the same.
    Same,
    /// It does something else, or has another place in the order.
    Changed,
    /// Only Emissary serves it.
    Before,
    /// Only Plenipo serves it.
    After,
}

/// One route, before and after.
#[derive(Debug, Serialize)]
pub struct Line {
    /// What becomes of it.
    pub place: Place,
    /// Path as matched.
    pub path: String,
    /// Everything else that must hold.
    pub also: Vec<String>,
    /// What Emissary does.
    pub before: Option<Cell>,
    /// What Plenipo does.
    pub after: Option<Cell>,
}

/// One side of a line.
#[derive(PartialEq, Eq, Debug, Serialize)]
pub struct Cell {
    /// Place in the order of the host, from 1.
    pub order: usize,
    /// What happens.
    pub action: String,
    /// Who asked for it.
    pub source: String,
}

/// The routes of one host.
#[derive(Debug, Serialize)]
pub struct HostRoutes {
    /// Name of the listener.
    pub listener: String,
    /// `https`, `http`, `tcp`, …
    pub protocol: &'static str,
    /// Host pattern; for TCP the server names.
    pub host: String,
    /// What becomes of clear text, before and after.
    pub insecure: [Option<&'static str>; 2],
    /// Its routes.
    pub lines: Vec<Line>,
}

/// All routes.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Routes(
    /// By listener, in the order of the table.
    pub Vec<HostRoutes>,
);

type Key = (String, &'static str, String);

impl Routes {
    /// Puts two tables side by side.
    #[must_use]
    pub fn compare(mut before: Vec<Row>, mut after: Vec<Row>) -> Self {
        before.retain(|row| !row.probe);
        after.retain(|row| !row.probe);
        let mut keys: Vec<Key> = Vec::new();
        for row in after.iter().chain(&before) {
            let key = key(row);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        let hosts = keys.into_iter().map(|wanted| {
            let of_host = |rows: &[Row]| -> Vec<Row> {
                let rows = rows.iter().filter(|row| key(row) == wanted).enumerate();
                rows.map(|(index, row)| Row { order: index + 1, ..row.clone() }).collect()
            };
            HostRoutes::compare(wanted.clone(), of_host(&before), of_host(&after))
        });
        Self(hosts.filter(|host| !host.lines.is_empty()).collect())
    }

    /// How many routes have that fate.
    pub fn count(&self, place: Place) -> usize {
        self.0.iter().flat_map(|host| &host.lines).filter(|line| line.place == place).count()
    }
}

fn key(row: &Row) -> Key {
    (row.listener.clone(), row.protocol, row.host.clone())
}

impl HostRoutes {
    fn compare((listener, protocol, host): Key, before: Vec<Row>, after: Vec<Row>) -> Self {
        let insecure = [&before, &after].map(|rows| rows.first().and_then(|row| row.insecure));
        let mut before: Vec<Option<Row>> = before.into_iter().map(Some).collect();
        let mut lines: Vec<Line> = Vec::new();
        let mut last = 0;
        for row in after {
            let same = |other: &&mut Option<Row>| {
                other.as_ref().is_some_and(|other| other.path == row.path && other.also == row.also)
            };
            let partner = before.iter_mut().find(same).and_then(Option::take);
            let refused = row.refused;
            let place = match &partner {
                None if refused => continue,
                Some(partner) if refused && partner.refused => continue,
                None => Place::After,
                Some(_) if refused => Place::Before,
                Some(partner) if partner.order < last || partner.action != row.action => Place::Changed,
                Some(_) => Place::Same,
            };
            last = partner.as_ref().map_or(last, |partner| partner.order.max(last));
            lines.push(Line {
                place,
                path: row.path.clone(),
                also: row.also.clone(),
                before: partner.as_ref().map(cell),
                after: Some(cell(&row)),
            });
        }
        for row in before.into_iter().flatten().filter(|row| !row.refused) {
            let earlier = |line: &Line| line.before.as_ref().is_some_and(|cell| cell.order < row.order);
            let at = lines.iter().rposition(earlier).map_or(0, |at| at + 1);
            lines.insert(
                at,
                Line {
                    place: Place::Before,
                    path: row.path.clone(),
                    also: row.also.clone(),
                    before: Some(cell(&row)),
                    after: None,
                },
            );
        }
        Self { listener, protocol, host, insecure, lines }
    }
}

fn cell(row: &Row) -> Cell {
    Cell { order: row.order, action: row.action.clone(), source: row.source.clone() }
}
