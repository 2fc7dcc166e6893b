//! The life of an order as a client of an engine sees it; shared by the other files.
//!
//! Must not judge where anything lives. Relies on the models of the harness.

use anyhow::{Context, Result, ensure};
use homing_harness::client::Client;
use serde_json::{Value, json};

/// An acknowledged start.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    pub(crate) id: String,
    /// What `Homing-Site` of the answer said.
    pub(crate) home: String,
}

/// Starts an order through a router.
pub(crate) async fn start_order(router: &Client, business_key: &str) -> Result<Started> {
    let order = json!({ "businessKey": business_key, "variables": { "amount": { "value": 7, "type": "Integer" } } });
    let answer = router
        .post("/process-definition/key/order/start", &order)
        .await?
        .expect(200)?;
    Ok(Started {
        id: answer.member("id")?,
        home: answer
            .header("homing-site")
            .context("no Homing-Site")?
            .to_owned(),
    })
}

/// The one open task of an order, as its engine (or a router that is told where to ask) lists it.
pub(crate) async fn open_task(engine: &Client, instance: &str) -> Result<String> {
    let tasks = engine
        .get(&format!("/task?processInstanceId={instance}"))
        .await?
        .expect(200)?
        .json()?;
    let id = tasks.pointer("/0/id").and_then(Value::as_str);
    id.map(str::to_owned)
        .with_context(|| format!("no open task of {instance}: {tasks}"))
}

/// Reads orders through a router; each must be at its home.
pub(crate) async fn all_at_home<'a>(
    router: &Client,
    orders: impl IntoIterator<Item = &'a Started>,
) -> Result<()> {
    for order in orders {
        let path = format!("/process-instance/{}", order.id);
        let answer = router.get(&path).await?.expect(200)?;
        let site = answer.header("homing-site");
        ensure!(site == Some(&order.home), "{order:?} was read at {site:?}");
    }
    Ok(())
}
