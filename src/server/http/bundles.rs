//! Bundles: which entities belong together.

use api::bundle::{BundleDetail, BundleSummary};
use api::query::BUNDLE;
use projections::bundles::{Bundle, Bundles};
use schema::entity::{Entity, Kind};
use schema::id::{BundleId, Id};

use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::paging::{PageQuery, RenderedPage};
use crate::http::params::{GivenParams, Parameter, RequestParameters, id_schema};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

const BUNDLE_PARAMETER: Parameter = Parameter::query(BUNDLE, "Only what belongs to this bundle.", id_schema);

/// Of a list: only what belongs to one bundle.
pub(super) struct BundleFilter(Option<BundleId>);

impl RequestParameters for BundleFilter {
    fn declared() -> Vec<Parameter> {
        vec![BUNDLE_PARAMETER]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let read = |text: &str| text.parse::<Id>().map(BundleId::from).map_err(|invalid| invalid.detail);
        Ok(Self(given.query(&BUNDLE_PARAMETER, read)?))
    }
}

impl BundleFilter {
    /// Whether an entity is shown.
    pub(super) fn fits(&self, bundles: &Bundles, entity: impl Into<Entity>) -> bool {
        self.0.as_ref().is_none_or(|wanted| bundles.owner(&entity.into()) == Some(wanted))
    }
}

fn summary(id: &BundleId, bundle: &Bundle) -> BundleSummary {
    let of = |kind: Kind| bundle.members.iter().filter(|member| member.kind == kind).count();
    let (documents, nodes) = (of(Kind::Document), of(Kind::Node));
    BundleSummary {
        id: id.clone(),
        documents,
        nodes,
        definitions: bundle.members.len() - documents - nodes,
        version: bundle.version,
        position: bundle.position,
        at: bundle.at,
    }
}

/// `GET /v1/bundles`
pub(super) async fn list(
    asked: Asked<(PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<BundleSummary>>, ProblemResponse> {
    let Asked { app, params: (page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let listed = page.list(state.bundles().all().range(page.keys::<BundleId>()), |id, bundle| summary(id, bundle));
    Ok(JsonAnswer::new(state.position(), listed).with_memory(memory))
}

/// `GET /v1/bundles/{id}`
pub(super) async fn one(
    asked: Asked<(PathId<BundleId>, SnapshotQuery)>,
) -> Result<JsonAnswer<BundleDetail>, ProblemResponse> {
    let Asked { app, params: (PathId(id), query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    let Some(bundle) = state.bundles().all().get(&id) else {
        return Err(ProblemResponse::unknown_entity("bundle", id.as_str()));
    };
    let detail = BundleDetail { summary: summary(&id, bundle), members: bundle.members.iter().cloned().collect() };
    Ok(JsonAnswer::new(state.position(), detail))
}
