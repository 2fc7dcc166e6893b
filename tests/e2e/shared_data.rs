//! Users, groups, tenants, filters and authorizations are the same at every site. Judged by the engines' own tables.

mod saved;

use anyhow::{Context, Result};
use bytes::Bytes;
use homing_harness::{
    client::{Answer, Client},
    clock::eventually,
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    router::{self, Router},
};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);

/// All of it that a test has made, as an engine's own tables have it.
async fn identities(pair: &Pair, site: &str) -> Result<Vec<String>> {
    let select = "SELECT 'user ' || id_ || ' ' || first_ FROM act_id_user WHERE id_ LIKE 'sd%' \
        UNION ALL SELECT 'group ' || id_ || ' ' || name_ FROM act_id_group WHERE id_ LIKE 'sd%' \
        UNION ALL SELECT 'tenant ' || id_ || ' ' || name_ FROM act_id_tenant WHERE id_ LIKE 'sd%' \
        UNION ALL SELECT 'member ' || user_id_ || ' ' || group_id_ FROM act_id_membership WHERE user_id_ LIKE 'sd%' \
        UNION ALL SELECT 'of ' || tenant_id_ || ' ' || coalesce(user_id_, group_id_) FROM act_id_tenant_member \
        WHERE tenant_id_ LIKE 'sd%' ORDER BY 1";
    pair.site(site)?.database().column(select).await
}

/// A router whose site `b` can be cut off.
async fn fragile(pair: &Pair, name: &str) -> Result<(FaultProxy, Router)> {
    let network = FaultProxy::start(loopback(pair.b.port()), 23).await?;
    let router = router::Builder::new(name)
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint_through(network.port()))
        .start()
        .await?;
    Ok((network, router))
}

async fn observed(router: &Router, wanted: &str) -> Result<()> {
    eventually("the router sees it", PATIENCE, async || {
        let site = router.admin().get("/v1/sites/b").await?.expect(200)?;
        Ok((site.member("observed")? == wanted).then_some(()))
    })
    .await
}

async fn bare(client: &Client, method: Method, path: &str) -> Result<Answer> {
    client
        .send(method, path, Bytes::new(), None)
        .await?
        .expect(204)
}

fn user(id: &str, first: &str) -> Value {
    json!({
        "profile": { "id": id, "firstName": first, "lastName": "L", "email": null },
        "credentials": { "password": "Secret-1!" },
    })
}

fn missing(answer: &Answer) -> Option<&str> {
    answer.header("homing-missing-sites")
}

async fn verified(client: &Client, password: &str) -> Result<Answer> {
    let body = json!({ "username": "sdann", "password": password });
    client.post("/identity/verify", &body).await?.expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn users_and_groups_are_the_same_at_every_site_also_after_one_was_away() -> Promise {
    let pair = Pair::shared().await?;
    let (network, router) = fragile(pair, "shared-users").await?;
    let client = router.client("/engine-rest");
    for id in ["sdann", "sdbob"] {
        let made = client.post("/user/create", &user(id, "First")).await?;
        assert_eq!(missing(&made.expect(204)?), None);
    }
    let group = json!({ "id": "sdgroup", "name": "G", "type": "WORKFLOW" });
    client.post("/group/create", &group).await?.expect(204)?;
    let tenant = json!({ "id": "sdtenant", "name": "T" });
    client.post("/tenant/create", &tenant).await?.expect(204)?;
    bare(&client, Method::PUT, "/group/sdgroup/members/sdann").await?;
    bare(&client, Method::PUT, "/tenant/sdtenant/user-members/sdbob").await?;
    let first = identities(pair, "a").await?;
    assert_eq!(
        first,
        [
            "group sdgroup G",
            "member sdann sdgroup",
            "of sdtenant sdbob",
            "tenant sdtenant T",
            "user sdann First",
            "user sdbob First",
        ]
    );
    assert_eq!(identities(pair, "b").await?, first);
    // What one site refuses is refused, and nothing more is made of it.
    let again = client.post("/group/create", &group).await?;
    assert!(!again.status.is_success(), "{}", again.text());

    network.set(Fault::Refuse);
    network.cut_all();
    observed(&router, "down").await?;
    let renamed = json!({ "id": "sdann", "firstName": "Second", "lastName": "L", "email": null });
    let set = client.put("/user/sdann/profile", &renamed).await?;
    assert_eq!(missing(&set.expect(204)?), Some("b"));
    let renamed = json!({ "id": "sdann", "firstName": "Third", "lastName": "L", "email": null });
    client
        .put("/user/sdann/profile", &renamed)
        .await?
        .expect(204)?;
    let other = json!({ "id": "sdother", "name": "O", "type": "WORKFLOW" });
    client.post("/group/create", &other).await?.expect(204)?;
    bare(&client, Method::PUT, "/group/sdother/members/sdann").await?;
    bare(&client, Method::DELETE, "/group/sdgroup/members/sdann").await?;
    bare(&client, Method::DELETE, "/tenant/sdtenant").await?;
    bare(&client, Method::DELETE, "/user/sdbob").await?;
    // What holds a password is not kept for a site that is silent.
    let refused = client.post("/user/create", &user("sdeve", "E")).await?;
    let refused = refused.expect(503)?;
    assert_eq!(refused.member("site")?, "b", "{}", refused.text());
    let password = json!({ "password": "Another-1!" });
    let refused = client.put("/user/sdann/credentials", &password).await?;
    assert_eq!(refused.expect(503)?.member("site")?, "b");
    let now = [
        "group sdgroup G",
        "group sdother O",
        "member sdann sdother",
        "user sdann Third",
    ];
    assert_eq!(identities(pair, "a").await?, now);
    assert_eq!(identities(pair, "b").await?, first);
    let told = router
        .admin()
        .get("/v1/shared")
        .await?
        .expect(200)?
        .json()?;
    let at_b = &told["items"][1];
    assert_eq!(
        (&at_b["site"], &at_b["behind"]),
        (&json!("b"), &json!(6)),
        "{told}"
    );

    network.set(Fault::None);
    eventually("b has caught up", PATIENCE, async || {
        Ok((identities(pair, "b").await? == now).then_some(()))
    })
    .await?;
    eventually("it counts as level", PATIENCE, async || {
        let told = router
            .admin()
            .get("/v1/shared")
            .await?
            .expect(200)?
            .json()?;
        let open = |at: &Value| at["open"] == 0 && at["flawed"] == 0;
        let items = told["items"].as_array().context("no items")?;
        Ok(items.iter().all(open).then_some(()))
    })
    .await?;
    observed(&router, "healthy").await?;
    // The password is the one that was set last, at both, and a wrong one is tried at one site.
    client
        .put("/user/sdann/credentials", &password)
        .await?
        .expect(204)?;
    for site in ["a", "b"] {
        let direct = Client::new(loopback(pair.site(site)?.port()), "/engine-rest");
        let told = verified(&direct, "Another-1!").await?.json()?;
        assert_eq!(told["authenticated"], true, "at {site}");
    }
    let told = verified(&client, "wrong").await?;
    assert_eq!(told.header("homing-site"), Some("a"));
    assert_eq!(told.json()?["authenticated"], false);
    let attempts = "SELECT coalesce(attempts_, 0)::bigint FROM act_id_user WHERE id_ = 'sdann'";
    assert_eq!(pair.a.database().count(attempts).await?, 1);
    assert_eq!(pair.b.database().count(attempts).await?, 0);

    for path in ["/user/sdann", "/group/sdgroup", "/group/sdother"] {
        bare(&client, Method::DELETE, path).await?;
    }
    for site in ["a", "b"] {
        let left = identities(pair, site).await?;
        assert!(left.is_empty(), "at {site}: {left:?}");
    }
    let told = router
        .admin()
        .get("/v1/shared")
        .await?
        .expect(200)?
        .json()?;
    assert_eq!(told["items"], json!([]), "{told}");
    Ok(())
}

async fn filters(pair: &Pair, site: &str) -> Result<Vec<String>> {
    let select = "SELECT name_ || ' ' || id_ FROM act_ru_filter WHERE name_ LIKE 'sd%' ORDER BY 1";
    pair.site(site)?.database().column(select).await
}

/// The only filter of this name at a site.
async fn filter(pair: &Pair, site: &str, name: &str) -> Result<String> {
    let found = filters(pair, site).await?;
    let id = match found.as_slice() {
        [only] => only.strip_prefix(&format!("{name} ")),
        _ => None,
    };
    Ok(id
        .with_context(|| format!("{found:?} at {site}"))?
        .to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_one_sites_filter_or_authorization_names_it_at_both() -> Promise {
    let pair = Pair::shared().await?;
    let (network, router) = fragile(pair, "shared-filters").await?;
    let client = router.client("/engine-rest");
    let content = |name: &str| json!({ "resourceType": "Task", "name": name, "query": { "assignee": "sdann" } });
    let made = client.post("/filter/create", &content("sd-first")).await?;
    let id = made.expect(200)?.member("id")?;
    assert_eq!(filter(pair, "a", "sd-first").await?, id);
    let at_b = filter(pair, "b", "sd-first").await?;
    assert_ne!(at_b, id);
    client
        .put(&format!("/filter/{id}"), &content("sd-second"))
        .await?
        .expect(204)?;
    assert_eq!(filter(pair, "a", "sd-second").await?, id);
    assert_eq!(filter(pair, "b", "sd-second").await?, at_b);
    // Either id reads it, at the site that answers for both.
    for named in [&id, &at_b] {
        let read = client.get(&format!("/filter/{named}")).await?.expect(200)?;
        assert_eq!(read.member("name")?, "sd-second");
        assert_eq!(read.header("homing-site"), Some("a"));
    }

    let grant = json!({ "type": 1, "permissions": ["READ"], "userId": "sdann", "groupId": null,
        "resourceType": 5, "resourceId": "sdresource" });
    let granted = client
        .post("/authorization/create", &grant)
        .await?
        .expect(200)?;
    let granted = granted.member("id")?;
    let count = "SELECT count(*) FROM act_ru_authorization WHERE user_id_ = 'sdann'";
    assert_eq!(pair.b.database().count(count).await?, 1);

    network.set(Fault::Refuse);
    network.cut_all();
    observed(&router, "down").await?;
    let gone = bare(&client, Method::DELETE, &format!("/filter/{at_b}")).await?;
    assert_eq!(missing(&gone), Some("b"));
    bare(
        &client,
        Method::DELETE,
        &format!("/authorization/{granted}"),
    )
    .await?;
    let later = client.post("/filter/create", &content("sd-later")).await?;
    let later = later.expect(200)?.member("id")?;
    assert_eq!(filter(pair, "b", "sd-second").await?, at_b);
    network.set(Fault::None);
    eventually("b has caught up", PATIENCE, async || {
        let has_it = filter(pair, "b", "sd-later").await.is_ok();
        let granted = pair.b.database().count(count).await?;
        Ok((has_it && granted == 0).then_some(()))
    })
    .await?;
    eventually("the ids are known", PATIENCE, async || {
        let told = router
            .admin()
            .get("/v1/shared")
            .await?
            .expect(200)?
            .json()?;
        let items = told["items"].as_array().context("no items")?;
        Ok(items.iter().all(|at| at["open"] == 0).then_some(()))
    })
    .await?;
    observed(&router, "healthy").await?;
    what_only_one_site_has_is_found_there(pair, &client, &content).await?;
    bare(&client, Method::DELETE, &format!("/filter/{later}")).await?;
    for site in ["a", "b"] {
        let left = filters(pair, site).await?;
        assert!(left.is_empty(), "at {site}: {left:?}");
    }
    Ok(())
}

async fn what_only_one_site_has_is_found_there(
    pair: &Pair,
    client: &Client,
    content: &impl Fn(&str) -> serde_json::Value,
) -> Promise {
    let direct = Client::new(loopback(pair.b.port()), "/engine-rest");
    let own = direct.post("/filter/create", &content("sd-own")).await?;
    let own = own.expect(200)?.member("id")?;
    let read = client.get(&format!("/filter/{own}")).await?.expect(200)?;
    assert_eq!(read.header("homing-site"), Some("b"));
    bare(client, Method::DELETE, &format!("/filter/{own}")).await?;
    client.get(&format!("/filter/{own}")).await?.expect(404)?;
    Ok(())
}

/// Open tasks of the runs of a test, newest first, as the databases have them.
/// A run for one row is what one engine makes of all sites' rows.
async fn one_result(pair: &Pair, client: &Client, (id, at_b): (&str, &str)) -> Result<()> {
    let of = |number: &str| json!({ "processInstanceBusinessKey": format!("svrun-{number}") });
    for number in ["2", "3"] {
        let path = format!("/filter/{id}/singleResult");
        let only = client.post(&path, &of(number)).await?.expect(200)?;
        let wanted = newest_first(pair, &format!("svrun-{number}")).await?;
        assert_eq!([only.member("id")?], wanted[..]);
    }
    let path = format!("/filter/{at_b}/singleResult");
    let none = client.post(&path, &of("none")).await?.expect(204)?;
    assert_eq!(none.text(), "");
    // Several at one site, and one at each of two sites.
    let direct = Client::new(loopback(pair.b.port()), "/engine-rest");
    let own = direct.get(&path).await?;
    let merged = client.get(&path).await?;
    assert_eq!(merged.status, own.status, "{}", merged.text());
    assert_eq!(merged.status, 400, "{}", merged.text());
    assert_eq!(merged.member("type")?, own.member("type")?);
    let two = json!({ "processInstanceBusinessKeyIn": ["svrun-0", "svrun-1"] });
    let two = client.post(&path, &two).await?;
    assert_eq!(two.status, 400, "{}", two.text());
    assert_eq!(two.json()?["type"], own.json()?["type"], "{}", own.text());
    assert_eq!(two.json()?["code"], own.json()?["code"], "{}", own.text());
    Ok(())
}

async fn newest_first(pair: &Pair, keys: &str) -> Result<Vec<String>> {
    let select = format!(
        "SELECT to_char(t.create_time_, 'YYYYMMDDHH24MISSMS') || ' ' || t.id_ FROM act_ru_task t \
         JOIN act_ru_execution e ON e.id_ = t.proc_inst_id_ WHERE e.business_key_ LIKE '{keys}'"
    );
    let mut all = pair.a.database().column(&select).await?;
    all.extend(pair.b.database().column(&select).await?);
    all.sort_unstable_by(|one, two| two.cmp(one));
    let id = |row: String| row.split(' ').nth(1).map(str::to_owned);
    Ok(all.into_iter().filter_map(id).collect())
}

fn listed(answer: &Answer) -> Result<Vec<String>> {
    let rows = answer.json()?;
    let rows = rows.as_array().context("no list")?;
    let id = |row: &Value| row["id"].as_str().map(str::to_owned).context("no id");
    rows.iter().map(id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_filter_runs_over_all_sites_in_its_own_order() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("shared-saved").start().await?;
    let client = router.client("/engine-rest");
    for number in 0..6 {
        let engine = if number % 2 == 0 { &pair.a } else { &pair.b };
        let direct = Client::new(loopback(engine.port()), "/engine-rest");
        let body = json!({ "businessKey": format!("svrun-{number}") });
        let path = "/process-definition/key/order/start";
        direct.post(path, &body).await?.expect(200)?;
    }
    let sorting = json!([{ "sortBy": "created", "sortOrder": "desc" }]);
    let query = json!({ "processInstanceBusinessKeyLike": "svrun-%", "sorting": sorting });
    let content = json!({ "resourceType": "Task", "name": "sv-newest", "query": query });
    let made = client.post("/filter/create", &content).await?;
    let id = made.expect(200)?.member("id")?;
    let at_b = "SELECT id_ FROM act_ru_filter WHERE name_ = 'sv-newest'";
    let at_b = pair
        .b
        .database()
        .column(at_b)
        .await?
        .pop()
        .context("no copy")?;
    assert_ne!(at_b, id);

    let wanted = newest_first(pair, "svrun-%").await?;
    assert_eq!(wanted.len(), 6);
    for named in [&id, &at_b] {
        let all = client.get(&format!("/filter/{named}/list")).await?;
        assert_eq!(listed(&all.expect(200)?)?, wanted);
        let page = format!("/filter/{named}/list?firstResult=1&maxResults=3");
        let page = client.get(&page).await?.expect(200)?;
        assert_eq!(listed(&page)?, wanted[1..4]);
        let count = client.get(&format!("/filter/{named}/count")).await?;
        assert_eq!(count.expect(200)?.json()?["count"], 6);
    }
    one_result(pair, &client, (&id, &at_b)).await?;
    saved::in_hal(pair, &client, (&id, &at_b), &wanted).await?;
    // The request narrows what the filter has, and its order comes after the filter's.
    let narrower = json!({ "processInstanceBusinessKey": "svrun-3" });
    let narrower = client
        .post(&format!("/filter/{id}/list"), &narrower)
        .await?;
    let only = newest_first(pair, "svrun-3").await?;
    assert_eq!(listed(&narrower.expect(200)?)?, only);

    // What was made past Homing is known to one site only.
    let direct = Client::new(loopback(pair.b.port()), "/engine-rest");
    let own = direct.post("/filter/create", &content).await?;
    let own = own.expect(200)?.member("id")?;
    client
        .get(&format!("/filter/{own}/list"))
        .await?
        .expect(501)?;
    bare(&direct, Method::DELETE, &format!("/filter/{own}")).await?;
    bare(&client, Method::DELETE, &format!("/filter/{id}")).await?;
    Ok(())
}
