//! One operation of an API, as data.
//!
//! Owns what the later steps may ask about an operation. Must not know how a dialect finds or classifies it.

use super::facts::Teaching;
use http::Method;

/// One operation: a method on a path pattern.
#[derive(Debug)]
pub struct Operation {
    /// Its name, unique within the dialect.
    pub name: Box<str>,
    /// The method; `None` in a dialect from configuration means any.
    pub method: Option<Method>,
    /// The path pattern.
    pub path: Box<str>,
    /// The class that it has unless a key in the request says otherwise; a name of [`crate::classify::Class::name`].
    pub class: &'static str,
    /// Whether the body may hold what routing needs.
    pub body: Body,
    /// Whether it may be sent again after it may have been sent.
    pub resend: Resend,
    /// Where an answer holds ids.
    pub learns: Learns,
    /// How answers of several sites become one.
    pub merge: Merge,
    pub(super) teaching: Teaching,
    /// The place of this operation's rule in its dialect.
    pub(super) index: usize,
}

/// Whether the body matters to routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It may hold a key, a tenant or a business key.
    Sniff,
    /// It does not.
    Ignore,
}

/// May a request be sent again that may have been sent already?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    /// It changes nothing.
    Safe,
    /// It could happen twice.
    Never,
}

/// Where an answer holds ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learns {
    /// Nowhere: stream it through.
    Nothing,
    /// In its headers.
    Headers,
    /// In its body.
    Body,
}

/// How answers of several sites become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// One site answers.
    One,
    /// Every site has to succeed; one answer stands for all.
    Each,
    /// At most so many tasks as the worker asked for, over all sites.
    Fetch,
    /// One row over all sites; several are the engine's own error.
    Single,
    /// The distinct elements of all lists, sorted.
    Union,
    /// Counts, or durations per period, as the request says.
    Report,
    /// `{"count": n}` summed.
    Count,
    /// `{"count": n}` of things that are copied to every site: each counts once.
    CopiesCount,
    /// Lists of rows of things that are copied to every site: each appears once, sorted by this member.
    Copies(Box<str>),
    /// Lists of rows, merged in the order asked for, else by this member.
    Rows(Box<str>),
    /// Lists of rows; rows that agree in these members (paths) become one with their numbers summed.
    Sum(Vec<Box<str>>),
    /// `{"count": n}` of the rows of such a list: rows that agree in these members count once.
    SumCount(Vec<Box<str>>),
    /// Lists in the order of this timestamp, cut where the first full page ends.
    Cursor(Box<str>),
    /// Lists one after the other.
    Concat,
    /// Numbers added.
    Add,
}
