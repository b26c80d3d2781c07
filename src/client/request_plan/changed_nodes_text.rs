//! Nodes with the files that change on them, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schema::terminal;

use super::outcome::{OutcomeFile, OutcomeNode};

/// Nodes that are named where several change alike.
const NODES_NAMED_MAX: usize = 6;
/// Groups of nodes that are shown; the plan file and `--json` have all.
const GROUPS_MAX: usize = 20;
/// Files that are shown of one group.
const FILES_MAX: usize = 50;

/// Nodes with what changes on them, those that change alike together; `more` of them are not named.
pub(super) fn append_changed(nodes: &[OutcomeNode], more: u64, text: &mut String) {
    let total = nodes.len() as u64 + more;
    let _ = writeln!(text, "{total} {}:", if total == 1 { "node changes" } else { "nodes change" });
    let mut groups = BTreeMap::<(bool, bool, &[OutcomeFile]), Vec<&OutcomeNode>>::new();
    for node in nodes {
        groups.entry((node.retired, node.may_retry, &node.files)).or_default().push(node);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    // In the order of the answer, which is that of the nodes.
    groups.sort_by_key(|(_, alike)| nodes.iter().position(|node| node.node == alike[0].node));
    for ((retired, may_retry, files), alike) in groups.iter().take(GROUPS_MAX) {
        let _ = write!(text, "  {}", named(alike.iter().map(|node| node.node.as_str()), alike.len() as u64));
        let turn = match (retired, may_retry) {
            (true, _) => ": retired",
            (false, true) => ": tries again what it rejected",
            (false, false) => "",
        };
        let _ = writeln!(text, "{turn}");
        append_files(files, text);
    }
    let hidden: usize = groups.iter().skip(GROUPS_MAX).map(|(_, alike)| alike.len()).sum();
    match hidden as u64 + more {
        0 => {}
        hidden => {
            let _ = writeln!(text, "  and {hidden} more nodes");
        }
    }
}

/// The first of `count` nodes by name, and the number of the others.
pub(super) fn named<'a>(nodes: impl Iterator<Item = &'a str>, count: u64) -> String {
    let first: Vec<String> = nodes.take(NODES_NAMED_MAX).map(terminal::line).collect();
    match count - first.len() as u64 {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn append_files(files: &[OutcomeFile], text: &mut String) {
    for file in files.iter().take(FILES_MAX) {
        let sign = match (&file.before, &file.after) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        let mode = match (&file.before, &file.after) {
            (Some(before), Some(after)) if before.mode != after.mode => {
                format!("  mode {} to {}", terminal::line(&before.mode), terminal::line(&after.mode))
            }
            (None, Some(after)) if after.mode == "755" => "  mode 755".to_owned(),
            _ => String::new(),
        };
        let document =
            file.document.as_ref().map_or_else(String::new, |id| format!("  by document {}", terminal::line(id)));
        let _ = writeln!(text, "    {sign} {}{mode}{document}", terminal::line(&file.path));
    }
    if files.len() > FILES_MAX {
        let _ = writeln!(text, "    and {} more files", files.len() - FILES_MAX);
    }
}
