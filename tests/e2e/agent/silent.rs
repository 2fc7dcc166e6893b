//! The silence of an agent in mode `engine` proves nothing: its engine goes on. A failover waits for a person's word, and then the
//! database fences by being opened elsewhere.

use anyhow::{Result, ensure};
use homing_harness::{
    agent::{self, Agent},
    client::Client,
    clock::eventually,
    deploy::{self, ORDER},
    outcome::Promise,
    own_engine::OwnEngine,
    postgres::Cluster,
    router::{self, Router},
};
use serde_json::json as object;

use super::own::engine;
use super::world::PATIENCE;
use crate::operate::{homing, json};

const LEASES: &str =
    "[lease]\nrouter = \"2s\"\nsite = \"2s\"\nrenew_every = \"100ms\"\nmargin = \"100ms\"\n";
const START: &str = "/process-definition/key/order/start";

async fn a_start_succeeds(client: &Client, when: &str) -> Promise {
    eventually(when, PATIENCE, async || {
        let answer = client.post(START, &object!({})).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    Ok(())
}

async fn router(store: &str, [one, two]: [&OwnEngine; 2]) -> Result<Router> {
    let tables = format!(
        "{LEASES}[safety]\ncool_down = \"0ms\"\ndown_for = \"300ms\"\n[[site]]\nname = \"b\"\ndialect = \"engine-rest\"\nrecovery = {{ mode = \"shared-data\" }}\n\
         [[site.installation]]\nname = \"b-one\"\nzone = \"eu-1\"\nendpoints = [\"{}\"]\n\
         [[site.installation]]\nname = \"b-two\"\nzone = \"eu-2\"\nendpoints = [\"{}\"]\n",
        one.endpoint(),
        two.endpoint(),
    );
    router::Builder::new("silent-agent")
        .store(store)
        .tables(&tables)
        .start()
        .await
}

async fn beside(installation: &str, store: &str, database: &str) -> Result<Agent> {
    let lines = format!("mode = \"engine\"\nengine = {{ store = {database:?} }}");
    agent::Builder::new("b", installation, store, &lines)
        .leases(LEASES)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_silence_of_an_agent_of_own_engines_is_no_fence_and_a_word_lets_the_other_place_open()
-> Promise {
    let cluster = Cluster::shared()?;
    let store = cluster.fresh_database("silent")?;
    let database = cluster.fresh_database("silent_own")?;
    let url = database.url();
    let (one, two) = (engine("b-one", &url).await?, engine("b-two", &url).await?);
    let router = router(&store.url(), [&one, &two]).await?;
    let first = beside("b-one", &store.url(), &url).await?;
    first.is("open").await?;
    let _second = beside("b-two", &store.url(), &url).await?;
    let client = router.client("/engine-rest");
    eventually("a deployment", PATIENCE, async || {
        let answer = deploy::deploy(&client, "order", &[ORDER]).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    a_start_succeeds(&client, "a start").await?;
    eventually("both agents are known", PATIENCE, async || {
        let agents = store.count("SELECT count(*) FROM agents").await?;
        Ok((agents == 2).then_some(()))
    })
    .await?;

    // The agent stands still, and so does the engine that it stands beside: the place looks lost.
    first.pause()?;
    one.pause()?;
    let failover = ["failover", "b", "--yes", "--reason", "eu-1 is lost"];
    let why = eventually("only the fence is missing", PATIENCE, async || {
        let output = homing(&router.admin_url(), &failover).await?;
        ensure!(output.status.code() == Some(3), "{}", output.status);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(text.contains("its silence proves nothing"), "{text}");
        Ok(Some(text))
    })
    .await?;
    assert!(
        why.contains("b-one") && why.contains("--fenced-by"),
        "{why}"
    );
    let told = json(&router, &["site", "show", "b"]).await?;
    assert_eq!(told["serving"], "b-one", "{told:#}");

    // Longer than every lease nothing has changed hands, and the engine would go on.
    one.resume()?;
    a_start_succeeds(&client, "it serves again without its agent").await?;
    one.pause()?;
    let stated = ["--fenced-by", "the power of eu-1 is off"];
    eventually("a person's word is taken", PATIENCE, async || {
        let output = homing(&router.admin_url(), &[&failover[..], &stated].concat()).await?;
        let complaint = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{complaint}");
        Ok(Some(()))
    })
    .await?;
    let told = json(&router, &["site", "show", "b"]).await?;
    assert_eq!(told["serving"], "b-two", "{told:#}");
    a_start_succeeds(&client, "the other place takes starts").await?;
    let row = database.column("SELECT holder FROM site").await?;
    assert_eq!(row, ["b-two"]);
    // The word was false: the place lives. Its database refuses it all the same.
    one.resume()?;
    first.resume()?;
    let instances = database.count("SELECT count(*) FROM inst").await?;
    eventually("it knows that it is a standby", PATIENCE, async || {
        let answer = one.client().post(START, &object!({})).await?;
        ensure!(answer.status != 200, "two places have served one site");
        Ok((answer.status == 503).then_some(()))
    })
    .await?;
    assert_eq!(
        database.count("SELECT count(*) FROM inst").await?,
        instances
    );
    first.is("fenced").await?;
    Ok(())
}
