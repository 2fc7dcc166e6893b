//! Sites catch up with what was deployed without them, and every site's id works at all of them. Judged by the engines' own
//! tables.

use anyhow::{Context, Result};
use homing_harness::{
    client::Client,
    clock::eventually,
    deploy::{self, ORDER},
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    router::{self, Router},
};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);

/// A model of this key; another `text` makes it another version.
fn model(key: &str, text: &str) -> String {
    ORDER
        .1
        .replace("id=\"order\"", &format!("id=\"{key}\""))
        .replace("Check the order", text)
}

async fn deployed(client: &Client, key: &str, text: &str) -> Result<(String, Option<String>)> {
    let file = format!("{key}.bpmn");
    let form = [(file.as_str(), model(key, text))];
    let files: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let answer = deploy::deploy(client, &format!("{key} {text}"), &files)
        .await?
        .expect(200)?;
    let missing = answer.header("homing-missing-sites").map(str::to_owned);
    Ok((answer.member("id")?, missing))
}

/// Keys and versions of definitions, as an engine's own table has them.
async fn versions(pair: &Pair, site: &str, keys: &str) -> Result<Vec<String>> {
    let select = format!(
        "SELECT key_ || ' ' || version_ FROM act_re_procdef WHERE key_ LIKE '{keys}%' ORDER BY 1"
    );
    pair.site(site)?.database().column(&select).await
}

async fn start(client: &Client, key: &str) -> Result<String> {
    let path = format!("/process-definition/key/{key}/start");
    let answer = client.post(&path, &json!({})).await?.expect(200)?;
    Ok(answer
        .header("homing-site")
        .context("no Homing-Site")?
        .to_owned())
}

/// A router whose site `b` can be cut off.
async fn fragile(pair: &Pair, name: &str) -> Result<(FaultProxy, Router)> {
    let network = FaultProxy::start(loopback(pair.b.port()), 17).await?;
    let router = router::Builder::new(name)
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint_through(network.port()))
        .start()
        .await?;
    Ok((network, router))
}

async fn records(router: &Router) -> Result<Value> {
    let told = router.admin().get("/v1/deployments").await?.expect(200)?;
    told.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn a_site_gets_what_it_missed_in_order_before_any_start() -> Promise {
    let pair = Pair::shared().await?;
    let (network, router) = fragile(pair, "catch-up").await?;
    let client = router.client("/engine-rest");
    assert_eq!(deployed(&client, "missed-one", "before").await?.1, None);

    network.set(Fault::Refuse);
    network.cut_all();
    eventually("the router sees it", PATIENCE, async || {
        let site = router.admin().get("/v1/sites/b").await?.expect(200)?;
        Ok((site.member("observed")? == "down").then_some(()))
    })
    .await?;
    let mut gone = String::new();
    for (key, text) in [
        ("missed-one", "second"),
        ("missed-one", "third"),
        ("missed-two", "first"),
        ("missed-one", "fourth"),
    ] {
        let (id, missing) = deployed(&client, key, text).await?;
        assert_eq!(missing.as_deref(), Some("b"), "{key} {text}");
        if text == "third" {
            gone = id;
        }
    }
    let removed = client
        .delete(&format!("/deployment/{gone}?cascade=true"))
        .await?
        .expect(204)?;
    assert_eq!(removed.header("homing-missing-sites"), Some("b"));
    // An application at b deploys the same by itself, under a name of its own.
    deployed(&client, "missed-self", "first").await?;
    let direct = Client::new(loopback(pair.b.port()), "/engine-rest");
    let own = model("missed-self", "first");
    deploy::deploy(&direct, "an application", &[("missed-self.bpmn", &own)])
        .await?
        .expect(200)?;
    let at_a = versions(pair, "a", "missed-").await?;
    assert_eq!(
        at_a,
        [
            "missed-one 1",
            "missed-one 2",
            "missed-one 4",
            "missed-self 1",
            "missed-two 1"
        ]
    );
    assert_eq!(
        versions(pair, "b", "missed-").await?,
        ["missed-one 1", "missed-self 1"]
    );
    let told = records(&router).await?;
    let at_b = &told["items"][1]["sites"][1];
    assert_eq!(
        (&at_b["site"], &at_b["standing"]),
        (&json!("b"), &json!("missing")),
        "{told}"
    );
    let asked =
        json!({ "method": "POST", "path": "/engine-rest/process-definition/key/missed-two/start" });
    let explained = router
        .admin()
        .post("/v1/explain", &asked)
        .await?
        .expect(200)?;
    assert!(
        explained.text().contains("still to get what was deployed"),
        "{}",
        explained.text()
    );

    network.set(Fault::None);
    eventually("b has what it missed", PATIENCE, async || {
        // Started all the while: what b has not got yet is started elsewhere, and never fails.
        for key in ["missed-one", "missed-two", "missed-self"] {
            start(&client, key).await?;
        }
        let at_b = versions(pair, "b", "missed-").await?;
        let settled = records(&router).await?["items"]
            .as_array()
            .is_some_and(|items| {
                let mut sites = items
                    .iter()
                    .filter_map(|item| item["sites"].as_array())
                    .flatten();
                sites.all(|at| at["standing"] == "done")
            });
        Ok((at_b == at_a && settled).then_some(()))
    })
    .await?;
    eventually("b takes starts again", PATIENCE, async || {
        Ok((start(&client, "missed-one").await? == "b").then_some(()))
    })
    .await?;
    let early = "SELECT count(*) FROM act_hi_procinst p JOIN act_re_procdef d ON d.id_ = p.proc_def_id_ \
                 WHERE d.key_ = 'missed-one' AND d.version_ <> 4";
    assert_eq!(
        pair.b.database().count(early).await?,
        0,
        "nothing was started at b before it had all"
    );
    // The removed one is no longer recorded; nothing was sent twice.
    let told = records(&router).await?;
    assert_eq!(told["items"].as_array().map(Vec::len), Some(5), "{told}");
    let sent = "SELECT count(*) FROM act_re_deployment WHERE name_ LIKE 'missed-self%'";
    assert_eq!(
        pair.b.database().count(sent).await?,
        0,
        "the application's own was recognised"
    );
    Ok(())
}

/// Its files are deployed once more at both sites, then the new deployment is taken away.
async fn redeployed(pair: &Pair, client: &Client, deployment: &str) -> Result<()> {
    let path = format!("/deployment/{deployment}/redeploy");
    let unknown = json!({ "resourceNames": ["none.bpmn"] });
    client.post(&path, &unknown).await?.expect(400)?;
    let files = format!("/deployment/{deployment}/resources");
    let file = client.get(&files).await?.expect(200)?.json()?[0]["id"].clone();
    let versions = "SELECT version_::text || ' ' || d.source_ || ' ' || d.name_ FROM act_re_procdef p \
         JOIN act_re_deployment d ON d.id_ = p.deployment_id_ WHERE key_ = 'aliased' AND version_ > 1";
    for (wanted, source) in [
        (json!({ "source": "again" }), "again"),
        (json!({ "resourceIds": [file], "source": "id" }), "id"),
    ] {
        let again = client.post(&path, &wanted).await?.expect(200)?;
        let id = again.member("id")?;
        let made = again.json()?["deployedProcessDefinitions"].clone();
        assert_eq!(
            made.as_object().map(serde_json::Map::len),
            Some(1),
            "{made}"
        );
        for site in [&pair.a, &pair.b] {
            let made = site.database().column(versions).await?;
            assert!(
                made.len() == 1 && made[0].starts_with(&format!("2 {source} ")),
                "{made:?}"
            );
        }
        client
            .delete(&format!("/deployment/{id}"))
            .await?
            .expect(204)?;
        for site in [&pair.a, &pair.b] {
            assert_eq!(site.database().column(versions).await?.len(), 0);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn an_id_read_from_one_site_works_at_all_of_them() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("aliases").start().await?;
    let client = router.client("/engine-rest");
    let (deployment, _) = deployed(&client, "aliased", "first").await?;
    let select = "SELECT id_ FROM act_re_procdef WHERE key_ = 'aliased'";
    let at_b = pair
        .b
        .database()
        .column(select)
        .await?
        .pop()
        .context("b has no definition")?;

    let mut homes = std::collections::BTreeSet::new();
    for number in 0..60 {
        let path = format!("/process-definition/{at_b}/start");
        let order = json!({ "businessKey": format!("aliased-{number}") });
        let answer = client.post(&path, &order).await?.expect(200)?;
        homes.insert(
            answer
                .header("homing-site")
                .context("no Homing-Site")?
                .to_owned(),
        );
        if homes.len() == 2 && number >= 5 {
            break;
        }
    }
    assert_eq!(homes.len(), 2, "every site takes starts by the id of one");
    let started = "SELECT count(*) FROM act_ru_execution WHERE parent_id_ IS NULL AND proc_def_id_ LIKE 'aliased:%'";
    let (in_a, in_b) = (
        pair.a.database().count(started).await?,
        pair.b.database().count(started).await?,
    );
    assert!(in_a > 0 && in_b > 0);
    let counted = client
        .get(&format!(
            "/process-instance/count?processDefinitionId={at_b}"
        ))
        .await?;
    assert_eq!(counted.expect(200)?.json()?["count"], in_a + in_b);
    let listed = client
        .post(
            "/process-instance/count",
            &json!({ "processDefinitionId": at_b }),
        )
        .await?;
    assert_eq!(listed.expect(200)?.json()?["count"], in_a + in_b);
    client
        .get(&format!("/process-definition/{at_b}"))
        .await?
        .expect(200)?;

    redeployed(pair, &client, &deployment).await?;
    // Instances run at both, so both refuse; then both let it go.
    let refused = client.delete(&format!("/deployment/{deployment}")).await?;
    assert!(
        refused.status.is_server_error(),
        "{} {}",
        refused.status,
        refused.text()
    );
    for site in [&pair.a, &pair.b] {
        assert_eq!(site.database().column(select).await?.len(), 1);
    }
    let path = format!("/deployment/{deployment}?cascade=true");
    client.delete(&path).await?.expect(204)?;
    for site in [&pair.a, &pair.b] {
        assert_eq!(site.database().column(select).await?.len(), 0);
        assert_eq!(site.database().count(started).await?, 0);
    }
    let told = records(&router).await?;
    assert_eq!(
        told["items"],
        json!([]),
        "a removal that all have leaves nothing"
    );
    Ok(())
}
