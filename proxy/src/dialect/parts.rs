//! A request about a batch that is several sites' batches together.
//!
//! Owns which requests those are and what each site is asked instead. Pure.

use super::names::prefix;
use super::{batch, path};
use homing_mapping_store::{Engine, Kind, RoutingKey};
use http::{Method, Uri};

/// One request.
#[derive(Debug)]
pub struct Parts {
    /// The id that stands for all of them.
    pub id: String,
    /// Their own ids.
    pub ids: Vec<String>,
    /// What the client wants.
    pub wanted: Wanted,
    engine: Engine,
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
    pub fn read(engine: &Engine, method: &Method, id: &str, wanted: Wanted) -> Option<Parts> {
        let ids: Vec<String> = batch::parts_of(id).into_iter().map(str::to_owned).collect();
        let wanted = if method.is_safe() {
            wanted
        } else {
            Wanted::Done
        };
        (!ids.is_empty()).then(|| Parts {
            id: id.to_owned(),
            ids,
            wanted,
            engine: engine.clone(),
        })
    }

    /// The key of one of them.
    pub fn key(&self, id: &str) -> RoutingKey {
        RoutingKey::of(self.engine.clone(), Kind::BATCH, id)
    }

    /// The same request about one of them.
    pub fn target(&self, whole: &Uri, id: &str) -> Option<Uri> {
        let whole = whole.path_and_query()?.as_str();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_site_is_asked_about_its_own_part() {
        let read = |id| Parts::read(&Engine::DEFAULT, &Method::GET, id, Wanted::One);
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
        let doing = Parts::read(&Engine::DEFAULT, &Method::DELETE, "homing.x", Wanted::One);
        assert_eq!(doing.unwrap().wanted, Wanted::Done);
    }
}
