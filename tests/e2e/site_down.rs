//! A site that is dead, slow or back again: its own keys get the truth at once, the other site notices nothing.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use homing_harness::{
    client::{Answer, Client},
    clock::{Stopwatch, eventually},
    crowd::crowd,
    deploy::{self, ORDER},
    engine::{self, Engine, Kind},
    fake_site::{FakeSite, Reply},
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    postgres::Cluster,
    router::{self, Router},
};

use serde_json::json;

use crate::life::{Started, start_order};

const PATIENCE: Duration = Duration::from_secs(60);
/// "At once": far below any timeout of a request, far above noise on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);
/// A crowd's p99 at the healthy site may be this much worse, and no worse than `AT_ONCE` in any case.
const WORSE_MAX: u32 = 5;
/// Reads at once: more than connections are kept.
const READERS: usize = 24;

/// The site `b` of the shared pair and a site `a` that may be harmed.
struct Fragile {
    a: Arc<Engine>,
    network: FaultProxy,
    router: Router,
}

async fn fragile(name: &'static str) -> Result<Fragile> {
    let pair = Pair::shared().await?;
    let database = Cluster::shared()?.fresh_database("fragile")?;
    let a = Arc::new(
        engine::Builder::new(name, Kind::Operaton, &database)
            .start()
            .await?,
    );
    deploy::deploy(
        &Client::new(loopback(a.port()), "/engine-rest"),
        "order",
        &[ORDER],
    )
    .await?
    .expect(200)?;
    let network = FaultProxy::start(loopback(a.port()), 11).await?;
    let router = router::Builder::new(name)
        .site("a", &a.endpoint_through(network.port()))
        .site("b", &pair.b.endpoint())
        .start()
        .await?;
    Ok(Fragile { a, network, router })
}

/// One order at each site.
async fn one_at_each(client: &Client, prefix: &str) -> Result<[Started; 2]> {
    let (mut at_a, mut at_b) = (None, None);
    for number in 0..100 {
        let order = start_order(client, &format!("{prefix}-{number}")).await?;
        if order.home == "a" {
            at_a = Some(order)
        } else {
            at_b = Some(order)
        }
        if let (Some(a), Some(b)) = (&at_a, &at_b) {
            return Ok([a.clone(), b.clone()]);
        }
    }
    anyhow::bail!("a hundred starts, all at one site")
}

async fn read(client: &Client, order: &Started) -> Result<Answer> {
    client.get(&format!("/process-instance/{}", order.id)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_site_is_named_and_comes_back_by_itself() -> Promise {
    let fragile = fragile("killed-site").await?;
    let client = fragile.router.client("/engine-rest");
    let [at_a, at_b] = one_at_each(&client, "killed-site").await?;
    let calm = p99_at(&client, &at_b).await?;

    fragile.a.kill()?;
    eventually("the router sees it", PATIENCE, async || {
        Ok((read(&client, &at_a).await?.status == 503).then_some(()))
    })
    .await?;
    let watch = Stopwatch::start();
    let refused = read(&client, &at_a).await?.expect(503)?;
    assert!(
        !watch.is_past(AT_ONCE),
        "refused after {:?}",
        watch.elapsed()
    );
    let problem = refused.json()?;
    assert_eq!(problem["reason"], "site-unreachable", "{problem}");
    assert_eq!(problem["site"], "a", "{problem}");
    assert!(refused.header("retry-after").is_some(), "no Retry-After");
    assert!(refused.header("proxy-status").is_some(), "no Proxy-Status");

    // New orders go on, at the other site; its keys are served as before.
    for number in 0..10 {
        let order = start_order(&client, &format!("killed-site-meanwhile-{number}")).await?;
        assert_eq!(order.home, "b");
    }
    unharmed(&client, &at_b, calm).await?;
    an_unknown_id_is_judged_by_who_could_hold_it(&client, &at_a, &at_b).await?;

    fragile.a.start_again().await?;
    eventually("site a serves again", PATIENCE, async || {
        Ok(read(&client, &at_a).await?.expect(200).ok())
    })
    .await?;
    one_at_each(&client, "killed-site-after").await?;
    Ok(())
}

/// Engines end their ids with a mark of the process that made them: an id with the mark of the living site alone cannot
/// be at the dead one.
async fn an_unknown_id_is_judged_by_who_could_hold_it(
    client: &Client,
    at_a: &Started,
    at_b: &Started,
) -> Result<()> {
    let unknown_like = |order: &Started| -> Result<String> {
        let (_, suffix) = order.id.split_at_checked(8).context("a short id")?;
        Ok(format!("00000000{suffix}"))
    };
    let absent = client
        .get(&format!("/process-instance/{}", unknown_like(at_b)?))
        .await?
        .expect(404)?;
    ensure!(
        absent.json()?["reason"] == "unknown-id",
        "{}",
        absent.text()
    );
    let open = client
        .get(&format!("/process-instance/{}", unknown_like(at_a)?))
        .await?
        .expect(503)?;
    ensure!(
        open.json()?["reason"] == "locate-incomplete",
        "{}",
        open.text()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_site_harms_only_itself() -> Promise {
    const SLOW: Duration = Duration::from_secs(20);
    const WAITING: usize = 100;
    let fragile = fragile("slow-site").await?;
    let client = fragile.router.client("/engine-rest");
    let [at_a, at_b] = one_at_each(&client, "slow-site").await?;
    let calm = p99_at(&client, &at_b).await?;

    fragile.network.set(Fault::DelayAnswer(SLOW));
    let waiting = tokio::spawn(crowd(WAITING, {
        let (client, at_a) = (client.clone(), at_a.clone());
        move |_| {
            let (client, at_a) = (client.clone(), at_a.clone());
            async move { Ok(read(&client, &at_a).await.map(|answer| answer.status)) }
        }
    }));
    unharmed(&client, &at_b, calm).await?;
    fragile.network.set(Fault::None);
    fragile.network.cut_all();
    waiting.await??;
    eventually("site a serves again", PATIENCE, async || {
        Ok(read(&client, &at_a).await?.expect(200).ok())
    })
    .await?;
    Ok(())
}

/// Not an error of one round, but the end of the test.
fn is_no_false_404(answer: &Answer) {
    assert_ne!(
        answer.status, 404,
        "an empty database is no proof that an id is unknown"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_back_on_an_empty_database_is_refused_and_loses_no_row() -> Promise {
    let cluster = Cluster::shared()?;
    let fragile = fragile("emptied-site").await?;
    let client = fragile.router.client("/engine-rest");
    let [at_a, _] = one_at_each(&client, "emptied-site").await?;

    // Another engine with an empty database answers at the same address.
    let empty = cluster.fresh_database("empty")?;
    let stranger = engine::Builder::new("stranger", Kind::Operaton, &empty)
        .start()
        .await?;
    deploy::deploy(
        &Client::new(loopback(stranger.port()), "/engine-rest"),
        "order",
        &[ORDER],
    )
    .await?
    .expect(200)?;
    fragile.network.retarget(loopback(stranger.port()));
    // Nothing breaks yet, as when an address moves to another host: only new connections meet the stranger.
    let crowd = (0..READERS).map(|_| read(&client, &at_a));
    for answer in futures_util::future::join_all(crowd).await {
        is_no_false_404(&answer?);
    }
    fragile.network.cut_all();

    eventually("the stranger is found out", PATIENCE, async || {
        let answer = read(&client, &at_a).await?;
        is_no_false_404(&answer);
        Ok((answer.status == 503).then_some(()))
    })
    .await?;
    assert!(
        fragile.router.log()?.contains("wrong identity"),
        "the log does not name the cause"
    );
    for number in 0..10 {
        assert_eq!(
            start_order(&client, &format!("emptied-site-{number}"))
                .await?
                .home,
            "b"
        );
    }
    assert_eq!(
        empty.count("SELECT count(*) FROM act_hi_procinst").await?,
        0,
        "a start went to the stranger"
    );
    // So it is after a restart of the router, which has never met the stranger.
    fragile.router.kill()?;
    fragile.router.start_again().await?;
    read(&client, &at_a).await?.expect(503)?;

    fragile.network.retarget(loopback(fragile.a.port()));
    fragile.network.cut_all();
    eventually("the true site serves again", PATIENCE, async || {
        Ok(read(&client, &at_a).await?.expect(200).ok())
    })
    .await?;
    Ok(())
}

/// The slowest but one percent of four hundred reads by four clients.
async fn p99_at(client: &Client, order: &Started) -> Result<Duration> {
    let times = crowd(4, |_| {
        let (client, order) = (client.clone(), order.clone());
        async move {
            let mut times = Vec::new();
            for _ in 0..100 {
                let watch = Stopwatch::start();
                read(&client, &order).await?.expect(200)?;
                times.push(watch.elapsed());
            }
            Ok(times)
        }
    })
    .await?;
    let mut times: Vec<Duration> = times.into_iter().flatten().collect();
    times.sort_unstable();
    times
        .get(times.len() * 99 / 100)
        .copied()
        .context("no times")
}

async fn unharmed(client: &Client, order: &Started, calm: Duration) -> Result<()> {
    let now = p99_at(client, order).await?;
    ensure!(
        now < AT_ONCE.max(calm * WORSE_MAX),
        "p99 {now:?}, before {calm:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_keeps_no_connection_is_served() -> Promise {
    // A connection ends with its first answer, which is the proof of the database: what is sent takes another one.
    let site = FakeSite::start(|seen| {
        let body = if seen.target.ends_with("/telemetry/data") {
            json!({ "installation": "9d3f1c1e" })
        } else {
            json!({ "version": "7.24.0" })
        };
        Reply::json(200, &body).with_header("connection", "close")
    })
    .await?;
    let router = router::Builder::new("unkept")
        .site_with(
            "a",
            "engine-rest",
            &[&site.endpoint("/engine-rest")],
            "health = \"tcp\"",
        )
        .start()
        .await?;
    let client = router.client("/engine-rest");
    for _ in 0..5 {
        client.get("/version").await?.expect(200)?;
    }
    Ok(())
}
