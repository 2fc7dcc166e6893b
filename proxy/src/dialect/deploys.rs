//! What is known of deployments in an API that has them: how content is read, sent, found again and taken away.
//!
//! Owns the face for it. Pure, as every dialect is: it says what to ask and reads what was answered.

use crate::dialect::Ask;
use homing_mapping_store::{Engine, Kind};
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// What deploys in an application: some have several engines side by side, each with an API and ids of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The engine of processes; in `engine-rest` it deploys cases and decisions too.
    #[default]
    Processes,
    /// An engine of cases.
    Cases,
    /// An engine of decisions.
    Decisions,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 3] = [Part::Processes, Part::Cases, Part::Decisions];

    /// What its deployments are.
    pub fn kind(self) -> Kind {
        match self {
            Part::Processes => Kind::DEPLOYMENT,
            Part::Cases => Kind::CASE_DEPLOYMENT,
            Part::Decisions => Kind::DECISION_DEPLOYMENT,
        }
    }

    /// Whose deployments are of this kind.
    pub fn of(kind: Kind) -> Option<Part> {
        Part::ALL.into_iter().find(|part| part.kind() == kind)
    }

    /// Whether every application has it.
    pub fn is_main(&self) -> bool {
        *self == Part::Processes
    }
}

/// What a deployment brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Its name.
    pub name: String,
    /// The tenant that it is for.
    pub tenant: Option<String>,
    /// Its files.
    pub resources: Vec<Resource>,
    /// The keys of the definitions in it.
    pub keys: Vec<(Kind, String)>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// Of its bytes.
    pub hash: String,
}

/// The hash of a file's bytes.
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// One definition as one site has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Of processes, cases, decisions or their requirements.
    pub kind: Kind,
    /// The key, the same at every site.
    pub key: String,
    /// The site's own id.
    pub id: String,
}

/// What a site has made of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployed {
    /// The site's own id.
    pub id: String,
    /// The definitions that are new with it.
    pub definitions: Vec<Definition>,
}

/// How an API deploys.
pub trait Deploys: Send + Sync {
    /// Reads the content of a deployment and the query that came with it. `None`: it is not understood; a site has to say what it
    /// thinks of it.
    fn read(&self, content_type: &str, query: Option<&str>, body: &[u8]) -> Option<Bundle>;

    /// Content with some of these files only, and this source: its type and bytes. `None`: one of them is not there.
    fn again(
        &self,
        content_type: &str,
        body: &[u8],
        names: &[String],
        source: Option<&str>,
    ) -> Option<(String, Vec<u8>)>;

    /// Where content is sent to.
    fn path(&self, engine: &Engine) -> String;

    /// Reads the answer to content.
    fn read_deployed(&self, body: &[u8]) -> Option<Deployed>;

    /// Whether that answer names the definitions that are new. If not, they are asked for.
    fn tells_definitions(&self) -> bool {
        true
    }

    /// Takes a deployment away. `query`: as the client wrote it.
    fn remove(&self, engine: &Engine, id: &str, query: Option<&str>) -> Ask;

    /// How many instances run on a deployment.
    fn running(&self, engine: &Engine, id: &str) -> Ask;

    /// Reads a count.
    fn read_count(&self, status: StatusCode, body: &[u8]) -> Option<u64>;

    /// Deployments that may hold what the bundle brings.
    fn candidates(&self, engine: &Engine, bundle: &Bundle) -> Ask;

    /// Their ids, oldest first; `None`: the answer proves nothing.
    fn read_candidates(
        &self,
        bundle: &Bundle,
        status: StatusCode,
        body: &[u8],
    ) -> Option<Vec<String>>;

    /// What is not found when a deployment has gone.
    fn there(&self, engine: &Engine, deployment: &str) -> Ask {
        self.resources(engine, deployment)
    }

    /// The files of a deployment.
    fn resources(&self, engine: &Engine, deployment: &str) -> Ask;

    /// Ids and names of files.
    fn read_resources(&self, status: StatusCode, body: &[u8]) -> Option<Vec<(String, String)>>;

    /// The bytes of a file.
    fn content(&self, engine: &Engine, deployment: &str, resource: &str) -> Ask;

    /// The definitions of a deployment, one question for each kind.
    fn definitions(&self, engine: &Engine, deployment: &str) -> Vec<(Kind, Ask)>;

    /// Reads the answer to one of them.
    fn read_definitions(
        &self,
        kind: Kind,
        status: StatusCode,
        body: &[u8],
    ) -> Option<Vec<Definition>>;

    /// The newest deployments that a site has.
    fn newest(&self, engine: &Engine, max: usize) -> Ask;

    /// Ids and names of deployments.
    fn read_newest(&self, status: StatusCode, body: &[u8]) -> Option<Vec<(String, String)>>;
}
