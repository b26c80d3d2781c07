//! What a rollout would do that a request starts.

use api::impact::PlannedNodeView;
use api::rollout_preview::{RecordSize, RolloutPreview, StagePreview};
use projections::configuration::Configuration;
use projections::outcome::RecordChange;
use projections::rollout_forecast::{MembersApart, RolloutForecast, StageForecast};
use schema::id::{LogId, NodeId};
use schema::plan::{PlannedNode, PlannedRollout};

use crate::http::impact::node_change;
use crate::http::planned_node::{NODES_SHOWN_MAX, planned_node};

/// What a rollout would do, which is started between the two states.
pub(super) fn of(
    before: &Configuration,
    after: &Configuration,
    log_id: LogId,
    planned: PlannedRollout,
    is_heard: impl Fn(&NodeId) -> bool,
) -> Option<RolloutPreview> {
    let PlannedRollout { rollout, nodes } = planned;
    let RolloutForecast { members, stages, bake_s, largest_record, apart } =
        after.forecast(&rollout, log_id, is_heard)?;
    let MembersApart { moot, offline, unwell, busy, in_other_rollout, rejected } = apart;
    let shown = |planned: PlannedNode| -> PlannedNodeView {
        let released = after.released(&rollout, &planned.node);
        let record = node_change(RecordChange::of(before, &released, &planned.node));
        planned_node(&released, record, planned)
    };
    let more = nodes.len().saturating_sub(NODES_SHOWN_MAX);
    let stage =
        |StageForecast { name, members, quota, first }| StagePreview { name, members, quota, first: first.into() };
    Some(RolloutPreview {
        members,
        stages: stages.into_iter().map(stage).collect(),
        bake_s,
        largest_record: largest_record.map(|(node, bytes)| RecordSize { node, bytes }),
        nodes: nodes.into_iter().take(NODES_SHOWN_MAX).map(shown).collect(),
        more,
        moot: moot.into(),
        offline: offline.into(),
        unwell: unwell.into(),
        busy: busy.into(),
        other_rollout: in_other_rollout.into(),
        rejected: rejected.into(),
        rollout,
    })
}
