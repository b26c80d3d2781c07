//! Controls, components, assessments and attestations, as they were defined.

use api::compliance::DefinitionView;
use projections::compliance::{ById, Compliance, Defined};
use projections::configuration::Configuration;
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use schema::entity::{Entity, Kind};
use schema::id::{AssessmentId, AttestationId, ComponentId, ControlId, Id, JobId};
use schema::invalid::InputError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::answer::JsonAnswer;
use crate::http::bundles::BundleFilter;
use crate::http::operation::Asked;
use crate::http::paging::{ListKey, PageQuery, RenderedPage};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// One of the four kinds of definitions.
pub(super) trait ComplianceKind: Clone + Serialize + JsonSchema + Send + Sync + 'static {
    /// The kind of its entity.
    const KIND: Kind;
    type Key: Ord + Clone + From<Id> + std::str::FromStr<Err = InputError> + Send + Sync;

    /// The id of a key.
    fn id(key: &Self::Key) -> &Id;
    /// All definitions of the kind.
    fn all(compliance: &Compliance) -> &ById<Self::Key, Self>;
    /// The job that follows from a definition.
    fn job(_: &Self::Key) -> Option<JobId> {
        None
    }
}

impl ComplianceKind for ControlDefined {
    const KIND: Kind = Kind::Control;
    type Key = ControlId;

    fn id(key: &ControlId) -> &Id {
        key.id()
    }

    fn all(compliance: &Compliance) -> &ById<ControlId, Self> {
        compliance.controls()
    }
}

impl ComplianceKind for ComponentDefined {
    const KIND: Kind = Kind::Component;
    type Key = ComponentId;

    fn id(key: &ComponentId) -> &Id {
        key.id()
    }

    fn all(compliance: &Compliance) -> &ById<ComponentId, Self> {
        compliance.components()
    }
}

impl ComplianceKind for AssessmentDefined {
    const KIND: Kind = Kind::Assessment;
    type Key = AssessmentId;

    fn id(key: &AssessmentId) -> &Id {
        key.id()
    }

    fn all(compliance: &Compliance) -> &ById<AssessmentId, Self> {
        compliance.assessments()
    }
}

impl ComplianceKind for AttestationDefined {
    const KIND: Kind = Kind::Attestation;
    type Key = AttestationId;

    fn id(key: &AttestationId) -> &Id {
        key.id()
    }

    fn all(compliance: &Compliance) -> &ById<AttestationId, Self> {
        compliance.attestations()
    }

    fn job(key: &AttestationId) -> Option<JobId> {
        Some(JobId::derived(key))
    }
}

fn entity<T: ComplianceKind>(key: &T::Key) -> Entity {
    Entity { kind: T::KIND, id: T::id(key).clone() }
}

fn view<T: ComplianceKind>(state: &Configuration, key: &T::Key, defined: &Defined<T>) -> DefinitionView<T> {
    let Defined { said, version, position, at } = defined;
    let (id, defined) = (T::id(key).clone(), T::clone(said));
    let bundle = state.bundles().owner(&entity::<T>(key)).cloned();
    DefinitionView { id, defined, job: T::job(key), bundle, version: *version, position: *position, at: *at }
}

/// `GET /v1/controls`, and so on.
pub(super) async fn list<T: ComplianceKind>(
    asked: Asked<(BundleFilter, PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<DefinitionView<T>>>, ProblemResponse>
where
    for<'a> &'a T::Key: ListKey,
{
    let Asked { app, params: (filter, page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let rows = T::all(state.compliance()).range(page.keys::<T::Key>());
    let rows = rows.filter(|(key, _)| filter.fits(state.bundles(), entity::<T>(key)));
    let listed = page.list(rows, |key, defined| view::<T>(&state, key, defined));
    Ok(JsonAnswer::new(state.position(), listed).with_memory(memory))
}

/// `GET /v1/controls/{id}`, and so on.
pub(super) async fn one<T: ComplianceKind>(
    asked: Asked<(PathId<T::Key>, SnapshotQuery)>,
) -> Result<JsonAnswer<DefinitionView<T>>, ProblemResponse> {
    let Asked { app, params: (PathId(key), query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    match T::all(state.compliance()).get(&key) {
        Some(defined) => Ok(JsonAnswer::new(state.position(), view(&state, &key, defined))),
        None => Err(ProblemResponse::unknown_entity(T::KIND.name(), T::id(&key).as_str())),
    }
}
