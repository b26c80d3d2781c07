//! Limits, each with its unit and its reason.

/// Commands in one request.
pub const COMMANDS_MAX: usize = 1_000;
/// Bytes of a request's `reason`.
pub const REASON_BYTES_MAX: usize = 4 * 1024;
/// Bytes of an HTTP body: the largest content (4 MiB) as base64 is 5.4 MiB, and the rest of the request fits beside it.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of one event's `data`: with its envelope it stays far below the 1 MiB payload that NATS takes by default.
pub const EVENT_DATA_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one document's content.
pub const CONTENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a document's path.
pub const PATH_BYTES_MAX: usize = 255;
/// Bytes of a media type: RFC 6838 allows 127 for each half and the slash between them.
pub const MEDIA_TYPE_BYTES_MAX: usize = 255;
/// Characters of an id.
pub const ID_CHARS_MAX: usize = 64;
/// Bytes of the name of a variant in an enum that travels between programs of different versions. With a length and a tag
/// beside it a name fills 24 bytes: it stands in every entity, and those stand in every error.
pub const VARIANT_NAME_BYTES_MAX: usize = 22;
/// Bytes of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Bytes of a schedule.
pub const SCHEDULE_BYTES_MAX: usize = 255;
/// Bytes of a job's spec: a plan over a thousand components of a kibibyte each.
pub const SPEC_BYTES_MAX: usize = 1024 * 1024;
/// Jobs that one command claims.
pub const CLAIM_JOBS_MAX: u32 = 1_000;
/// Bytes of all specs that one command claims, unless the first alone has more: its answer is kept under the request's
/// idempotency key.
pub const CLAIM_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Seconds of the shortest lease.
pub const LEASE_S_MIN: u32 = 10;
/// Seconds of the longest lease: a day.
pub const LEASE_S_MAX: u32 = 24 * 60 * 60;
/// Seconds of a lease unless asked otherwise.
pub const LEASE_S_DEFAULT: u32 = 300;
/// Bytes of a completed job's outcome.
pub const OUTCOME_BYTES_MAX: usize = 255;
/// Bytes of a completed job's evidence.
pub const EVIDENCE_BYTES_MAX: usize = 64 * 1024;
/// Events of one request: a few commands may claim, renew and release many jobs each.
pub const EVENTS_MAX: usize = 10_000;

/// Stages of a rollout, the last one included.
pub const ROLLOUT_STAGES_MAX: usize = 33;
/// Documents that one rollout changes.
pub const ROLLOUT_CHANGES_MAX: usize = 100;
/// Rollouts that are open at once, drafts included.
pub const ROLLOUTS_OPEN_MAX: usize = 100;
/// Nodes that one rollout lets apply its changes at once, and that one event releases.
pub const IN_FLIGHT_MAX: u32 = 1_000;
/// Seconds that a node has at least to confirm the changes of a rollout.
pub const SETTLE_S_MIN: u32 = 10;
/// Seconds that a node has at most to confirm the changes of a rollout: a day.
pub const SETTLE_S_MAX: u32 = 24 * 60 * 60;
/// Seconds that a node has to confirm the changes of a rollout unless asked otherwise.
pub const SETTLE_S_DEFAULT: u32 = 600;
/// Seconds that a stage waits at most after its last node has settled: 7 days.
pub const BAKE_S_MAX: u32 = 7 * 24 * 60 * 60;
/// Seconds that the last stage waits where no stage before it says.
pub const BAKE_S_DEFAULT: u32 = 60;

/// Members of a bundle.
pub const BUNDLE_MEMBERS_MAX: usize = 10_000;
/// Entities that one event lets join or leave a bundle, so that its data stays small.
pub const BUNDLE_EVENT_ENTITIES_MAX: usize = 1_000;
/// Bytes of the labels that `relabel_nodes` sets, keys and values together: each of up to 10,000 events has them.
pub const RELABEL_BYTES_MAX: usize = 4 * 1024;

/// Nodes that may join with one token.
pub const JOIN_TOKEN_USES_MAX: u32 = 10_000;
/// Seconds of the shortest life of a join token.
pub const JOIN_TOKEN_S_MIN: u32 = 60;
/// Seconds of the longest life of a join token: 90 days.
pub const JOIN_TOKEN_S_MAX: u32 = 90 * 24 * 60 * 60;
/// Seconds of the life of a join token unless asked otherwise: a day.
pub const JOIN_TOKEN_S_DEFAULT: u32 = 24 * 60 * 60;

/// Bytes of one request over NATS: the largest evidence, or the ids of a thousand jobs, and the rest beside it.
pub const RPC_REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Bytes of all specs in one reply over NATS: with the leases of a thousand jobs beside them it stays below the 1 MiB
/// payload that NATS takes by default.
pub const RPC_SPECS_BYTES_MAX: usize = 512 * 1024;

/// Bytes of the content that a node proposes: the message in NATS that carries it stays far below 1 MiB.
pub const PROPOSAL_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a proposal's message in NATS: its content, its reason, and the rest beside them.
pub const PROPOSAL_MESSAGE_BYTES_MAX: usize = PROPOSAL_BYTES_MAX + REASON_BYTES_MAX + 4 * 1024;
/// Proposals of one node that wait for a decision at once.
pub const PROPOSALS_OPEN_MAX: usize = 8;

/// Entries in one node's desired record.
pub const ENTRIES_MAX: usize = 1_000;
/// Bytes of one node's desired record: three quarters of the 1 MiB payload that NATS takes by default.
pub const RECORD_BYTES_MAX: usize = 768 * 1024;
/// Bytes of an entry's content that still travels inside the record.
pub const INLINE_ENTRY_BYTES_MAX: u64 = 4 * 1024;
/// Bytes of all content that travels inside one record.
pub const INLINE_RECORD_BYTES_MAX: u64 = 256 * 1024;
/// Bytes that one entry can add to a record beside its inline content, path, media type and its document's id: a kind and a
/// slash, a digest, five numbers, a mode and the names of the fields.
pub const ENTRY_FRAME_BYTES_MAX: usize = 16 + 34 + 45 + 4 + 101;
/// Bytes that one entry can add to a record beside its inline content.
pub const ENTRY_OVERHEAD_BYTES_MAX: usize =
    PATH_BYTES_MAX + MEDIA_TYPE_BYTES_MAX + ID_CHARS_MAX + ENTRY_FRAME_BYTES_MAX;
