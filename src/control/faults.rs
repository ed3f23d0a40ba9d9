//! Making shards fail, for tests: off unless `HEADWATER_TEST_HOOKS=1` is in the environment, and
//! then no less dangerous than it sounds.
//!
//! | `POST` on the control listener | what happens |
//! | --- | --- |
//! | `/test/shard/{n}/panic` | shard `n` panics |
//! | `/test/shard/{n}/stall?ms=` | shard `n` does nothing for so long |
//! | `/test/body/{panic, abort or stall}?name=` | so does whoever takes in a body of this name |
//! | `/test/storage/stall?ms=` | every thread that writes records does nothing for so long |

use crate::limits::SHARD_STUCK_SPAN_MAX;
use crate::shard::member::Fault;
use crate::shard::shared::Shared;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use std::env;
use std::sync::Arc;
use std::time::Duration;

/// The routes; none unless the environment asks for them.
pub fn router(shared: Arc<Shared>) -> Router {
    if env::var_os("HEADWATER_TEST_HOOKS").is_none_or(|value| value != "1") {
        return Router::new();
    }
    tracing::warn!("HEADWATER_TEST_HOOKS is set: anyone on the control listener can break this");
    Router::new()
        .route("/test/shard/{shard}/panic", post(panic))
        .route("/test/shard/{shard}/stall", post(stall))
        .route("/test/body/{fault}", post(mark_body))
        .route("/test/storage/stall", post(stall_storage))
        .with_state(shared)
}

#[derive(Deserialize)]
struct Span {
    ms: u64,
}

#[derive(Deserialize)]
struct Body {
    name: String,
}

fn inject(shared: &Shared, shard: usize, fault: Fault) -> StatusCode {
    let Some(member) = shared.members.get(shard) else { return StatusCode::NOT_FOUND };
    member.inject(fault);
    StatusCode::NO_CONTENT
}

async fn panic(State(shared): State<Arc<Shared>>, Path(shard): Path<usize>) -> StatusCode {
    inject(&shared, shard, Fault::Panic)
}

async fn stall(
    State(shared): State<Arc<Shared>>,
    Path(shard): Path<usize>,
    Query(span): Query<Span>,
) -> StatusCode {
    inject(&shared, shard, Fault::Stall(Duration::from_millis(span.ms)))
}

async fn mark_body(
    State(shared): State<Arc<Shared>>,
    Path(fault): Path<String>,
    Query(body): Query<Body>,
) -> StatusCode {
    let fault = match &*fault {
        "panic" => Fault::Panic,
        "abort" => Fault::Abort,
        "stall" => Fault::Stall(SHARD_STUCK_SPAN_MAX * 2),
        _ => return StatusCode::NOT_FOUND,
    };
    shared.quarantine.mark(body.name, fault);
    StatusCode::NO_CONTENT
}

async fn stall_storage(State(shared): State<Arc<Shared>>, Query(span): Query<Span>) -> StatusCode {
    match shared.storage.stall_writing(Duration::from_millis(span.ms)) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
