//! Parameters of a query.

/// The value of the first parameter of this name, as it stands there (not decoded).
pub fn parameter<'a>(query: &'a str, wanted: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == wanted).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_counts() {
        for (query, expected) in [
            ("user=a&user=b", Some("a")),
            ("x=1&user=a=b", Some("a=b")),
            ("user", Some("")),
            ("User=a&users=b&=user", None),
            ("", None),
        ] {
            assert_eq!(parameter(query, "user"), expected, "{query}");
        }
    }
}
