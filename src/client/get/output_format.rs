//! How `get` prints.

use clap::ValueEnum;

/// How things are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// A table that fits the terminal: columns that do not fit are left out.
    Table,
    /// A table with all columns, whatever the width of the terminal, and ages beside times.
    Wide,
    /// The server's JSON, value for value.
    Json,
    /// Manifests, which `headwater apply -f` reads as the same again.
    Yaml,
    /// KIND/ID, one a line.
    Name,
}
