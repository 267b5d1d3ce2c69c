//! The text that Prometheus reads: format 0.0.4, written by hand because it is thirty lines and the families differ from
//! one scrape to the next.

use std::fmt::{Display, Write};

/// What a family's numbers mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Only grows; starts again at zero with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, a sum and a count.
    Histogram,
}

/// The content type of a [`Page`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One answer to a scrape, under construction. Families must be added once each, whole.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

/// One family of a page; its samples are written through it.
#[derive(Debug)]
pub(crate) struct Family<'a> {
    page: &'a mut Page,
    name: &'a str,
}

/// A label and its value.
pub(crate) type Label<'a> = (&'a str, &'a dyn Display);

impl Page {
    /// Opens a family. `help` is one line.
    pub(crate) fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {}", Escaped { text: help, quotes: false }));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { page: self, name }
    }

    /// The text.
    pub(crate) fn into_text(self) -> String {
        self.0
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.0, "{line}").expect("a String takes all that is written");
    }
}

impl Family<'_> {
    /// One value.
    pub(crate) fn sample(&mut self, labels: &[Label<'_>], value: impl Display) -> &mut Self {
        let name = self.name;
        self.page.line(format_args!("{name}{} {value}", Labels { own: labels, le: None }));
        self
    }

    /// A histogram: `buckets` are (upper bound, observations at or below it), bounds ascending; `sum` in the unit of the
    /// bounds; `count` of all observations.
    pub(crate) fn histogram(
        &mut self,
        labels: &[Label<'_>],
        buckets: impl IntoIterator<Item = (f64, u64)>,
        sum: f64,
        count: u64,
    ) -> &mut Self {
        let name = self.name;
        for (bound, below) in buckets {
            let labels = Labels { own: labels, le: Some(&bound) };
            self.page.line(format_args!("{name}_bucket{labels} {below}"));
        }
        self.page.line(format_args!("{name}_bucket{} {count}", Labels { own: labels, le: Some(&"+Inf") }));
        self.page.line(format_args!("{name}_sum{} {sum}", Labels { own: labels, le: None }));
        self.page.line(format_args!("{name}_count{} {count}", Labels { own: labels, le: None }));
        self
    }
}

struct Labels<'a> {
    own: &'a [Label<'a>],
    le: Option<&'a dyn Display>,
}

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let le = self.le.map(|bound| ("le", bound));
        let mut separator = '{';
        for (name, value) in self.own.iter().copied().chain(le) {
            let text = value.to_string();
            write!(f, "{separator}{name}=\"{}\"", Escaped { text: &text, quotes: true })?;
            separator = ',';
        }
        if separator == ',' { f.write_char('}') } else { Ok(()) }
    }
}

/// Backslash and line feed are escaped everywhere, quotes in label values.
struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.text.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.quotes => f.write_str("\\\"")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_and_a_gauge() {
        let mut page = Page::default();
        page.family("requests_total", Kind::Counter, "Requests.")
            .sample(&[("code", &200), ("host", &"a\"b\\c\nd")], 3)
            .sample(&[], 1);
        page.family("up", Kind::Gauge, "Is it\nup?").sample(&[], 0.5);
        assert_eq!(
            page.into_text(),
            "# HELP requests_total Requests.\n\
             # TYPE requests_total counter\n\
             requests_total{code=\"200\",host=\"a\\\"b\\\\c\\nd\"} 3\n\
             requests_total 1\n\
             # HELP up Is it\\nup?\n\
             # TYPE up gauge\n\
             up 0.5\n"
        );
    }

    #[test]
    fn a_histogram_ends_with_infinity() {
        let mut page = Page::default();
        page.family("time", Kind::Histogram, "Time.").histogram(
            &[("a", &"b")],
            [(0.5, 1), (1.0, 2)],
            4.25,
            3,
        );
        assert_eq!(
            page.into_text(),
            "# HELP time Time.\n# TYPE time histogram\n\
             time_bucket{a=\"b\",le=\"0.5\"} 1\n\
             time_bucket{a=\"b\",le=\"1\"} 2\n\
             time_bucket{a=\"b\",le=\"+Inf\"} 3\n\
             time_sum{a=\"b\"} 4.25\n\
             time_count{a=\"b\"} 3\n"
        );
    }
}
