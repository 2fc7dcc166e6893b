//! Looking whether a site has a deployment already: by tenant, key, and the names and hashes of files.
//!
//! Owns the comparison. Asks by GET only. What is taken by another record is passed over, so that the second of two equal
//! deployments is matched by the second copy. An application that deploys itself when it starts is recognised like that.

use crate::dialect::Ask;
use crate::dialect::deploys::{Bundle, Deployed, Deploys, hash};
use crate::forward::ask;
use crate::forward::send::Times;
use crate::resolve::Target;
use bytes::Bytes;
use homing_mapping_store::Engine;
use homing_mapping_store::deployment::DEPLOYMENT_BYTES_MAX;
use http::{HeaderValue, StatusCode};
use std::collections::HashSet;

/// What a look has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Sight {
    /// The site has it.
    There(Deployed),
    /// The site does not have it.
    Absent,
    /// It cannot be told; says why.
    Unclear(String),
}

/// How sites are asked.
pub struct Look<'l> {
    /// The site.
    pub target: &'l Target,
    /// How its API deploys.
    pub deploys: &'l dyn Deploys,
    /// The engine inside of it.
    pub engine: &'l Engine,
    /// For the questions.
    pub via: &'l HeaderValue,
    /// Times of the questions.
    pub times: Times,
}

impl Look<'_> {
    /// Looks for a deployment that brings the same. `taken`: ids that belong to other records.
    pub async fn find(&self, bundle: &Bundle, taken: &HashSet<String>) -> Sight {
        match self.found(bundle, taken).await {
            Ok(Some(deployed)) => Sight::There(deployed),
            Ok(None) => Sight::Absent,
            Err(why) => Sight::Unclear(why),
        }
    }

    async fn found(
        &self,
        bundle: &Bundle,
        taken: &HashSet<String>,
    ) -> Result<Option<Deployed>, String> {
        let question = self.deploys.candidates(self.engine, bundle);
        let read = |status, body: &[u8]| self.deploys.read_candidates(bundle, status, body);
        let mut candidates = self.answer(&question, read).await?;
        let mut seen = HashSet::new();
        candidates.retain(|id| !taken.contains(id) && seen.insert(id.clone()));
        for id in candidates {
            if self.holds(&id, bundle).await? {
                let definitions = self.definitions(&id).await?;
                return Ok(Some(Deployed { id, definitions }));
            }
        }
        Ok(None)
    }

    /// Whether a deployment has all files of the bundle, byte for byte.
    async fn holds(&self, id: &str, bundle: &Bundle) -> Result<bool, String> {
        let question = self.deploys.resources(self.engine, id);
        let read = |status, body: &[u8]| self.deploys.read_resources(status, body);
        let files = self.answer(&question, read).await?;
        for wanted in &bundle.resources {
            let Some((file, _)) = files.iter().find(|(_, name)| *name == wanted.name) else {
                return Ok(false);
            };
            let question = self.deploys.content(self.engine, id, file);
            // What is longer than a deployment may be is another file.
            let asked = ask::content(
                self.target,
                &question,
                DEPLOYMENT_BYTES_MAX,
                self.via,
                self.times,
            );
            let (status, body) = asked.await.map_err(|problem| problem.detail.clone())?;
            if !status.is_success() {
                return Err(self.unclear(&question, status));
            }
            if body.is_none_or(|body| hash(&body) != wanted.hash) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the answer to content says was made, with its definitions; `None`: it does not say. An error if they had to be asked for
    /// and the site did not tell.
    pub async fn made(&self, answer: &[u8]) -> Result<Option<Deployed>, String> {
        let Some(mut made) = self.deploys.read_deployed(answer) else {
            return Ok(None);
        };
        if !self.deploys.tells_definitions() {
            made.definitions = self.definitions(&made.id).await?;
        }
        Ok(Some(made))
    }

    /// The definitions of a deployment.
    pub async fn definitions(
        &self,
        id: &str,
    ) -> Result<Vec<crate::dialect::deploys::Definition>, String> {
        let mut all = Vec::new();
        for (kind, question) in self.deploys.definitions(self.engine, id) {
            let read = |status, body: &[u8]| self.deploys.read_definitions(kind, status, body);
            all.extend(self.answer(&question, read).await?);
        }
        Ok(all)
    }

    /// How many instances run on a deployment, as far as the site says.
    pub async fn running(&self, id: &str) -> Option<u64> {
        let (status, body) = self
            .ask(&self.deploys.running(self.engine, id))
            .await
            .ok()?;
        self.deploys.read_count(status, &body)
    }

    /// Ids and names of the newest deployments.
    pub async fn newest(&self, max: usize) -> Result<Vec<(String, String)>, String> {
        let question = self.deploys.newest(self.engine, max);
        let read = |status, body: &[u8]| self.deploys.read_newest(status, body);
        self.answer(&question, read).await
    }

    async fn answer<T>(
        &self,
        question: &Ask,
        read: impl Fn(StatusCode, &[u8]) -> Option<T>,
    ) -> Result<T, String> {
        let (status, body) = self.ask(question).await?;
        read(status, &body).ok_or_else(|| self.unclear(question, status))
    }

    async fn ask(&self, question: &Ask) -> Result<(StatusCode, Bytes), String> {
        let asked = ask::ask(self.target, question, self.via, self.times).await;
        asked.map_err(|problem| problem.detail.clone())
    }

    fn unclear(&self, question: &Ask, status: StatusCode) -> String {
        let site = self.target.site.id;
        let path = question.path.split('?').next().unwrap_or_default();
        format!("site {site} answers {status} to GET {path}")
    }
}
