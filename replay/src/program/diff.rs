//! `headwater-replay diff`: what a node had to hold at two moments of a log, or at the end of two files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use projections::configuration::Configuration;
use projections::render::render;
use replay::as_of::AsOf;
use schema::desired::Entry;
use schema::id::NodeId;
use schema::terminal;
use serde_json::json;

use super::export_reader::ExportReader;
use super::options::AuditOptions;
use super::output::{RunError, print, print_json};
use super::state_at;

/// The node, and the two states to compare.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DiffCommand {
    /// The node.
    #[arg(long, value_name = "ID")]
    node: NodeId,

    /// Two moments (a position, or a time such as 2026-01-31T12:00:00Z) and the exports of a log, in any order; or two
    /// files alone, to compare the ends of two logs, or of one before and after the second, which goes on from the first.
    #[arg(required = true, num_args = 2.., value_name = "A B FILE…")]
    what: Vec<String>,

    #[command(flatten)]
    how: AuditOptions,
}

impl DiffCommand {
    pub(crate) fn json(&self) -> bool {
        self.how.json
    }
}

/// Entries by their paths.
type Tree = BTreeMap<String, Entry>;

/// Compares the two states, and prints the differences.
pub(crate) fn run(diff: &DiffCommand) -> Result<(), RunError> {
    let (before, after) = diff.states()?;
    let (old, new) = (tree(&before, &diff.node), tree(&after, &diff.node));
    if old.is_none() && new.is_none() {
        return Err(RunError::Nothing(format!("there is no node {} at either", diff.node)));
    }
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let paths: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let what = |tree: &Tree, path: &String| tree.get(path).map(|entry| (entry.digest, entry.mode));
    let differs = |path: &&&String| what(&old, path) != what(&new, path);
    let changed: Vec<_> = paths.iter().filter(differs).map(|path| (*path, old.get(*path), new.get(*path))).collect();
    if diff.how.json {
        let paths = changed.iter().map(|(path, old, new)| json!({"path": path, "before": old, "after": new}));
        return print_json(&json!({
            "node": diff.node, "before": before.position(), "after": after.position(), "paths": paths.collect::<Vec<_>>(),
        }));
    }
    print(&format!("node {}, from position {} to {}\n", diff.node, before.position(), after.position()))?;
    for (path, old, new) in changed {
        let sign = match (old, new) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        let shown = |entry: Option<&Entry>| match entry {
            None => "nothing".to_owned(),
            Some(Entry { digest, size, source, mode, .. }) => {
                let mode = if mode.is_plain() { String::new() } else { format!("mode {}, ", mode.as_str()) };
                format!(
                    "{} ({size} bytes, {mode}{} v{}, position {})",
                    digest.short(),
                    source.entity,
                    source.version,
                    source.position
                )
            }
        };
        print(&format!("{sign} {}\n    {}\n    {}\n", terminal::line(path), shown(old), shown(new)))?;
    }
    Ok(())
}

fn tree(state: &Configuration, node: &NodeId) -> Option<Tree> {
    let pieces = render(state, node)?.pieces;
    Some(pieces.into_iter().map(|piece| (piece.entry.path.clone(), piece.entry)).collect())
}

impl DiffCommand {
    /// An argument that is the path of a file is a file; any other that can be read as a moment is a moment.
    fn states(&self) -> Result<(Configuration, Configuration), RunError> {
        let (mut moments, mut files) = (Vec::new(), Vec::new());
        for word in &self.what {
            match word.parse::<AsOf>() {
                Ok(moment) if !PathBuf::from(word).exists() => moments.push(Some(moment)),
                _ => files.push(PathBuf::from(word)),
            }
        }
        let usage = || RunError::Usage("give two moments and the files of a log, or two files and no moment".into());
        match (moments.len(), files.as_slice()) {
            (2, [_, ..]) => {
                let mut states = state_at::states(&files, &self.how, &moments)?.into_iter();
                states.next().zip(states.next()).ok_or_else(usage)
            }
            (0, [first, second]) => self.ends(first, second),
            _ => Err(usage()),
        }
    }

    fn ends(&self, first: &Path, second: &Path) -> Result<(Configuration, Configuration), RunError> {
        let before = state_at::state(&[first.to_owned()], &self.how, None)?;
        let goes_on = ExportReader::open(second).is_ok_and(|(_, header)| header.from == before.position().next());
        let later = match goes_on && before.position().get() > 0 {
            true => vec![first.to_owned(), second.to_owned()],
            false => vec![second.to_owned()],
        };
        Ok((before, state_at::state(&later, &self.how, None)?))
    }
}
