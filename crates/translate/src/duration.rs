//! Times as Go and Envoy write them.

use std::time::Duration;

/// Reads a duration as Go and Envoy write it: `5s`, `1.5s`, `250ms`, `1m30s`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..letters] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let read = |text| duration(text).map(|found| found.as_millis());
        assert_eq!(read("5s"), Some(5000));
        assert_eq!(read("1.5s"), Some(1500));
        assert_eq!(read("250ms"), Some(250));
        assert_eq!(read("1m30s"), Some(90_000));
        for bad in ["", "5", "s", "-5s", "5 s", "5d", "1.2.3s"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
