//! A node or a job that is waited for, as the server shows it.

use api::node::StatusReason;
use schema::id::Id;
use schema::labels::Labels;
use schema::terminal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::awaited_kind::AwaitedKind;

/// A node of `GET /v1/nodes`, as far as it matters here. Unlike in `api::node` its state is text, because a newer server may know more
/// states.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NodeStatusRow {
    pub(super) id: Id,
    #[serde(default)]
    pub(super) labels: Labels,
    #[serde(default)]
    pub(super) retired: bool,
    pub(super) state: String,
    pub(super) silence_ms: Option<u64>,
    pub(super) reason: Option<StatusReason>,
}

/// A node or a job that is waited for.
#[derive(Clone, Debug)]
pub(super) struct AwaitedEntity {
    pub(super) id: Id,
    /// None if the node is not enrolled, or the job is not there.
    pub(super) status: Option<NodeStatusRow>,
}

impl From<NodeStatusRow> for AwaitedEntity {
    fn from(status: NodeStatusRow) -> Self {
        Self { id: status.id.clone(), status: Some(status) }
    }
}

impl AwaitedEntity {
    /// The state's name; none if it is not there.
    pub(super) fn state(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.state.as_str())
    }

    /// The code of the reason, or nothing.
    pub(super) fn code(&self) -> &str {
        self.status.as_ref().and_then(|status| status.reason.as_ref()).map_or("", |reason| reason.code.as_str())
    }

    /// State, code and detail on one line.
    pub(super) fn describe(&self, kind: AwaitedKind) -> String {
        let missing = match kind {
            AwaitedKind::Node => "not enrolled",
            AwaitedKind::Job => "not there",
        };
        let Some(status) = &self.status else { return format!("{}: {missing}", self.id) };
        let reason = status.reason.as_ref().map_or_else(String::new, |StatusReason { code, detail }| {
            let detail = detail.trim();
            let gap = if detail.is_empty() { "" } else { ": " };
            format!(": {code}{gap}{detail}")
        });
        terminal::line(&format!("{}: {}{reason}", self.id, status.state))
    }

    pub(super) fn json(&self) -> Value {
        let status = self.status.as_ref();
        json!({
            "id": self.id,
            "state": self.state(),
            "reason": status.and_then(|status| status.reason.as_ref()),
            "silence_ms": status.and_then(|status| status.silence_ms),
        })
    }
}
