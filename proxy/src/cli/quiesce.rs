//! `homing site quiesce`: a site stands still, with the proof of it.
//!
//! Owns nothing but the words; the admin API stops and looks.

use super::Exit;
use super::change::Change;
use super::client::{Call, Remote, segment};
use super::output;
use http::Method;
use serde_json::json;

/// The site that is to stand still.
#[derive(clap::Args)]
pub(super) struct Which {
    site: String,
    /// Wait so many seconds at most until nothing runs there; 5 if something still does.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=60))]
    wait: u64,
    /// A safety rule that is not to be obeyed this time (last-available); kept in the audit trail.
    #[arg(long = "override", value_name = "RULE")]
    overrides: Vec<String>,
    #[command(flatten)]
    change: Change,
}

pub(super) fn quiesce(remote: &Remote, which: &Which) -> Result<Exit, Exit> {
    let (site, change) = (&which.site, &which.change);
    change.confirm(&format!("stop everything at site {site}"))?;
    let path = format!("/v1/sites/{}/quiesce{}", segment(site), change.query());
    let body = json!({ "wait_ms": which.wait * 1000, "overrides": which.overrides });
    let call = change.apply(Call::with(Method::POST, path, &body))?;
    let reply = remote.patient(which.wait).call(call)?;
    let still = reply.json["still"] == true;
    if remote.json {
        output::machine("site-quiesce", &reply.json);
    } else {
        let routers = reply.json["routers"].as_array();
        output::rows(
            &["router", "live", "stopped", "running"],
            routers.map(Vec::as_slice).unwrap_or_default(),
        );
        for (name, what) in [
            ("locked_external_tasks", "external tasks are locked"),
            (
                "due_jobs",
                "jobs are due: they run unless the engine or its executor is stopped",
            ),
            ("jobs_held", "jobs are held by the site's engines"),
        ] {
            output::say(&format!("{} {what}", reply.json[name]));
        }
        for why in reply.json["why"].as_array().into_iter().flatten() {
            output::say(&format!("not still: {}", why.as_str().unwrap_or_default()));
        }
    }
    Ok(if still || reply.json["state"] != "maintenance" {
        Exit::Ok
    } else {
        Exit::Partly
    })
}
