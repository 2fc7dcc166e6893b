//! The route table of a built-in dialect: text to operations, once at startup.
//!
//! Owns the format of the embedded tables and picking an operation by method. A mistake in a table is an error here and
//! a failed unit test, never a wrong route. Must not know what a dialect's tables say.

use super::facts::{Lesson, Teaching};
use super::{Body, Head, Learns, Merge, Operation, Resend};
use homing_mapping_store::Kind;
use http::Method;
use http::header::ACCESS_CONTROL_REQUEST_METHOD;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) mod class;
pub(super) mod members;
pub(super) mod rule;
pub(super) mod shared;
pub(super) mod tree;

use members::Dictionary;
use rule::Rule;
use tree::Tree;

/// An embedded table is wrong.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// One line of it makes no sense.
    #[error("{table} table, line {number}: cannot make sense of \"{what}\"")]
    Line {
        /// The table.
        table: &'static str,
        /// The line, from 1.
        number: usize,
        /// The text.
        what: String,
    },
}

/// The compiled table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) operations: Vec<Arc<Operation>>,
    /// One per operation.
    pub(super) rules: Vec<Rule>,
    pub(super) tree: Tree,
    /// Operations of each pattern.
    ends: Vec<Vec<usize>>,
}

/// The tables of one dialect.
pub(super) struct Texts<'t> {
    /// One operation a line.
    pub(super) routes: &'t str,
    /// What answers teach.
    pub(super) shapes: &'t str,
    /// Members that name something with a home.
    pub(super) members: &'t str,
}

type Shapes<'t> = HashMap<&'t str, Vec<(&'t str, Lesson)>>;

/// Lines that hold something, with their numbers.
pub(super) fn lines(table: &str) -> impl Iterator<Item = (usize, &str)> {
    table
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

impl Table {
    /// Reads a dialect's tables.
    pub(super) fn read(texts: &Texts<'_>) -> Result<Table, TableError> {
        let shapes = shapes(texts.shapes)?;
        let dictionary = Dictionary::read(texts.members)?;
        Table::parse(texts.routes, &shapes, &dictionary)
    }

    fn parse(
        routes: &str,
        shapes: &Shapes<'_>,
        dictionary: &Dictionary,
    ) -> Result<Table, TableError> {
        let mut table = Table {
            operations: Vec::new(),
            rules: Vec::new(),
            tree: Tree::new(),
            ends: Vec::new(),
        };
        for (number, line) in lines(routes) {
            let wrong = || TableError::Line {
                table: "routes",
                number,
                what: line.to_owned(),
            };
            let columns: Vec<&str> = line.split('\t').collect();
            let &[method, path, name, rule_text, learn, merge] = columns.as_slice() else {
                return Err(wrong());
            };
            let method: Method = method.parse().map_err(|_| wrong())?;
            let rule = Rule::parse(rule_text, path, dictionary).ok_or_else(wrong)?;
            let teaching = teaching(learn, shapes).ok_or_else(wrong)?;
            let end = table.tree.add(path, table.ends.len());
            if end == table.ends.len() {
                table.ends.push(Vec::new());
            }
            table.ends[end].push(table.operations.len());
            table.operations.push(Arc::new(Operation {
                name: name.into(),
                path: path.into(),
                class: rule.class(),
                body: rule.body(&method),
                resend: rule.resend(&method, rule_text),
                learns: if teaching.is_empty() {
                    Learns::Nothing
                } else {
                    Learns::Body
                },
                merge: self::merge(merge).ok_or_else(wrong)?,
                teaching,
                index: table.operations.len(),
                method: Some(method),
            }));
            table.rules.push(rule);
        }
        table.add_options();
        Ok(table)
    }

    /// Containers answer OPTIONS on every path by themselves, whatever the table says.
    fn add_options(&mut self) {
        self.operations.push(Arc::new(Operation {
            name: "options".into(),
            method: Some(Method::OPTIONS),
            path: "/**".into(),
            class: "any",
            body: Body::Ignore,
            resend: Resend::Safe,
            learns: Learns::Nothing,
            merge: Merge::One,
            teaching: Teaching::new(),
            index: self.operations.len(),
        }));
        self.rules.push(Rule::Any(None));
    }

    /// Any operation of this pattern.
    pub(super) fn of_pattern(&self, end: usize) -> Option<&Arc<Operation>> {
        self.operations.get(*self.ends.get(end)?.first()?)
    }

    /// The operation of this pattern for the method. HEAD is a GET without its body.
    pub(super) fn pick(&self, end: usize, head: &Head<'_>) -> Option<&Arc<Operation>> {
        let method = if head.method == Method::HEAD {
            &Method::GET
        } else {
            head.method
        };
        let named = || {
            let of_pattern = self.ends.get(end)?.iter();
            of_pattern
                .map(|at| &self.operations[*at])
                .find(|operation| operation.method.as_ref() == Some(method))
        };
        if method != Method::OPTIONS {
            return named();
        }
        // A browser's preflight is for the container, not for the operation that has the same method and path.
        let preflight = head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if preflight { None } else { named() }.or_else(|| self.operations.last())
    }
}

fn shapes(table: &str) -> Result<Shapes<'_>, TableError> {
    let mut shapes = Shapes::new();
    for (number, line) in lines(table) {
        let wrong = || TableError::Line {
            table: "shapes",
            number,
            what: line.to_owned(),
        };
        let (name, lessons) = line.split_once('\t').ok_or_else(wrong)?;
        let lessons: Option<Vec<_>> = lessons.split(' ').map(lesson).collect();
        shapes.insert(name, lessons.ok_or_else(wrong)?);
    }
    Ok(shapes)
}

fn lesson(text: &str) -> Option<(&str, Lesson)> {
    let (pointer, kind) = text.split_once('=')?;
    let lesson = match kind {
        "?" => Lesson::Belongs,
        "task?" => Lesson::Task,
        kind => Lesson::Key(Kind::known(kind)?),
    };
    Some((pointer, lesson))
}

fn teaching(learn: &str, shapes: &Shapes<'_>) -> Option<Teaching> {
    let mut teaching = Teaching::new();
    for word in learn.split(' ').filter(|word| *word != "-") {
        let (prefix, shape) = if let Some(shape) = word
            .strip_prefix('[')
            .and_then(|word| word.strip_suffix(']'))
        {
            ("/[]".to_owned(), shape)
        } else if let Some(shape) = word.strip_prefix("hal:") {
            (format!("/_embedded/{shape}/[]"), shape)
        } else if let Some(shape) = word.strip_prefix("data:") {
            ("/data/[]".to_owned(), shape)
        } else {
            (String::new(), word)
        };
        for (pointer, lesson) in shapes.get(shape)? {
            teaching.add(&format!("{prefix}/{pointer}"), *lesson);
        }
    }
    Some(teaching)
}

fn merge(text: &str) -> Option<Merge> {
    Some(match text.split_once(' ') {
        None => match text {
            "one" => Merge::One,
            "each" => Merge::Each,
            "fetch" => Merge::Fetch,
            "single" => Merge::Single,
            "union" => Merge::Union,
            "report" => Merge::Report,
            "count" => Merge::Count,
            "add" => Merge::Add,
            "copies-count" => Merge::CopiesCount,
            _ => return None,
        },
        Some(("rows", by)) => Merge::Rows(by.into()),
        Some(("copies", by)) => Merge::Copies(by.into()),
        Some(("cursor", by)) => Merge::Cursor(by.into()),
        Some(("sum", by)) => Merge::Sum(by.split(',').map(Into::into).collect()),
        Some(("sum-count", by)) => Merge::SumCount(by.split(',').map(Into::into).collect()),
        Some(_) => return None,
    })
}
