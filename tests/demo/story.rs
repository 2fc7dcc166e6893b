//! What the demonstration does through the router and says about it.
//!
//! Must not start processes. Relies on the router's public surface only.

use anyhow::{Context, Result};
use homing_harness::{client::Client, deploy, engine::Engine, router::Router};
use serde_json::json;

const MODEL: (&str, &str) = (
    "order.bpmn",
    include_str!("../../deploy/demo-operaton/order.bpmn"),
);
const ORDERS: usize = 4;

/// One line on the terminal.
#[expect(clippy::print_stdout, reason = "a program of its own")]
pub(crate) fn say(line: impl std::fmt::Display) {
    println!("{line}");
}

/// Deploys, starts orders, shows where they live, prints what to try.
pub(crate) async fn tell(router: &Router, sites: [(&str, &Engine); 2]) -> Result<()> {
    let engine = router.client("/engine-rest");
    for (name, site) in sites {
        say(format_args!(
            "site {name}: Operaton at {}, its own database {}",
            site.endpoint(),
            site.database().name()
        ));
    }
    let address = format!("http://127.0.0.1:{}", router.port());
    say(format_args!(
        "router: {address}/engine-rest, admin {}\n",
        router.admin_url()
    ));

    deploy::deploy(&engine, "order", &[MODEL])
        .await?
        .expect(200)?;
    say("deployed order.bpmn through the router (to both sites)");
    let mut instance = String::new();
    for number in 1..=ORDERS {
        let order = json!({ "businessKey": format!("order-{number}") });
        let started = engine
            .post("/process-definition/key/order/start", &order)
            .await?
            .expect(200)?;
        instance = started.member("id")?;
        let home = started
            .header("homing-site")
            .context("the answer names no site")?;
        say(format_args!(
            "started order-{number}: instance {instance}, home {home}"
        ));
    }
    complete_one(&engine, &instance).await?;
    say(try_this(&address, &router.admin_url(), &instance));
    Ok(())
}

/// The whole life of an instance goes to its home.
async fn complete_one(engine: &Client, instance: &str) -> Result<()> {
    let task = engine
        .get(&format!("/history/process-instance/{instance}"))
        .await?
        .expect(200)?;
    let home = task
        .header("homing-site")
        .context("the answer names no site")?
        .to_owned();
    let variable = json!({ "value": 42, "type": "Integer" });
    let set = engine
        .put(
            &format!("/process-instance/{instance}/variables/amount"),
            &variable,
        )
        .await?
        .expect(204)?;
    say(format_args!(
        "its history was read at site {home}, a variable was set at site {}",
        set.header("homing-site").unwrap_or("?")
    ));
    Ok(())
}

fn try_this(address: &str, admin: &str, instance: &str) -> String {
    format!(
        r#"
Try this (Ctrl-C stops everything and leaves nothing):

  # where does this instance live, and who says so
  curl -si {address}/engine-rest/process-instance/{instance} | grep -i -e ^HTTP -e ^homing-site
  curl -s  {admin}/v1/mappings/process-instance:{instance} | jq

  # why would a request go there (nothing is sent)
  curl -s -X POST {admin}/v1/explain -H 'content-type: application/json' \
       -d '{{"method":"GET","path":"/engine-rest/process-instance/{instance}"}}' | jq

  # start another one: the answer names its home
  curl -si -X POST {address}/engine-rest/process-definition/key/order/start \
       -H 'content-type: application/json' -d '{{"businessKey":"order-5"}}' | grep -i -e ^HTTP -e ^homing-site

  # pin the business key order-6 to site b, then start it: it is made at b
  curl -s -X PUT {admin}/v1/pins/business-key:order-6 -H 'content-type: application/json' \
       -H 'Homing-Reason: a demonstration' -d '{{"home":"b"}}' | jq
  curl -si -X POST {address}/engine-rest/process-definition/key/order/start \
       -H 'content-type: application/json' -d '{{"businessKey":"order-6"}}' | grep -i -e ^HTTP -e ^homing-site

  # both sites, as the router sees them
  curl -s {admin}/v1/sites | jq
"#
    )
}
