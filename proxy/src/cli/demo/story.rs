//! What the demonstration begins with, and what it prints to try.
//!
//! Owns the words. Speaks plain HTTP to the router only.

use super::http;
use super::people::{AWAY, Scene};
use super::stage::Site;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// The sample process: a user task, an external task, a message and timers.
const ORDER: &str = include_str!("order.bpmn");

/// Longest wait for the router and its sites, in looks.
const LOOKS_MAX: u32 = 600;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Orders that are placed at least; and more until each site has one that is not the first.
const ORDERS_MIN: usize = 4;
const ORDERS_MAX: usize = 200;

/// An order and where it lives.
struct Placed {
    key: String,
    id: String,
    site: String,
}

/// One line, or more, on the terminal.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever does not listen any more misses nothing but words.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Deploys, places orders, says what to try.
pub(super) fn tell(
    scene: Scene,
    (sites, pids): (&[Site], &[u32]),
    kept: Option<&Path>,
    begin: Instant,
) -> Result<(), String> {
    ready(scene)?;
    deploy(scene)?;
    let orders = place(scene, sites)?;
    let task = first_task(scene, &orders)?;
    say(&what_runs(scene, sites, pids, begin.elapsed()));
    for order in &orders {
        say(&format!(
            "  {:<8} instance {} lives at site {}",
            order.key, order.id, order.site
        ));
    }
    say(&what_to_try(scene, sites, pids, &orders, &task));
    say(&kept.map_or_else(
        || "Ctrl-C ends it and leaves nothing.\n".to_owned(),
        |folder| {
            let folder = folder.display();
            format!("Ctrl-C ends it. What is in {folder} stays, for the next one there.\n")
        },
    ));
    Ok(())
}

fn what_runs(scene: Scene, sites: &[Site], pids: &[u32], took: Duration) -> String {
    let mut text = format!(
        "Homing is ready after {:.1} s: {} behind http://127.0.0.1:{}, admin listener http://127.0.0.1:{}\n\n",
        took.as_secs_f64(),
        match sites.len() {
            1 => "1 site".to_owned(),
            more => format!("{more} sites"),
        },
        scene.data,
        scene.admin
    );
    for (site, pid) in sites.iter().zip(pids) {
        text.push_str(&format!(
            "  site {}   engine process {pid} at http://127.0.0.1:{}/engine-rest, database {}\n",
            site.name,
            site.port,
            site.database.display()
        ));
    }
    text
}

fn what_to_try(
    scene: Scene,
    sites: &[Site],
    pids: &[u32],
    orders: &[Placed],
    task: &str,
) -> String {
    let (data, admin) = (
        format!("http://127.0.0.1:{}", scene.data),
        format!("http://127.0.0.1:{}", scene.admin),
    );
    let none = Placed {
        key: String::new(),
        id: String::new(),
        site: String::new(),
    };
    let first = orders.first().unwrap_or(&none);
    let (id, key, home) = (&first.id, &first.key, &first.site);
    let last = sites.last().map_or("", |site| site.name.as_str());
    let pid = pids.last().copied().unwrap_or_default();
    let there = orders
        .iter()
        .skip(1)
        .find(|order| order.site == last)
        .unwrap_or(&none);
    let (away, there_id, there_key) = (AWAY.as_secs(), &there.id, &there.key);
    format!(
        r#"
An order of more than 100 is checked by a person, packed by a worker (one runs in this process), paid (a message), and
sent 5 s later (a timer).

Try, in another terminal:

  # an instance goes home, to site {home}: see Homing-Site
  curl -si {data}/engine-rest/process-instance/{id}
  # the tasks of all sites as one list
  curl -s '{data}/engine-rest/task?sortBy=created&sortOrder=asc'
  # check {key}; the worker then packs it
  curl -si -X POST {data}/engine-rest/task/{task}/complete -H 'Content-Type: application/json' -d '{{"variables": {{"checked": {{"value": true}}}}}}'
  # pay {key}; 5 s later it is sent
  curl -si -X POST {data}/engine-rest/message -H 'Content-Type: application/json' -d '{{"messageName": "paid", "processInstanceId": "{id}"}}'
  # what became of it
  curl -s '{data}/engine-rest/history/activity-instance?processInstanceId={id}&sortBy=occurrence&sortOrder=asc'
  # the durable row that says where it lives; the sites as they are seen and wanted; what was counted
  curl -s {admin}/v1/mappings/process-instance:{id}
  curl -s {admin}/v1/sites
  curl -s {admin}/metrics | grep homing_requests_total

  # lose the engine of site {last}: its orders are answered 503, the others go on; after {away} s it is started again, and
  # {there_key} is as it was
  kill -9 {pid}
  curl -si {data}/engine-rest/process-instance/{there_id}
"#
    )
}

fn ready(scene: Scene) -> Result<(), String> {
    for _ in 0..LOOKS_MAX {
        if http::get(scene.admin, "/readyz").is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Err("the router did not become ready".into())
}

/// A site may still be starting when the router is ready.
fn deploy(scene: Scene) -> Result<(), String> {
    let boundary = "homing-demo";
    let part = |name: &str, file: &str, content: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n"
        )
    };
    let mut body = part("deployment-name", "", "order");
    body.push_str(&part("enable-duplicate-filtering", "", "true"));
    body.push_str(&part("order.bpmn", "; filename=\"order.bpmn\"", ORDER));
    body.push_str(&format!("--{boundary}--\r\n"));
    let content_type = format!("multipart/form-data; boundary={boundary}");
    let mut last = String::new();
    for _ in 0..LOOKS_MAX {
        match http::post(
            scene.data,
            "/engine-rest/deployment/create",
            &content_type,
            body.as_bytes(),
        ) {
            Ok(_) => return Ok(()),
            Err(why) => last = why,
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Err(format!("the sample process cannot be deployed: {last}"))
}

/// Places orders until each site has one beside the first, which the printed lines bring to its end.
fn place(scene: Scene, sites: &[Site]) -> Result<Vec<Placed>, String> {
    let mut orders: Vec<Placed> = Vec::new();
    for number in 1..=ORDERS_MAX {
        let everywhere = sites
            .iter()
            .all(|site| orders.iter().skip(1).any(|order| order.site == site.name));
        if everywhere && orders.len() >= ORDERS_MIN {
            break;
        }
        let key = format!("order-{number}");
        let body = json!({
            "businessKey": key,
            "variables": {"amount": {"value": 100 + number}, "patience": {"value": "PT1H"}},
        });
        let started = http::post_json(
            scene.data,
            "/engine-rest/process-definition/key/order/start",
            &body,
        )?;
        let id = started
            .body
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_owned();
        let site = started.header("homing-site").unwrap_or("?").to_owned();
        orders.push(Placed { key, id, site });
    }
    Ok(orders)
}

/// The task of the first order.
fn first_task(scene: Scene, orders: &[Placed]) -> Result<String, String> {
    let id = orders.first().map_or("", |order| order.id.as_str());
    let path = format!("/engine-rest/task?processInstanceId={id}");
    let tasks = http::get(scene.data, &path).map_err(|error| error.to_string())?;
    let task = tasks.body.pointer("/0/id").and_then(Value::as_str);
    task.map(str::to_owned)
        .ok_or_else(|| format!("instance {id} has no task"))
}
