//! The access log: one line for each exchange, in the format asked for, written by a thread of its own so that a slow
//! disk or a full pipe never holds up a request. What cannot be written in time is dropped and counted.

use http::HeaderName;
use plenipo_model::{AccessLogFormat, Operator, Segment, Template};

use crate::render::{Facts, Value, cut, evaluate, render_segments};

mod json;
pub(crate) use json::string as json_string;
#[cfg(test)]
mod tests;
mod writer;

pub use writer::{LogLines, LogWriter};

/// A format, compiled.
#[derive(Debug)]
pub struct Formatter {
    line: Line,
    request: Vec<HeaderName>,
    response: Vec<HeaderName>,
    trailers: Vec<HeaderName>,
}

#[derive(Debug)]
enum Line {
    Text(Vec<Segment>),
    Json { fields: Vec<Field>, typed: bool },
}

#[derive(Debug)]
struct Field {
    /// The key as it is written: in quotes, with its colon, and the comma or brace before it.
    key: Vec<u8>,
    value: Vec<Segment>,
}

impl Formatter {
    /// Compiles a format; environment variables are read here, once.
    pub fn new(format: &AccessLogFormat) -> Self {
        let line = match format {
            AccessLogFormat::Text(template) => Line::Text(resolved(template)),
            AccessLogFormat::Json { fields, typed } => {
                let fields = fields.iter().enumerate().map(|(at, (name, template))| {
                    let mut key = vec![if at == 0 { b'{' } else { b',' }];
                    json::string(name.as_bytes(), &mut key);
                    key.push(b':');
                    Field { key, value: resolved(template) }
                });
                Line::Json { fields: fields.collect(), typed: *typed }
            }
        };
        let mut formatter = Self { line, request: Vec::new(), response: Vec::new(), trailers: Vec::new() };
        formatter.find_headers();
        formatter
    }

    fn find_headers(&mut self) {
        let segments: Vec<&Segment> = match &self.line {
            Line::Text(segments) => segments.iter().collect(),
            Line::Json { fields, .. } => fields.iter().flat_map(|field| &field.value).collect(),
        };
        for segment in segments {
            let (kept, name, fallback) = match segment {
                Segment::Operator(Operator::Request(name, fallback), _) => {
                    (&mut self.request, name, fallback)
                }
                Segment::Operator(Operator::Response(name, fallback), _) => {
                    (&mut self.response, name, fallback)
                }
                Segment::Operator(Operator::Trailer(name, fallback), _) => {
                    (&mut self.trailers, name, fallback)
                }
                _ => continue,
            };
            for name in [Some(name), fallback.as_ref()].into_iter().flatten() {
                // Pseudo headers are no header names; the exchange has them.
                if let Ok(name) = HeaderName::from_bytes(name.as_bytes())
                    && !kept.contains(&name)
                {
                    kept.push(name);
                }
            }
        }
    }

    /// Request headers that the format reads.
    pub fn kept_request(&self) -> &[HeaderName] {
        &self.request
    }

    /// Response headers that the format reads.
    pub fn kept_response(&self) -> &[HeaderName] {
        &self.response
    }

    /// Response trailers that the format reads.
    pub fn kept_trailers(&self) -> &[HeaderName] {
        &self.trailers
    }

    /// Writes one line, its end included.
    pub fn write(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        match &self.line {
            Line::Text(segments) => {
                let begin = out.len();
                render_segments(segments, facts, b"-", out);
                if out.len() > begin && out.last() == Some(&b'\n') {
                    return;
                }
            }
            Line::Json { fields, .. } if fields.is_empty() => out.extend_from_slice(b"{}"),
            Line::Json { fields, typed } => {
                for field in fields {
                    out.extend_from_slice(&field.key);
                    write_value(&field.value, *typed, facts, out);
                }
                out.push(b'}');
            }
        }
        out.push(b'\n');
    }
}

/// Typed values keep their type only when nothing stands beside them.
fn write_value(segments: &[Segment], typed: bool, facts: &Facts<'_>, out: &mut Vec<u8>) {
    if let ([Segment::Operator(operator, limit)], true) = (segments, typed) {
        match evaluate(operator, facts) {
            Value::Missing => out.extend_from_slice(b"null"),
            Value::Text(text) => json::string(cut(&text, *limit), out),
            Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        }
        return;
    }
    let mut text = Vec::new();
    render_segments(segments, facts, b"-", &mut text);
    json::string(&text, out);
}

fn resolved(template: &Template) -> Vec<Segment> {
    let resolve = |segment: &Segment| match segment {
        Segment::Operator(Operator::Environment(name), limit) => match std::env::var(name) {
            Ok(value) => {
                Segment::Literal(String::from_utf8_lossy(cut(value.as_bytes(), *limit)).into_owned())
            }
            Err(_) => segment.clone(),
        },
        _ => segment.clone(),
    };
    template.segments().iter().map(resolve).collect()
}
