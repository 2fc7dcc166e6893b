//! From a store's URL to the store.
//!
//! Owns the choice of backend.

use crate::store::{Error, Handle};
use crate::{postgres, sqlite};

/// Opens `sqlite:FILE` or `postgres://...` for this process alone (SQLite) or with others (PostgreSQL); makes and
/// migrates the schema. Must be called inside a tokio runtime that lives as long as the store.
pub async fn open(url: &str) -> Result<Handle, Error> {
    choose(url, None).await
}

/// Like [`open`]; an SQLite file may be open in another process of the router with the same name, which a new binary
/// takes over from.
pub async fn open_as(url: &str, router: &str) -> Result<Handle, Error> {
    choose(url, Some(router)).await
}

async fn choose(url: &str, router: Option<&str>) -> Result<Handle, Error> {
    if let Some(rest) = url.strip_prefix("sqlite:") {
        let file = rest.strip_prefix("//").unwrap_or(rest);
        if file.is_empty() || file.starts_with(':') {
            return Err(Error::Url {
                url: url.into(),
                why: "a store needs a file".into(),
            });
        }
        return sqlite::open(file, router).await;
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return postgres::open(url).await;
    }
    // Not repeated beyond its scheme: it may hold a password.
    let scheme = url.split(':').next().unwrap_or_default();
    Err(Error::Url {
        url: format!("{scheme}:..."),
        why: "the scheme is unknown".into(),
    })
}
