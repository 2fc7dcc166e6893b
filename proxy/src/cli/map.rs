//! `homing map`: get, set, unset, list, history, import, export, reconcile.
//!
//! Owns nothing but the words; the admin API does the work. `set` and `unset` are compare-and-set: against the generation
//! given, or the one that is there when the verb begins.

use super::Exit;
use super::change::Change;
use super::client::{Body, Call, Remote, exit_of, segment, told};
use super::output;
use bytes::Bytes;
use clap::Subcommand;
use http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for one part of a long comparison.
const PART: Duration = Duration::from_secs(10);

/// Keys and their homes.
#[derive(clap::Args)]
pub(super) struct Map {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// One mapping, as the store has it. A key is written KIND:ID.
    Get { key: String },
    /// Every version of one mapping.
    History { key: String },
    /// Mappings, page by page.
    List {
        #[arg(long)]
        kind: Option<String>,
        #[arg(long)]
        home: Option<String>,
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        prefix: Option<String>,
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Set a key's home.
    Set {
        key: String,
        site: String,
        /// The generation that must be there; default: the present one.
        #[arg(long)]
        generation: Option<u64>,
        #[command(flatten)]
        barrier: Barrier,
        #[command(flatten)]
        change: Change,
    },
    /// Remove a key's row.
    Unset {
        key: String,
        #[arg(long)]
        generation: Option<u64>,
        #[command(flatten)]
        barrier: Barrier,
        #[command(flatten)]
        change: Change,
    },
    /// Insert rows from NDJSON lines {"key", "home"}; `-` reads standard input. Changes no home that is there.
    Import {
        file: PathBuf,
        #[command(flatten)]
        change: Change,
    },
    /// Write the whole table as NDJSON.
    Export,
    /// Compare the table with what the sites hold; add the rows that are missing. Changes and removes none.
    Reconcile {
        /// Only this site.
        #[arg(long)]
        site: Option<String>,
        #[command(flatten)]
        change: Change,
    },
}

/// Whether the verb waits for the other routers.
#[derive(clap::Args)]
struct Barrier {
    /// Wait until every live router acts on the change, for so many seconds at most; 5 if some have not said so.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10",
        value_parser = clap::value_parser!(u64).range(1..=60))]
    wait: Option<u64>,
}

impl Barrier {
    fn query(&self, change: &Change) -> String {
        let dry = change.query();
        match self.wait {
            None => dry.to_owned(),
            Some(seconds) => {
                let first = if dry.is_empty() { "?" } else { "&" };
                format!("{dry}{first}wait_ms={}", seconds * 1000)
            }
        }
    }

    /// Says who does not act on the change yet.
    fn tell(&self, remote: &Remote, answer: &Value) -> Result<(), Exit> {
        let barrier = &answer["barrier"];
        if barrier.is_null() {
            return Ok(());
        }
        let names = |member: &str| {
            let names = barrier[member].as_array().into_iter().flatten();
            let names: Vec<&str> = names.filter_map(Value::as_str).collect();
            names.join(", ")
        };
        if !remote.json {
            let lapsed = names("lapsed");
            if !lapsed.is_empty() {
                output::say(&format!("the lease of {lapsed} has run out"));
            }
        }
        if barrier["reached"] == true {
            return Ok(());
        }
        let waiting = names("waiting_for");
        Err(output::complain(
            Exit::Partly,
            &format!(
                "it is changed, but these routers have not said that they act on it: {waiting}"
            ),
        ))
    }
}

impl Map {
    pub(super) fn run(self) -> Exit {
        let done = match &self.verb {
            Verb::Get { key } => self.get(key),
            Verb::History { key } => self.history(key),
            Verb::List {
                kind,
                home,
                state,
                prefix,
                limit,
                cursor,
            } => {
                let filters = [
                    ("kind", kind),
                    ("home", home),
                    ("state", state),
                    ("prefix", prefix),
                    ("cursor", cursor),
                ];
                self.list(&filters, *limit)
            }
            Verb::Set {
                key,
                site,
                generation,
                barrier,
                change,
            } => self.set((key, site), *generation, barrier, change),
            Verb::Unset {
                key,
                generation,
                barrier,
                change,
            } => self.unset(key, *generation, barrier, change),
            Verb::Import { file, change } => self.import(file, change),
            Verb::Export => self.export(),
            Verb::Reconcile { site, change } => self.reconcile(site.as_deref(), change),
        };
        done.err().unwrap_or(Exit::Ok)
    }

    fn get(&self, key: &str) -> Result<(), Exit> {
        let reply = self.remote.call(Call::get(path(key)))?;
        if self.remote.json {
            output::machine("mapping", &reply.json);
        } else {
            output::members(&reply.json);
        }
        Ok(())
    }

    fn history(&self, key: &str) -> Result<(), Exit> {
        let reply = self
            .remote
            .call(Call::get(format!("{}/history", path(key))))?;
        if self.remote.json {
            output::machine("mapping-history", &reply.json);
        } else {
            output::rows(
                &[
                    "generation",
                    "home",
                    "state",
                    "source",
                    "at",
                    "actor",
                    "reason",
                ],
                &items(&reply.json),
            );
        }
        Ok(())
    }

    fn list(&self, filters: &[(&str, &Option<String>)], limit: usize) -> Result<(), Exit> {
        let mut path = format!("/v1/mappings?limit={limit}");
        for (name, value) in filters {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", segment(value)));
            }
        }
        let reply = self.remote.call(Call::get(path))?;
        if self.remote.json {
            output::machine("mapping-list", &reply.json);
        } else {
            output::rows(
                &["key", "home", "serving", "generation", "state", "source"],
                &items(&reply.json),
            );
            if let Some(next) = reply.json.get("next").and_then(Value::as_str) {
                output::say(&format!("more: --cursor {next}"));
            }
        }
        Ok(())
    }

    fn set(
        &self,
        (key, site): (&str, &str),
        generation: Option<u64>,
        barrier: &Barrier,
        change: &Change,
    ) -> Result<(), Exit> {
        let present = self.present(key, generation)?;
        change.confirm(&format!("set the home of {key} to site {site}"))?;
        let target = format!("{}{}", path(key), barrier.query(change));
        let call = Call::with(Method::PUT, target, &json!({ "home": site }));
        let remote = self.remote.patient(barrier.wait.unwrap_or(0));
        let reply = remote.call(change.apply(expecting(call, present))?)?;
        if self.remote.json {
            output::machine("mapping", &reply.json);
        } else {
            output::say(&format!("{key} lives at {site}{}", change.suffix()));
        }
        barrier.tell(&remote, &reply.json)
    }

    fn unset(
        &self,
        key: &str,
        generation: Option<u64>,
        barrier: &Barrier,
        change: &Change,
    ) -> Result<(), Exit> {
        let present = self.present(key, generation)?;
        change.confirm(&format!("remove the row of {key}"))?;
        let call = Call {
            method: Method::DELETE,
            ..Call::get(format!("{}{}", path(key), barrier.query(change)))
        };
        let remote = self.remote.patient(barrier.wait.unwrap_or(0));
        let reply = remote.call(change.apply(expecting(call, present))?)?;
        if self.remote.json {
            output::machine("mapping-unset", &reply.json);
        } else {
            output::say(&format!("{key} has no row any more{}", change.suffix()));
        }
        barrier.tell(&remote, &reply.json)
    }

    /// The ETag that the change must find; `None`: there is no row.
    fn present(&self, key: &str, generation: Option<u64>) -> Result<Option<HeaderValue>, Exit> {
        if let Some(generation) = generation {
            return Ok(HeaderValue::try_from(format!("\"{generation}\"")).ok());
        }
        let reply = self.remote.ask(Call::get(path(key)))?;
        match reply.status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => Ok(reply.etag),
        }
    }

    fn import(&self, file: &Path, change: &Change) -> Result<(), Exit> {
        change.confirm(&format!("import {}", file.display()))?;
        let body = lines(file).map_err(|error| {
            output::complain(
                Exit::Failed,
                &format!("{} cannot be read: {error}", file.display()),
            )
        })?;
        let content_type = (
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        );
        let call = Call {
            method: Method::POST,
            path: format!("/v1/mappings/import{}", change.query()),
            headers: vec![content_type],
            body,
        };
        let reply = self.remote.upload(change.apply(call)?)?;
        if !reply.status.is_success() {
            let exit = exit_of(reply.status);
            let done = reply.json.get("imported").and_then(Value::as_u64);
            let done = done.filter(|done| *done > 0 && !change.is_dry());
            let mut text = told(reply.status, &reply.json);
            if let Some(done) = done {
                text = format!("{text}; {done} lines before it were imported");
            }
            return Err(output::complain(done.map_or(exit, |_| Exit::Partly), &text));
        }
        if self.remote.json {
            output::machine("mapping-import", &reply.json);
        } else {
            output::members(&reply.json);
        }
        let conflicts = reply
            .json
            .get("conflicts")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        if conflicts > 0 {
            Err(Exit::Partly)
        } else {
            Ok(())
        }
    }

    fn reconcile(&self, site: Option<&str>, change: &Change) -> Result<(), Exit> {
        let what = site.map_or_else(|| "all sites".to_owned(), |site| format!("site {site}"));
        change.confirm(&format!("compare the table with {what}"))?;
        let names = match site {
            Some(site) => vec![site.to_owned()],
            None => self.sites()?,
        };
        let mut sites = Vec::new();
        for name in names {
            sites.extend(self.reconcile_one(&name, change)?);
        }
        if self.remote.json {
            output::machine("mapping-reconcile", &json!({ "sites": sites }));
        } else {
            output::rows(
                &[
                    "site",
                    "complete",
                    "seen",
                    "added",
                    "unchanged",
                    "ended",
                    "conflicts",
                    "ghosts",
                    "unproven",
                    "detail",
                ],
                &sites,
            );
        }
        let whole = |site: &Value| {
            site.get("complete") == Some(&Value::Bool(true))
                && site.get("conflicts") == Some(&json!(0))
        };
        if sites.iter().all(whole) {
            Ok(())
        } else {
            Err(Exit::Partly)
        }
    }

    fn sites(&self) -> Result<Vec<String>, Exit> {
        let reply = self.remote.call(Call::get("/v1/sites"))?;
        let items = items(&reply.json);
        let names = items.iter().filter_map(|site| site.get("site")?.as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Call by call, each a part that ends in time; what was done before an end of this command is not done again.
    fn reconcile_one(&self, site: &str, change: &Change) -> Result<Vec<Value>, Exit> {
        let path = format!("/v1/mappings/reconcile{}", change.query());
        let first = if path.contains('?') { '&' } else { '?' };
        let within = self.remote.within().min(PART) / 2;
        let within = within.as_millis();
        let path = format!("{path}{first}site={}&within_ms={within}", segment(site));
        loop {
            let call = Call {
                method: Method::POST,
                ..Call::get(path.clone())
            };
            let reply = self.remote.call(change.apply(call)?)?;
            let sites = reply.json.get("sites").and_then(Value::as_array);
            let sites = sites.cloned().unwrap_or_default();
            let unfinished = |one: &&Value| one.get("unfinished") == Some(&Value::Bool(true));
            match sites.iter().find(unfinished) {
                Some(one) => output::remark(&progress(site, one)),
                None => return Ok(sites),
            }
        }
    }

    fn export(&self) -> Result<(), Exit> {
        let mut to = std::io::stdout().lock();
        self.remote
            .stream(Call::get("/v1/mappings/export"), |piece| {
                to.write_all(piece)
            })
    }
}

fn progress(site: &str, found: &Value) -> String {
    let number = |name: &str| found.get(name).and_then(Value::as_u64).unwrap_or_default();
    let detail = found.get("detail").and_then(Value::as_str);
    format!(
        "site {site}, {}; {} rows added, {} were there, {} have ended, {} conflicts",
        detail.unwrap_or("not over"),
        number("added"),
        number("unchanged"),
        number("ended"),
        number("conflicts")
    )
}

fn path(key: &str) -> String {
    format!("/v1/mappings/{}", segment(key))
}

fn items(list: &Value) -> Vec<Value> {
    list.get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

fn expecting(mut call: Call, present: Option<HeaderValue>) -> Call {
    call.headers.push(match present {
        Some(etag) => (IF_MATCH, etag),
        None => (IF_NONE_MATCH, HeaderValue::from_static("*")),
    });
    call
}

/// A file, or standard input for `-`, piece by piece.
fn lines(file: &Path) -> std::io::Result<Body> {
    const PIECE_BYTES: usize = 64 * 1024;
    let from: Box<dyn Read + Send + Sync> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file)?)
    };
    let pieces = futures_util::stream::unfold(from, |mut from| async move {
        let mut piece = vec![0; PIECE_BYTES];
        match from.read(&mut piece) {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(Frame::data(Bytes::from(piece))), from))
            }
            Err(error) => Some((Err(error), from)),
        }
    });
    Ok(StreamBody::new(pieces).boxed_unsync())
}
