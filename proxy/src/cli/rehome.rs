//! `homing plan`, `apply`, `switchover`, `failover`, `failback`, `evacuate`.
//!
//! Owns the words and the order plan, show, confirm, apply, wait, report. The admin API does the work.

use super::Exit;
use super::client::{Call, Remote, segment};
use super::op;
use super::output;
use clap::ValueEnum;
use http::{HeaderName, Method};
use serde_json::{Value, json};

pub(super) static HOMING_REASON: HeaderName = HeaderName::from_static("homing-reason");

/// What is wanted.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Verb {
    Switchover,
    Failover,
    Failback,
    Evacuate,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Verb::Switchover => "switchover",
            Verb::Failover => "failover",
            Verb::Failback => "failback",
            Verb::Evacuate => "evacuate",
        }
    }
}

/// Of what, and how.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Subject {
    /// The site.
    #[arg(required_unless_present = "zone", conflicts_with = "zone")]
    site: Option<String>,
    /// Every site whose serving installation is in this zone.
    #[arg(long)]
    zone: Option<String>,
    /// The installation that is to serve, where there is a choice; of an evacuation the site that takes.
    #[arg(long, value_name = "INSTALLATION", conflicts_with = "zone")]
    to: Option<String>,
    /// Only this instance (evacuate).
    #[arg(long, value_name = "process-instance:ID", conflicts_with = "zone")]
    key: Option<String>,
    /// Your word that the installation that serves now can change nothing any more, and how that was made sure. Kept in
    /// the audit trail with your name.
    #[arg(long, value_name = "HOW")]
    fenced_by: Option<String>,
    /// A safety rule that is not to be obeyed this time. May be repeated; each is kept in the audit trail.
    #[arg(long = "override", value_name = "RULE")]
    overrides: Vec<String>,
}

/// Say what would be done about a site or a zone; nothing is done.
#[derive(clap::Args)]
pub(super) struct Plan {
    #[command(flatten)]
    remote: Remote,
    /// What is wanted.
    #[arg(value_enum)]
    verb: Verb,
    #[command(flatten)]
    subject: Subject,
}

/// Carry out a plan that was made before.
#[derive(clap::Args)]
pub(super) struct Apply {
    #[command(flatten)]
    remote: Remote,
    /// The plan's hash.
    hash: String,
    #[command(flatten)]
    word: Word,
}

/// Plan, show, ask, do, wait.
#[derive(clap::Args)]
pub(super) struct Act {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    word: Word,
}

/// Why, and whether for real.
#[derive(clap::Args, Clone, Debug)]
struct Word {
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "TEXT", required = true, value_parser = super::change::reason)]
    reason: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Check everything and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for the end.
    #[arg(long)]
    no_wait: bool,
}

impl Plan {
    pub(super) fn run(self) -> Exit {
        let made = match make(&self.remote, self.verb, &self.subject) {
            Ok(made) => made,
            Err(exit) => return exit,
        };
        if self.remote.json {
            output::machine("plan", &made);
        } else {
            show(&made);
        }
        verdict(&made)
    }
}

impl Apply {
    pub(super) fn run(self) -> Exit {
        apply(&self.remote, &self.hash, &self.word).unwrap_or_else(|exit| exit)
    }
}

impl Act {
    pub(super) fn run(self, verb: Verb) -> Exit {
        self.act(verb).unwrap_or_else(|exit| exit)
    }

    fn act(&self, verb: Verb) -> Result<Exit, Exit> {
        let made = make(&self.remote, verb, &self.subject)?;
        if !self.remote.json {
            show(&made);
        }
        let verdict = verdict(&made);
        if verdict != Exit::Ok || moves(&made).is_empty() {
            if self.remote.json {
                output::machine("plan", &made);
            }
            // It is as it should be, or nothing of it can be done.
            let refused = verdict == Exit::Ok && !is_as_wanted(&made);
            return Ok(if refused { Exit::Refused } else { verdict });
        }
        let hash = made["hash"].as_str().unwrap_or_default();
        apply(&self.remote, hash, &self.word)
    }
}

fn make(remote: &Remote, verb: Verb, subject: &Subject) -> Result<Value, Exit> {
    let body = json!({
        "verb": verb.as_str(),
        "site": subject.site,
        "zone": subject.zone,
        "to": subject.to,
        "key": subject.key,
        "fenced_by": subject.fenced_by,
        "overrides": subject.overrides,
    });
    let reply = remote.call(Call::with(Method::POST, "/v1/plans", &body))?;
    Ok(reply.json)
}

fn items<'v>(of: &'v Value, name: &str) -> &'v [Value] {
    of.get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn moves(made: &Value) -> &[Value] {
    items(made, "moves")
}

/// 3 when something forbids it.
pub(super) fn verdict(made: &Value) -> Exit {
    let objections = items(&made["report"], "objections");
    let standing = objections.iter().any(|one| one["overridden"] == false);
    if standing { Exit::Refused } else { Exit::Ok }
}

/// Nothing had to be done at any site that was considered, or its instances wait for it as they should. In a zone from
/// which nothing is served there is nothing to do.
fn is_as_wanted(made: &Value) -> bool {
    let sites = items(&made["report"], "sites");
    let wanted = |one: &Value| one["verdict"] == "nothing-to-do" || one["fate"] == "parked";
    sites.iter().all(wanted)
}

pub(super) fn show(made: &Value) {
    output::say(&format!(
        "plan {}  {} {}",
        made["hash"].as_str().unwrap_or_default(),
        made["verb"].as_str().unwrap_or_default(),
        made["subject"].as_str().unwrap_or_default(),
    ));
    let sites = items(&made["report"], "sites");
    if sites.is_empty() {
        output::say("  nothing is served from there now");
    } else {
        output::rows(&["site", "verdict", "fate", "why"], sites);
    }
    for one in items(&made["report"], "sites") {
        let rows = one["rows"].as_object().into_iter().flatten();
        let rows: Vec<String> = rows
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        if let (false, Some(fate)) = (rows.is_empty(), one["fate"].as_str()) {
            output::say(&format!(
                "  {} {fate}: {}",
                one["site"].as_str().unwrap_or_default(),
                rows.join(", ")
            ));
        }
        for note in items(one, "notes") {
            output::say(&format!(
                "  {}: {}",
                one["site"].as_str().unwrap_or_default(),
                note.as_str().unwrap_or_default()
            ));
        }
        for wait in items(one, "waits_for") {
            output::say(&format!(
                "  {} waits for {}",
                one["site"].as_str().unwrap_or_default(),
                wait.as_str().unwrap_or_default()
            ));
        }
    }
    for one in items(&made["report"], "objections") {
        let rule = one["rule"].as_str();
        let word = if one["overridden"] == true {
            "overridden"
        } else {
            "refused"
        };
        let cure = match rule {
            Some(rule) if one["overridden"] == false => format!(" (--override {rule})"),
            _ => String::new(),
        };
        output::say(&format!(
            "  {word}: {}{cure}",
            one["why"].as_str().unwrap_or_default()
        ));
    }
}

fn apply(remote: &Remote, hash: &str, word: &Word) -> Result<Exit, Exit> {
    if !word.dry_run {
        output::confirmed(word.yes, "carry out this plan")?;
    }
    let query = if word.dry_run { "?dry_run=true" } else { "" };
    let path = format!("/v1/plans/{}/apply{query}", segment(hash));
    let call =
        Call::with(Method::POST, path, &json!({})).header(HOMING_REASON.clone(), &word.reason)?;
    let reply = remote.call(call)?;
    if word.dry_run {
        if remote.json {
            output::machine("plan", &reply.json);
        } else {
            output::say("everything was checked (dry run: nothing was changed)");
        }
        return Ok(Exit::Ok);
    }
    let id = reply.json["operation"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if word.no_wait {
        if remote.json {
            output::machine("operation", &reply.json);
        } else {
            output::say(&format!(
                "operation {id} has begun; see: homing op watch {id}"
            ));
        }
        return Ok(Exit::Ok);
    }
    op::watch(remote, &id)
}
