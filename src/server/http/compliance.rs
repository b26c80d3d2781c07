//! Controls, components, assessments and attestations: what is to be assessed, as it was defined.

use axum::extract::Path;
use axum::response::Response;
use projections::compliance::{ById, Compliance, Defined};
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use schema::id::{AssessmentId, AttestationId, ComponentId, ControlId, Id, JobId};
use schema::instant::Instant;
use schema::invalid::Invalid;
use schema::position::{Position, Version};
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::paging::AsId;
use crate::http::params::Params;
use crate::http::problem::Problem;

/// Something defined as it is shown.
#[derive(Serialize)]
struct View<'a, T> {
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

/// A kind of things that are defined.
pub(super) trait Kind: Sized + Serialize + 'static {
    /// Its name in refusals.
    const NAME: &'static str;
    /// Its ids.
    type Key: Ord + Clone + From<Id> + std::str::FromStr<Err = Invalid>;

    /// The id without its kind.
    fn id(key: &Self::Key) -> &Id;
    /// All there are.
    fn all(compliance: &Compliance) -> &ById<Self::Key, Self>;
    /// The job that follows from one.
    fn job(_: &Self::Key) -> Option<JobId> {
        None
    }
}

impl Kind for ControlDefined {
    const NAME: &'static str = "control";
    type Key = ControlId;

    fn id(key: &ControlId) -> &Id {
        key.id()
    }

    fn all(compliance: &Compliance) -> &ById<ControlId, Self> {
        compliance.controls()
    }
}

impl Kind for ComponentDefined {
    const NAME: &'static str = "component";
    type Key = ComponentId;

    fn id(key: &ComponentId) -> &Id {
        key.id()
    }

    fn all(compliance: &Compliance) -> &ById<ComponentId, Self> {
        compliance.components()
    }
}

impl Kind for AssessmentDefined {
    const NAME: &'static str = "assessment";
    type Key = AssessmentId;

    fn id(key: &AssessmentId) -> &Id {
        key.id()
    }

    fn all(compliance: &Compliance) -> &ById<AssessmentId, Self> {
        compliance.assessments()
    }
}

impl Kind for AttestationDefined {
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

impl<'a, T: Kind> View<'a, T> {
    fn of(key: &'a T::Key, defined: &'a Defined<T>) -> Self {
        let Defined { said, version, position, at } = defined;
        Self { id: T::id(key), said, job: T::job(key), version: *version, position: *position, at: *at }
    }
}

/// `GET /v1/controls`, and so on.
pub(super) async fn list<T: Kind>(door: Admitted, params: Params) -> Result<Response, Problem>
where
    for<'a> &'a T::Key: AsId,
{
    let (page, room, state) = door.page(params).await?;
    let rows = T::all(state.compliance()).range(page.keys::<T::Key>());
    Ok(room.holding(answer::json(state.position(), page.list(rows, |key, defined| View::<T>::of(key, defined)))))
}

/// `GET /v1/controls/{id}`, and so on.
pub(super) async fn one<T: Kind>(door: Admitted, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    let (key, state) = door.item::<T::Key>(&id, params).await?;
    match T::all(state.compliance()).get(&key) {
        Some(defined) => Ok(answer::json(state.position(), View::of(&key, defined))),
        None => Err(Problem::unknown(T::NAME, &id)),
    }
}
