//! Settings of `[store]`, ready to use.
//!
//! Owns the typed values and the reading of store URLs. Must not open anything.

use crate::secret::Secret;
use std::path::{Path, PathBuf};
use url::Url;

/// The durable store.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// Where it is.
    pub url: StoreUrl,
    /// Folder of this router's own journal.
    pub journal: PathBuf,
}

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file, for one process.
    Sqlite(PathBuf),
    /// A PostgreSQL URL, for many.
    Postgres(Secret),
}

impl StoreUrl {
    /// Reads `"sqlite:FILE"` or `"postgres://..."`; the error is the cure.
    pub fn parse(text: &str) -> Result<StoreUrl, String> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(format!(
                "begin with `sqlite:` or `postgres://`: \"sqlite:{text}\""
            ));
        };
        match scheme {
            "sqlite" => sqlite(rest),
            "postgres" | "postgresql" => postgres(text),
            other => Err(match crate::suggest::nearest(other, ["sqlite", "postgres"]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "use \"sqlite:FILE\" for one router or \"postgres://USER@HOST/DATABASE\" for several".into(),
            }),
        }
    }

    /// The file's folder, for a store in a file.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            StoreUrl::Sqlite(path) => path.parent(),
            StoreUrl::Postgres(_) => None,
        }
    }
}

fn sqlite(rest: &str) -> Result<StoreUrl, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path == ":memory:" || path.is_empty() {
        return Err("the store must outlive the process: name a file, \"sqlite:homing.db\"".into());
    }
    if path.contains('?') {
        return Err(
            "leave out everything from `?`: how the file is opened is not a setting".into(),
        );
    }
    if path.ends_with('/') {
        return Err(format!(
            "this is a folder; name a file in it: \"sqlite:{path}homing.db\""
        ));
    }
    Ok(StoreUrl::Sqlite(PathBuf::from(path)))
}

fn postgres(text: &str) -> Result<StoreUrl, String> {
    let form = "write \"postgres://USER@HOST:PORT/DATABASE\"";
    let url = Url::parse(&with_one_host(text)?).map_err(|error| format!("{error}; {form}"))?;
    // A socket folder may stand in place of a host: postgres:///db?host=/run/postgresql
    let socket = url.query_pairs().any(|(key, _)| key == "host");
    if !text.contains("://") || (url.host_str().is_none_or(str::is_empty) && !socket) {
        return Err(format!("a host is missing; {form}"));
    }
    if url.path().trim_matches('/').is_empty() {
        return Err(format!("the name of the database is missing; {form}"));
    }
    Ok(StoreUrl::Postgres(Secret::new(text)))
}

/// The URL with the first of its servers; `HOST:PORT,HOST:PORT` names several, of which one is the primary.
fn with_one_host(text: &str) -> Result<String, String> {
    let begin = text.find("://").map_or(0, |at| at + 3);
    let end = text[begin..]
        .find(['/', '?'])
        .map_or(text.len(), |at| begin + at);
    let hosts = text[begin..end]
        .rfind('@')
        .map_or(begin, |at| begin + at + 1);
    let Some((first, others)) = text[hosts..end].split_once(',') else {
        return Ok(text.to_owned());
    };
    for host in others.split(',') {
        let url = format!("postgres://{host}/");
        let named =
            Url::parse(&url).is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()));
        if !named {
            return Err(format!(
                "`{host}` is no server; write \"postgres://USER@HOST:PORT,HOST:PORT/DATABASE\""
            ));
        }
    }
    Ok(format!("{}{first}{}", &text[..hosts], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_url_is_taken_only_when_it_can_be_durable() {
        assert_eq!(
            StoreUrl::parse("sqlite:homing.db"),
            Ok(StoreUrl::Sqlite("homing.db".into()))
        );
        assert_eq!(
            StoreUrl::parse("sqlite:///var/homing.db"),
            Ok(StoreUrl::Sqlite("/var/homing.db".into()))
        );
        assert!(StoreUrl::parse("postgres://homing@db:5432/homing").is_ok());
        assert!(StoreUrl::parse("postgres:///homing?host=/run/postgresql").is_ok());
        assert!(StoreUrl::parse("postgres://homing:p,w@one:5432,two/homing").is_ok());
        for text in [
            "sqlite:",
            "sqlite::memory:",
            "homing.db",
            "mysql://a/b",
            "postgres://host",
            "postgres:x",
            "postgres:///db",
            "postgres://one,/db",
            "postgres://one,two:port/db",
        ] {
            assert!(StoreUrl::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            StoreUrl::parse("postgers://a/b"),
            Err("did you mean `postgres`?".into())
        );
    }
}
