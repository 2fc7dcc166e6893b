//! `homing site compare` and `homing site release`: what is in quarantine, and the word that ends it.
//!
//! Owns the words and what is printed; the admin API compares and decides.

use super::Exit;
use super::change::Change;
use super::client::{Call, Remote, segment};
use super::output;
use http::Method;
use serde_json::{Value, json};

/// Which quarantine, and what does not stand in the way.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Which {
    /// The site.
    site: String,
    /// The installation; not needed when only one thing of the site is in quarantine.
    #[arg(long, value_name = "INSTALLATION")]
    installation: Option<String>,
    /// A difference that does not stand in the way (unseen, identity, generation, lag, deployments, drift). May be repeated;
    /// each is kept in the audit trail.
    #[arg(long = "override", value_name = "DIFFERENCE")]
    overrides: Vec<String>,
    #[command(flatten)]
    change: Change,
}

/// Shows what is in quarantine, compared now. Exit 3 when something speaks against a release.
pub(super) fn compare(remote: &Remote, site: &str) -> Result<Exit, Exit> {
    let path = format!("/v1/sites/{}/quarantine", segment(site));
    let reply = remote.call(Call::get(path))?;
    let none = Vec::new();
    let items = reply.json["items"].as_array().unwrap_or(&none);
    if remote.json {
        output::machine("site-quarantine", &reply.json);
    } else if items.is_empty() {
        output::say(&format!("nothing of site {site} is in quarantine"));
    } else {
        items.iter().for_each(show);
    }
    let wrong = |one: &Value| {
        one["objections"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    };
    Ok(if items.iter().any(wrong) {
        Exit::Refused
    } else {
        Exit::Ok
    })
}

/// Ends a quarantine.
pub(super) fn release(remote: &Remote, which: &Which) -> Result<Exit, Exit> {
    let (site, change) = (&which.site, &which.change);
    change.confirm(&format!("release what of site {site} is in quarantine"))?;
    let path = format!("/v1/sites/{}/release{}", segment(site), change.query());
    let body = json!({ "installation": which.installation, "overrides": which.overrides });
    let call = change.apply(Call::with(Method::POST, path, &body))?;
    let reply = remote.call(call)?;
    if remote.json {
        output::machine("site-release", &reply.json);
        return Ok(Exit::Ok);
    }
    show(&reply.json["compared"]);
    let what = match reply.json["installation"].as_str() {
        Some(installation) => format!("installation {installation} of site {site} may serve again"),
        None => format!("site {site} is ready"),
    };
    output::say(&format!("{what}{}", change.suffix()));
    Ok(Exit::Ok)
}

fn show(one: &Value) {
    let word = |value: &Value| match value {
        Value::Null => "not known".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    output::say(&format!(
        "{} is in quarantine since {}: {}",
        word(&one["place"]),
        word(&one["since"]),
        word(&one["reason"])
    ));
    let drift = &one["drift"];
    let lines = [
        ("engine", word(&one["engine"])),
        (
            "identity",
            format!(
                "{} (registered: {})",
                word(&one["identity"]["shown"]),
                word(&one["identity"]["registered"])
            ),
        ),
        ("assignment generation", word(&one["assignment_generation"])),
        ("due jobs", word(&one["due_jobs"])),
        ("due timers", word(&one["due_timers"])),
        ("definitions missing", word(&one["deployments"]["missing"])),
        ("rows without a thing there", word(&drift["ghosts"])),
        ("things of another home", word(&drift["conflicts"])),
        ("things without a row", word(&drift["added"])),
    ];
    for (name, value) in lines {
        output::say(&format!("  {name:<28} {value}"));
    }
    for agent in one["agents"].as_array().into_iter().flatten() {
        output::say(&format!(
            "  agent {}: {}, generation {}, lag {}",
            word(&agent["agent"]),
            if agent["live"] == true {
                word(&agent["role"])
            } else {
                "silent".to_owned()
            },
            word(&agent["generation"]),
            word(&agent["lag_ms"])
        ));
    }
    for against in one["objections"].as_array().into_iter().flatten() {
        let mark = word(&against["mark"]);
        let verdict = if against["overridden"] == true {
            format!("overridden ({mark})")
        } else {
            format!("against a release (--override {mark})")
        };
        output::say(&format!("  {verdict}: {}", word(&against["why"])));
    }
}
