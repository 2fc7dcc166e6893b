//! `homing pin`: set, unset, list.
//!
//! Owns nothing but the words; the admin API does the work.

use super::Exit;
use super::change::Change;
use super::client::{Call, Remote, segment};
use super::output;
use super::page::{self, Paging};
use clap::Subcommand;
use http::Method;
use http::header::IF_MATCH;
use serde_json::{Value, json};

/// Overrides of single keys.
#[derive(clap::Args)]
pub(super) struct Pin {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Pins, in the order of their keys.
    List(Paging),
    /// Send a key's requests to this site. A held key only where the site really has it.
    Set {
        key: String,
        site: String,
        #[command(flatten)]
        change: Change,
    },
    /// Remove a pin.
    Unset {
        key: String,
        #[command(flatten)]
        change: Change,
    },
}

impl Pin {
    pub(super) fn run(self) -> Exit {
        let done = match &self.verb {
            Verb::List(paging) => self.list(paging),
            Verb::Set { key, site, change } => {
                let what = format!("pin {key} to site {site}");
                self.change(Method::PUT, key, &json!({ "home": site }), change, &what)
            }
            Verb::Unset { key, change } => self.change(
                Method::DELETE,
                key,
                &Value::Null,
                change,
                &format!("unpin {key}"),
            ),
        };
        done.err().unwrap_or(Exit::Ok)
    }

    fn list(&self, paging: &Paging) -> Result<(), Exit> {
        let page = self.remote.call(Call::get(paging.of("/v1/pins")))?.json;
        if self.remote.json {
            output::machine("pin-list", &page);
        } else {
            page::print(&["key", "home", "generation", "actor", "reason"], &page);
        }
        Ok(())
    }

    fn change(
        &self,
        method: Method,
        key: &str,
        body: &Value,
        change: &Change,
        what: &str,
    ) -> Result<(), Exit> {
        let path = format!("/v1/pins/{}", segment(key));
        let present = self.remote.ask(Call::get(path.clone()))?.etag;
        change.confirm(what)?;
        let target = format!("{path}{}", change.query());
        let mut call = if body.is_null() {
            Call {
                method,
                ..Call::get(target)
            }
        } else {
            Call::with(method, target, body)
        };
        call.headers.extend(present.map(|etag| (IF_MATCH, etag)));
        let reply = self.remote.call(change.apply(call)?)?;
        if self.remote.json {
            output::machine("pin", &reply.json);
        } else {
            output::say(&format!("done: {what}{}", change.suffix()));
        }
        Ok(())
    }
}
