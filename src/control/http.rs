//! The control listener's pages: metrics, health, status and the watch page.
//!
//! Everything here reads but one thing: an operator may have another input lead. All of the watch
//! page comes from the binary, so that it works on a machine that can't reach the internet.

use super::metrics::{self, Registry};
use super::status::StatusSource;
use super::timeline::TimelineSource;
use crate::units::InputNumber;
use arc_swap::ArcSwap;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use std::sync::Arc;

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// Counters.
    pub registry: Arc<ArcSwap<Registry>>,
    /// State of the data plane.
    pub status: StatusSource,
    /// Has another input lead.
    pub switch: SwitchInput,
    /// Pictures of the channels.
    pub timeline: TimelineSource,
}

/// Asks a channel to be led by an input as soon as it can. False where there is no such channel,
/// or no such input of it. Must not wait.
pub type SwitchInput = Arc<dyn Fn(&str, InputNumber) -> bool + Send + Sync>;

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// Scripts from the binary only; media and manifests from any data-plane port.
const POLICY: &str = "default-src 'self'; connect-src *; media-src * blob:; img-src * data:; \
                      style-src 'self' 'unsafe-inline'; worker-src blob:; frame-ancestors 'none'";

/// The control listener's routes.
pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/", get(asset(HTML, include_str!("console.html"))))
        .route("/assets/timeline.js", get(asset(JAVASCRIPT, include_str!("timeline.js"))))
        .route("/assets/console.js", get(asset(JAVASCRIPT, include_str!("console.js"))))
        .route(
            "/assets/shaka-player.js",
            get(asset(JAVASCRIPT, include_str!("assets/shaka-player.js"))),
        )
        .route("/metrics", get(metrics_page))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/api/status", get(status))
        .route("/api/channels/{id}/switch", post(switch))
        .route("/api/channels/{id}/timeline", get(timeline))
        .with_state(pages)
}

fn asset(
    content_type: &'static str,
    text: &'static str,
) -> ([(HeaderName, &'static str); 3], &'static str) {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, text)
}

async fn metrics_page(State(pages): State<Pages>) -> Response {
    let text = metrics::render(&pages.registry.load());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn readiness(State(pages): State<Pages>) -> Response {
    let readiness = (pages.status)().readiness;
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness)).into_response()
}

/// `POST /api/channels/{id}/switch?input=2`: 202 where the channel was told, 404 where there is no
/// such input, 400 where none is named. What it comes to is in the log and the metrics.
async fn switch(
    State(pages): State<Pages>,
    Path(channel): Path<String>,
    RawQuery(query): RawQuery,
) -> (StatusCode, &'static str) {
    let named = query.as_deref().and_then(|query| query.strip_prefix("input="));
    let Some(input) = named.and_then(|it| it.parse().ok()).and_then(InputNumber::new) else {
        return (StatusCode::BAD_REQUEST, "expected ?input=1 or ?input=2\n");
    };
    if (pages.switch)(&channel, input) {
        (StatusCode::ACCEPTED, "told\n")
    } else {
        (StatusCode::NOT_FOUND, "no such channel, or no such input of it\n")
    }
}

async fn status(State(pages): State<Pages>) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json((pages.status)())).into_response()
}

async fn timeline(State(pages): State<Pages>, Path(id): Path<String>) -> Response {
    match (pages.timeline)(&id) {
        Some(timeline) => ([(CACHE_CONTROL, "no-store")], Json(timeline)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
