//! Statistics of what runs: how many instances there are and where they stand, how many jobs failed, how many incidents are open.

use super::answer::{Answer, json};
use super::body::Asked;
use super::error::Refused;
use super::process_definition::{Named, named};
use crate::lists::{DEFINITIONS, Parameters};
use crate::runtime::Handle;
use crate::store::{OpenIncidents, Page};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// What the real engine calls its rows.
const ACTIVITY: &str = "org.operaton.bpm.engine.rest.dto.repository.ActivityStatisticsResultDto";
const DEFINITION: &str =
    "org.operaton.bpm.engine.rest.dto.repository.ProcessDefinitionStatisticsResultDto";

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/process-definition/statistics", get(definitions))
        .route("/process-definition/{id}/statistics", get(activities))
        .route("/process-definition/key/{key}/statistics", get(activities))
        .route(
            "/process-definition/key/{key}/tenant-id/{tenant}/statistics",
            get(activities),
        )
}

/// Which incidents are counted.
enum Counted {
    Nothing,
    All,
    OfType(String),
    Causes,
}

impl Counted {
    fn asked(asked: &Asked) -> Result<Counted, Refused> {
        let of_type = asked.get("incidentsForType").map(str::to_owned);
        let (all, causes) = (asked.flag("incidents"), asked.flag("rootIncidents"));
        let both = |one: &str, other: &str| {
            Err(Refused::invalid(format!(
                "Only one of the query parameter {one} or {other} can be set."
            )))
        };
        match (all, of_type, causes) {
            (true, Some(_), _) => both("includeIncidents", "includeIncidentsForType"),
            (true, None, true) => both("includeIncidents", "includeRootIncidents"),
            (false, Some(_), true) => both("includeIncidentsForType", "includeRootIncidents"),
            (true, None, false) => Ok(Counted::All),
            (false, Some(kind), false) => Ok(Counted::OfType(kind)),
            (false, None, true) => Ok(Counted::Causes),
            (false, None, false) => Ok(Counted::Nothing),
        }
    }

    fn counts(&self, of: &OpenIncidents) -> bool {
        match self {
            Counted::Nothing => false,
            Counted::All => true,
            Counted::OfType(kind) => *kind == of.kind,
            Counted::Causes => of.cause,
        }
    }
}

/// A row on its way.
#[derive(Default)]
struct Sum {
    instances: i64,
    failed: i64,
    incidents: BTreeMap<String, i64>,
}

impl Sum {
    fn row(&self, class: &str, id: &str) -> Map<String, Json> {
        let incidents = self.incidents.iter();
        let incidents: Vec<Json> = incidents
            .map(|(kind, count)| json!({ "incidentType": kind, "incidentCount": count }))
            .collect();
        let mut out = Map::new();
        out.insert("@class".to_owned(), class.into());
        out.insert("id".to_owned(), id.into());
        out.insert("instances".to_owned(), self.instances.into());
        out.insert("failedJobs".to_owned(), self.failed.into());
        out.insert("incidents".to_owned(), incidents.into());
        out
    }
}

/// By element of a definition; an unknown id has none, as there, and an unknown key is told.
async fn activities(State(handle): State<Handle>, names: Named, asked: Asked) -> Answer {
    let wanted = Counted::asked(&asked)?;
    let definition = match named(&handle, &names).await {
        Ok(row) => row.id,
        Err(_) if names.contains_key("id") => return Ok(json(Vec::<Json>::new())),
        Err(refused) => return Err(refused),
    };
    let mut all: BTreeMap<String, Sum> = BTreeMap::new();
    for (element, count) in handle.standing_at(&definition).await? {
        all.entry(element).or_default().instances = count;
    }
    let store = handle.store();
    if asked.flag("failedJobs") {
        for (of, element, count) in store.failed_jobs().await? {
            if of == definition {
                all.entry(element).or_default().failed += count;
            }
        }
    }
    for of in store.open_incidents().await? {
        if of.definition == definition && wanted.counts(&of) {
            let sum = all.entry(of.element).or_default();
            *sum.incidents.entry(of.kind).or_default() += of.count;
        }
    }
    let rows = all.iter();
    let rows = rows.map(|(id, sum)| Json::Object(sum.row(ACTIVITY, id)));
    Ok(json(rows.collect::<Vec<Json>>()))
}

/// By definition, all of them.
async fn definitions(State(handle): State<Handle>, asked: Asked) -> Answer {
    let wanted = Counted::asked(&asked)?;
    let store = handle.store();
    let mut all: BTreeMap<String, Sum> = BTreeMap::new();
    for (definition, count) in store.instances_by_definition().await? {
        all.entry(definition).or_default().instances = count;
    }
    if asked.flag("failedJobs") {
        for (definition, _, count) in store.failed_jobs().await? {
            all.entry(definition).or_default().failed += count;
        }
    }
    for of in store.open_incidents().await? {
        if wanted.counts(&of) {
            let sum = all.entry(of.definition).or_default();
            *sum.incidents.entry(of.kind).or_default() += of.count;
        }
    }
    let (all_of_them, page) = (Parameters::default(), Page::default());
    let known = handle.list(&DEFINITIONS, &all_of_them, page).await?;
    let rows = known.into_iter().map(|definition| {
        let id = definition.get("id").and_then(Json::as_str);
        let id = id.unwrap_or_default().to_owned();
        let mut row = all.remove(&id).unwrap_or_default().row(DEFINITION, &id);
        row.insert("definition".to_owned(), Json::Object(definition));
        Json::Object(row)
    });
    Ok(json(rows.collect::<Vec<Json>>()))
}
