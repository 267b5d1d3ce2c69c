//! Cookies that a request brings.

use http::HeaderValue;
use http::header::COOKIE;

use crate::fields::Fields;

/// The value of the first cookie of this name, without quotes around it (RFC 6265 §4.2).
pub fn cookie<'a>(headers: &'a Fields, wanted: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == wanted).then(|| value.trim().trim_matches('"'))
    })
}

/// Makes one line of the several that HTTP/2 clients send cookies in: outside of HTTP/2 there may be one only (RFC 9113
/// §8.2.3).
pub fn join_cookies(headers: &mut Fields) {
    let lines: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() < 2 {
        return;
    }
    // What were header values joined by `; ` is one.
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_lines_become_one() {
        let mut headers = Fields::new();
        join_cookies(&mut headers);
        assert!(headers.is_empty());
        for line in ["a=1", "b=2; c=3", "d=4"] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3; d=4"]);
    }

    #[test]
    fn the_first_of_its_name_counts() {
        let mut headers = Fields::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; b=\"2\";c = 3 ; b=4"));
        headers.append(COOKIE, HeaderValue::from_static("d=5=5"));
        for (name, value) in
            [("a", Some("1")), ("b", Some("2")), ("c", Some("3")), ("d", Some("5=5")), ("e", None)]
        {
            assert_eq!(cookie(&headers, name), value, "{name}");
        }
    }
}
