//! Controls, components, assessments and attestations, as they were defined.

use api::compliance::DefinitionView;
use projections::compliance::{ById, Compliance, Defined};
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use schema::id::{AssessmentId, AttestationId, ComponentId, ControlId, Id, JobId};
use schema::invalid::InputError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::paging::{ListKey, PageQuery, RenderedPage};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// One of the four kinds of definitions.
pub(super) trait ComplianceKind: Clone + Serialize + JsonSchema + Send + Sync + 'static {
    /// The kind of its entity.
    const NAME: &'static str;
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
    const NAME: &'static str = "control";
    type Key = ControlId;

    fn id(key: &ControlId) -> &Id {
        key.id()
    }

    fn all(compliance: &Compliance) -> &ById<ControlId, Self> {
        compliance.controls()
    }
}

impl ComplianceKind for ComponentDefined {
    const NAME: &'static str = "component";
    type Key = ComponentId;

    fn id(key: &ComponentId) -> &Id {
        key.id()
    }

    fn all(compliance: &Compliance) -> &ById<ComponentId, Self> {
        compliance.components()
    }
}

impl ComplianceKind for AssessmentDefined {
    const NAME: &'static str = "assessment";
    type Key = AssessmentId;

    fn id(key: &AssessmentId) -> &Id {
        key.id()
    }

    fn all(compliance: &Compliance) -> &ById<AssessmentId, Self> {
        compliance.assessments()
    }
}

impl ComplianceKind for AttestationDefined {
    const NAME: &'static str = "attestation";
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

fn view<T: ComplianceKind>(key: &T::Key, defined: &Defined<T>) -> DefinitionView<T> {
    let Defined { said, version, position, at } = defined;
    let (id, defined) = (T::id(key).clone(), T::clone(said));
    DefinitionView { id, defined, job: T::job(key), version: *version, position: *position, at: *at }
}

/// `GET /v1/controls`, and so on.
pub(super) async fn list<T: ComplianceKind>(
    asked: Asked<(PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<DefinitionView<T>>>, ProblemResponse>
where
    for<'a> &'a T::Key: ListKey,
{
    let Asked { app, params: (page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let rows = T::all(state.compliance()).range(page.keys::<T::Key>());
    let listed = page.list(rows, |key, defined| view::<T>(key, defined));
    Ok(JsonAnswer::new(state.position(), listed).with_memory(memory))
}

/// `GET /v1/controls/{id}`, and so on.
pub(super) async fn one<T: ComplianceKind>(
    asked: Asked<(PathId<T::Key>, SnapshotQuery)>,
) -> Result<JsonAnswer<DefinitionView<T>>, ProblemResponse> {
    let Asked { app, params: (PathId(key), query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    match T::all(state.compliance()).get(&key) {
        Some(defined) => Ok(JsonAnswer::new(state.position(), view(&key, defined))),
        None => Err(ProblemResponse::unknown_entity(T::NAME, T::id(&key).as_str())),
    }
}
