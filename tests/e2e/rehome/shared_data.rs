//! Two stock Operatons on one database, the standby with its job executor off: switched over under load, then the serving
//! one is killed, and the other takes over without a word from anybody. Judged by the engine's own tables.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use std::time::Duration;

use anyhow::{Context, Result};
use homing_harness::{
    agent,
    client::Client,
    clock::eventually,
    deploy::{self, ORDER},
    engine::{self, Engine, Kind},
    outcome::Promise,
    ports::loopback,
    postgres::Cluster,
    router::{self, Router},
};
use serde_json::json as object;
use tokio::task::JoinSet;

use super::drill::drill;
use crate::life::{Started, open_task, start_order};
use crate::operate::{homing, json, said};

const PATIENCE: Duration = Duration::from_secs(60);
const ORDERS: usize = 4;

/// Leases that outlast a start, and a failover soon after a death.
pub(super) const TIMES: &str = r#"
[lease]
router = "30s"
site = "30s"
renew_every = "200ms"

[safety]
cool_down = "0ms"
down_for = "500ms"
"#;

/// An agent that fences its engine when nothing answers there any more, and takes its word from nobody.
async fn agent_beside(engine: &Engine, installation: &str, store: &str) -> Result<agent::Agent> {
    let dead = format!("! curl -s -o /dev/null {}/version", engine.endpoint());
    let lines = format!(
        "mode = \"command\"\nstart = [\"true\"]\nstop = [\"true\"]\nverify_stop = [\"sh\", \"-c\", {dead:?}]"
    );
    agent::Builder::new("b", installation, store, &lines)
        .start()
        .await
}

/// Counts up a variable of its order until it is stopped; answers the last count that was acknowledged.
async fn count_up(
    client: Client,
    order: Started,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
) -> Result<(String, u64)> {
    let path = format!("/process-instance/{}/variables/n", order.id);
    for count in 1_u64.. {
        let variable = object!({ "value": count, "type": "Long" });
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

/// The failover was the router's own, was proven by the agent alone, and overrode nothing.
async fn acted_alone(router: &Router) -> Result<()> {
    let operations = json(router, &["op", "list"]).await?;
    let newest = &operations["items"][0];
    assert_eq!(newest["verb"], "failover", "{operations}");
    assert_eq!(newest["actor"], "router:shared-data");
    let id = newest["operation"].as_str().context("no id")?;
    let ended = json(router, &["op", "watch", id]).await?;
    assert_eq!(ended["state"], "done", "{ended}");
    let trail = json(router, &["audit", "list"]).await?.to_string();
    assert!(!trail.contains("safety.override"), "{trail}");
    let told = json(router, &["op", "show", id]).await?.to_string();
    assert!(told.contains("has fenced"), "{told}");
    assert!(!told.contains("stated:"), "{told}");
    let counted = "homing_operations_total{result=\"done\",verb=\"failover\"}";
    assert_eq!(router.metric(counted).await?, Some(1.0));
    Ok(())
}

/// There and back on real engines; what is read is found in the mapping table.
async fn rehearsed(router: &Router) -> Result<()> {
    let admin = router.admin();
    eventually("the orders are in the store", PATIENCE, async || {
        let rows = admin
            .get("/v1/mappings?home=b")
            .await?
            .expect(200)?
            .json()?;
        let rows = rows["items"].as_array().map(Vec::len);
        Ok((rows >= Some(ORDERS)).then_some(()))
    })
    .await?;
    let (told, code) = drill(router, &[], "50").await?;
    assert_eq!((code, &told["verdict"]), (0, &"clean".into()), "{told:#}");
    assert_eq!(told["keys"], ORDERS, "{told:#}");
    assert_eq!(told["mode"], "switch");
    assert_eq!(told["legs"][0]["recovery"], "shared-data");
    Ok(())
}

/// The place that was failed over takes nothing back by itself, nor by a plan, until a person has looked at it.
async fn kept_out_until_released(router: &Router) -> Result<()> {
    eventually("it is in quarantine", PATIENCE, async || {
        let site = json(router, &["site", "show", "b"]).await?;
        let kept_out = &site["installations"][1]["quarantined"];
        let why = kept_out["reason"].as_str().unwrap_or_default();
        Ok(why.starts_with("failed over to b-1").then_some(()))
    })
    .await?;
    let back = ["plan", "switchover", "b", "--to", "b-2"];
    let stated = ["--fenced-by", "nobody looks at this plan again"];
    let plan: Vec<&str> = back.into_iter().chain(stated).collect();
    let refused = said(router, &plan, 3).await?;
    assert!(refused.contains("--override quarantine"), "{refused}");
    // Its engine is dead and its agent has fenced: that is all there is to see, and it is enough to be a standby again.
    eventually(
        "the agent has heard of the failover",
        PATIENCE,
        async || {
            let told = homing(&router.admin_url(), &["site", "compare", "b"]).await?;
            Ok(told.status.success().then_some(()))
        },
    )
    .await?;
    let release = ["site", "release", "b", "--installation", "b-2"];
    let word = ["--reason", "it is a standby again", "--yes"];
    let release: Vec<&str> = release.into_iter().chain(word).collect();
    said(router, &release, 0).await?;
    eventually("the release is seen", PATIENCE, async || {
        let site = json(router, &["site", "show", "b"]).await?;
        let kept_out = &site["installations"][1]["quarantined"];
        Ok(kept_out.is_null().then_some(()))
    })
    .await?;
    said(router, &plan, 0).await?;
    Ok(())
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
        "{TIMES}\n[[site]]\nname = \"b\"\ndialect = \"engine-rest\"\nrecovery = {{ mode = \"shared-data\", automatic = \"on\" }}\n\
         [[site.installation]]\nname = \"b-1\"\nendpoints = [\"{}\"]\n\
         [[site.installation]]\nname = \"b-2\"\nendpoints = [\"{}\"]\n",
        first.endpoint(),
        second.endpoint()
    );
    let store = Cluster::shared()?.fresh_database("store")?;
    let router = router::Builder::new("shared-data")
        .store(&store.url())
        .tables(&site)
        .start()
        .await?;
    let client = router.client("/engine-rest");
    let mut orders = Vec::new();
    for number in 0..ORDERS {
        orders.push(start_order(&client, &format!("shared-{number}")).await?);
    }

    rehearsed(&router).await?;

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

    // From here on nobody says anything: an agent that can prove the fence is all that is missing.
    let agent = agent_beside(&second, "b-2", &store.url()).await?;
    agent.is("open").await?;
    second.kill()?;
    serves(&router, &orders[0], "b-1").await?;
    acted_alone(&router).await?;
    kept_out_until_released(&router).await?;
    for order in &orders {
        let task = open_task(&client, &order.id).await?;
        client
            .post(&format!("/task/{task}/complete"), &object!({}))
            .await?
            .expect(204)?;
    }
    let started = "SELECT count(*) FROM act_hi_procinst WHERE business_key_ LIKE 'shared-%'";
    assert_eq!(database.count(started).await?, ORDERS as i64);
    Ok(())
}
