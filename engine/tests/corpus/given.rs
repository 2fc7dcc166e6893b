//! What a model of a test lacks when it is run by itself: the processes that it calls, and the variables that its test sets.
//!
//! Owns the finding of both from the engine's refusals. A called process is the corpus's own, of the nearest folder, or one that
//! waits at a user task; every variable is the number 1. Must not give what the engine does not ask for by name.

use crate::support::{Answer, Engine};
use hyper::Method;
use roxmltree::Document;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// All models, and which of them have which process.
pub(crate) struct Corpus {
    /// By path.
    pub(crate) models: BTreeMap<String, String>,
    by_key: BTreeMap<String, Vec<String>>,
}

impl Corpus {
    pub(crate) fn new(models: BTreeMap<String, String>) -> Corpus {
        let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, model) in &models {
            for key in keys(model) {
                by_key.entry(key).or_default().push(path.clone());
            }
        }
        Corpus { models, by_key }
    }

    /// The models with this process, those nearest to `path` first.
    fn with(&self, key: &str, path: &str) -> Vec<&str> {
        let mut found: Vec<&str> = self.by_key.get(key).map_or(Vec::new(), |paths| {
            paths.iter().map(String::as_str).collect()
        });
        let near = |other: &str| {
            let same = path.bytes().zip(other.bytes());
            same.take_while(|(a, b)| a == b).count()
        };
        found.sort_by_key(|other| std::cmp::Reverse(near(other)));
        found
    }
}

fn keys(model: &str) -> Vec<String> {
    let Ok(document) = Document::parse(model) else {
        return Vec::new();
    };
    let children = document.root_element().children();
    let runs = children.filter(|n| {
        n.tag_name().name() == "process" && n.attribute("isExecutable") == Some("true")
    });
    runs.filter_map(|n| n.attribute("id").map(str::to_owned))
        .collect()
}

/// What one run was given.
pub(crate) struct Given<'c> {
    corpus: &'c Corpus,
    path: &'c str,
    variables: BTreeSet<String>,
    /// By instance and name.
    set: BTreeSet<(String, String)>,
    called: BTreeSet<String>,
    deployments: Vec<String>,
}

impl<'c> Given<'c> {
    /// Nothing yet, for the model of this path.
    pub(crate) fn new(corpus: &'c Corpus, path: &'c str) -> Given<'c> {
        Given {
            corpus,
            path,
            variables: BTreeSet::new(),
            set: BTreeSet::new(),
            called: BTreeSet::new(),
            deployments: Vec::new(),
        }
    }

    /// For a start.
    pub(crate) fn variables(&self) -> Json {
        let all = self.variables.iter().map(|name| (name.clone(), one()));
        Json::Object(all.collect::<Map<String, Json>>())
    }

    /// Gives what a refusal names as lacking, once. Is it worth to try again?
    pub(crate) async fn gives(
        &mut self,
        engine: &Engine,
        refusal: &Answer,
        instance: Option<&str>,
    ) -> bool {
        let body = refusal.json();
        let message = body["message"].as_str().unwrap_or_default();
        if let Some(name) = quoted(message, "Cannot resolve identifier '") {
            let Some(instance) = instance else {
                return self.variables.insert(name.to_owned());
            };
            let path = format!("/engine-rest/process-instance/{instance}/variables/{name}");
            return self.set.insert((instance.to_owned(), name.to_owned()))
                && engine.send(Method::PUT, &path, one()).await.status < 400;
        }
        match quoted(message, "no processes deployed with key '") {
            Some(key) if self.called.insert(key.to_owned()) => {
                self.deploy(engine, key).await;
                true
            }
            _ => false,
        }
    }

    async fn deploy(&mut self, engine: &Engine, key: &str) {
        let waiting = format!(
            r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="t"><process id="{key}" isExecutable="true">
            <startEvent id="s"/><sequenceFlow id="f" sourceRef="s" targetRef="u"/><userTask id="u"/></process></definitions>"#
        );
        let own = self.corpus.with(key, self.path).into_iter();
        let own = own.map(|path| self.corpus.models[path].as_str());
        for model in own.chain([waiting.as_str()]) {
            let fields = [("deployment-name", "called")];
            let answer = engine.upload(&fields, &[("called.bpmn", model)]).await;
            if answer.status == 200 {
                let id = answer.json()["id"].as_str().unwrap().to_owned();
                self.deployments.push(id);
                return;
            }
        }
    }

    /// Removes what was deployed.
    pub(crate) async fn take_away(self, engine: &Engine) {
        for deployment in self.deployments {
            undeploy(engine, &deployment).await;
        }
    }
}

/// Removes a deployment with all its instances.
pub(crate) async fn undeploy(engine: &Engine, deployment: &str) {
    let path = format!("/engine-rest/deployment/{deployment}?cascade=true");
    let gone = engine.call(Method::DELETE, &path, None).await;
    assert_eq!(gone.status, 204, "{}", gone.json());
}

fn one() -> Json {
    json!({ "type": "Integer", "value": 1 })
}

/// What stands in quotes after `before`.
fn quoted<'m>(message: &'m str, before: &str) -> Option<&'m str> {
    let (_, after) = message.split_once(before)?;
    after.split_once('\'').map(|(name, _)| name)
}
