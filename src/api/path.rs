//! Paths that the server serves and its own client knows by name. The client makes those of single entities from what it is
//! given.

/// Whether the process answers; no token is needed.
pub const HEALTH: &str = "/healthz";
/// Whether the server can do its work; no token is needed.
pub const READY: &str = "/readyz";
/// Figures for Prometheus.
pub const METRICS: &str = "/metrics";
/// The description of the interface; no token is needed.
pub const OPENAPI: &str = "/v1/openapi.json";
/// Whose token a request carries.
pub const WHOAMI: &str = "/v1/whoami";
/// Where commands are sent.
pub const COMMANDS: &str = "/v1/commands";
/// The log's events, in pages or as a live stream.
pub const EVENTS: &str = "/v1/events";
/// The state of the log itself.
pub const LOG: &str = "/v1/log";
/// Nodes with their states.
pub const NODES: &str = "/v1/nodes";
/// How many nodes are in which state.
pub const FLEET: &str = "/v1/fleet";
/// The whole fleet as columns, once or live.
pub const FLEET_TABLE: &str = "/v1/fleet/table";
/// What covers each control.
pub const COVERAGE: &str = "/v1/coverage";
/// What a request changed; its id, or the position of one of its events, follows.
pub const IMPACT: &str = "/v1/impact";
/// What nodes propose.
pub const PROPOSALS: &str = "/v1/proposals";
/// People and programs with a token.
pub const PRINCIPALS: &str = "/v1/principals";
/// Tokens with which nodes join.
pub const JOIN_TOKENS: &str = "/v1/join-tokens";
/// Sets of entities that are managed together.
pub const BUNDLES: &str = "/v1/bundles";
/// Rollouts.
pub const ROLLOUTS: &str = "/v1/rollouts";
/// Names of positions.
pub const MARKS: &str = "/v1/marks";
/// The request that takes something back.
pub const REVERTS: &str = "/v1/reverts";
/// Which contents the log does not hold.
pub const MISSING_CONTENTS: &str = "/v1/contents/missing";
