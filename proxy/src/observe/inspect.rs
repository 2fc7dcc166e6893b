//! Questions to one installation, whether it serves or not.
//!
//! Owns asking past the data path: a place that came back is looked at before anything is sent there. Must not change
//! anything and does not judge. Relies on the dialect for questions that are GETs.

use super::judge::Why;
use crate::dialect::Presence;
use crate::forward::ask::ANSWER_BYTES_MAX;
use crate::forward::connect;
use crate::forward::question::Asker;
use crate::topology::{Endpoint, Installation, Site};
use bytes::Bytes;
use homing_mapping_store::RoutingKey;
use http::{HeaderValue, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// One installation of one site.
#[derive(Clone)]
pub struct Inspector {
    /// The site.
    pub site: Arc<Site>,
    /// The installation.
    pub installation: Arc<Installation>,
    /// The `Via` of the router's own requests.
    pub via: HeaderValue,
    /// For a connection.
    pub connect: Duration,
    /// For one question, connecting included.
    pub within: Duration,
}

impl Inspector {
    /// Asks by GET, below the site's base path, at the first endpoint that answers.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), Why> {
        let mut last = Why::Unreachable;
        for endpoint in &self.installation.endpoints {
            let asked = self.get_at(endpoint, path);
            match tokio::time::timeout(self.within, asked).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(why)) => last = why,
                Err(_) => last = Why::Slow,
            }
        }
        Err(last)
    }

    async fn get_at(
        &self,
        endpoint: &Arc<Endpoint>,
        path: &str,
    ) -> Result<(StatusCode, Bytes), Why> {
        let connected = connect::connect(endpoint, self.connect).await;
        let mut connection = connected.map_err(|error| match error {
            connect::Error::Timeout { .. } => Why::Slow,
            connect::Error::Tls { .. } => Why::Untrusted,
            connect::Error::Connect { .. } => Why::Unreachable,
        })?;
        connection.will_close();
        let mut ask = Asker {
            site: &self.site,
            endpoint,
            via: Some(&self.via),
            connection: &mut connection,
            bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = ask.get(&format!("{}{path}", self.site.base_path)).await;
        answer.map_err(Why::from)
    }

    /// Whether the thing is there.
    pub async fn find(&self, key: &RoutingKey) -> Presence {
        let paths = self.site.dialect.locate(key);
        let mut verdict = if paths.is_empty() {
            Presence::Unclear
        } else {
            Presence::Absent
        };
        for path in paths {
            let Ok((status, body)) = self.get(&path).await else {
                return Presence::Unclear;
            };
            match self.site.dialect.judge_probe(key, status, &body) {
                Presence::Present(facts) => return Presence::Present(facts),
                Presence::Absent => {}
                Presence::Unclear => verdict = Presence::Unclear,
            }
        }
        verdict
    }
}
