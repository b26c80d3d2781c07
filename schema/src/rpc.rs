//! Requests of nodes about their jobs, and the replies, over NATS request/reply.
//!
//! A request comes on `<prefix>.rpc.<node>.<verb>` and is a MessagePack map with `v`, an `id` of the sender's making and the
//! verb's fields. Who asks is the node of the subject, which NATS lets nobody else publish; a request may repeat it as
//! `runtime`, and one that names another node is refused. The same id gives the first accepted answer again. What may be
//! asked, and what it comes to, is the same as over HTTP: a request becomes the same command.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::CommandOutcome;
use crate::digest::{Digest, Hasher};
use crate::entity::Entity;
use crate::id::{JobId, LogId, NodeId};
use crate::invalid::InputError;
use crate::lease::{LeaseToken, LeasedJob};
use crate::limit::{IDEMPOTENCY_KEY_BYTES_MAX, RPC_REQUEST_BYTES_MAX, RPC_SPECS_BYTES_MAX};
use crate::position::{Position, Version};
use crate::report::SentNumber;
use crate::request::Request;
use crate::wire::{RecordError, WireRecord, whole};

/// The kinds of requests that a node may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RpcVerb {
    /// Claim jobs that have no holder: `claim_jobs`.
    Claim,
    /// Renew the claims of the node: `renew_claims`.
    Renew,
    /// Give up claims: `release_jobs`.
    Release,
    /// Store the result of a run: `complete_job`.
    Complete,
    /// List the jobs that the node holds; it changes nothing. Named `mine` on the wire.
    ListClaims,
}

impl RpcVerb {
    /// Every verb.
    pub const ALL: [Self; 5] = [Self::Claim, Self::Renew, Self::Release, Self::Complete, Self::ListClaims];

    /// The verb's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Complete => "complete",
            Self::ListClaims => "mine",
        }
    }
}

macro_rules! rpc_requests {
    ($($(#[$doc:meta])* $name:ident = $what:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            pub struct $name {
                /// The format of the request.
                pub v: u16,
                /// The id of the request: 1 to 255 visible ASCII characters. A repeated request has the same id.
                pub id: String,
                /// The node that asks, if the request repeats it; it must be the node of the subject.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub runtime: Option<NodeId>,
                /// The number of the request among those of the node; a node with keys gives one, and signs the request.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub sent: Option<SentNumber>,
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl WireRecord for $name {
                const WHAT: &'static str = $what;
            }
        )*
    };
}

rpc_requests! {
    /// Asks for jobs that no runtime holds.
    ClaimRequest = "claim" {
        /// How many jobs to claim at most: 1 to 1,000.
        limit: u32,
        /// The lease in seconds: after so long a silence the claims end. Without it, 300.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease_s: Option<u32>,
    }
    /// Says that the node still works on its jobs, so that their leases begin again.
    RenewRequest = "renewal" {}
    /// Gives up claims on jobs.
    ReleaseRequest = "release" {
        /// The jobs to give up; without it, all that the node holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jobs: Option<BTreeSet<JobId>>,
    }
    /// Tells the outcome of one run of a job.
    CompleteRequest = "completion" {
        /// The id of the job that was run.
        job: JobId,
        /// The lease token of the current claim; another one is refused.
        token: LeaseToken,
        /// SHA-256 of the spec that was run.
        spec_digest: Digest,
        /// The outcome in a word, such as `passed`: at most 255 bytes.
        outcome: String,
        /// What the run printed or found: at most 64 KiB.
        evidence: String,
    }
    /// Asks which jobs the node holds.
    ListClaims = "question" {
        /// The answer must be of this position or a later one; without it, any is good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_position: Option<Position>,
    }
}

/// A request that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RpcRequest {
    /// A command, to be decided and appended under the request's id.
    Command(String, Request),
    /// The question which jobs the node holds, as of a position or later.
    ListClaims(Position),
}

/// Reads what `node` asks with `verb`.
///
/// # Errors
/// With the code and the field that are at fault.
pub fn read_request(verb: RpcVerb, node: &NodeId, bytes: &[u8]) -> Result<RpcRequest, RpcError> {
    if bytes.len() > RPC_REQUEST_BYTES_MAX {
        let detail = format!("a request has at most {RPC_REQUEST_BYTES_MAX} bytes, this one {}", bytes.len());
        return Err(RpcError::new("too_large", "", detail));
    }
    let own = |id: &str, runtime: &Option<NodeId>| check_sender(node, id, runtime.as_ref());
    let (id, command) = match verb {
        RpcVerb::Claim => {
            let ClaimRequest { id, runtime, limit, lease_s, .. } = ClaimRequest::read(bytes)?;
            own(&id, &runtime)?;
            let mut command = json!({"type": "claim_jobs", "runtime": node, "limit": limit});
            if let Some(lease_s) = lease_s {
                command["lease_s"] = lease_s.into();
            }
            (id, command)
        }
        RpcVerb::Renew => {
            let RenewRequest { id, runtime, .. } = RenewRequest::read(bytes)?;
            own(&id, &runtime)?;
            (id, json!({"type": "renew_claims", "runtime": node}))
        }
        RpcVerb::Release => {
            let ReleaseRequest { id, runtime, jobs, .. } = ReleaseRequest::read(bytes)?;
            own(&id, &runtime)?;
            (id, json!({"type": "release_jobs", "runtime": node, "jobs": jobs}))
        }
        RpcVerb::Complete => {
            let CompleteRequest { id, runtime, job, token, spec_digest, outcome, evidence, .. } =
                CompleteRequest::read(bytes)?;
            own(&id, &runtime)?;
            let run = json!({"type": "complete_job", "job": job, "token": token, "spec_digest": spec_digest,
                "outcome": outcome, "evidence": evidence});
            (id, run)
        }
        RpcVerb::ListClaims => {
            let ListClaims { id, runtime, min_position, .. } = ListClaims::read(bytes)?;
            own(&id, &runtime)?;
            return Ok(RpcRequest::ListClaims(min_position.unwrap_or_default()));
        }
    };
    Ok(RpcRequest::Command(id, http_equivalent(&command)?))
}

/// The request that the HTTP API would read for this command, so that both have the same limits and fingerprints.
fn http_equivalent(command: &Value) -> Result<Request, InputError> {
    Request::read(format!("{}", json!({ "commands": [command] })).as_bytes())
}

/// A request has a usable id and does not speak for another node.
fn check_sender(node: &NodeId, id: &str, runtime: Option<&NodeId>) -> Result<(), RpcError> {
    let visible = id.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible || !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&id.len()) {
        let detail = format!("an id is 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters");
        return Err(RpcError::new("invalid_id", "id", detail));
    }
    match runtime {
        Some(other) if other != node => {
            let detail = format!("this is {node}'s subject: it can't ask for {other}");
            Err(RpcError::new("not_permitted", "runtime", detail))
        }
        _ => Ok(()),
    }
}

/// The reply to a request: its result, or an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpcReply {
    /// The format of the reply.
    pub v: u16,
    /// The id of the log that answers.
    pub log_id: LogId,
    /// The request's last event, or the position that the answer holds for.
    pub position: Position,
    /// The result, if the request was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RpcOutcome>,
    /// Why it was not carried out. If the log was unavailable, that is not known; the same request sent again finds it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
    /// The `id` of the request, so that whoever asked takes nothing else for the answer; absent where the request has none that can
    /// be read, and in the replies of older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The number of a request, whatever else is wrong with it.
#[must_use]
pub fn sent_number(request: &[u8]) -> Option<SentNumber> {
    #[derive(Deserialize)]
    struct Numbered {
        sent: SentNumber,
    }
    let Numbered { sent } = whole(request).ok()?;
    Some(sent)
}

/// The `id` of a request, whatever else is wrong with it.
#[must_use]
pub fn request_id(request: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    if request.len() > RPC_REQUEST_BYTES_MAX {
        return None;
    }
    let Named { id } = whole(request).ok()?;
    (id.len() <= IDEMPOTENCY_KEY_BYTES_MAX).then_some(id)
}

impl WireRecord for RpcReply {
    const WHAT: &'static str = "reply";
}

/// The result of a request, as the HTTP API gives it for a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpcOutcome {
    /// The entity that the request was about.
    pub entity: Entity,
    /// The version of the entity after the request.
    pub version: Version,
    /// Whether the request appended an event.
    pub changed: bool,
    /// What the node was given (`claim`), or has (`renew`, `mine`: without the specs, which are in its record). A claimed
    /// spec for which the reply has no room is left out: it comes with the node's record, as all of them do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Vec<LeasedJob>>,
    /// Of `mine`: [`claims_digest`] the jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl From<CommandOutcome> for RpcOutcome {
    fn from(outcome: CommandOutcome) -> Self {
        let CommandOutcome { entity, version, changed, mut jobs, owned_by: _ } = outcome;
        let mut room = RPC_SPECS_BYTES_MAX;
        for job in jobs.iter_mut().flatten() {
            let bytes = job.spec.as_ref().map_or(0, |spec| format!("{spec}").len());
            match room.checked_sub(bytes) {
                Some(left) => room = left,
                None => (job.spec, room) = (None, 0),
            }
        }
        Self { entity, version, changed, jobs, digest: None }
    }
}

/// Names a set of claims with the specs that are to be run: SHA-256 over the jobs in the order of their ids of
/// `u32be(len(id)) ‖ id ‖ token ‖ spec digest`.
#[must_use]
pub fn claims_digest(jobs: &[LeasedJob]) -> Digest {
    let mut hasher = Hasher::default();
    for job in jobs {
        let id = job.id.as_str().as_bytes();
        hasher.update(&u32::try_from(id.len()).expect("BUG: an id has at most 64 characters").to_be_bytes());
        hasher.update(id);
        hasher.update(job.token.digest().as_bytes());
        hasher.update(job.spec_digest.as_bytes());
    }
    hasher.finish()
}

/// The error of a request that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpcError {
    /// The stable code, the same as over HTTP.
    pub code: String,
    /// The field that is at fault; empty if the whole request is.
    pub field: String,
    /// The reason in one sentence, for people.
    pub detail: String,
}

impl RpcError {
    /// The server works on as many requests as it can.
    pub const OVERLOADED: &'static str = "overloaded";
    /// PostgreSQL can't be reached.
    pub const UNAVAILABLE: &'static str = "unavailable";
    /// The server has not reached the position that was asked for.
    pub const NOT_REACHED: &'static str = "position_not_reached";
    /// The id was used for another request.
    pub const ID_REUSED: &'static str = "idempotency_key_reused";

    /// A fault in a field; in the whole if `field` is empty.
    #[must_use]
    pub fn new(code: &str, field: &str, detail: impl Into<String>) -> Self {
        // A request is one command, and its sender knows nothing of a list of them.
        let field = field.strip_prefix("commands").map_or(field, |inside| inside.trim_start_matches("[0]"));
        let field = field.trim_start_matches('.').to_owned();
        Self { code: code.to_owned(), field, detail: detail.into() }
    }

    /// Whether the same request, under the same id, may be answered otherwise soon.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        [Self::OVERLOADED, Self::UNAVAILABLE, Self::NOT_REACHED].contains(&self.code.as_str())
    }
}

impl From<InputError> for RpcError {
    fn from(invalid: InputError) -> Self {
        Self::new(invalid.code, &invalid.field, invalid.detail)
    }
}

impl From<RecordError> for RpcError {
    fn from(unreadable: RecordError) -> Self {
        Self::new(unreadable.code(), "", format!("{unreadable}"))
    }
}
