//! Which request headers outlive their request, because something that is made at its end names them.

use std::sync::Arc;

use http::HeaderName;
use plenipo_model::{ErrorBody, ErrorResponse, HeaderEdits, HttpServer, Operator, Route, Segment, Template};

use super::Log;
use super::routes::RouteTable;

/// Names that the access log, bodies of error answers and changes to responses read, behind one chain.
pub(super) fn request_headers<'a>(
    server: &HttpServer,
    log: Option<&Log>,
    tables: impl Iterator<Item = &'a RouteTable>,
) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = log.map(|log| log.formatter.kept_request().to_vec()).unwrap_or_default();
    errors(&server.error_responses, &mut names);
    edits(&server.response_headers, &mut names);
    for name in tables.flat_map(|table| &table.kept_request) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Names that bodies of error answers and changes to responses of these routes read.
pub(super) fn of_routes(routes: &[Arc<Route>]) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for route in routes {
        errors(&route.error_responses, &mut names);
        edits(&route.response_headers, &mut names);
    }
    names
}

fn errors(rules: &[Arc<ErrorResponse>], names: &mut Vec<HeaderName>) {
    for rule in rules {
        match &rule.body {
            ErrorBody::Text(template) => template_names(template, names),
            ErrorBody::Json(fields) => fields.values().for_each(|template| template_names(template, names)),
        }
    }
}

fn edits(edits: &HeaderEdits, names: &mut Vec<HeaderName>) {
    edits.add.iter().for_each(|edit| template_names(&edit.value, names));
}

fn template_names(template: &Template, names: &mut Vec<HeaderName>) {
    for segment in template.segments() {
        let Segment::Operator(Operator::Request(name, fallback), _) = segment else { continue };
        for name in [Some(name), fallback.as_ref()].into_iter().flatten() {
            // Pseudo headers are no header names; the exchange has them.
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes())
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
    }
}
