//! Decisions about bundles and marks.
//!
//! All assignments of a request are judged together, against the state that its other commands left: what leaves one bundle and joins
//! another moves, and nothing that moves is removed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use imbl::OrdSet;
use schema::bundle::{BundleAssigned, Marked};
use schema::change::Change;
use schema::command::{AssignBundle, SetMark};
use schema::entity::{Entity, Kind};
use schema::id::{BundleId, DocumentId};
use schema::limit::BUNDLE_MEMBERS_MAX;
use schema::position::Version;

use super::context::DecisionContext;
use super::rollouts::{is_free, is_not_withdrawn};
use crate::configuration::Configuration;
use crate::refusal::Refusal;

pub(super) fn assign(
    state: &Configuration,
    assign: &AssignBundle,
    context: &DecisionContext<'_>,
) -> Result<Vec<(Entity, Change)>, Refusal> {
    let AssignBundle { id, members, take, empty, grow } = assign;
    let DecisionContext { assignments, may_remove, now, .. } = *context;
    if members.is_empty() && !empty && !grow {
        return Err(Refusal::EmptyBundle(id.clone()));
    }
    if let Some(unknown) = members.iter().find(|member| state.version_present(member) == Version::ZERO) {
        return Err(Refusal::UnknownMember(unknown.clone()));
    }
    let present = state.bundles.all().get(id).map(|bundle| &bundle.members);
    let (mut joined, mut taken) = (Vec::new(), BTreeMap::<&BundleId, Vec<Entity>>::new());
    for member in members {
        match state.bundles.owner(member) {
            Some(owner) if owner == id => continue,
            Some(owner) if !take && !assignments.releases(owner, member) => {
                return Err(Refusal::OwnedElsewhere { entity: member.clone(), owner: owner.clone() });
            }
            Some(owner) => taken.entry(owner).or_default().push(member.clone()),
            None => {}
        }
        joined.push(member.clone());
    }
    let leaving = present.filter(|_| !grow).into_iter().flatten().filter(|member| !members.contains(*member));
    let (mut left, mut removed) = (Vec::new(), BTreeSet::new());
    // What another assignment takes up leaves by that one.
    for member in leaving.filter(|member| !assignments.releases(id, member)) {
        left.push(member.clone());
        if member.kind != Kind::Node {
            removed.insert(member.clone());
        }
    }
    let count = present.map_or(0, OrdSet::len) + joined.len() - left.len();
    if count > BUNDLE_MEMBERS_MAX {
        return Err(Refusal::BundleTooLarge { bundle: id.clone(), members: count });
    }
    if !removed.is_empty() && !may_remove {
        return Err(Refusal::PlanNeeded {
            bundle: id.clone(),
            removed: removed.into_iter().collect::<Vec<_>>().into(),
        });
    }
    let mut changes: Vec<(Entity, Change)> = taken
        .into_iter()
        .flat_map(|(owner, members)| parts(owner, &[], &members))
        .chain(parts(id, &joined, &left))
        .collect();
    // A bundle that is made without members has an event all the same.
    if changes.is_empty() && present.is_none() && *empty {
        changes.push((id.into(), Change::BundleAssigned(Arc::default())));
    }
    changes.extend(removals(state, removed, now)?);
    Ok(changes)
}

fn parts(bundle: &BundleId, joined: &[Entity], left: &[Entity]) -> Vec<(Entity, Change)> {
    let parts = BundleAssigned::in_parts(joined, left).into_iter();
    parts.map(|part| (bundle.into(), Change::BundleAssigned(Arc::new(part)))).collect()
}

/// The removals of these entities, dependants first.
fn removals(state: &Configuration, removed: BTreeSet<Entity>, now: bool) -> Result<Vec<(Entity, Change)>, Refusal> {
    for entity in &removed {
        if entity.kind == Kind::Document {
            let id = entity.id.clone().into();
            is_free(state, &id)?;
            if !now {
                is_not_withdrawn(state, &id, None)?;
            }
        }
        let mut users = state.compliance.referring_to(entity);
        users.retain(|user| !removed.contains(user));
        if !users.is_empty() {
            return Err(Refusal::InUse { entity: entity.clone(), by: users.into() });
        }
    }
    let order = [
        (Kind::Document, Change::DocumentRemoved),
        (Kind::Attestation, Change::AttestationRemoved),
        (Kind::Assessment, Change::AssessmentRemoved),
        (Kind::Component, Change::ComponentRemoved),
        (Kind::Control, Change::ControlRemoved),
    ];
    let of_kind = |(kind, change): (Kind, Change)| {
        let entities = removed.iter().filter(move |entity| entity.kind == kind);
        // A document that only a rollout has is let go of, and goes with the rollout.
        let is_there = |entity: &&Entity| {
            entity.kind != Kind::Document || state.documents.contains_key(&DocumentId::from(entity.id.clone()))
        };
        entities.filter(is_there).map(move |entity| (entity.clone(), change.clone())).collect::<Vec<_>>()
    };
    Ok(order.into_iter().flat_map(of_kind).collect())
}

pub(super) fn remove(state: &Configuration, id: &BundleId) -> Result<Change, Refusal> {
    match state.bundles.all().contains_key(id) {
        true => Ok(Change::BundleRemoved),
        false => Err(Refusal::Unknown(id.into())),
    }
}

/// A mark without a position names the head, as it is before the mark's own event.
pub(super) fn mark(state: &Configuration, mark: &SetMark) -> Result<Option<Change>, Refusal> {
    let position = mark.position.unwrap_or(state.position);
    if position > state.position {
        return Err(Refusal::MarkAhead { position, head: state.position });
    }
    match state.marks.get(&mark.id) {
        Some(known) if known.names == position => Ok(None),
        Some(known) if !mark.moves => Err(Refusal::MarkExists { id: mark.id.clone(), position: known.names }),
        _ => Ok(Some(Change::Marked(Marked { position }))),
    }
}
