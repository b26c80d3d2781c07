//! Controls, components, assessments and attestations, as they were defined.

use axum::extract::Path;
use axum::response::Response;
use projections::compliance::{ById, Compliance, Defined};
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use schema::id::{AssessmentId, AttestationId, ComponentId, ControlId, Id, JobId};
use schema::instant::Instant;
use schema::invalid::InputError;
use schema::position::{Position, Version};
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::AuthenticatedState;
use crate::http::paging::ListKey;
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;

/// A definition as it is shown.
#[derive(Serialize)]
struct DefinitionView<'a, T> {
    id: &'a Id,
    #[serde(flatten)]
    said: &'a T,
    /// The job of an attestation.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    version: Version,
    position: Position,
    at: Instant,
}

/// One of the four kinds of definitions.
pub(super) trait ComplianceKind: Sized + Serialize + 'static {
    /// The kind of its entity.
    const NAME: &'static str;
    type Key: Ord + Clone + From<Id> + std::str::FromStr<Err = InputError>;

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

impl<'a, T: ComplianceKind> DefinitionView<'a, T> {
    fn of(key: &'a T::Key, defined: &'a Defined<T>) -> Self {
        let Defined { said, version, position, at } = defined;
        Self { id: T::id(key), said, job: T::job(key), version: *version, position: *position, at: *at }
    }
}

/// `GET /v1/controls`, and so on.
pub(super) async fn list<T: ComplianceKind>(
    app: AuthenticatedState,
    params: QueryParams,
) -> Result<Response, ProblemResponse>
where
    for<'a> &'a T::Key: ListKey,
{
    let (page, memory, state) = app.page(params).await?;
    let rows = T::all(state.compliance()).range(page.keys::<T::Key>());
    Ok(memory.attach_to(answer::json(
        state.position(),
        page.list(rows, |key, defined| DefinitionView::<T>::of(key, defined)),
    )))
}

/// `GET /v1/controls/{id}`, and so on.
pub(super) async fn one<T: ComplianceKind>(
    app: AuthenticatedState,
    Path(id): Path<String>,
    params: QueryParams,
) -> Result<Response, ProblemResponse> {
    let (key, state) = app.item::<T::Key>(&id, params).await?;
    match T::all(state.compliance()).get(&key) {
        Some(defined) => Ok(answer::json(state.position(), DefinitionView::of(&key, defined))),
        None => Err(ProblemResponse::unknown_entity(T::NAME, &id)),
    }
}
