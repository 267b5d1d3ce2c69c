//! The plot of docs/performance.md: our CPU time per request by that of each of the others.

use std::fmt::Write;

use crate::peer::Peer;
use crate::results::{Measured, Results};
use crate::scenario::Scenario;
use crate::summary::Summary;
use crate::targets::ratio_target;

/// One scenario.
pub(crate) struct Row {
    /// What people read beside the bars.
    pub(crate) title: String,
    /// One for each of the others.
    pub(crate) bars: Vec<Bar>,
}

/// One ratio.
pub(crate) struct Bar {
    /// To whom.
    pub(crate) peer: Peer,
    /// Over the rounds.
    pub(crate) ratio: Summary,
    /// What it shall be at most.
    pub(crate) target: Option<f64>,
}

/// Of the plot, in its own units; the page scales it.
const WIDTH: f64 = 900.0;
const LABELS: f64 = 340.0;
const TOP: f64 = 56.0;
const RIGHT: f64 = 50.0;
const BAR: f64 = 9.0;
const GAP: f64 = 14.0;
/// Room that a number takes.
const NUMBER: f64 = 30.0;
/// Where the axis ends at least and at most; what is beyond is cut off, and its number tells.
const LEAST_END: f64 = 1.25;
const GREATEST_END: f64 = 2.0;
const STEP: f64 = 0.25;
/// Of targets.
const MARK: &str = "#db6d28";
/// Neither light nor dark, so that it can be read on both; so are the bars. There is no background.
const INK: &str = "#7d8590";
const GRID: &str = "#7d859055";

/// What has been measured of scenarios that are compared by CPU time, in their order.
pub(crate) fn rows(results: &Results) -> Vec<Row> {
    let row = |scenario: Scenario| {
        let entry = results.scenarios.get(&scenario.name())?;
        let Measured::Load(load) = &entry.measured else { return None };
        let bars = [Peer::Envoy, Peer::Haproxy, Peer::Nginx].into_iter().filter_map(|peer| {
            let target = ratio_target(scenario, peer);
            Some(Bar { peer, ratio: load.ratio(peer)?, target })
        });
        Some(Row { title: format!("{}  {}", scenario.name(), scenario.title()), bars: bars.collect() })
    };
    Scenario::all().into_iter().filter_map(row).filter(|row| !row.bars.is_empty()).collect()
}

/// The plot as a file of its own.
pub(crate) fn svg(rows: &[Row]) -> String {
    let height = TOP + rows.iter().map(|row| BAR * row.bars.len() as f64 + GAP).sum::<f64>() + 28.0;
    let axis = Axis::of(rows);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"{INK}\">\n<title>CPU time per request: Plenipo's by that of each other proxy</title>\n"
    );
    legend(&mut text);
    axis.draw(&mut text, height - 24.0);
    let mut y = TOP + GAP / 2.0;
    for row in rows {
        let middle = y + BAR * row.bars.len() as f64 / 2.0 + 4.0;
        let _ = writeln!(
            text,
            "<text x=\"{:.0}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            LABELS - 10.0,
            escaped(&row.title)
        );
        for bar in &row.bars {
            axis.bar(&mut text, bar, y);
            y += BAR;
        }
        y += GAP;
    }
    text + "</svg>\n"
}

fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Envoy => "#a371f7",
        Peer::Haproxy => "#3b82f6",
        Peer::Nginx => "#2da44e",
        Peer::Plenipo | Peer::PlenipoEdge => INK,
    }
}

fn legend(text: &mut String) {
    let mut x = LABELS;
    for peer in [Peer::Envoy, Peer::Haproxy, Peer::Nginx] {
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"14\" width=\"12\" height=\"9\" fill=\"{}\"/><text x=\"{}\" y=\"23\">/ {peer}</text>",
            colour(peer),
            x + 17.0
        );
        x += 95.0;
    }
    let _ = writeln!(
        text,
        "<text x=\"{x}\" y=\"23\">median, whiskers: least and greatest</text>\n\
         <text x=\"{LABELS}\" y=\"40\" font-size=\"11\">shorter is better; left of 1.0 Plenipo needs less; the mark \
         <tspan fill=\"{MARK}\" font-weight=\"bold\">|</tspan> is the target</text>"
    );
}

/// From ratios to places.
struct Axis {
    end: f64,
}

impl Axis {
    fn of(rows: &[Row]) -> Self {
        let greatest = rows.iter().flat_map(|row| &row.bars).map(|bar| bar.ratio.max);
        let greatest = greatest.fold(LEAST_END, f64::max);
        Self { end: ((greatest / STEP).ceil() * STEP).min(GREATEST_END) }
    }

    fn x(&self, ratio: f64) -> f64 {
        LABELS + (WIDTH - LABELS - RIGHT) * ratio.clamp(0.0, self.end) / self.end
    }

    /// Lines for every step, with their numbers below; the one where both are equal stands out.
    fn draw(&self, text: &mut String, bottom: f64) {
        for step in 0..=(self.end / STEP).round() as u32 {
            let ratio = f64::from(step) * STEP;
            let (x, equal) = (self.x(ratio), (ratio - 1.0).abs() < f64::EPSILON);
            let (stroke, width) = if equal { (INK, 2.0) } else { (GRID, 1.0) };
            let _ = writeln!(
                text,
                "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{ratio:.2}</text>",
                bottom + 16.0
            );
        }
    }

    fn bar(&self, text: &mut String, bar: &Bar, y: f64) {
        let (begin, end) = (self.x(0.0), self.x(bar.ratio.median));
        let (least, greatest) = (self.x(bar.ratio.min), self.x(bar.ratio.max));
        let middle = y + BAR / 2.0;
        let mark = bar.target.map(|target| self.x(target));
        // Behind everything, and behind the mark where that would strike it through.
        let free = greatest.max(end);
        let number = mark.filter(|mark| (0.0..NUMBER).contains(&(mark - free))).unwrap_or(free);
        let _ = writeln!(
            text,
            "<rect x=\"{begin:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>\
             <line x1=\"{least:.1}\" y1=\"{middle:.1}\" x2=\"{greatest:.1}\" y2=\"{middle:.1}\" stroke=\"{INK}\" stroke-width=\"1.5\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{:.2}</text>",
            end - begin,
            BAR - 1.0,
            colour(bar.peer),
            number + 5.0,
            y + BAR - 1.5,
            bar.ratio.median
        );
        if let Some(x) = mark {
            let _ = writeln!(
                text,
                "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"{MARK}\" stroke-width=\"2\"/>",
                y + BAR - 1.0
            );
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{Bar, LABELS, RIGHT, Row, WIDTH, svg};
    use crate::peer::Peer;
    use crate::summary::Summary;

    fn row(median: f64, max: f64) -> Row {
        let ratio = Summary { min: median / 2.0, median, max };
        Row {
            title: "a  <plain> & simple".to_owned(),
            bars: vec![Bar { peer: Peer::Nginx, ratio, target: Some(0.5) }],
        }
    }

    #[test]
    fn bars_are_as_long_as_ratios_say() {
        // The axis ends at 1.25: half of it is 0.625.
        let half = (WIDTH - LABELS - RIGHT) / 2.0;
        let plot = svg(&[row(0.625, 0.7)]);
        assert!(plot.contains(&format!("width=\"{half:.1}\"")), "{plot}");
        assert!(
            plot.contains(">1.00</text>") && plot.contains(">1.25</text>") && !plot.contains(">1.50</text>")
        );
    }

    #[test]
    fn what_is_beyond_the_axis_is_cut_off_and_said() {
        let plot = svg(&[row(3.21, 4.0)]);
        let whole = WIDTH - LABELS - RIGHT;
        assert!(plot.contains(&format!("width=\"{whole:.1}\"")), "{plot}");
        assert!(plot.contains(">3.21</text>") && plot.contains(">2.00</text>"));
    }

    #[test]
    fn titles_are_text() {
        assert!(svg(&[row(1.0, 1.1)]).contains("a  &lt;plain&gt; &amp; simple"));
    }
}
