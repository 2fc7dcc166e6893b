//! From files, environment and arguments to settings, with every problem at once.
//!
//! Owns the order of values (built-in < files in their order < environment < `--set`) and the reading of files. Must not
//! read the process environment or the clock. Relies on `check` for single values and on `validate` for all together.

use crate::check;
use crate::diagnostic::{self, Diagnostic, Severity, Style};
use crate::effective::{self, Effective};
use crate::file::File;
use crate::overlay;
use crate::settings::Config;
use crate::source::{Origin, Sources};
use crate::tree;
use crate::validate::Validate;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::DeTable;

/// What a configuration is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A router: at least one site.
    Serve,
    /// A node of Homing's own engine: `[engine]`.
    Engine,
    /// A site agent: `[agent]`.
    Agent,
    /// Any of these.
    Check,
}

/// Where a file's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Read from disk.
    File(PathBuf),
    /// Already there, under a name for messages.
    Text {
        /// The name.
        name: String,
        /// The text.
        text: String,
    },
}

/// All that settings are made from. Nothing else is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Files; later ones count for more.
    pub files: Vec<Input>,
    /// The process environment; only names that begin with `HOMING__` count.
    pub environment: Vec<(String, String)>,
    /// `--set` arguments: `store.url=sqlite:homing.db`.
    pub set: Vec<String>,
    /// Name of this host, the router's name by default.
    pub host_name: String,
}

impl Inputs {
    /// One text in place of a file.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Inputs {
        Inputs {
            files: vec![Input::Text {
                name: name.into(),
                text: text.into(),
            }],
            ..Inputs::default()
        }
    }
}

/// What was found, with the texts to show it in.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// All problems, by place.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that they are about.
    pub sources: Sources,
}

impl Report {
    /// Whether the configuration is refused.
    pub fn is_refusal(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// All problems as text for people.
    pub fn render(&self, style: Style) -> String {
        let mut text = String::new();
        for problem in &self.diagnostics {
            text.push_str(&diagnostic::render(problem, &self.sources, style));
            text.push_str("\n\n");
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Style::Plain).trim_end())
    }
}

impl std::error::Error for Report {}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Every value that counts, by path, with its source.
    pub effective: Vec<Effective>,
    /// Warnings.
    pub warnings: Report,
}

/// Loads and checks everything.
pub fn load(inputs: &Inputs, purpose: Purpose) -> Result<Loaded, Box<Report>> {
    let (sources, mut problems) = read(inputs);
    let unreadable = !problems.is_empty();
    let config = parse(&sources, inputs, purpose, &mut problems);
    if unreadable {
        // What a file that could not be read says is not missing.
        problems.retain(|problem| problem.code != "nothing-to-do");
    }
    // By place; what has none comes first.
    problems.sort_by_key(|problem| problem.labels.first().map(|label| label.span.start));
    let report = Report {
        diagnostics: problems,
        sources,
    };
    match config {
        Some((config, effective)) if !report.is_refusal() => Ok(Loaded {
            config,
            effective,
            warnings: report,
        }),
        _ => Err(Box::new(report)),
    }
}

fn read(inputs: &Inputs) -> (Sources, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let mut problems = Vec::new();
    for input in &inputs.files {
        match input {
            Input::Text { name, text } => {
                sources.add(Origin::File(name.clone()), text.clone());
            }
            Input::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => {
                    sources.add(Origin::File(path.display().to_string()), text);
                }
                Err(error) => problems.push(
                    Diagnostic::error("file", format!("cannot read `{}`: {error}", path.display()))
                        .help("`homing config init` prints a file to begin with"),
                ),
            },
        }
    }
    overlay::collect(&mut sources, &inputs.environment, &inputs.set);
    (sources, problems)
}

/// The merged tree of all sources, before any check.
pub(crate) fn merged<'a>(sources: &'a Sources, problems: &mut Vec<Diagnostic>) -> tree::Table<'a> {
    let mut merged = tree::Table::default();
    for source in sources.iter() {
        match source.origin {
            Origin::File(_) => tree::merge(&mut merged, tree::parse(source, problems)),
            Origin::Environment(_) | Origin::Argument => {
                overlay::apply(&mut merged, source, problems)
            }
        }
    }
    merged
}

fn parse(
    sources: &Sources,
    inputs: &Inputs,
    purpose: Purpose,
    problems: &mut Vec<Diagnostic>,
) -> Option<(Config, Vec<Effective>)> {
    let mut tree = merged(sources, problems);
    if problems.iter().any(|problem| problem.code == "syntax") {
        // Whatever else is wrong may only be an echo of it.
        return None;
    }
    let names = [check::names(&tree, "site"), check::names(&tree, "dialect")];
    check::check(&mut tree, sources, problems);
    let mut effective = effective::of(&tree, sources);
    let file = match read_file(tree) {
        Ok(file) => file,
        Err(problem) => {
            problems.push(*problem);
            return None;
        }
    };
    let [sites, dialects] = &names;
    let problems_before = std::mem::take(problems);
    let mut validate = Validate {
        purpose,
        host_name: &inputs.host_name,
        sites,
        dialects,
        sources,
        problems: problems_before,
    };
    let config = validate.run(&file);
    *problems = validate.problems;
    effective::derived(&mut effective, &config);
    Some((config, effective))
}

/// The checked tree as structs. A failure here is one that `check` should have found; it still has its place.
fn read_file(tree: DeTable<'_>) -> Result<File, Box<Diagnostic>> {
    let deserializer = toml::Deserializer::from(Spanned::new(0..0, tree));
    File::deserialize(deserializer).map_err(|error| {
        let problem = Diagnostic::error("unreadable", error.message().to_owned());
        Box::new(match error.span() {
            Some(span) => problem.at(&span, "not understood"),
            None => problem,
        })
    })
}
