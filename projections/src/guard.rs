//! The guard: a request that changes files of many nodes at once is a rollout, or says that it is meant.

use schema::command::Command;
use schema::request::Request;

use crate::configuration::Configuration;
use crate::fold::AffectedNodes;
use crate::outcome::planned_node;
use crate::refusal::Refusal;
use crate::rollout_refusal::RolloutRefusal;

/// What the guard looks at: the nodes that the guarded commands of a request concern, with the state before it.
pub(crate) struct GuardedChange {
    limit: Option<(u32, Configuration)>,
    affected: AffectedNodes,
}

impl GuardedChange {
    /// What is guarded of a request. An abort, a bar and a retirement are not: they take away what should not go on.
    pub(crate) fn of(before: &Configuration, request: &Request) -> Self {
        let is_guarded = request.commands.iter().any(|ask| may_spread(&ask.command));
        let nodes_max = before.rollouts().guard().filter(|_| is_guarded && !request.now);
        Self { limit: nodes_max.map(|nodes_max| (nodes_max, before.clone())), affected: AffectedNodes::new() }
    }

    /// Notes the nodes that a command of the request concerns.
    pub(crate) fn note(&mut self, command: &Command, affected: &AffectedNodes) {
        if self.limit.is_some() && may_spread(command) {
            self.affected.extend(affected.iter().cloned());
        }
    }

    /// Whether files of so few nodes change that the request may pass.
    pub(crate) fn check(&self, after: &Configuration) -> Result<(), Refusal> {
        let Some((nodes_max, before)) = &self.limit else { return Ok(()) };
        let limit = usize::try_from(*nodes_max).unwrap_or(usize::MAX);
        if self.affected.len() <= limit {
            return Ok(());
        }
        let changed = self.affected.iter().filter(|node| !planned_node(before, after, node).files.is_empty());
        // One more than the limit is enough to know.
        match changed.take(limit + 1).count() {
            count if count > limit => Err(RolloutRefusal::BlastRadius { nodes_max: *nodes_max }.into()),
            _ => Ok(()),
        }
    }
}

/// Whether a command can change files of nodes by what people configure.
fn may_spread(command: &Command) -> bool {
    match command {
        Command::PutDocument(put) => put.rollout.is_none(),
        Command::RemoveDocument(remove) => remove.rollout.is_none(),
        Command::EnrolNode(_)
        | Command::LabelNode(..)
        | Command::PutNode(..)
        | Command::RelabelNodes(_)
        | Command::AcceptProposal(_)
        | Command::AssignBundle(_)
        | Command::CompleteRollout(_) => true,
        _ => false,
    }
}
