//! How answers of several sites become one: the plan of one request, and the merging itself.
//!
//! Owns the plan's words and the pure merging of whole answers. Must not know an API's parameters (a dialect compiles
//! the plan) and must not ask anybody. Relies on each site giving its rows in the order that the plan names.

mod add;
mod data;
mod durations;
mod far;
mod hal;
mod key;
mod rows;
#[cfg(test)]
mod tests;

pub use add::{added, concat, counted, distinct, promised, summed, union};
use bytes::Bytes;
pub use data::{data, is_empty, joined};
pub use durations::{Durations, Only, Unit, apart, durations};
pub use far::{Seek, Window};
pub use hal::hal;
pub use key::{By, Casing, Direction, Habits, Nulls, Reading};
pub use rows::{Page, Row, Rows, Shape, Ties};

/// What is done with a read over all sites.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// One page of all sites' rows in one order.
    Rows(Rows),
    /// `{"count": n}` summed.
    Count,
    /// Rows that agree become one, their numbers summed.
    Sum(Sum),
    /// `{"count": n}`: how many rows there are in the list one level up, where rows that agree in these members are one.
    SumCount(Vec<Box<str>>),
    /// Least, greatest and average duration of each period.
    Durations(Durations),
    /// The distinct texts of all lists, sorted.
    Union,
    /// Lists one after the other, in the order of the sites.
    Concat,
    /// The only row of all sites, if there is one. Holds what the engine answers, with 400, when there are more.
    Single(Bytes),
    /// Numbers, or all numbers of an object, added.
    Add,
    /// Every site has the same: the first that answers stands for all.
    Copies,
    /// A saved query is run: each site runs its copy, and how their answers become one is known when it has been read.
    Saved,
    /// The engine is expected to refuse this: one site says so in its own words. If it takes it, this says why the
    /// answers cannot be merged.
    Words(String),
    /// Not merged; says what cannot be done and what to do instead.
    Refused(Refused),
}

/// What kind of answer a read gives, as a user would name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadClass {
    /// Rows.
    Lists,
    /// One number.
    Counts,
    /// Rows of numbers.
    Statistics,
}

impl ReadClass {
    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            ReadClass::Lists => "lists",
            ReadClass::Counts => "counts",
            ReadClass::Statistics => "statistics",
        }
    }
}

impl Plan {
    /// What kind of answer it makes.
    pub fn class(&self) -> ReadClass {
        match self {
            Plan::Count | Plan::SumCount(_) | Plan::Add => ReadClass::Counts,
            Plan::Sum(_) | Plan::Durations(_) => ReadClass::Statistics,
            Plan::Rows(_)
            | Plan::Union
            | Plan::Concat
            | Plan::Single(_)
            | Plan::Copies
            | Plan::Saved
            | Plan::Words(_)
            | Plan::Refused(_) => ReadClass::Lists,
        }
    }
}

impl Default for Plan {
    fn default() -> Plan {
        Plan::Refused(Refused::NotBuilt("a merge of this kind".into()))
    }
}

/// Rows that are counters.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// Rows that agree in these members (`/` goes into an object) are one.
    pub by: Vec<Box<str>>,
    /// Numbers that are no counters: the first site's word stands.
    pub kept: &'static [&'static str],
    /// What the sums are ordered by; nothing: as the sites' rows came.
    pub order: Vec<By>,
    /// Cut after summing.
    pub page: Page,
}

/// Why a read over all sites is not merged.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// The rows do not hold what they are to be sorted by.
    Sort(String),
    /// Not built.
    NotBuilt(String),
    /// The body is longer than what is held for all sites.
    TooLong,
    /// Something in it cannot be read, though a site might read it.
    Unread(String),
}

/// An answer that is not what its operation promises: it is not mixed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not the JSON that this operation promises")]
pub struct Malformed;

/// Why rows cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmerged {
    /// They are none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Where this row stands depends on what nobody knows of the site's database.
    #[error("where a row stands that is sorted by {by} without regard to case is not known")]
    Unclear {
        /// The member that the rows are sorted by.
        by: Box<str>,
    },
}
