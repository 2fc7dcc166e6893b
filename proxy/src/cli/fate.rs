//! `homing fate`: what becomes of an instance, or of all of a site, when its place fails.
//!
//! Owns nothing but the words; the admin API judges. Nothing is changed.

use super::Exit;
use super::client::{Call, Remote, segment};
use super::output;
use serde_json::Value;
use std::io::Write as _;

/// What becomes of one key, or of all of a site.
#[derive(clap::Args)]
pub(super) struct Fate {
    #[command(flatten)]
    remote: Remote,
    /// KIND:ID of what is asked about.
    #[arg(required_unless_present = "site", conflicts_with = "site")]
    key: Option<String>,
    /// All of a site: counts by kind and fate.
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// With --site: one JSON object a line for each row.
    #[arg(long, requires = "site")]
    list: bool,
    /// Suppose that the place is gone for good, with the database that only it has.
    #[arg(long)]
    loss: bool,
}

impl Fate {
    pub(super) fn run(self) -> Exit {
        let done = match (&self.key, &self.site) {
            (Some(key), _) => self.key(key),
            (None, Some(site)) if self.list => self.list(site),
            (None, Some(site)) => self.site(site),
            (None, None) => Err(output::complain(Exit::Usage, "say a KEY or --site NAME")),
        };
        done.err().unwrap_or(Exit::Ok)
    }

    fn event(&self) -> &'static str {
        if self.loss { "?event=loss" } else { "" }
    }

    fn key(&self, key: &str) -> Result<(), Exit> {
        let path = format!("/v1/fate/{}{}", segment(key), self.event());
        let reply = self.remote.call(Call::get(path))?;
        if self.remote.json {
            output::machine("fate", &reply.json);
        } else {
            output::members(&reply.json);
        }
        Ok(())
    }

    fn site(&self, site: &str) -> Result<(), Exit> {
        let path = format!("/v1/sites/{}/fate{}", segment(site), self.event());
        let reply = self.remote.call(Call::get(path))?;
        if self.remote.json {
            output::machine("site-fate", &reply.json);
            return Ok(());
        }
        let mut members = reply.json;
        let counts = members
            .as_object_mut()
            .and_then(|members| members.remove("counts"));
        output::members(&members);
        let counts = counts.as_ref().and_then(Value::as_array);
        output::rows(
            &["kind", "fate", "count"],
            counts.map(Vec::as_slice).unwrap_or_default(),
        );
        Ok(())
    }

    fn list(&self, site: &str) -> Result<(), Exit> {
        let path = format!("/v1/sites/{}/fate/list{}", segment(site), self.event());
        let mut out = std::io::stdout().lock();
        self.remote
            .stream(Call::get(path), |piece| out.write_all(piece))
    }
}
