//! The servers that a store's URL names, and the pool of connections to the one that takes writes.
//!
//! Owns which server is used, and looks for another one when it fails. Must not promote anything. Relies on the store's
//! incarnations (`write.rs`): a primary that was left behind on an older timeline is refused there, even if nobody else
//! answers here.

use super::{ANSWER_TIMEOUT, CONNECTIONS_MAX};
use crate::sql::session::failed;
use crate::store::Error;
use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Between two searches while no server takes writes, or while something else is wrong.
const SEARCH_EVERY: Duration = Duration::from_millis(500);
/// Between two looks while nothing is wrong.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The timeline is in the first eight digits of the name of the file that a primary writes to.
const PRIMARY: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN '' \
                       ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END";

/// The servers of one store.
pub(super) struct Servers {
    all: Vec<PgConnectOptions>,
    used: Mutex<Used>,
    trouble: Notify,
}

/// The server in use.
struct Used {
    pool: PgPool,
    primary: Primary,
}

/// A server that takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Primary {
    /// Its place in the URL.
    at: usize,
    /// Eight digits: what a later promotion made is higher.
    timeline: String,
}

/// Ends the search with the store.
pub(super) struct Search(JoinHandle<()>);

impl Drop for Search {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Servers {
    /// Connects to the primary among them. Unavailable when there is none.
    pub(super) async fn open(all: Vec<PgConnectOptions>) -> Result<(Arc<Servers>, Search), Error> {
        let primary = match all.as_slice() {
            [_] => Primary {
                at: 0,
                timeline: String::new(),
            },
            _ => primary(&all).await?,
        };
        let pool = pools().connect_with(all[primary.at].clone()).await;
        let pool = pool.map_err(|error| failed("connect", error))?;
        let servers = Arc::new(Servers {
            all,
            used: Mutex::new(Used { pool, primary }),
            trouble: Notify::new(),
        });
        let search = Search(tokio::spawn(Arc::clone(&servers).search()));
        Ok((servers, search))
    }

    /// Connections to the server in use.
    pub(super) fn pool(&self) -> PgPool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.pool.clone()
    }

    /// Something did not work there: look whether another one is the primary now.
    pub(super) fn trouble(&self) {
        self.trouble.notify_one();
    }

    async fn search(self: Arc<Servers>) {
        if self.all.len() < 2 {
            return;
        }
        loop {
            // Also without trouble: one that was left behind by a promotion may answer as before.
            let _ = tokio::time::timeout(LOOK_EVERY, self.trouble.notified()).await;
            match primary(&self.all).await {
                Ok(found) => self.take(found),
                Err(error) => tracing::debug!(%error, "no server of the store takes writes"),
            }
            tokio::time::sleep(SEARCH_EVERY).await;
        }
    }

    /// Goes to a server that was promoted later, or, on the same timeline, to the one that answers.
    fn take(&self, found: Primary) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if found.timeline < used.primary.timeline || found == used.primary {
            return;
        }
        let options = self.all[found.at].clone();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        tracing::warn!(%server, timeline = %found.timeline, "the store is written at another server now");
        let pool = pools().connect_lazy_with(options);
        let left = std::mem::replace(&mut used.pool, pool);
        used.primary = found;
        drop(used);
        // Whatever still runs there ends by its own time limit.
        tokio::spawn(async move { left.close().await });
    }
}

fn pools() -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ANSWER_TIMEOUT)
}

/// The server that takes writes; of several the one that was promoted last, then the one that is named first.
async fn primary(all: &[PgConnectOptions]) -> Result<Primary, Error> {
    let asked = all.iter().enumerate().map(|(at, options)| async move {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, timeline(options)).await;
        let timeline = match answer {
            Ok(timeline) => timeline?,
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        Ok(timeline.map(|timeline| Primary { at, timeline }))
    });
    let mut latest: Option<Primary> = None;
    let mut last = None;
    for answer in join_all(asked).await {
        match answer {
            Ok(Some(found)) => {
                if latest
                    .as_ref()
                    .is_none_or(|latest| latest.timeline < found.timeline)
                {
                    latest = Some(found);
                }
            }
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
    }
    let why = || last.unwrap_or_else(|| sqlx::Error::Configuration(NO_PRIMARY.into()));
    latest.ok_or_else(|| failed("find the primary among the store's servers", why()))
}

const NO_PRIMARY: &str = "every server that the URL names is a standby";

/// The timeline that a server writes on; nothing for a standby.
async fn timeline(options: &PgConnectOptions) -> Result<Option<String>, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let timeline: String = sqlx::query_scalar(PRIMARY)
        .fetch_one(&mut connection)
        .await?;
    let _ = connection.close().await;
    Ok(Some(timeline).filter(|timeline| !timeline.is_empty()))
}

/// One set of options for each server of `postgres://USER@HOST:PORT,HOST:PORT/DATABASE`, the form of libpq.
pub(super) fn named(url: &str) -> Result<Vec<PgConnectOptions>, sqlx::Error> {
    each(url)
        .iter()
        .map(|url| PgConnectOptions::from_str(url))
        .collect()
}

/// The same URL with each of its hosts.
fn each(url: &str) -> Vec<String> {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let end = url[begin..]
        .find(['/', '?'])
        .map_or(url.len(), |at| begin + at);
    let hosts = url[begin..end]
        .rfind('@')
        .map_or(begin, |at| begin + at + 1);
    let (before, hosts, after) = (&url[..hosts], &url[hosts..end], &url[end..]);
    hosts
        .split(',')
        .map(|host| format!("{before}{host}{after}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_of_a_url_is_a_server() {
        let urls = each("postgres://me:p,w@h1:1,h2,[::1]:3/db?sslmode=require");
        let with = |host: &str| format!("postgres://me:p,w@{host}/db?sslmode=require");
        assert_eq!(urls, [with("h1:1"), with("h2"), with("[::1]:3")]);
        assert_eq!(
            each("postgres:///db?host=/run"),
            ["postgres:///db?host=/run"]
        );
        let ports: Vec<u16> = named("postgres://me@h1:1,h2/db")
            .unwrap()
            .iter()
            .map(PgConnectOptions::get_port)
            .collect();
        assert_eq!(ports, [1, 5432]);
    }
}
