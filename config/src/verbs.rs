//! What `homing config ...` prints, and the exit code it means.
//!
//! Owns the words and the JSON of the verbs `check`, `show`, `schema`, `init` and `diff`. Must not print: the program's
//! own `main` does, and only it reads the environment.

use crate::diagnostic::{Diagnostic, Severity, Style};
use crate::diff::{self, Change};
use crate::effective::Effective;
use crate::load::{Inputs, Purpose, Report, load};

use crate::shape::When;
use serde_json::{Value, json};

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Good,
    /// The configurations differ.
    Different,
    /// The configuration is refused.
    Refused,
}

impl Status {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Status::Good => 0,
            Status::Different => 6,
            Status::Refused => 78,
        }
    }
}

/// What a verb has to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// For people.
    pub text: String,
    /// For programs (`--json`), who get it under the name of its schema.
    pub json: Value,
    /// How it ended.
    pub status: Status,
}

/// `homing config check FILE...`: every problem.
pub fn check(inputs: &Inputs, style: Style) -> Outcome {
    match load(inputs, Purpose::Check) {
        Ok(loaded) => {
            let sites = loaded.config.sites.len();
            let mut parts = vec![format!("{sites} site{}", if sites == 1 { "" } else { "s" })];
            parts.extend(
                loaded
                    .config
                    .engine
                    .is_some()
                    .then(|| "an engine".to_owned()),
            );
            parts.extend(loaded.config.agent.is_some().then(|| "an agent".to_owned()));
            let text = format!(
                "{}good: {}\n",
                loaded.warnings.render(style),
                parts.join(", ")
            );
            Outcome {
                text,
                json: report_json(&loaded.warnings, "good"),
                status: Status::Good,
            }
        }
        Err(report) => refused(&report, style),
    }
}

/// `homing config show -c FILE`: the values that count, each with its source.
pub fn show(inputs: &Inputs, purpose: Purpose, style: Style) -> Outcome {
    let loaded = match load(inputs, purpose) {
        Ok(loaded) => loaded,
        Err(report) => return refused(&report, style),
    };
    let width = |text: &dyn Fn(&Effective) -> String| {
        loaded
            .effective
            .iter()
            .map(|value| text(value).chars().count())
            .max()
            .unwrap_or(0)
    };
    // Long values (rules of a dialect) do not push all sources off the screen.
    let (path, value) = (
        width(&|value| value.path.clone()),
        width(&|value| value.shown.to_string()).min(40),
    );
    let line = |one: &Effective| {
        format!(
            "{:path$}  {:value$}  {}\n",
            one.path,
            one.shown.to_string(),
            source(one)
        )
    };
    Outcome {
        text: loaded.effective.iter().map(line).collect(),
        json: json!({
            "values": loaded.effective.iter().map(|one| json!({
                "path": one.path, "value": one.shown, "source": source(one), "change": when(one.when),
            })).collect::<Vec<_>>(),
        }),
        status: Status::Good,
    }
}

/// `homing config schema`: the JSON schema.
pub fn schema() -> Outcome {
    let json = crate::schema::schema();
    Outcome {
        text: format!("{json:#}\n"),
        json,
        status: Status::Good,
    }
}

/// `homing config init`: a file to begin with.
pub fn init() -> Outcome {
    let text = include_str!("init.toml").to_owned();
    let json = json!({ "text": text });
    Outcome {
        text,
        json,
        status: Status::Good,
    }
}

/// `homing config diff A B`: what differs, and what of it needs a restart.
pub fn diff(before: &Inputs, after: &Inputs, style: Style) -> Outcome {
    let (before, after) = match (load(before, Purpose::Check), load(after, Purpose::Check)) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(report), _) | (_, Err(report)) => return refused(&report, style),
    };
    let changes = diff::diff(&before, &after);
    let mut text: String = changes.iter().map(change_line).collect();
    let restart = changes
        .iter()
        .filter(|change| change.when == When::Restart)
        .count();
    text.push_str(&match (changes.len(), restart) {
        (0, _) => "no difference\n".to_owned(),
        (all, 0) => format!("{all} changed; a reload is enough\n"),
        (all, restart) => format!("{all} changed; {restart} of them only with a restart\n"),
    });
    let list: Vec<Value> = changes
        .iter()
        .map(|change| json!({ "path": change.path, "before": change.before, "after": change.after, "change": when(change.when) }))
        .collect();
    Outcome {
        text,
        json: json!({ "changes": list }),
        status: if changes.is_empty() {
            Status::Good
        } else {
            Status::Different
        },
    }
}

fn change_line(change: &Change) -> String {
    let value = |value: &Option<Value>| {
        value
            .as_ref()
            .map_or_else(|| "(none)".to_owned(), Value::to_string)
    };
    let what = match (&change.before, &change.after) {
        (None, Some(Value::Object(_))) => "added".to_owned(),
        (Some(Value::Object(_)), None) => "removed".to_owned(),
        (before, after) => format!("{} -> {}", value(before), value(after)),
    };
    format!("{:8} {}  {what}\n", when(change.when), change.path)
}

fn when(when: When) -> &'static str {
    match when {
        When::Live => "live",
        When::Restart => "restart",
    }
}

fn source(value: &Effective) -> String {
    value
        .place
        .as_ref()
        .map_or_else(|| "default".to_owned(), |place| place.source())
}

fn refused(report: &Report, style: Style) -> Outcome {
    let count = |severity| {
        report
            .diagnostics
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    };
    let errors = count(Severity::Error);
    let text = format!(
        "{}refused: {errors} error{}\n",
        report.render(style),
        if errors == 1 { "" } else { "s" }
    );
    Outcome {
        text,
        json: report_json(report, "refused"),
        status: Status::Refused,
    }
}

fn report_json(report: &Report, result: &str) -> Value {
    let problem = |problem: &Diagnostic| {
        let place = problem.place(&report.sources);
        json!({
            "severity": match problem.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "code": problem.code,
            "message": problem.message,
            "source": place.as_ref().map(|place| place.origin.to_string()),
            "line": place.as_ref().map(|place| place.line),
            "column": place.as_ref().map(|place| place.column),
            "help": problem.help,
        })
    };
    json!({
        "result": result,
        "problems": report.diagnostics.iter().map(problem).collect::<Vec<_>>(),
    })
}
