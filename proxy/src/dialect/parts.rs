//! A request about a batch that is several sites' batches together, or about a job definition that is its.
//!
//! Owns which requests those are and what each site is asked instead. Pure.

use super::names::prefix;
use super::{batch, path, query};
use homing_mapping_store::{Engine, Kind, RoutingKey};
use http::{Method, Uri};
use serde_json::{Map, Value};

/// Filters that a part may pass though the whole does not, or the other way round: no site is asked with them.
const OF_THE_WHOLE: [&str; 4] = ["completed", "suspended", "withFailures", "withoutFailures"];

/// One request.
#[derive(Debug)]
pub struct Parts {
    /// The id that stands for all of them.
    pub id: String,
    /// Their own ids.
    pub ids: Vec<String>,
    /// What the client wants.
    pub wanted: Wanted,
    /// What the whole has to be like to stand in the list.
    filters: Vec<(&'static str, bool)>,
    engine: Engine,
    kind: Kind,
}

/// What the client wants of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The batch.
    One,
    /// A list with the batch in it.
    Rows,
    /// How long that list is.
    Count,
    /// Something done to it.
    Done,
}

impl Parts {
    /// Of a request with this id in its path, or in its query.
    pub fn read(
        (engine, kind): (&Engine, Kind),
        method: &Method,
        id: &str,
        wanted: Wanted,
    ) -> Option<Parts> {
        let ids = batch::parts_of(id);
        let wanted = if method.is_safe() {
            wanted
        } else {
            Wanted::Done
        };
        (!ids.is_empty()).then(|| Parts {
            id: id.to_owned(),
            ids,
            wanted,
            filters: Vec::new(),
            engine: engine.clone(),
            kind,
        })
    }

    /// The same, of a list with this query.
    #[must_use]
    pub fn filtered(mut self, query: &str) -> Parts {
        self.filters = query.split('&').filter_map(filter).collect();
        self
    }

    /// Whether the batch, made of its parts, stands in the list.
    pub fn holds(&self, whole: &[u8]) -> bool {
        let whole: Map<String, Value> = serde_json::from_slice(whole).unwrap_or_default();
        let fails = || whole.get("failedJobs").and_then(Value::as_u64) > Some(0);
        self.filters.iter().all(|(name, wanted)| match *name {
            "completed" => whole.get("endTime").is_some_and(Value::is_string) == *wanted,
            "suspended" => whole.get("suspended") == Some(&Value::Bool(*wanted)),
            "withFailures" => !wanted || fails(),
            _ => !wanted || !fails(),
        })
    }

    /// The key of one of them.
    pub fn key(&self, id: &str) -> RoutingKey {
        RoutingKey::of(self.engine.clone(), self.kind, id)
    }

    /// Whether what has ended is still known: as a row here, or in the sites' history.
    pub fn is_remembered(&self) -> bool {
        self.kind == Kind::BATCH
    }

    /// The same request about one of them; for a count, the list that is counted.
    pub fn target(&self, whole: &Uri, id: &str) -> Option<Uri> {
        let list = match self.wanted {
            Wanted::Count => whole.path().strip_suffix("/count")?,
            Wanted::One | Wanted::Rows | Wanted::Done => whole.path(),
        };
        let whole = match whole.query() {
            None => list.to_owned(),
            Some(query) => {
                let asked = query.split('&').filter(|pair| filter(pair).is_none());
                format!("{list}?{}", asked.collect::<Vec<_>>().join("&"))
            }
        };
        let (before, after) = whole.split_once(&self.id)?;
        format!("{before}{}{after}", path::encode(id)).parse().ok()
    }

    /// Where the history of one of them is, below the base path.
    pub fn history(&self, base_path: &str, id: &str) -> Option<Uri> {
        let id = path::encode(id);
        format!("{base_path}{}/history/batch/{id}", prefix(&self.engine))
            .parse()
            .ok()
    }
}

/// A filter of the whole. What the engine would not understand is left to it.
fn filter(pair: &str) -> Option<(&'static str, bool)> {
    let (name, value) = query::pairs(pair).next()?;
    let name = OF_THE_WHOLE.into_iter().find(|known| *known == name)?;
    Some((name, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_site_is_asked_about_its_own_part() {
        let of =
            |method, id, wanted| Parts::read((&Engine::DEFAULT, Kind::BATCH), method, id, wanted);
        let read = |id| of(&Method::GET, id, Wanted::One);
        let parts = read("homing.x.y").unwrap();
        assert_eq!(parts.ids, ["x", "y"]);
        let whole: Uri = "/engine-rest/batch/homing.x.y?a=b".parse().unwrap();
        assert_eq!(
            parts.target(&whole, "y").unwrap(),
            "/engine-rest/batch/y?a=b"
        );
        assert_eq!(
            parts.history("/engine-rest", "x").unwrap(),
            "/engine-rest/history/batch/x"
        );
        assert!(read("x").is_none());
        let list = of(&Method::GET, "homing.x.y", Wanted::Count);
        let list = list
            .unwrap()
            .filtered("completed=true&batchId=homing.x.y&withFailures=true");
        let whole = "/engine-rest/history/batch/count?completed=true&batchId=homing.x.y&type=t";
        assert_eq!(
            list.target(&whole.parse().unwrap(), "y").unwrap(),
            "/engine-rest/history/batch?batchId=y&type=t"
        );
        assert!(list.holds(br#"{"endTime":"2026","failedJobs":1}"#));
        assert!(!list.holds(br#"{"endTime":null,"failedJobs":1}"#));
        assert!(!list.holds(br#"{"endTime":"2026","failedJobs":0}"#));
        let doing = of(&Method::DELETE, "homing.x", Wanted::One);
        assert_eq!(doing.unwrap().wanted, Wanted::Done);
    }
}
