//! `%START_TIME(…)%`: UTC, in strftime's letters plus Envoy's for fractions of a second.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::SystemTime;

use time::OffsetDateTime;

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

thread_local! {
    /// The second formatted last by this thread, and its text: most lines of a busy log begin with the same second.
    static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// The default form, `2020-01-31T12:00:00.000Z`.
fn default_form(at: OffsetDateTime) -> String {
    LAST.with_borrow_mut(|(second, text)| {
        if *second != at.unix_timestamp() {
            *second = at.unix_timestamp();
            *text = written(at, "%Y-%m-%dT%H:%M:%S");
        }
        let mut out = String::with_capacity(24);
        out.push_str(text);
        let millis = at.millisecond();
        out.push('.');
        for place in [100, 10, 1] {
            out.push(char::from(b'0' + (millis / place % 10) as u8));
        }
        out.push('Z');
        out
    })
}

/// Formats a time; none = `2020-01-31T12:00:00.000Z`. Letters that mean nothing stay as they are.
pub(super) fn format(at: SystemTime, format: Option<&str>) -> String {
    let at = OffsetDateTime::from(at);
    match format {
        None => default_form(at),
        Some(format) => written(at, format),
    }
}

fn written(at: OffsetDateTime, format: &str) -> String {
    let mut out = String::with_capacity(32);
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        rest = match fraction(rest) {
            Some((shape, next)) => {
                write_fraction(&mut out, at, shape);
                next
            }
            None => {
                let mut letters = rest.chars();
                match letters.next() {
                    Some(letter) => write_letter(&mut out, at, letter),
                    None => out.push('%'),
                }
                letters.as_str()
            }
        };
    }
    out.push_str(rest);
    out
}

#[derive(Clone, Copy)]
enum Fraction {
    /// So many digits (1–9) after the point.
    Digits(usize),
    /// Seconds, a point and so many digits.
    Seconds(usize),
    /// Seconds and as many digits as it takes.
    Exact,
    /// Time since 1970 in units of 10 to the minus so much.
    Epoch(u32),
}

/// `f`, `3f`, `3s`, `E3S`, `E*S`, `E3f`.
fn fraction(text: &str) -> Option<(Fraction, &str)> {
    let (extended, text) = match text.strip_prefix('E') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let bytes = text.as_bytes();
    Some(match (extended, bytes) {
        (false, [b'f', ..]) => (Fraction::Digits(9), &text[1..]),
        (_, [digit @ b'1'..=b'9', b'f', ..]) => (Fraction::Digits((digit - b'0').into()), &text[2..]),
        (true, [digit @ b'1'..=b'9', b'S', ..]) => (Fraction::Seconds((digit - b'0').into()), &text[2..]),
        (true, [b'*', b'S', ..]) => (Fraction::Exact, &text[2..]),
        (false, [digit @ b'1'..=b'9', b's', ..]) => (Fraction::Epoch((digit - b'0').into()), &text[2..]),
        _ => return None,
    })
}

// Writing to a string does not fail.
fn write_fraction(out: &mut String, at: OffsetDateTime, shape: Fraction) {
    let nanos = format!("{:09}", at.nanosecond());
    let _ = match shape {
        Fraction::Digits(digits) => write!(out, "{}", &nanos[..digits]),
        Fraction::Seconds(digits) => write!(out, "{:02}.{}", at.second(), &nanos[..digits]),
        Fraction::Exact if at.nanosecond() == 0 => write!(out, "{:02}", at.second()),
        Fraction::Exact => write!(out, "{:02}.{}", at.second(), nanos.trim_end_matches('0')),
        Fraction::Epoch(digits) => {
            write!(out, "{}", at.unix_timestamp_nanos().div_euclid(10_i128.pow(9 - digits)))
        }
    };
}

fn write_letter(out: &mut String, at: OffsetDateTime, letter: char) {
    let day = DAYS[usize::from(at.weekday().number_days_from_sunday())];
    let month = MONTHS[usize::from(u8::from(at.month())) - 1];
    let hour12 = (at.hour() + 11) % 12 + 1;
    let _ = match letter {
        'Y' => write!(out, "{}", at.year()),
        'C' => write!(out, "{:02}", at.year().div_euclid(100)),
        'y' => write!(out, "{:02}", at.year().rem_euclid(100)),
        'm' => write!(out, "{:02}", u8::from(at.month())),
        'd' => write!(out, "{:02}", at.day()),
        'e' => write!(out, "{:2}", at.day()),
        'H' => write!(out, "{:02}", at.hour()),
        'I' => write!(out, "{hour12:02}"),
        'M' => write!(out, "{:02}", at.minute()),
        'S' => write!(out, "{:02}", at.second()),
        'j' => write!(out, "{:03}", at.ordinal()),
        'u' => write!(out, "{}", at.weekday().number_from_monday()),
        'w' => write!(out, "{}", at.weekday().number_days_from_sunday()),
        's' => write!(out, "{}", at.unix_timestamp()),
        'A' => write!(out, "{day}"),
        'a' => write!(out, "{}", &day[..3]),
        'B' => write!(out, "{month}"),
        'b' | 'h' => write!(out, "{}", &month[..3]),
        'p' => write!(out, "{}", if at.hour() < 12 { "AM" } else { "PM" }),
        'z' => write!(out, "+0000"),
        'Z' => write!(out, "UTC"),
        'n' => return out.push('\n'),
        't' => return out.push('\t'),
        '%' => return out.push('%'),
        'F' => return out.push_str(&format(at.into(), Some("%Y-%m-%d"))),
        'T' => return out.push_str(&format(at.into(), Some("%H:%M:%S"))),
        'R' => return out.push_str(&format(at.into(), Some("%H:%M"))),
        'D' => return out.push_str(&format(at.into(), Some("%m/%d/%y"))),
        'c' => return out.push_str(&format(at.into(), Some("%a %b %e %H:%M:%S %Y"))),
        other => write!(out, "%{other}"),
    };
}
