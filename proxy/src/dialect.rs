//! What Homing knows of one API: which requests there are, where their keys sit, what answers teach, how to ask.
//!
//! Owns the face that all dialects share. Pure: no network, no clock, no store; a dialect says what to send, others
//! send it. Relies on [`crate::classify`] for the words of a request.

use crate::classify::Class;
use holdings::{Cursor, Holding};
use homing_mapping_store::{Engine, Kind, RoutingKey, Timestamp};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value};
use std::sync::Arc;

pub mod batch;
pub mod deploys;
pub mod engine_rest;
mod facts;
pub mod fetch;
pub mod flowable;
pub mod generic;
pub mod holdings;
pub mod merge;
pub mod message;
pub mod migration;
pub mod names;
mod operation;
pub mod parts;
pub(crate) mod path;
mod pointers;
mod query;
pub mod shares;
pub mod spelling;
pub mod split;
mod table;
mod time;
pub mod timers;
pub mod trace;
pub mod virtual_ids;

pub use engine_rest::EngineRest;
pub use facts::{Durability, FACTS_MAX, Fact};
pub use flowable::Flowable;
pub use generic::Generic;
pub use names::Role;
pub use operation::{Body, Learns, Merge, Operation, Resend};
pub use path::Params;
pub use table::TableError;

/// The head of a request, as far as routing looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The raw path below the base path. Starts with `/`; never decoded or normalised.
    pub path: &'a str,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// The result of looking a request up in a dialect's table.
#[derive(Clone, Debug)]
pub enum Found<'t> {
    /// An operation of the table.
    Route(Matched<'t>),
    /// No operation has this path.
    NoRoute,
    /// The path is known, the method is not.
    MethodNotAllowed,
}

/// An operation and where its parameters sit in the path.
#[derive(Clone, Debug)]
pub struct Matched<'t> {
    /// The operation.
    pub operation: &'t Arc<Operation>,
    /// Byte ranges of the path's parameters, in the order of the pattern.
    pub params: Params,
    /// The engine that the path names.
    pub engine: Engine,
}

impl Matched<'_> {
    /// Whether a key, tenant or business key may sit in the body, so that the start of the body has to be read first.
    pub fn wants_body(&self) -> bool {
        self.operation.body == Body::Sniff
    }
}

/// An answer, as far as learning looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The engine that the request's path named.
    pub engine: &'a Engine,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The whole body; empty if the operation teaches nothing through it.
    pub body: &'a [u8],
}

/// What a probe for one key says.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// It is here; the answer may teach more.
    Present(Vec<Fact>),
    /// The engine says that it has no such thing.
    Absent,
    /// The answer proves nothing: refused, failed, or not from the engine.
    Unclear,
}

/// A request that Homing sends on its own behalf.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// Path and query below the base path.
    pub path: String,
    /// A JSON body.
    pub body: Option<Value>,
}

/// What kind of ids an engine makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It has made none yet.
    Nothing,
    /// It counts: every other engine that counts makes the same ones.
    Counted,
    /// No other engine makes the same ones, as far as can be told.
    Unlike,
}

/// What a health probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The engine answered out of its database.
    Good,
    /// Something answered, but credentials are needed to learn more.
    Guarded,
    /// It failed; says what was wrong with the answer.
    Bad(&'static str),
}

/// A window of time, in milliseconds since the Unix epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Not before.
    pub from_ms: i64,
    /// Not after.
    pub to_ms: i64,
}

/// How something done at one site is undone.
#[derive(Clone, Debug, PartialEq)]
pub enum Undo {
    /// By this request.
    By(Ask),
    /// There was nothing to do.
    Nothing,
    /// It cannot be undone.
    Impossible,
}

/// One API. Paths are below the base path, raw, and carry a query where one is needed.
pub trait Dialect: Send + Sync {
    /// The dialect's name in configuration.
    fn name(&self) -> &str;

    /// Looks the operation up.
    fn find<'t>(&'t self, head: &Head<'_>) -> Found<'t>;

    /// Says what the request is. `body` is the whole body if [`Matched::wants_body`], unless it was longer than the
    /// limit of what is sniffed (`None`).
    fn classify(&self, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Class;

    /// How the answers of several sites to a read over all of them become one. `body` as in [`Dialect::classify`].
    fn merging(&self, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> merge::Plan;

    /// How the answers of several sites to one saved query become one. `content`: the saved query as a site tells it.
    fn saved(
        &self,
        found: &Matched<'_>,
        head: &Head<'_>,
        body: &[u8],
        content: &[u8],
    ) -> merge::Plan {
        let _ = (found, head, body, content);
        merge::Plan::default()
    }

    /// A worker's request for work. `path`: the whole path; `None`: there is no such request, or it is not understood.
    fn fetch(&self, path: &str, body: &[u8]) -> Option<fetch::Fetch> {
        let _ = (path, body);
        None
    }

    /// A message whose receiver is not named.
    fn message(
        &self,
        found: &Matched<'_>,
        body: &[u8],
    ) -> Result<message::Message, message::Unread> {
        let _ = (found, body);
        Err(message::Unread::Nameless)
    }

    /// A write that is cut by owner; `Err`: its body cannot be cut. `None`: it is no such write.
    fn split(
        &self,
        found: &Matched<'_>,
        head: &Head<'_>,
        body: &[u8],
    ) -> Option<Result<split::Split, String>> {
        let _ = (found, head, body);
        None
    }

    /// A request about a batch that is several sites' batches together.
    fn parts(&self, found: &Matched<'_>, head: &Head<'_>) -> Option<parts::Parts> {
        let _ = (found, head);
        None
    }

    /// Whether this answer says that a write found nothing that it is about, and did nothing.
    fn selects_nothing(&self, status: StatusCode, body: &[u8]) -> bool {
        let _ = (status, body);
        false
    }

    /// A signal whose receiver is not named.
    fn signal(
        &self,
        found: &Matched<'_>,
        body: &[u8],
    ) -> Result<Box<dyn message::Signal>, message::Unread> {
        let _ = (found, body);
        Err(message::Unread::Nameless)
    }

    /// Whether this answer says that there is no such batch any more.
    fn batch_is_over(&self, status: StatusCode, body: &[u8]) -> bool {
        let _ = body;
        status == StatusCode::NOT_FOUND
    }

    /// Whether this answer says that an execution does not wait any more for what was sent to it.
    fn waits_no_more(&self, status: StatusCode, body: &[u8]) -> bool {
        let _ = (status, body);
        false
    }

    /// What a passing answer proves about the site that gave it.
    fn extract(&self, operation: &Operation, answer: &Answer<'_>) -> Vec<Fact>;

    /// GET probes for a key, in order. Absent only if each of them says so. Empty: this key cannot be located.
    fn locate(&self, key: &RoutingKey) -> Vec<String>;

    /// Reads the answer to a probe of [`Dialect::locate`].
    fn judge_probe(&self, key: &RoutingKey, status: StatusCode, body: &[u8]) -> Presence;

    /// A second key under which the same id may be known: an execution's id may be its process instance's.
    fn broader(&self, key: &RoutingKey) -> Option<RoutingKey>;

    /// The true probe: an answer that takes the engine and its database. `None`: a connection is all that can be tried.
    fn health(&self) -> Option<Ask>;

    /// Reads the answer to [`Dialect::health`].
    fn judge_health(&self, status: StatusCode, body: &[u8]) -> Health;

    /// A harmless write that proves that the database takes writes. Any 2xx is good.
    fn write_health(&self) -> Option<Ask>;

    /// A question that costs little and is answered only to a caller whom the engine knows, by its own credentials. `None`:
    /// there is none, or the dialect does not say who checks callers.
    fn door(&self, _engine: &Engine) -> Option<Ask> {
        None
    }

    /// Where the database's own identity is told.
    fn identity(&self) -> Option<Ask>;

    /// Reads the identity out of the answer to [`Dialect::identity`].
    fn read_identity(&self, status: StatusCode, body: &[u8]) -> Option<String>;

    /// Gives a database that has no identity this one. `None`: this API's databases have their own, or cannot be given one.
    fn mark(&self, mark: &str) -> Option<Ask> {
        let _ = mark;
        None
    }

    /// Where an id is told that the site's engine has made lately.
    fn made(&self) -> Option<Ask> {
        None
    }

    /// What kind of ids the engine makes, by the answer to [`Dialect::made`].
    fn read_made(&self, status: StatusCode, body: &[u8]) -> Made {
        let _ = (status, body);
        Made::Unlike
    }

    /// How the site's database sorts, if the answer to [`Dialect::identity`] tells.
    fn read_habits(&self, _body: &[u8]) -> Option<merge::Habits> {
        None
    }

    /// The plan of a migration that this request holds. `None`: it takes none, or says all of it in its members.
    fn migration(&self, _found: &Matched<'_>, _body: &[u8]) -> Option<migration::Migration> {
        None
    }

    /// Members that the router's own problem answers carry beside RFC 9457, so that clients of this API show `detail`.
    fn error_members(&self, detail: &str) -> Map<String, Value>;

    /// How to undo what this answer says was done, because another site refused the same.
    fn undo(&self, operation: &Operation, engine: &Engine, body: &[u8]) -> Undo;

    /// Whether this answer proves that nothing was executed.
    fn not_executed(&self, status: StatusCode, body: &[u8]) -> bool;

    /// Whether this answer leaves open if the request took effect.
    fn unknown_outcome(&self, status: StatusCode, body: &[u8]) -> bool;

    /// What has to be remembered before something is created, so that an unknown outcome can be resolved later.
    fn intent(&self, class: &Class) -> Value;

    /// How to look for what a create with an unknown outcome may have made. `None`: it cannot be told from others.
    fn resolve_intent(&self, intent: &Value, window: Window) -> Option<Ask>;

    /// Candidates in the answer to [`Dialect::resolve_intent`]; `None` if the answer proves nothing.
    fn read_resolved(
        &self,
        intent: &Value,
        status: StatusCode,
        body: &[u8],
    ) -> Option<Vec<RoutingKey>>;

    /// Where the reading of all that a site holds under this kind of key begins. `None`: it cannot be listed.
    fn first_holdings(&self, kind: Kind) -> Option<Cursor> {
        let _ = kind;
        None
    }

    /// The page of it that is at the cursor, of at most so many.
    fn holdings(&self, kind: Kind, at: Cursor, max: usize) -> Option<Ask> {
        let _ = (kind, at, max);
        None
    }

    /// Things of a kind that cannot be asked for in windows of time, the newest first, without so many of them. `None`: there is
    /// no such order.
    fn newest(&self, kind: Kind, first: usize, max: usize) -> Option<Ask> {
        let _ = (kind, first, max);
        None
    }

    /// The page that is at the cursor of what has ended, by the time at which it did, as [`Dialect::read_holdings`] reads it.
    /// `None`: it cannot be told.
    fn ended(&self, kind: Kind, at: Cursor, max: usize) -> Option<Ask> {
        let _ = (kind, at, max);
        None
    }

    /// Which of these keys of one kind the site holds, as [`Dialect::read_holdings`] reads it. `None`: they have to be asked for
    /// one by one.
    fn held(&self, kind: Kind, keys: &[RoutingKey]) -> Option<Ask> {
        let _ = (kind, keys);
        None
    }

    /// What a site has that was started after this, as [`Dialect::read_holdings`] reads process instances. `None`: it cannot
    /// be told.
    fn started_since(&self, since: Timestamp, max: usize) -> Option<Ask> {
        let _ = (since, max);
        None
    }

    /// How many of the site's jobs would run at once, by a name for each count. Empty: it cannot be told.
    fn due(&self) -> Vec<(&'static str, Ask)> {
        Vec::new()
    }

    /// Reads the answer to a question of [`Dialect::due`]; `None` if it proves nothing.
    fn read_due(&self, status: StatusCode, body: &[u8]) -> Option<u64> {
        let _ = (status, body);
        None
    }

    /// A page of the newest definitions that are deployed. `None`: they cannot be listed.
    fn definitions(&self, first: usize, max: usize) -> Option<Ask> {
        let _ = (first, max);
        None
    }

    /// What the definitions in the answer to [`Dialect::definitions`] are known by; `None` if it proves nothing.
    fn read_definitions(&self, status: StatusCode, body: &[u8]) -> Option<Vec<String>> {
        let _ = (status, body);
        None
    }

    /// How one part of an application makes and finds deployments. `None`: it has no such part.
    fn deploys(&self, part: deploys::Part) -> Option<&dyn deploys::Deploys> {
        let _ = part;
        None
    }

    /// Which part an operation that deploys belongs to.
    fn part(&self, operation: &Operation) -> deploys::Part {
        let _ = operation;
        deploys::Part::default()
    }

    /// How shared data is written and found. `None`: this API has none.
    fn shares(&self) -> Option<&dyn shares::Shares> {
        None
    }

    /// How start timers are found, held and let go. `None`: this API has none.
    fn timers(&self) -> Option<&dyn timers::Timers> {
        None
    }

    /// Where ids stand, so that those of an engine that counts them can be told apart. `None`: it is not known.
    fn virtual_ids(&self) -> Option<&dyn virtual_ids::VirtualIds> {
        None
    }

    /// Questions that tell whether a site has what this write did, in order. Empty: no GET can tell.
    fn traces(&self, found: &Matched<'_>, path: &str) -> Vec<trace::Question> {
        let _ = (found, path);
        Vec::new()
    }

    /// What the answer to [`Dialect::holdings`] names; `None` if the answer proves nothing.
    fn read_holdings(&self, kind: Kind, status: StatusCode, body: &[u8]) -> Option<Vec<Holding>> {
        let _ = (kind, status, body);
        None
    }
}
