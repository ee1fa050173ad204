//! The pages, embedded in the binary.

use super::{App, body::Path, problem::Problem};
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use rust_embed::RustEmbed;
use std::sync::Arc;

#[derive(RustEmbed)]
#[folder = "ui/"]
struct Ui;

/// `/` and what it needs.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(|| file("index.html")))
        .route("/favicon.ico", get(|| file("favicon.svg")))
        .route("/ui/{*path}", get(|Path(path): Path<String>| async move { file(&path).await }))
}

async fn file(path: &str) -> Response {
    let Some(file) = Ui::get(path) else {
        let detail = format!("there is no page {path}");
        return Problem::new(StatusCode::NOT_FOUND, "not_found", detail).into_response();
    };
    let kind = match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], file.data).into_response()
}
