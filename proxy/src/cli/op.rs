//! `homing op`: list, show, watch, resume, abort.
//!
//! Owns the words and the exit code of an operation's end. The admin API does the work.

use super::Exit;
use super::client::{Call, Remote, segment};
use super::output;
use super::page::{self, Paging};
use super::rehome::HOMING_REASON;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Between two looks at an operation.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often an operation is looked at after an operator's word: 10 s.
const OUTCOME_LOOKS: u32 = 50;

/// Plans that are carried out.
#[derive(clap::Args)]
pub(super) struct Op {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Operations, the newest first.
    List(Paging),
    /// One operation, with what has happened.
    Show { operation: String },
    /// Wait for its end.
    Watch { operation: String },
    /// Go on after an order to an agent has failed.
    Resume {
        operation: String,
        /// Why; kept in the audit trail.
        #[arg(long, value_name = "TEXT", value_parser = super::change::reason)]
        reason: String,
        #[command(flatten)]
        really: Really,
    },
    /// Take it back, where that is safe.
    Abort {
        operation: String,
        /// Why; kept in the audit trail.
        #[arg(long, value_name = "TEXT", value_parser = super::change::reason)]
        reason: String,
        /// Your word that the new place can change nothing any more, and how; needed once it may have begun to serve.
        #[arg(long, value_name = "HOW")]
        fenced_by: Option<String>,
        #[command(flatten)]
        really: Really,
    },
}

/// Whether for real.
#[derive(clap::Args)]
struct Really {
    /// Check everything and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Accepted for the sake of scripts; these verbs do not ask.
    #[arg(long, hide = true)]
    yes: bool,
}

impl Op {
    pub(super) fn run(self) -> Exit {
        let done = match &self.verb {
            Verb::List(paging) => self.list(paging),
            Verb::Show { operation } => self.show(operation),
            Verb::Watch { operation } => watch(&self.remote, operation),
            Verb::Resume {
                operation,
                reason,
                really,
            } => self.say(operation, ("resume", really), reason, &json!({})),
            Verb::Abort {
                operation,
                reason,
                fenced_by,
                really,
            } => self.say(
                operation,
                ("abort", really),
                reason,
                &json!({ "fenced_by": fenced_by }),
            ),
        };
        done.unwrap_or_else(|exit| exit)
    }

    fn list(&self, paging: &Paging) -> Result<Exit, Exit> {
        let page = self
            .remote
            .call(Call::get(paging.of("/v1/operations")))?
            .json;
        if self.remote.json {
            output::machine("op-list", &page);
        } else {
            let columns = [
                "operation",
                "verb",
                "subject",
                "state",
                "started_at",
                "actor",
            ];
            page::print(&columns, &page);
        }
        Ok(Exit::Ok)
    }

    fn show(&self, id: &str) -> Result<Exit, Exit> {
        let path = format!("/v1/operations/{}", segment(id));
        let mut operation = self.remote.call(Call::get(&path))?.json;
        let events = self.remote.call(Call::get(format!("{path}/events")))?.json;
        if self.remote.json {
            operation["events"] = events["items"].clone();
            output::machine("operation", &operation);
        } else {
            output::members(&operation);
            let items = events.get("items").and_then(Value::as_array);
            output::rows(
                &["at", "what", "detail"],
                items.map(Vec::as_slice).unwrap_or_default(),
            );
        }
        Ok(Exit::Ok)
    }

    fn say(
        &self,
        id: &str,
        (word, really): (&str, &Really),
        reason: &str,
        body: &Value,
    ) -> Result<Exit, Exit> {
        let query = if really.dry_run { "?dry_run=true" } else { "" };
        let path = format!("/v1/operations/{}/{word}{query}", segment(id));
        let call = Call::with(Method::POST, path, body).header(HOMING_REASON.clone(), reason)?;
        let reply = self.remote.call(call)?;
        if !really.dry_run {
            return outcome(&self.remote, id, word);
        }
        if self.remote.json {
            output::machine("operation", &reply.json);
        } else {
            output::say(&format!(
                "operation {id}: {word} (dry run: nothing was changed)"
            ));
        }
        Ok(Exit::Ok)
    }
}

/// Follows an operation for a moment after an operator's word to it: what the word has achieved is the command's end.
fn outcome(remote: &Remote, id: &str, word: &str) -> Result<Exit, Exit> {
    let path = format!("/v1/operations/{}", segment(id));
    let mut operation = Value::Null;
    for look in 0..OUTCOME_LOOKS {
        if look > 0 {
            std::thread::sleep(LOOK_EVERY);
        }
        operation = remote.call(Call::get(&path))?.json;
        if operation["state"] != "running" {
            break;
        }
    }
    let state = operation["state"].as_str().unwrap_or_default();
    let (exit, told) = judged(word, state);
    if remote.json {
        output::machine("operation", &operation);
    } else {
        output::say(&format!("operation {id} is {state}{told}"));
    }
    for one in operation["moves"].as_array().into_iter().flatten() {
        let note = one["note"].as_str().unwrap_or_default();
        let site = one["site"].as_str().unwrap_or_default();
        if exit != Exit::Ok {
            output::complain(exit, &format!("site {site}: {note}"));
        } else if !note.is_empty() && !remote.json {
            output::say(&format!("  {site}: {note}"));
        }
    }
    Ok(exit)
}

/// What the state says of an operator's word.
fn judged(word: &str, state: &str) -> (Exit, &'static str) {
    match (word, state) {
        (_, "running") => (Exit::Ok, ": the word was heard; see: homing op watch"),
        ("abort", "aborted") => (Exit::Ok, ""),
        ("abort", "done") => (Exit::Failed, ": it was over before it could be taken back"),
        ("abort", "blocked") => (Exit::Refused, ""),
        (_, state) => (exit_of(state), ""),
    }
}

/// Waits for an operation's end, telling what happens on the way. A router that goes away meanwhile is asked again.
pub(super) fn watch(remote: &Remote, id: &str) -> Result<Exit, Exit> {
    let path = format!("/v1/operations/{}", segment(id));
    let goes_on = format!("operation {id} goes on without this command: homing op watch {id}");
    let mut told = 0;
    loop {
        let operation = remote.follow(&path, &goes_on)?;
        let events = remote.follow(&format!("{path}/events"), &goes_on)?;
        let items = events.get("items").and_then(Value::as_array);
        let items = items.map(Vec::as_slice).unwrap_or_default();
        if !remote.json {
            for event in items.iter().skip(told) {
                let word = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                output::say(&format!(
                    "{}  {}: {}",
                    word("at"),
                    word("what"),
                    word("detail")
                ));
            }
        }
        told = items.len();
        let state = operation["state"].as_str().unwrap_or_default();
        let ended = !operation["ended_at"].is_null();
        if ended || state == "blocked" {
            if remote.json {
                output::machine("operation", &operation);
            } else {
                output::say(&format!("operation {id} is {state}"));
            }
            return Ok(exit_of(state));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn exit_of(state: &str) -> Exit {
    match state {
        "done" => Exit::Ok,
        "partly" | "blocked" => Exit::Partly,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_achieved_nothing_is_no_success() {
        let exit = |word, state| judged(word, state).0;
        assert_eq!(exit("abort", "aborted"), Exit::Ok);
        assert_eq!(exit("abort", "running"), Exit::Ok);
        assert_eq!(exit("abort", "blocked"), Exit::Refused);
        assert_eq!(exit("abort", "done"), Exit::Failed);
        assert_eq!(exit("abort", "partly"), Exit::Partly);
        assert_eq!(exit("resume", "done"), Exit::Ok);
        assert_eq!(exit("resume", "blocked"), Exit::Partly);
        assert_eq!(exit("resume", "aborted"), Exit::Failed);
    }
}
