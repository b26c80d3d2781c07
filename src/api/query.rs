//! Query parameters that both sides spell.

/// The state as of a position or an RFC 3339 time.
pub const AT: &str = "at";
/// Nothing older than this position: the server waits until it has reached it.
pub const MIN_POSITION: &str = "min_position";
/// Items on a page.
pub const LIMIT: &str = "limit";
/// Where a page begins: `next` of the page before it.
pub const CURSOR: &str = "cursor";
/// Events after this position.
pub const AFTER: &str = "after";
/// Events about this entity, written `<kind>/<id>`.
pub const ENTITY: &str = "entity";
/// Events of this type.
pub const TYPE: &str = "type";
/// Events also have their data as text.
pub const DATA_TEXT: &str = "data_text";
/// Proposals in this state.
pub const STATE: &str = "state";
/// Proposals of this node.
pub const NODE: &str = "node";
/// Commands are decided, and nothing is appended.
pub const DRY_RUN: &str = "dry_run";
/// A document as an open rollout makes it.
pub const STAGED: &str = "staged";
/// What belongs to this bundle.
pub const BUNDLE: &str = "bundle";
