//! The commands of an example's README, made to work for this run.

/// A command to try, with the comment lines above it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Command {
    /// As in the README, with ports and the directory of this run.
    pub(super) text: String,
}

/// What stands in the README for what only a run knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Substitutions {
    /// `$DEMO`: the directory with the client's files.
    pub(super) directory: String,
    /// Ports of the README and those really bound.
    pub(super) ports: Vec<(u16, u16)>,
}

/// The `sh` blocks after the first (which starts the demo).
pub(super) fn commands(readme: &str, substitutions: &Substitutions) -> Vec<Command> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in readme.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks.iter().skip(1).map(|block| Command { text: substitutions.apply(block) }).collect()
}

impl Substitutions {
    fn apply(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        // Pieces are a whole number (or none) and one character after it: 8080 is not part of 18080.
        for piece in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
            let number = piece.trim_end_matches(|c: char| !c.is_ascii_digit());
            let bound = self.ports.iter().find(|(written, _)| number == written.to_string());
            match bound {
                Some((_, bound)) => result.push_str(&bound.to_string()),
                None => result.push_str(number),
            }
            result.push_str(&piece[number.len()..]);
        }
        result.replace("$DEMO", &self.directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_after_the_first_with_this_runs_values() {
        let readme = "# X\n```sh\ncargo run\n```\ntext 8080\n```sh\n# try\ncurl --cacert $DEMO/ca.crt :8080 18080 9\n```\n\
                      ```text\nno\n```\n";
        let substitutions = Substitutions { directory: "/tmp/d".into(), ports: vec![(8080, 1), (9, 2)] };
        let found = commands(readme, &substitutions);
        assert_eq!(found, [Command { text: "# try\ncurl --cacert /tmp/d/ca.crt :1 18080 2\n".into() }]);
    }
}
