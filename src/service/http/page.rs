//! The page: what a person looks at.

use axum::Router;

use super::Ask;

pub(super) fn routes() -> Router<Ask> {
    Router::new()
}
