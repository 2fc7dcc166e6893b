//! `homing site restored`: what a restored backup lacks is marked as lost.
//!
//! Owns nothing but the words; the admin API compares and marks.

use super::Exit;
use super::change::Change;
use super::client::{Call, Remote, segment};
use super::output;
use http::Method;
use serde_json::json;

/// A comparison of a large site takes longer than other calls, in seconds.
const PATIENCE: u64 = 1_800;

/// The site whose database is a backup's copy now.
#[derive(clap::Args)]
pub(super) struct Which {
    site: String,
    /// When the backup was begun (RFC 3339): what the table knew before then was gone before, and is not marked.
    #[arg(long, value_name = "TIME")]
    taken_at: Option<String>,
    /// A safety rule of the quarantine that is not to be obeyed this time (last-available).
    #[arg(long = "override", value_name = "RULE")]
    overrides: Vec<String>,
    #[command(flatten)]
    change: Change,
}

pub(super) fn restored(remote: &Remote, which: &Which) -> Result<Exit, Exit> {
    let (site, change) = (&which.site, &which.change);
    change.confirm(&format!(
        "put site {site} into quarantine and mark what it does not have as lost"
    ))?;
    let path = format!("/v1/sites/{}/restored{}", segment(site), change.query());
    let body = json!({ "taken_at": which.taken_at, "overrides": which.overrides });
    let call = change.apply(Call::with(Method::POST, path, &body))?;
    let reply = remote.patient(PATIENCE).call(call)?;
    if remote.json {
        output::machine("site-restored", &reply.json);
        return Ok(Exit::Ok);
    }
    let word = |name: &str| match reply.json[name].as_str() {
        Some(text) => text.to_owned(),
        None => reply.json[name].to_string(),
    };
    let operation = match reply.json["operation"].as_str() {
        Some(id) => format!("operation {id}: "),
        None => String::new(),
    };
    output::say(&format!(
        "{operation}{} lost, {} found again, {} older than the backup, {} could not be told{}",
        word("lost"),
        word("found_again"),
        word("older"),
        reply.json["compared"]["unproven"],
        change.suffix()
    ));
    for name in reply.json["lost_names"].as_array().into_iter().flatten() {
        output::say(&format!("  {}", name.as_str().unwrap_or_default()));
    }
    output::say(&format!(
        "then: homing site compare {site}; homing site release {site} --reason TEXT"
    ));
    Ok(Exit::Ok)
}
