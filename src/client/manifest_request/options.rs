//! Which manifests a command reads, and what becomes of the bundles.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use schema::id::Id;
use schema::terminal;
use serde_json::Value;

use super::default_reason;
use super::error::Error;
use super::faults::print_faults;
use super::owned_members;
use super::request_step::{BundlePolicy, RequestStep, StepLimits, steps};
use crate::api_client::ApiClient;
use crate::manifest::declared::Declaration;
use crate::manifest::reader;
use crate::request_plan::exchange::known_contents;

/// Nodes that are named; more are counted.
const NAMED_MAX: usize = 20;

/// The manifests, and what becomes of the bundles.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub(crate) struct ManifestOptions {
    /// A manifest, a folder of them with all that is below it, or - for standard input. Several are one request.
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,

    /// The bundle that owns what is declared where no manifest names one.
    #[arg(long, value_name = "ID", requires = "files")]
    bundle: Option<Id>,

    /// Remove what the bundle owns and the manifests don't declare. Without it a bundle only grows.
    #[arg(long, requires = "files")]
    prune: bool,

    /// Take members that another bundle owns.
    #[arg(long, requires = "files")]
    take: bool,

    /// Let a bundle become empty that has no members in the manifests.
    #[arg(long, requires = "prune")]
    empty: bool,

    /// The reason, which each event carries [default: the bundle, and the Git commit of the manifests]
    #[arg(long, value_name = "TEXT", requires = "files")]
    reason: Option<String>,

    /// Change files of more nodes than the guard allows, or put again what an aborted rollout took back. Needs --reason.
    #[arg(long, requires_all = ["files", "reason"])]
    now: bool,
}

impl ManifestOptions {
    /// Whether anything is said about manifests. A plan has what was said when it was made.
    pub(crate) fn says_anything(&self) -> bool {
        self.bundle.is_some() || self.prune || self.take || self.empty || self.reason.is_some() || self.now
    }

    /// Reads the manifests. Each fault is printed.
    ///
    /// # Errors
    /// If one of them is at fault, or a bundle is declared without members and must not be empty.
    pub(crate) fn read(&self) -> Result<Declaration, Error> {
        let declared = match reader::read(&self.files, self.bundle.as_ref().map(Id::as_str)) {
            Ok(declared) => declared,
            Err(faults) => return Err(print_faults(&faults)),
        };
        match declared.bundles.iter().find(|bundle| bundle.members.is_empty() && !self.empty) {
            Some(bundle) => Err(Error::NoMembers(bundle.id.clone())),
            None => Ok(declared),
        }
    }

    /// The policy by which the documents of the bundles are rolled out; none if there is none, or everything is to change now.
    ///
    /// # Errors
    /// If the bundles have several policies, or what they don't declare is to be removed.
    pub(crate) fn declared_policy<'a>(&self, declared: &'a Declaration) -> Result<Option<&'a Value>, Error> {
        let why = match declared.rollouts.as_slice() {
            [] => return Ok(None),
            _ if self.now => return Ok(None),
            [_] if self.prune => {
                "the bundle is rolled out (`rollout` in its manifest), and a removal is not: apply without --prune, and prune with --now \
                 when the rollout has ended"
            }
            [policy] => return Ok(Some(policy)),
            _ => "the bundles have several policies of rollouts: apply one bundle after the other",
        };
        Err(Error::WrongCommand(why.to_owned()))
    }

    /// The requests, in which contents that the log has are named by their digests.
    ///
    /// # Errors
    /// If the server refuses or can't be reached.
    pub(crate) async fn steps(&self, declared: &Declaration, client: &ApiClient) -> Result<Vec<RequestStep>, Error> {
        let contents = declared.entities.iter().filter_map(|entity| Some(entity.content.as_ref()?.digest()));
        let contents: BTreeSet<_> = contents.collect();
        let known = known_contents(client, &contents).await?;
        let policy = BundlePolicy { prune: self.prune, take: self.take };
        let reason = self.reason.clone().or_else(|| default_reason::of(declared, &self.files));
        let mut steps = steps(declared, &known, policy, reason.as_deref(), StepLimits::SERVER);
        steps.iter_mut().for_each(|step| step.request.now = self.now);
        Ok(steps)
    }

    /// What becomes of members that the manifests don't declare, beside what is removed: a line for each bundle that has some.
    ///
    /// # Errors
    /// If the server refuses or can't be reached.
    pub(crate) async fn membership_notes(&self, declared: &Declaration, client: &ApiClient) -> Result<String, Error> {
        let mut notes = String::new();
        for bundle in &declared.bundles {
            let members = owned_members::read(client, &bundle.id).await?;
            let more: Vec<&str> = members.difference(&bundle.members).map(String::as_str).collect();
            notes.push_str(&membership_note(&bundle.id, &more, self.prune));
        }
        Ok(notes)
    }
}

/// The line about one bundle, which has `more` members than are declared.
fn membership_note(bundle: &str, more: &[&str], prune: bool) -> String {
    if !prune {
        return match more.len() {
            0 => String::new(),
            1 => format!("Bundle {bundle} has 1 more member, which stays: --prune removes what is not declared.\n"),
            count => {
                format!("Bundle {bundle} has {count} more members, which stay: --prune removes what is not declared.\n")
            }
        };
    }
    let nodes: Vec<String> =
        more.iter().filter(|member| member.starts_with("node/")).map(|node| terminal::line(node)).collect();
    let named: Vec<&str> = nodes.iter().take(NAMED_MAX).map(String::as_str).collect();
    match nodes.len().saturating_sub(NAMED_MAX) {
        _ if nodes.is_empty() => String::new(),
        0 => format!("Bundle {bundle} lets go of {}; nodes stay enrolled.\n", named.join(", ")),
        more => format!("Bundle {bundle} lets go of {} and {more} more; nodes stay enrolled.\n", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_declared_is_said_to_stay_or_to_be_let_go() {
        assert_eq!(membership_note("b", &[], false) + &membership_note("b", &["document/x"], true), "");
        assert!(membership_note("b", &["document/x", "node/y"], false).contains("2 more members, which stay"));
        let note = membership_note("b", &["document/x", "node/y", "node/z"], true);
        assert_eq!(note, "Bundle b lets go of node/y, node/z; nodes stay enrolled.\n");
    }
}
