//! `GET /metrics`: the figures of this server, for Prometheus, which needs an auditor's token.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use metrics::{self, OPEN_METRICS};
use program::tasks::run_blocking;
use projections::rollouts::RolloutStatus;
use schema::instant::Instant;
use schema::position::Position;

use crate::event_log::EventPage;
use crate::http::answer::{BodyType, Raw};
use crate::http::context::AppState;
use crate::http::fleet;
use crate::http::operation::Asked;
use crate::http::position_header::with_position;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::ReadSnapshot;

/// The text that Prometheus reads.
pub(super) struct OpenMetrics;

impl BodyType for OpenMetrics {
    const NAME: &'static str = "application/openmetrics-text";
}

/// `GET /metrics`
pub(super) async fn show(asked: Asked<()>) -> Result<Raw<OpenMetrics>, ProblemResponse> {
    let app = AppState::clone(&asked.app);
    let snapshot = ReadSnapshot { configuration: app.log().view(), is_past: false };
    let (head, published) = (snapshot.configuration.position(), app.published());
    let oldest = match published.filter(|published| *published < head) {
        Some(published) => oldest_after(&app, published, head).await,
        None => None,
    };
    metrics::progress_observed(head, published, oldest, app.readiness().is_empty());
    if let Some(certificate) = app.certificate() {
        metrics::certificate_expires("http", certificate.expires_in());
    }
    metrics::unknown_nodes_counted(app.reports().unknown());
    let open = snapshot.configuration.proposals().open();
    let (count, oldest) = open.fold((0, None), |(count, oldest): (usize, Option<Instant>), (_, proposal)| {
        (count + 1, Some(oldest.map_or(proposal.at, |oldest| oldest.min(proposal.at))))
    });
    metrics::proposals_counted(count, oldest);
    let rollouts = snapshot.configuration.rollouts().open();
    for status in RolloutStatus::ALL {
        let count = rollouts.values().filter(|rollout| rollout.status == status).count();
        metrics::rollouts_counted(status.name(), count);
    }
    run_blocking(move || {
        fleet::count(&app, &snapshot)
            .states
            .into_iter()
            .for_each(|(state, count)| metrics::nodes_counted(&state, count))
    })
    .await;
    let text = ([(CONTENT_TYPE, OPEN_METRICS)], metrics::open_metrics_text()).into_response();
    Ok(Raw::new(with_position(head, text)))
}

/// When the oldest event that is not published was appended; none if the log can't be read now.
async fn oldest_after(app: &AppState, published: Position, head: Position) -> Option<Instant> {
    let page = EventPage { after: published, up_to: Some(head), limit: 1, ..EventPage::default() };
    Some(app.log().events(page).await.ok()?.first()?.at)
}
