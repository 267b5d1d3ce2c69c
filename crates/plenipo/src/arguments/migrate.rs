//! `plenipo migrate`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{InputArguments, ReadingArguments, TableFormat};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct MigrateArguments {
    #[command(subcommand)]
    pub(crate) of: Option<MigrateCommand>,
    #[command(flatten)]
    pub(crate) input: InputArguments,
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) output: TableFormat,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
}

#[derive(Subcommand, Debug)]
pub(crate) enum MigrateCommand {
    /// Turn the values of Emissary's Helm chart into those of Plenipo's
    Values {
        /// The values file given to Emissary's chart
        file: PathBuf,
    },
}
