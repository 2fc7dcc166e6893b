//! Who works in the demonstration: a worker that packs, customers that order, and a caretaker for the engines.
//!
//! Each is a thread that speaks to the router as any client would, and ends with the process.

use super::http;
use super::stage::{Crew, Site};
use super::story::say;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a site's engine stays away when it has ended.
pub(super) const AWAY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Pause of a worker whose call failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The ports of the router, and what its users asked for.
#[derive(Clone, Copy)]
pub(super) struct Scene {
    pub(super) data: u16,
    pub(super) admin: u16,
    pub(super) load: u32,
}

/// Starts a thread; a demonstration without one of its people goes on.
pub(super) fn hire(name: &str, work: impl FnOnce() + Send + 'static) {
    if let Err(error) = std::thread::Builder::new().name(name.into()).spawn(work) {
        say(&format!("cannot start a thread for the {name}: {error}"));
    }
}

/// Packs whatever is to be packed, at whichever site: one base URL.
pub(super) fn worker(scene: Scene) {
    let ask = json!({
        "workerId": "packer", "maxTasks": 10, "asyncResponseTimeout": 10_000,
        "topics": [{"topicName": "pack", "lockDuration": 20_000, "variables": []}],
    });
    loop {
        let fetched = http::post_json(scene.data, "/engine-rest/external-task/fetchAndLock", &ask);
        let Ok(answer) = fetched else {
            std::thread::sleep(PAUSE);
            continue;
        };
        for task in answer.body.as_array().into_iter().flatten() {
            pack(scene, task);
        }
    }
}

fn pack(scene: Scene, task: &Value) {
    let text = |name: &str| task.get(name).and_then(Value::as_str).unwrap_or("?");
    let path = format!("/engine-rest/external-task/{}/complete", text("id"));
    let done = http::post_json(scene.data, &path, &json!({"workerId": "packer"}));
    // Under load the lines would hide everything else.
    if scene.load > 0 {
        return;
    }
    match done {
        Ok(answer) => say(&format!(
            "worker: packed {} at site {}",
            text("businessKey"),
            answer.header("homing-site").unwrap_or("?")
        )),
        Err(why) => say(&format!(
            "worker: {} is not packed: {why}",
            text("businessKey")
        )),
    }
}

/// Orders so many a second: small ones, which nobody checks and nobody pays.
pub(super) fn customers(scene: Scene) {
    let order = json!({"variables": {"amount": {"value": 10}, "patience": {"value": "PT10S"}}});
    let Some(pause) = Duration::from_secs(1).checked_div(scene.load) else {
        return;
    };
    loop {
        std::thread::sleep(pause);
        // What fails shows in the access log and the metrics, as with any client.
        let _ = http::post_json(
            scene.data,
            "/engine-rest/process-definition/key/order/start",
            &order,
        );
    }
}

/// Starts engines again that have ended, and tells what that means.
pub(super) fn caretaker(scene: Scene, crew: &Crew, sites: &[Site]) {
    loop {
        std::thread::sleep(LOOK_EVERY);
        for (number, site) in sites.iter().enumerate() {
            let Some(how) = crew.ended(number) else {
                continue;
            };
            let (name, away) = (&site.name, AWAY.as_secs());
            say(&format!(
                "the engine of site {name} ended ({how}): what lives there is answered 503 site-unreachable, the other sites go on; \
                 it is started again in {away} s"
            ));
            std::thread::sleep(AWAY);
            if let Err(why) = crew.start_again(number, site) {
                say(&why);
                continue;
            }
            while !available(scene, name) {
                std::thread::sleep(LOOK_EVERY);
            }
            let pid = crew
                .pid(number)
                .map_or_else(String::new, |pid| format!(" as process {pid}"));
            say(&format!(
                "the engine of site {name} runs again{pid}: all that lives there goes on"
            ));
        }
    }
}

/// Does the router send requests there?
fn available(scene: Scene, site: &str) -> bool {
    let Ok(seen) = http::get(scene.admin, "/v1/sites") else {
        return false;
    };
    let items = seen.body.get("items").and_then(Value::as_array);
    items.into_iter().flatten().any(|item| {
        item.get("site").and_then(Value::as_str) == Some(site)
            && item.get("available").and_then(Value::as_bool) == Some(true)
    })
}

/// Kills the last site's engine once, after so long.
pub(super) fn saboteur(crew: &Crew, sites: &[Site], after: Duration) {
    std::thread::sleep(after);
    if let Some(last) = sites.len().checked_sub(1) {
        say(&format!(
            "--kill-after: killing the engine of site {}",
            sites[last].name
        ));
        crew.kill(last);
    }
}
