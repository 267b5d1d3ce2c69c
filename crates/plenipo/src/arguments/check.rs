//! `plenipo check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use plenipo_resources::Severity;

use super::{InputArguments, ReadingArguments};

#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) input: InputArguments,
    /// How problems are printed
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
    /// Mildest severity that makes the exit code 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = Threshold::Error)]
    pub(crate) fail_on: Threshold,
    /// Leave out problems of a code, everywhere or on one object; may be given several times
    #[arg(long, value_name = "CODE[=KIND NS/NAME]", value_parser = suppression)]
    pub(crate) suppress: Vec<Suppression>,
    /// Print the documents with every patch that can be written instead; what is left goes to standard error
    #[arg(long, conflicts_with = "kubernetes")]
    pub(crate) fix: bool,
    /// YAML file of facts that no object shows: region, certificates, zones, … (docs/checks/README.md)
    #[arg(long, value_name = "FILE")]
    pub(crate) known: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
}

/// How `check` prints.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReportFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
    /// For code-scanning pages (SARIF 2.1.0).
    Sarif,
}

/// Mildest severity that counts.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Threshold {
    /// Something does not work.
    Error,
    /// Or does not work as its author probably thinks.
    Warning,
    /// Or is worth knowing.
    Note,
}

impl From<Threshold> for Severity {
    fn from(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Error => Self::Error,
            Threshold::Warning => Self::Warning,
            Threshold::Note => Self::Note,
        }
    }
}

/// Problems to leave out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Suppression {
    /// Of this code.
    pub(crate) code: String,
    /// On this object only, written as problems write it.
    pub(crate) object: Option<String>,
}

fn suppression(text: &str) -> Result<Suppression, String> {
    let (code, object) = match text.split_once('=') {
        Some((code, object)) => (code, Some(object.trim().to_owned())),
        None => (text, None),
    };
    if code.is_empty() || object.as_deref() == Some("") {
        return Err("should look like CODE or \"CODE=Mapping default/quote\"".to_owned());
    }
    Ok(Suppression { code: code.to_owned(), object })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suppressions() {
        assert_eq!(suppression("bad-regex"), Ok(Suppression { code: "bad-regex".into(), object: None }));
        let on_one = suppression("bad-regex=Mapping default/quote").unwrap();
        assert_eq!(on_one.object.as_deref(), Some("Mapping default/quote"));
        assert!(suppression("=Mapping default/quote").is_err());
        assert!(suppression("bad-regex=").is_err());
    }
}
