//! One side of the comparison: an engine, or Homing over several.
//!
//! Owns sending a step in the side's own ids and naming what the answer names. Must not compare. Relies on the side
//! being used by one script at a time.

use anyhow::{Result, ensure};
use homing_harness::{
    client::{Answer, Client},
    clock::wall_millis,
    deploy,
};
use serde_json::Value;

use super::{
    names::Names,
    step::{Body, Step},
};

pub(super) struct Side {
    pub(super) title: String,
    pub(super) client: Client,
    pub(super) names: Names,
    last: i64,
}

/// An answer, as it came and in the words of both sides.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) raw: Value,
    pub(super) plain: Value,
    pub(super) is_problem: bool,
    pub(super) missing: Option<String>,
}

impl Side {
    /// `mark`: in the keys and names of everything that this side makes.
    pub(super) fn new(title: &str, client: Client, mark: &str) -> Side {
        Side {
            title: title.to_owned(),
            client,
            names: Names::new(mark),
            last: 0,
        }
    }

    /// Carries out one step.
    pub(super) async fn run(&mut self, step: &Step) -> Result<Seen> {
        // Instants tell operations apart only if no two share a millisecond.
        // Less than one of them is left: waiting by a timer would take twenty.
        let mut now = wall_millis();
        while now <= self.last {
            tokio::task::yield_now().await;
            now = wall_millis();
        }
        self.names.begin(now);
        let answer = self.send(step).await?;
        self.last = wall_millis();
        let raw = if answer.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&answer.body).unwrap_or_else(|_| answer.text().into())
        };
        for (pointer, base) in &step.names {
            if let Some(id) = raw.pointer(pointer).and_then(Value::as_str) {
                self.names.name(base, id);
            }
        }
        Ok(Seen {
            status: answer.status.as_u16(),
            plain: self.names.plain(&raw),
            raw,
            is_problem: answer.header("content-type") == Some("application/problem+json"),
            missing: answer.header("homing-missing-sites").map(str::to_owned),
        })
    }

    async fn send(&self, step: &Step) -> Result<Answer> {
        let path = self.names.fill(&step.path)?.replace('+', "%20");
        ensure!(path.is_ascii(), "{path} is not an address");
        let (method, client) = (step.method.clone(), &self.client);
        match &step.body {
            Body::None => client.send(method, &path, Vec::new().into(), None).await,
            Body::Json(_) | Body::Raw(_) => {
                let text = match &step.body {
                    Body::Json(value) => value.to_string(),
                    Body::Raw(text) => text.clone(),
                    Body::None | Body::Files(..) => String::new(),
                };
                let body = self.names.fill(&text)?.into();
                client
                    .send(method, &path, body, Some("application/json"))
                    .await
            }
            Body::Files(name, files) => {
                let name = self.names.fill(name)?;
                let fields = [
                    ("deployment-name", name.as_str()),
                    ("deployment-source", "oracle"),
                ];
                let texts: Vec<String> = files
                    .iter()
                    .map(|(_, text)| self.names.fill(text))
                    .collect::<Result<_>>()?;
                let files: Vec<(&str, &str)> = files
                    .iter()
                    .zip(&texts)
                    .map(|((file, _), text)| (*file, text.as_str()))
                    .collect();
                deploy::deploy_with(client, &fields, &files).await
            }
        }
    }
}
