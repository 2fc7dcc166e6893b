//! Where text came from: configuration files, environment variables and `--set` arguments as one numbered space.
//!
//! Owns the rule that every value has a place. Each text gets a range of positions, so that a span alone says
//! which text it is in, also after several texts have been merged into one tree. Must not parse or judge values.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// A range of positions over all texts. `0..0` is nowhere: the value is built in.
pub type Span = Range<usize>;

/// What kind of text a value was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file, by the name given on the command line.
    File(String),
    /// An environment variable.
    Environment(String),
    /// A `--set` argument.
    Argument,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(name) => f.write_str(name),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Argument => f.write_str("--set"),
        }
    }
}

/// One text.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it came from.
    pub origin: Origin,
    /// Position of its first byte in the common space.
    pub base: usize,
    text: String,
    secrets: RefCell<Vec<Range<usize>>>,
}

/// A place that a human can open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The text.
    pub origin: Origin,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place without the column: what a value is said to come from.
    pub fn source(&self) -> String {
        match &self.origin {
            Origin::File(name) => format!("{name}:{}", self.line),
            other @ (Origin::Environment(_) | Origin::Argument) => other.to_string(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(name) => write!(f, "{name}:{}:{}", self.line, self.column),
            other @ (Origin::Environment(_) | Origin::Argument) => other.fmt(f),
        }
    }
}

/// All texts of one load.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    all: Vec<Source>,
}

impl Sources {
    /// Takes a text in and gives it its range of positions.
    pub fn add(&mut self, origin: Origin, text: String) -> usize {
        // One free position between texts, and position 0 stays free: an empty text still has a place of its own.
        let base = self
            .all
            .last()
            .map_or(1, |last| last.base + last.text.len() + 1);
        self.all.push(Source {
            origin,
            base,
            text,
            secrets: RefCell::default(),
        });
        self.all.len() - 1
    }

    /// All texts in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.all.iter()
    }

    /// The text with this number.
    pub fn get(&self, index: usize) -> Option<&Source> {
        self.all.get(index)
    }

    /// The text in which `span` lies, with the span inside of it.
    pub fn find(&self, span: &Span) -> Option<(&Source, Range<usize>)> {
        let after = self.all.partition_point(|source| source.base <= span.start);
        let source = self.all.get(after.checked_sub(1)?)?;
        let start = span.start - source.base;
        let end = span
            .end
            .saturating_sub(source.base)
            .clamp(start, source.text.len());
        (start <= source.text.len()).then_some((source, start..end))
    }

    /// Line and column of the beginning of `span`; none for built-in values.
    pub fn place(&self, span: &Span) -> Option<Place> {
        let (source, inside) = self.find(span)?;
        let before = source.text.get(..inside.start)?;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Some(Place {
            origin: source.origin.clone(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..)?.chars().count() + 1,
        })
    }

    /// Marks `span` as a secret: it is shown as stars from now on.
    pub fn hide(&self, span: &Span) {
        if let Some((source, inside)) = self.find(span) {
            source.secrets.borrow_mut().push(inside);
        }
    }
}

impl Source {
    /// The text as it was read. For parsing; what is shown to people is [`Source::shown`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with every secret replaced by as many stars, so that columns stay true.
    pub fn shown(&self) -> String {
        let mut shown = crate::secret::redact_passwords(crate::secret::redact_urls(&self.text));
        for secret in self.secrets.borrow().iter() {
            let Some(hidden) = shown.get(secret.clone()) else {
                continue;
            };
            let stars: String = hidden
                .chars()
                .map(|c| {
                    if c == '\n' {
                        "\n".into()
                    } else {
                        "*".repeat(c.len_utf8())
                    }
                })
                .collect();
            shown.replace_range(secret.clone(), &stars);
        }
        shown
    }
}
