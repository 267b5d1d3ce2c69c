//! `plenipo audit`.

use clap::{Args, ValueEnum};

use super::{InputArguments, ReadingArguments};

#[derive(Args, Debug)]
pub(crate) struct AuditArguments {
    #[command(flatten)]
    pub(crate) input: InputArguments,
    /// How the ways are printed
    #[arg(short, long, value_enum, default_value_t = AuditFormat::Text)]
    pub(crate) output: AuditFormat,
    /// What every way that reaches a backend must be
    #[arg(long, value_enum)]
    pub(crate) require: Option<Requirement>,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
}

/// How `audit` prints.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AuditFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
    /// A page with drawings, to pin to the wall.
    Html,
}

/// What every way must be.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Requirement {
    /// No hop is clear text
    Encrypted,
    /// On every hop both ends show a certificate that the other checks
    Mtls,
}

impl From<Requirement> for plenipo_aws::audit::Requirement {
    fn from(requirement: Requirement) -> Self {
        match requirement {
            Requirement::Encrypted => Self::Encrypted,
            Requirement::Mtls => Self::Mtls,
        }
    }
}
