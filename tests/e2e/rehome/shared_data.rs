//! Two stock Operatons on one database, the standby with its job executor off: switched over under load, then the serving
//! one is killed. Judged by the engine's own tables.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use std::time::Duration;

use anyhow::{Result, ensure};
use homing_harness::{
    client::Client,
    clock::eventually,
    deploy::{self, ORDER},
    engine::{self, Kind},
    outcome::Promise,
    ports::loopback,
    postgres::Cluster,
    router::{self, Router},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::life::{Started, open_task, start_order};
use crate::operate::said;

const PATIENCE: Duration = Duration::from_secs(60);
const ORDERS: usize = 4;

const TIMES: &str = r#"
[lease]
router = "30s"
site = "30s"
renew_every = "200ms"

[safety]
cool_down = "0ms"
"#;

/// Counts up a variable of its order until it is stopped; answers the last count that was acknowledged.
async fn count_up(
    client: Client,
    order: Started,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
) -> Result<(String, u64)> {
    let path = format!("/process-instance/{}/variables/n", order.id);
    for count in 1_u64.. {
        let variable = json!({ "value": count, "type": "Long" });
        client.put(&path, &variable).await?.expect(204)?;
        acknowledged.fetch_add(1, Ordering::SeqCst);
        if stop.load(Ordering::SeqCst) {
            return Ok((order.id, count));
        }
    }
    unreachable!("it counts until it is stopped")
}

async fn serves(router: &Router, order: &Started, installation: &str) -> Result<()> {
    let path = format!("/process-instance/{}", order.id);
    eventually(&format!("{installation} serves"), PATIENCE, async || {
        let answer = router.client("/engine-rest").get(&path).await?;
        let there = answer.header("homing-installation") == Some(installation);
        Ok((answer.status == 200 && there).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn two_engines_on_one_database_take_over_from_each_other() -> Promise {
    let database = Cluster::shared()?.fresh_database("shared_data")?;
    let first = engine::Builder::new("shared-1", Kind::Operaton, &database)
        .start()
        .await?;
    let second = engine::Builder::new("shared-2", Kind::Operaton, &database)
        .flag("--operaton.bpm.job-execution.enabled=false")
        .start()
        .await?;
    let direct = Client::new(loopback(first.port()), "/engine-rest");
    deploy::deploy(&direct, "order", &[ORDER])
        .await?
        .expect(200)?;
    let site = format!(
        "{TIMES}\n[[site]]\nname = \"b\"\ndialect = \"engine-rest\"\nrecovery = {{ mode = \"shared-data\" }}\n\
         [[site.installation]]\nname = \"b-1\"\nendpoints = [\"{}\"]\n\
         [[site.installation]]\nname = \"b-2\"\nendpoints = [\"{}\"]\n",
        first.endpoint(),
        second.endpoint()
    );
    let router = router::Builder::new("shared-data")
        .tables(&site)
        .start()
        .await?;
    let client = router.client("/engine-rest");
    let mut orders = Vec::new();
    for number in 0..ORDERS {
        orders.push(start_order(&client, &format!("shared-{number}")).await?);
    }

    let (stop, acknowledged) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut load = JoinSet::new();
    for order in orders.clone() {
        let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        load.spawn(count_up(client.clone(), order, stop, acknowledged));
    }
    let more = async |more: usize| {
        let wanted = acknowledged.load(Ordering::SeqCst) + more;
        eventually("the load goes on", PATIENCE, async || {
            Ok((acknowledged.load(Ordering::SeqCst) >= wanted).then_some(()))
        })
        .await
    };
    more(20).await?;
    let reason = ["--reason", "a rehearsal", "--yes"];
    let statement = ["--fenced-by", "both are one cluster on one database"];
    let switch: Vec<&str> = ["switchover", "b"]
        .into_iter()
        .chain(reason)
        .chain(statement)
        .collect();
    said(&router, &switch, 0).await?;
    more(20).await?;
    stop.store(true, Ordering::SeqCst);
    while let Some(counted) = load.join_next().await {
        let (id, count) = counted??;
        let select = format!(
            "SELECT long_::text FROM act_ru_variable WHERE name_ = 'n' AND proc_inst_id_ = '{id}'"
        );
        assert_eq!(
            database.column(&select).await?,
            [count.to_string()],
            "of {id}"
        );
    }
    serves(&router, &orders[0], "b-2").await?;

    second.kill()?;
    eventually("the router sees it", PATIENCE, async || {
        let answer = client
            .get(&format!("/process-instance/{}", orders[0].id))
            .await?;
        Ok((answer.status == 503).then_some(()))
    })
    .await?;
    let fail_over: Vec<&str> = ["failover", "b"]
        .into_iter()
        .chain(reason)
        .chain(["--fenced-by", "its process was killed"])
        .collect();
    eventually("enough routers see it down", PATIENCE, async || {
        let output = crate::operate::homing(&router.admin_url(), &fail_over).await?;
        ensure!(
            matches!(output.status.code(), Some(0 | 3)),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok((output.status.code() == Some(0)).then_some(()))
    })
    .await?;
    serves(&router, &orders[0], "b-1").await?;
    for order in &orders {
        let task = open_task(&client, &order.id).await?;
        client
            .post(&format!("/task/{task}/complete"), &json!({}))
            .await?
            .expect(204)?;
    }
    let started = "SELECT count(*) FROM act_hi_procinst WHERE business_key_ LIKE 'shared-%'";
    assert_eq!(database.count(started).await?, ORDERS as i64);
    Ok(())
}
