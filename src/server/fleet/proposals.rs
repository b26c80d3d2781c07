//! Judges a proposal as a node sent it: a command, which is decided like one that came over HTTP, and a verdict, which follows from the
//! log.
//!
//! What always holds: a message that the node's key `say` did not sign, or that an earlier boot of its agent sent, does nothing and gets no
//! verdict, also while nodes without keys are let in; a proposal is decided once, however often its message comes; the same log gives the same verdict.

use async_nats::HeaderMap;
use schema::entity::Actor;
use schema::id::{NodeId, ProposalId, ProposalUuid};
use schema::invalid::InputError;
use schema::limit::PROPOSAL_MESSAGE_BYTES_MAX;
use schema::proposal::ProposalState;
use schema::proposal_message::{ProposalMessage, Verdict, VerdictContext, VerdictState};
use schema::report::truncate_text;
use schema::say::Statement;
use schema::wire::WireRecord as _;

use crate::event_log::{EventLog, LogReadError, SubmitError};
use crate::fleet::standing::{Standing, Unsaid};
use crate::proposal_end::decided_by;

/// What follows from a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposalJudgement {
    /// It counts for nothing, for this reason.
    Ignored(&'static str),
    /// It can't be decided now: the node has as many open proposals as it may have, or the log takes nothing at the moment.
    Later,
    /// What the node is told.
    Told(Box<Verdict>),
}

/// What is quoted of a message in a verdict, in bytes: a message of any content gets a verdict that NATS takes.
const QUOTED_BYTES_MAX: usize = 1024;

/// A message that may count.
struct Judge<'a> {
    source: &'a dyn EventLog,
    node: &'a NodeId,
    id: ProposalUuid,
}

/// Judges a message that stands under a key of `node`, with its headers, in which the signature is.
///
/// # Errors
/// If the log can't be read.
pub async fn judge(
    source: &dyn EventLog,
    node: &NodeId,
    bytes: &[u8],
    headers: Option<&HeaderMap>,
) -> Result<ProposalJudgement, LogReadError> {
    let Some(standing) = Standing::of(&source.view(), node) else {
        return Ok(ProposalJudgement::Ignored("unknown_node"));
    };
    match standing.check(Statement::Proposal, bytes, headers) {
        Ok(Some(_)) => {}
        Ok(None) => return Ok(ProposalJudgement::Ignored(Unsaid::Unsigned.code())),
        Err(unsaid) => return Ok(ProposalJudgement::Ignored(unsaid.code())),
    }
    // Only a message that was signed gets here, so who is told that it can't be read is the node.
    let nobody = ProposalUuid::from(uuid::Uuid::nil());
    let unread = Judge { source, node, id: nobody };
    if bytes.len() > PROPOSAL_MESSAGE_BYTES_MAX {
        let detail = format!("a proposal has at most {PROPOSAL_MESSAGE_BYTES_MAX} bytes, this one {}", bytes.len());
        return Ok(unread.refused("too_large", "", detail));
    }
    let message = match ProposalMessage::read(bytes) {
        Ok(message) => message,
        Err(error) => return Ok(unread.refused(error.code(), "", error.to_string())),
    };
    if message.node != *node {
        return Ok(ProposalJudgement::Ignored("other_node"));
    }
    if message.log_id != source.log_id() {
        return Ok(ProposalJudgement::Ignored("other_log"));
    }
    if standing.reported.is_some_and(|reported| message.boot_no < reported.boot_no) {
        return Ok(ProposalJudgement::Ignored("older_boot"));
    }
    Judge { source, node, id: message.id }.decide(message).await
}

impl Judge<'_> {
    async fn decide(&self, message: ProposalMessage) -> Result<ProposalJudgement, LogReadError> {
        if message.withdrawn && !self.is_known() {
            // The node took it back before a server had seen it. The log keeps nothing of it: it may have been put in by mistake.
            return Ok(self.end(VerdictState::Withdrawn, None, None, None));
        }
        self.submit(message).await
    }

    /// Whether the log has the proposal.
    fn is_known(&self) -> bool {
        self.source.view().proposals().get(&ProposalId::derived(self.node, self.id)).is_some()
    }

    /// Has the log decide what a message asks for.
    async fn submit(&self, message: ProposalMessage) -> Result<ProposalJudgement, LogReadError> {
        let key = message.idempotency_key();
        let request = match message.request() {
            Ok(request) => request,
            Err(InputError { code, field, detail }) => return Ok(self.refused(code, &field, detail)),
        };
        match self.source.submit(request, Actor::Node(self.node.clone()), Some(key)).await {
            Ok(answer) => {
                self.source.reached(answer.position).await;
                self.told().await
            }
            // The log has another proposal of the node under this id, or refuses this one.
            Err(SubmitError::Refused(refused)) if refused.refusal.code().as_str() != "too_many_proposals" => {
                let field = refused.refusal.field();
                Ok(self.refused(refused.refusal.code().as_str(), field, refused.to_string()))
            }
            Err(SubmitError::KeyReused) => {
                Ok(self.refused("proposal_reused", "id", "this id was used for another proposal".into()))
            }
            Err(error) => {
                tracing::debug!(node = %self.node, %error, "proposal can't be decided now");
                Ok(ProposalJudgement::Later)
            }
        }
    }

    /// The verdict that the log has.
    async fn told(&self) -> Result<ProposalJudgement, LogReadError> {
        let view = self.source.view();
        let id = ProposalId::derived(self.node, self.id);
        let Some(proposal) = view.proposals().get(&id) else { return Ok(ProposalJudgement::Later) };
        let position = proposal.end.map_or(proposal.position, |end| end.position);
        let events = self.source.events_at(vec![position]).await?;
        let Some(event) = events.first() else { return Ok(ProposalJudgement::Later) };
        let (by, reason) = proposal.end.map(|end| decided_by(&end, event)).unzip();
        Ok(ProposalJudgement::Told(Box::new(Verdict {
            state: VerdictState::from(proposal.state()),
            code: proposal.end.and_then(|end| end.code).map(|code| code.name().to_owned()),
            command_id: Some(event.command_id),
            by,
            reason: reason.flatten(),
            document: (proposal.state() == ProposalState::Accepted).then(|| proposal.said.document()),
            ..self.blank(position)
        })))
    }

    fn refused(&self, code: &str, field: &str, detail: String) -> ProposalJudgement {
        metrics::proposal_refused(code);
        let field = (!field.is_empty()).then(|| truncate_text(field, QUOTED_BYTES_MAX));
        let detail = truncate_text(&detail, QUOTED_BYTES_MAX);
        self.end(VerdictState::Refused, Some(code.to_owned()), field, Some(detail))
    }

    /// A final verdict on what the log holds nothing of.
    fn end(
        &self,
        state: VerdictState,
        code: Option<String>,
        field: Option<String>,
        detail: Option<String>,
    ) -> ProposalJudgement {
        let position = self.source.view().position();
        ProposalJudgement::Told(Box::new(Verdict { state, code, field, detail, ..self.blank(position) }))
    }

    fn blank(&self, position: schema::position::Position) -> Verdict {
        Verdict {
            v: Verdict::NEWEST,
            context: VerdictContext,
            log_id: self.source.log_id(),
            node: self.node.clone(),
            id: self.id,
            state: VerdictState::Open,
            code: None,
            field: None,
            detail: None,
            position,
            command_id: None,
            by: None,
            reason: None,
            document: None,
        }
    }
}
