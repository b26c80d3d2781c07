//! `headwater get`: entities and figures, as a table for people or as the server's JSON.
//!
//! Always: all pages of a list; as JSON the server's answer, value for value and in its order; a table is sorted as people count.
//! Absent on purpose: any change.

mod list_filter;
mod list_view;
mod manifest_view;
mod natural_order;
mod node_file;
mod outline;
mod output_format;
mod query_options;
mod resource_kind;
mod subject;
pub mod table;
mod terminal_size;

use std::slice;

use clap::Args;
use schema::convergence::ConvergenceState;
use schema::id::Id;
use schema::target::Selector;
use serde_json::Value;

use crate::api_client::with_query;

use self::list_filter::ListFilter;
use self::list_view::ListView;
use self::output_format::OutputFormat;
pub(crate) use self::query_options::QueryOptions;
pub use self::resource_kind::ResourceKind;
use self::subject::{Subject, SubjectParser};
pub use self::terminal_size::terminal_width;
pub use crate::exchange::Error;

/// The parameter with which a server lists the members of one bundle.
const BUNDLE: &str = "bundle";

/// What to show, and how.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
  headwater get nodes                             every node and its state\n  \
  headwater get node/node-1                       all that is known of one node\n  \
  headwater get nodes -l 'site=lund,!spare' --state failed -o name\n  \
  headwater get documents --at 120 -o wide        as of position 120, with ages\n  \
  headwater get file node-1 etc/motd              the file's bytes\n  \
  headwater get documents --bundle loki -o yaml   as manifests\n  \
  headwater get fleet --json                      the counts, for a program")]
pub struct Options {
    /// The kind, or KIND/ID. The singular does as well.
    #[arg(value_name = "KIND[/ID]", value_parser = SubjectParser)]
    subject: Subject,

    /// The id; without one, all of the kind are shown. Of a file: its node.
    #[arg(value_name = "ID")]
    id: Option<Id>,

    /// The path of a file on its node.
    #[arg(value_name = "PATH")]
    path: Option<String>,

    /// How to print it [default: table for a list, all values for one thing].
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum, conflicts_with = "json")]
    output: Option<OutputFormat>,

    /// Only nodes, controls or components with these labels, such as 'site=lund,rack in (a,b),!spare,ring!=0'.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<Selector>,

    /// Only nodes or proposals in this state, such as failed or open.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    /// Only members of this bundle.
    #[arg(long, value_name = "ID")]
    bundle: Option<Id>,

    #[command(flatten)]
    query: QueryOptions,
}

/// Prints what was asked for.
///
/// # Errors
/// If the options do not go together, the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let kind = options.subject.kind;
    if kind == ResourceKind::File {
        return options.print_file().await;
    }
    let id = options.one()?;
    let path = format!("/v1/{}", kind.name());
    match id {
        None if kind.is_list() => options.list(&path).await,
        None => options.print_one(&path, None).await,
        Some(id) => options.print_one(&format!("{path}/{id}"), Some(&id)).await,
    }
}

impl Options {
    /// Which one of the kind, if one.
    fn one(&self) -> Result<Option<Id>, Error> {
        let kind = self.subject.kind;
        let usage = |why: String| Err(Error::Usage(why));
        if self.path.is_some() {
            return usage("a path is for `headwater get file NODE PATH`".to_owned());
        }
        let id = match (&self.subject.id, &self.id) {
            (Some(_), Some(_)) => return usage("give one id: as KIND/ID, or after the kind".to_owned()),
            (one, other) => one.as_ref().or(other.as_ref()),
        };
        if self.selector.is_some() && !(kind.has_labels() && id.is_none()) {
            return usage("-l selects among nodes, controls and components".to_owned());
        }
        if self.bundle.is_some() && !(kind.has_bundles() && id.is_none()) {
            return usage("--bundle selects among documents, nodes and definitions".to_owned());
        }
        if self.state.is_some() && !(kind.has_states() && id.is_none()) {
            return usage("--state selects among nodes and proposals".to_owned());
        }
        match &self.state {
            Some(state) if kind == ResourceKind::Nodes => check_node_state(state)?,
            _ => {}
        }
        Ok(id.cloned())
    }

    async fn list(self, path: &str) -> Result<(), Error> {
        let view = ListView {
            kind: self.subject.kind,
            format: self.output.unwrap_or(self.query.default_format()),
            filter: ListFilter { selector: self.selector, state: self.state },
        };
        let bundle = self.bundle.as_ref().map(|bundle| (BUNDLE, bundle.as_str()));
        view.print(path, &self.query, bundle.as_slice()).await
    }

    async fn print_one(&self, path: &str, id: Option<&Id>) -> Result<(), Error> {
        let kind = self.subject.kind;
        match (self.output, id) {
            (None, _) => self.query.print(path, outline::format_entity).await,
            (Some(OutputFormat::Json), _) => self.query.print_json(path).await,
            (Some(OutputFormat::Yaml), Some(_)) => {
                let item: Value = self.query.client()?.get(&with_query(path, &self.query.query())).await?;
                manifest_view::print(kind, slice::from_ref(&item), &self.query).await
            }
            (Some(OutputFormat::Name), Some(_)) => self.query.print(path, |item| list_view::name(kind, item)).await,
            (Some(format), Some(_)) => {
                self.query.print(path, |item| list_view::table(kind, format, slice::from_ref(item))).await
            }
            (Some(OutputFormat::Name), None) => Err(Error::Usage(format!("{} has no name", kind.name()))),
            (Some(OutputFormat::Yaml), None) => Err(Error::Usage(format!("{} is in no manifest", kind.name()))),
            (Some(_), None) => self.query.print(path, outline::format_entity).await,
        }
    }

    async fn print_file(&self) -> Result<(), Error> {
        let has_filter = self.selector.is_some() || self.state.is_some() || self.bundle.is_some();
        match (&self.subject.id, &self.id, &self.path) {
            (None, Some(node), Some(path)) if !has_filter && self.output.is_none() && !self.query.json => {
                node_file::print(node, path, &self.query).await
            }
            _ => Err(Error::Usage("a file is shown as it is: headwater get file NODE PATH [--at POSITION]".to_owned())),
        }
    }
}

/// A state that is written wrong would find nothing, and look as if all were well.
fn check_node_state(state: &str) -> Result<(), Error> {
    let known = ConvergenceState::ALL.map(ConvergenceState::name);
    match known.contains(&state) {
        true => Ok(()),
        false => Err(Error::Usage(format!("`{state}` is no state of a node; the states are {}", known.join(", ")))),
    }
}

/// Prints a list, or the part of it that the server's filter lets through.
pub(crate) async fn print_list(
    kind: ResourceKind,
    path: &str,
    options: &QueryOptions,
    parameters: &[(&str, &str)],
) -> Result<(), Error> {
    let view = ListView { kind, format: options.default_format(), filter: ListFilter::default() };
    view.print(path, options, parameters).await
}
