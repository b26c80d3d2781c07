//! A list as it is printed.

use std::str::FromStr as _;

use program::output;
use serde_json::Value;
use serde_json::value::RawValue;

use super::list_filter::{self, ListFilter};
use super::manifest_view;
use super::output_format::OutputFormat;
use super::query_options::QueryOptions;
use super::resource_kind::ResourceKind;
use super::table::{Column, fitting, format_table, format_value};
use super::terminal_size::terminal_width;
use crate::exchange::Error;

/// Columns that are left out where the terminal is too narrow, the least missed first.
const DROPPABLE: [&str; 14] = [
    "VERSION", "AT", "DIGEST", "POSITION", "SIZE", "ACCESS", "RETIRED", "SPEC", "DESIRED", "RUNNING", "CLASS",
    "PRIORITY", "KIND", "LABELS",
];

/// Which items are printed, and how.
pub(super) struct ListView {
    pub(super) kind: ResourceKind,
    pub(super) format: OutputFormat,
    pub(super) filter: ListFilter,
}

impl ListView {
    /// Prints the items of the list at `path`. None at all are no error, and are said on standard error.
    ///
    /// # Errors
    /// If the server refuses or can't be reached, or the output can't be written.
    pub(super) async fn print(
        &self,
        path: &str,
        options: &QueryOptions,
        parameters: &[(&str, &str)],
    ) -> Result<(), Error> {
        let query = [&options.query(), parameters].concat();
        // The text of each item is kept, because JSON is printed as the server wrote it.
        let raw: Vec<Box<RawValue>> = options.client()?.list(path, &query).await?;
        let parsed = raw.iter().map(|item| Value::from_str(item.get()).expect("BUG: what was read as JSON is JSON"));
        let kept: Vec<(&RawValue, Value)> =
            raw.iter().map(AsRef::as_ref).zip(parsed).filter(|(_, item)| self.filter.lets_through(item)).collect();
        if self.format == OutputFormat::Json {
            let texts: Vec<&str> = kept.iter().map(|(text, _)| text.get()).collect();
            output::json(&format!("[{}]", texts.join(",")))?;
            return Ok(());
        }
        let mut items: Vec<Value> = kept.into_iter().map(|(_, item)| item).collect();
        if items.is_empty() {
            output::complain(&format!("no {} found", self.kind.name()));
            return Ok(());
        }
        list_filter::sort(&mut items, self.kind.name_place());
        if self.format == OutputFormat::Yaml {
            return manifest_view::print(self.kind, &items, options).await;
        }
        match self.format {
            OutputFormat::Name => output::text(&items.iter().map(|item| name(self.kind, item)).collect::<String>()),
            format => output::text(&table(self.kind, format, &items)),
        }?;
        Ok(())
    }
}

/// The line `KIND/ID` of an item.
pub(super) fn name(kind: ResourceKind, item: &Value) -> String {
    let id = item.pointer(kind.name_place()).map(format_value).unwrap_or_default();
    format!("{}/{id}\n", kind.singular())
}

/// The items as a table: one that fits the terminal, or a wide one.
pub(super) fn table(kind: ResourceKind, format: OutputFormat, items: &[Value]) -> String {
    if format == OutputFormat::Wide {
        let columns: Vec<Column> = [kind.columns(), kind.more_columns()].concat();
        return format_table(&columns, items, None);
    }
    let width = terminal_width();
    format_table(&fitting(kind.columns(), items, width, &DROPPABLE), items, width)
}
