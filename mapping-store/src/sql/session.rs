//! What a backend must be able to do: run statements on one connection.
//!
//! Owns the neutral forms of arguments and rows, so that the logic of the store is written once. Must not know what the
//! statements mean.

use crate::mapping::Timestamp;
use crate::sql::key::StoredKey;
use crate::store::Error;
use async_trait::async_trait;

/// A statement's argument.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! from {
    ($($type:ty => |$value:ident| $make:expr;)*) => {
        $(impl From<$type> for Arg { fn from($value: $type) -> Arg { $make } })*
    };
}

from! {
    i64 => |value| Arg::Int(Some(value));
    Option<i64> => |value| Arg::Int(value);
    &str => |value| Arg::Text(Some(value.to_owned()));
    String => |value| Arg::Text(Some(value));
    &String => |value| Arg::Text(Some(value.clone()));
    Option<String> => |value| Arg::Text(value);
    Option<&str> => |value| Arg::Text(value.map(str::to_owned));
    Vec<u8> => |value| Arg::Bytes(Some(value));
    &[u8] => |value| Arg::Bytes(Some(value.to_vec()));
    Timestamp => |value| Arg::Int(Some(value.0));
    crate::Generation => |value| Arg::Int(Some(stored(value.0)));
    crate::store::Seq => |value| Arg::Int(Some(stored(value.0)));
}

/// Numbers that only grow are far from the sign bit; see `INCARNATION_MAX`.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Arguments of a statement, each turned into an [`Arg`].
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::session::Arg::from($value)),*] };
}
pub(crate) use args;

/// A column's value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row, read by column number.
#[derive(Clone, Debug)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    pub(crate) fn int(&self, at: usize) -> Result<i64, Error> {
        self.int_or_null(at)?
            .ok_or_else(|| self.unreadable(at, "a number"))
    }

    /// A number that is never negative.
    pub(crate) fn number(&self, at: usize) -> Result<u64, Error> {
        u64::try_from(self.int(at)?)
            .map_err(|_| self.unreadable(at, "a number that is not negative"))
    }

    pub(crate) fn int_or_null(&self, at: usize) -> Result<Option<i64>, Error> {
        match self.0.get(at) {
            Some(Value::Int(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            Some(Value::Text(_) | Value::Bytes(_)) | None => Err(self.unreadable(at, "a number")),
        }
    }

    pub(crate) fn text(&self, at: usize) -> Result<String, Error> {
        self.text_or_null(at)?
            .ok_or_else(|| self.unreadable(at, "text"))
    }

    pub(crate) fn text_or_null(&self, at: usize) -> Result<Option<String>, Error> {
        match self.0.get(at) {
            Some(Value::Text(value)) => Ok(Some(value.clone())),
            Some(Value::Null) => Ok(None),
            Some(Value::Int(_) | Value::Bytes(_)) | None => Err(self.unreadable(at, "text")),
        }
    }

    pub(crate) fn bytes(&self, at: usize) -> Result<Vec<u8>, Error> {
        match self.0.get(at) {
            Some(Value::Bytes(value)) => Ok(value.clone()),
            Some(Value::Int(_) | Value::Text(_) | Value::Null) | None => {
                Err(self.unreadable(at, "bytes"))
            }
        }
    }

    fn unreadable(&self, at: usize, wanted: &str) -> Error {
        Error::Corrupt(format!(
            "column {at} should be {wanted}, it is {:?}",
            self.0.get(at)
        ))
    }
}

/// A row of `mappings`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoredMapping {
    pub(crate) seq: i64,
    pub(crate) key: StoredKey,
    pub(crate) home: Option<i64>,
    pub(crate) generation: i64,
    pub(crate) state: i64,
    pub(crate) source: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// A row's next version, and the number of the change.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) from: StoredMapping,
    pub(crate) to: StoredMapping,
    pub(crate) seq: i64,
    pub(crate) actor: String,
    pub(crate) reason: String,
}

/// The one row of `store`, as it was when it was locked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ledger {
    pub(crate) head: u64,
    pub(crate) incarnation: u64,
    pub(crate) lineage: String,
    pub(crate) registry: u64,
    pub(crate) audit_number: u64,
    pub(crate) audit_hash: String,
}

/// A failed statement, in the words of the store.
pub(crate) fn failed(doing: &'static str, error: sqlx::Error) -> Error {
    if matches!(
        error,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)
    ) {
        return Error::Corrupt(error.to_string());
    }
    Error::Unavailable {
        doing,
        source: Box::new(error),
    }
}

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Statements, each for itself.
    Read,
    /// One transaction, undone unless committed.
    Write,
}

/// One connection, and for `Access::Write` one transaction on it. Dropped without `commit` or `rollback`, its
/// connection is closed, which undoes the transaction.
#[async_trait]
pub(crate) trait Session: Send {
    async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, Error>;
    async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, Error>;
    /// The store's own clock, read now and not at the start of the transaction.
    async fn now(&mut self) -> Result<Timestamp, Error>;
    /// Locks the one row of `store`; answers it and the lineage that the database has now.
    async fn lock(&mut self) -> Result<(Ledger, String), Error>;
    /// The rows of these keys, in no order.
    async fn find(&mut self, keys: &[StoredKey]) -> Result<Vec<StoredMapping>, Error>;
    /// Inserts rows that are known to be new.
    async fn insert(&mut self, rows: &[StoredMapping]) -> Result<(), Error>;
    /// Gives rows their next versions, each from its own generation; answers how many were at it. What is kept of each: the
    /// version before, this one, and an event of the kind `what`.
    async fn revise(&mut self, what: i64, rows: &[Revision]) -> Result<u64, Error>;
    /// The rows made after `after` and up to `to`, in order.
    async fn made(&mut self, after: i64, to: i64, limit: i64) -> Result<Vec<StoredMapping>, Error>;
    /// What is read in the order of an index is read by that index from here on, whatever the database believes of the number of rows.
    async fn by_index(&mut self) -> Result<(), Error> {
        Ok(())
    }
    /// Wakes whoever waits in `changed`, once this is committed.
    async fn announce(&mut self) -> Result<(), Error>;
    async fn commit(self: Box<Self>) -> Result<(), Error>;
    async fn rollback(self: Box<Self>) -> Result<(), Error>;
}

/// A database that holds a store.
#[async_trait]
pub(crate) trait Backend: Send + Sync + 'static {
    /// `doing` says in errors what was tried.
    async fn session(&self, access: Access, doing: &'static str)
    -> Result<Box<dyn Session>, Error>;
    async fn changed(&self);
    /// The database that is used turned out to be a copy that was left behind: there may be a better one.
    fn left_behind(&self) {}
}
