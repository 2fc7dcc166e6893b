//! Deploying models, and taking deployments away.

use super::Handle;
use crate::clock::Millis;
use crate::cluster::bells::Bell;
use crate::error::Error;
use crate::expr::{Environment, Known, Member, Operand, Template, to_text};
use crate::model::{JobDefinition, Kind, Problem, Process, Trigger, parse};
use crate::store::{
    DefinitionRow, Deployment, NewDefinition, NewDeployment, Resource, StartTrigger,
};
use crate::time::cycle::Cycle;
use crate::value::Value;
use std::collections::{HashMap, HashSet};

/// Longest definition id that carries key and version.
const DEFINITION_ID_MAX: usize = 64;
/// Tries when another engine deploys the same key at the same time.
const TRIES: usize = 50;

/// What is uploaded.
#[derive(Clone, Debug, Default)]
pub struct Upload {
    /// Name of the deployment.
    pub name: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
    /// Tenant.
    pub tenant: Option<String>,
    /// Leave out what is there already, unless something changed.
    pub filter_duplicates: bool,
    /// Deploy only what changed.
    pub changed_only: bool,
    /// Resources by name.
    pub resources: Vec<(String, Vec<u8>)>,
}

/// What became of an upload.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// The deployment: a new one, or the one that is the same.
    pub deployment: Deployment,
    /// Its definitions; `None` if nothing was deployed.
    pub definitions: Option<Vec<DefinitionRow>>,
}

/// What is left of an upload without what is there already.
enum Left {
    /// Nothing: this is the same.
    Nothing(Deployed),
    /// The resources of these names.
    These(HashSet<String>),
}

impl Handle {
    /// Deploys resources, all or none.
    pub async fn deploy(&self, upload: Upload) -> Result<Deployed, Error> {
        let parsed = self.parse_all(&upload)?;
        let mut tries = 0;
        loop {
            tries += 1;
            // Before duplicates are looked for: what is deployed from here on takes the version that this one asks for.
            let versions = self.next_versions(&upload, &parsed).await?;
            let left = match self.without_duplicates(&upload).await? {
                Left::Nothing(same) => return Ok(same),
                Left::These(names) => names,
            };
            let mut new = self.assemble(&upload, &left, &parsed, &versions).await?;
            new.forms = self.new_forms(&upload, &left).await?;
            let definitions: Vec<DefinitionRow> =
                new.definitions.iter().map(|d| d.row.clone()).collect();
            let deployment = new.deployment.clone();
            match self.inner.store.deploy(new).await {
                Ok(()) => {
                    self.inner.bells.ring(Bell::Jobs);
                    return Ok(Deployed {
                        deployment,
                        definitions: Some(definitions),
                    });
                }
                // Two deployments of one key at once: the version is taken; count again.
                Err(failure) if tries < TRIES && failure.lost_race() => {}
                Err(failure) if tries < TRIES && self.serves_by_now(&failure).await => {}
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// The processes of an upload: the resource, its hash, the process.
    fn parse_all(&self, upload: &Upload) -> Result<Vec<(String, String, Process)>, Error> {
        let mut parsed = Vec::new();
        let mut keys = HashSet::new();
        // What is wrong with a form refuses the upload before anything else is done.
        super::pages::forms_of(&upload.resources)?;
        for (name, bytes) in &upload.resources {
            if is_bpmn(name) {
                for process in self.parse_resource(name, bytes, parse)? {
                    if !keys.insert(process.key.clone()) {
                        return Err(Error::Engine(format!(
                            "The deployment contains definitions with the same key '{}' (id attribute), this is not allowed",
                            process.key
                        )));
                    }
                    parsed.push((name.clone(), sha(bytes), process));
                }
            } else if is_unbuilt(name) {
                return Err(Error::Bad(format!(
                    "the resource {name} is a decision or case model, which is not built"
                )));
            }
        }
        Ok(parsed)
    }

    /// The version that each key would have.
    async fn next_versions(
        &self,
        upload: &Upload,
        parsed: &[(String, String, Process)],
    ) -> Result<HashMap<String, i64>, Error> {
        let mut out = HashMap::new();
        for (_, _, process) in parsed {
            let latest = self
                .inner
                .store
                .latest(&process.key, upload.tenant.as_deref());
            let version = latest.await?.map_or(1, |row| row.version + 1);
            out.insert(process.key.clone(), version);
        }
        Ok(out)
    }

    async fn assemble(
        &self,
        upload: &Upload,
        left: &HashSet<String>,
        parsed: &[(String, String, Process)],
        versions: &HashMap<String, i64>,
    ) -> Result<NewDeployment, Error> {
        let now = self.inner.clock.now();
        let deployment = Deployment {
            id: self.new_id(),
            name: upload.name.clone(),
            source: upload.source.clone(),
            tenant: upload.tenant.clone(),
            at: now,
        };
        let resource = |(name, bytes): &(String, Vec<u8>)| {
            (
                Resource {
                    id: self.new_id(),
                    name: name.clone(),
                    sha: sha(bytes),
                },
                bytes.clone(),
            )
        };
        let mut definitions = Vec::new();
        for (name, sha, process) in parsed.iter().filter(|(name, ..)| left.contains(name)) {
            let version = versions.get(&process.key).copied().unwrap_or(1);
            let long = format!("{}:{version}:{}", process.key, self.new_id());
            let row = DefinitionRow {
                id: if long.len() > DEFINITION_ID_MAX {
                    self.new_id()
                } else {
                    long
                },
                key: process.key.clone(),
                version,
                name: process.name.clone(),
                tag: process.version_tag.clone(),
                tenant: upload.tenant.clone(),
                deployment: deployment.id.clone(),
                resource: name.clone(),
                sha: sha.clone(),
                suspended: false,
                ttl: process.history_days.map(i64::from),
                startable: process.startable,
            };
            let starts = self.starts(name, process, &row, now).await?;
            let jobs = self.job_definitions(process);
            definitions.push(NewDefinition { row, starts, jobs });
        }
        Ok(NewDeployment {
            deployment,
            resources: upload
                .resources
                .iter()
                .filter(|(name, _)| left.contains(name))
                .map(resource)
                .collect(),
            definitions,
            forms: Vec::new(),
        })
    }

    fn job_definitions(&self, process: &Process) -> Vec<(String, JobDefinition)> {
        let all = process.job_definitions().into_iter();
        all.map(|job| (self.new_id(), job)).collect()
    }

    /// Adds job definitions to what earlier programs deployed.
    pub(crate) async fn complete_job_definitions(&self) -> Result<(), Error> {
        for row in self.inner.store.without_job_definitions().await? {
            let definition = self.parsed(&row).await?;
            let jobs = self.job_definitions(&definition.process);
            self.inner.store.add_job_definitions(&row, &jobs).await?;
        }
        Ok(())
    }

    /// What starts instances of a definition from outside.
    async fn starts(
        &self,
        resource: &str,
        process: &Process,
        row: &DefinitionRow,
        now: Millis,
    ) -> Result<Vec<(String, String, StartTrigger)>, Error> {
        let mut out = Vec::new();
        for (_, element) in process.children(None) {
            let Kind::Start { trigger, .. } = &element.kind else {
                continue;
            };
            let problem = |message: String| Error::Parse {
                resource: resource.to_owned(),
                problems: vec![Problem {
                    element: Some(element.id.clone()),
                    line: element.line,
                    column: 1,
                    message,
                }],
            };
            let text = |template: &Template| {
                template
                    .evaluate(&mut Outside(now))
                    .map(|v| to_text(&v))
                    .map_err(|e| problem(e.to_string()))
            };
            let made = match trigger {
                Trigger::Message(name) => {
                    let name = text(name)?;
                    let others = self
                        .inner
                        .store
                        .started_by_message(&name, row.tenant.as_deref(), &row.key)
                        .await?;
                    if !others.is_empty() {
                        return Err(Error::Engine(format!(
                            "ENGINE-01011 Cannot deploy process definition '{}': there already is a message event subscription for the message with name '{name}'.",
                            row.resource
                        )));
                    }
                    StartTrigger::Event("message", name)
                }
                Trigger::Signal(name) => StartTrigger::Event("signal", text(name)?),
                Trigger::Date(template) | Trigger::Duration(template) => {
                    let text = text(template)?;
                    let span =
                        crate::time::duration(&text).and_then(|span| crate::time::add(now, span));
                    let due = span.or_else(|| crate::time::date(&text));
                    StartTrigger::Timer(
                        due.ok_or_else(|| {
                            problem(format!("'{text}' is neither a date nor a duration"))
                        })?,
                        None,
                    )
                }
                Trigger::Cycle(template) => {
                    let text = text(template)?;
                    let next = Cycle::parse(&text, now).and_then(|cycle| cycle.next_after(now));
                    let due = next.ok_or_else(|| problem(format!("'{text}' is no cycle")))?;
                    StartTrigger::Timer(due, Some(format!("{now}@{text}")))
                }
                Trigger::None
                | Trigger::Error(_)
                | Trigger::Escalation { .. }
                | Trigger::Condition(_) => continue,
            };
            out.push((self.new_id(), element.id.clone(), made));
        }
        Ok(out)
    }

    /// Leaves out resources that the latest deployment of the name has already, if that is wanted.
    async fn without_duplicates(&self, upload: &Upload) -> Result<Left, Error> {
        let all = || {
            Left::These(
                upload
                    .resources
                    .iter()
                    .map(|(name, _)| name.clone())
                    .collect(),
            )
        };
        if !upload.filter_duplicates && !upload.changed_only {
            return Ok(all());
        }
        let store = &self.inner.store;
        let named = store
            .deployments_named(upload.name.as_deref(), upload.tenant.as_deref())
            .await?;
        let last = named.into_iter().next();
        let Some(last) = last.filter(|d| d.source == upload.source) else {
            return Ok(all());
        };
        let resources = store.resources(&last.id).await?;
        let known: HashMap<&str, &str> = resources
            .iter()
            .map(|r| (r.name.as_str(), r.sha.as_str()))
            .collect();
        let is_new = |(name, bytes): &&(String, Vec<u8>)| {
            known.get(name.as_str()) != Some(&sha(bytes).as_str())
        };
        let new = upload.resources.iter().filter(is_new);
        let new: HashSet<String> = new.map(|(name, _)| name.clone()).collect();
        if new.is_empty() {
            return Ok(Left::Nothing(Deployed {
                deployment: last,
                definitions: None,
            }));
        }
        Ok(match upload.changed_only {
            true => Left::These(new),
            false => all(),
        })
    }

    /// Takes a deployment away. With `cascade` its instances and history go too; without, running instances refuse it.
    pub async fn undeploy(&self, id: &str, cascade: bool) -> Result<(), Error> {
        let store = &self.inner.store;
        if store.deployment(id).await?.is_none() {
            return Err(Error::NotFound(format!(
                "Deployment with id '{id}' do not exist"
            )));
        }
        if !cascade && store.running_of(id).await? > 0 {
            return Err(Error::Engine(format!(
                "Deletion of process definition without cascading failed: there are running instances of deployment '{id}'."
            )));
        }
        let gone = store.definitions_of(id).await?;
        store.undeploy(id).await?;
        for row in gone {
            // The version before it starts instances again.
            if let Some(latest) = store
                .latest(&row.key, row.tenant.as_deref())
                .await?
                .filter(|l| l.version < row.version)
            {
                let definition = self.parsed(&latest).await?;
                let now = self.inner.clock.now();
                let starts = self
                    .starts(&latest.resource, &definition.process, &latest, now)
                    .await?;
                store
                    .restart_triggers(
                        &NewDefinition {
                            row: latest,
                            starts,
                            jobs: Vec::new(),
                        },
                        now,
                    )
                    .await?;
            }
        }
        Ok(())
    }
}

pub(super) fn sha(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn is_bpmn(name: &str) -> bool {
    name.ends_with(".bpmn") || name.ends_with(".bpmn20.xml")
}

fn is_unbuilt(name: &str) -> bool {
    [".dmn", ".dmn11.xml", ".cmmn", ".cmmn10.xml", ".cmmn11.xml"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

/// What an expression outside of any instance sees: the time.
pub(super) struct Outside(pub(super) Millis);

impl Environment for Outside {
    fn variable(&self, _name: &str) -> Option<Value> {
        None
    }
    fn local_variable(&self, _name: &str) -> Option<Value> {
        None
    }
    fn variables(&self) -> Vec<(String, Value)> {
        Vec::new()
    }
    fn set_variable(&mut self, _name: &str, _value: Value) {}
    fn set_local_variable(&mut self, _name: &str, _value: Value) {}
    fn remove_variable(&mut self, _name: &str) {}
    fn member(&self, _member: Member<'_>) -> Option<Operand> {
        None
    }
    fn knows(&self, _known: Known) -> bool {
        false
    }
    fn now(&self) -> Millis {
        self.0
    }
}
