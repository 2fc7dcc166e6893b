//! A live instance goes to another site: with the same ids, exactly once, whoever dies on the way.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use http::Method;
use serde_json::{Value as Json, json};
use std::time::Duration;
use support::postgres::Server;
use support::{Answer, Engine, eventually, flows, model};

/// User task, external task and timer wait side by side; then a called process with a message.
fn many_waits() -> String {
    let inner = format!(
        r#"<startEvent id="s"/><parallelGateway id="f"/><userTask id="u" camunda:candidateGroups="g"/>
        <serviceTask id="w" camunda:type="external" camunda:topic="pack"/>
        <intermediateCatchEvent id="t"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></intermediateCatchEvent>
        <callActivity id="c" calledElement="below" camunda:calledElementBinding="latest"><extensionElements><camunda:in variables="all"/></extensionElements></callActivity>
        <parallelGateway id="j"/><endEvent id="e"/>{}"#,
        flows("s>f f>u f>w f>t f>c u>j w>j t>j c>j j>e")
    );
    let below = format!(
        r#"<process id="below" isExecutable="true" camunda:historyTimeToLive="P1D"><startEvent id="s2"/>
        <receiveTask id="r" messageRef="paid"/><endEvent id="e2"/>{}</process></definitions>"#,
        flows("s2>r r>e2")
    );
    model(&inner).replace("</definitions>", &below)
}

struct Sites {
    a: Engine,
    b: Engine,
    /// Where each is started again.
    urls: [String; 2],
}

impl Sites {
    async fn start(urls: [String; 2]) -> Sites {
        let (a, b) = (site(&urls[0], "a").await, site(&urls[1], "b").await);
        a.deploy(&many_waits()).await;
        // The other site has versions of its own.
        b.deploy(&model(&format!(
            r#"<startEvent id="s"/><endEvent id="e"/>{}"#,
            flows("s>e")
        )))
        .await;
        b.deploy(&many_waits()).await;
        Sites { a, b, urls }
    }

    /// Both engines die and come back.
    async fn die(self) -> Sites {
        let Sites { a, b, urls } = self;
        for engine in [a, b] {
            let store = engine.node.handle().store().clone();
            engine.node.abort();
            store.close().await;
        }
        let (a, b) = (site(&urls[0], "a").await, site(&urls[1], "b").await);
        Sites { a, b, urls }
    }
}

async fn site(url: &str, name: &str) -> Engine {
    Engine::with(|options| {
        options.store_url = url.to_owned();
        options.name = name.to_owned();
        options.failover_window = Duration::from_millis(600);
    })
    .await
}

async fn step(engine: &Engine, path: &str, body: Json) -> Json {
    let answer = post(engine, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.json());
    answer.json()
}

async fn post(engine: &Engine, path: &str, body: Json) -> Answer {
    engine
        .send(Method::POST, &format!("/homing/handovers{path}"), body)
        .await
}

async fn export(engine: &Engine, id: &str, instance: &str) -> Json {
    step(engine, "", json!({ "id": id, "instance": instance })).await
}

async fn stage(engine: &Engine, id: &str, exported: &Json) -> Answer {
    let body = json!({ "seal": exported["seal"], "bundle": exported["bundle"] });
    engine
        .send(Method::PUT, &format!("/homing/handovers/{id}"), body)
        .await
}

/// Everything that a client can hold of an instance, at whichever site.
async fn seen(engine: &Engine, id: &str) -> Json {
    let mut task = engine.tasks(id).await;
    let links = match task.first() {
        Some(task) => {
            let path = format!(
                "/engine-rest/task/{}/identity-links",
                task["id"].as_str().unwrap()
            );
            engine.get(&path).await
        }
        None => Json::Null,
    };
    for task in &mut task {
        task["processDefinitionId"] = Json::Null;
    }
    let mut work = engine
        .get(&format!(
            "/engine-rest/external-task?processInstanceId={id}"
        ))
        .await;
    let mut jobs = engine
        .get(&format!("/engine-rest/job?processInstanceId={id}"))
        .await;
    for job in jobs.as_array_mut().unwrap() {
        // Each site has its own, and has one.
        assert!(job["jobDefinitionId"].is_string(), "{job}");
        job["jobDefinitionId"] = Json::Null;
    }
    for row in work
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .chain(jobs.as_array_mut().unwrap())
    {
        for own in ["processDefinitionId", "lockExpirationTime"] {
            row[own] = Json::Null;
        }
    }
    let mut variables = engine
        .get(&format!("/engine-rest/process-instance/{id}/variables"))
        .await;
    let mut logs = Vec::new();
    for list in ["job-log", "external-task-log", "detail"] {
        let path = format!("/engine-rest/history/{list}?processInstanceId={id}");
        let mut rows = engine.get(&path).await;
        for row in rows.as_array_mut().unwrap() {
            for own in ["processDefinitionId", "jobDefinitionId", "deploymentId"] {
                row[own] = Json::Null;
            }
        }
        logs.push(rows);
    }
    let below = engine
        .get(&format!(
            "/engine-rest/process-instance?superProcessInstance={id}"
        ))
        .await;
    json!({
        "task": task, "links": links, "work": work, "jobs": jobs, "variables": variables.take(), "below": below[0]["id"], "logs": logs,
        "path": engine.path(id).await,
    })
}

async fn begin(engine: &Engine) -> String {
    let file = json!({ "value": "aGk=", "type": "File", "valueInfo": { "filename": "f", "mimetype": "text/plain" } });
    let variables = json!({
        "text": { "value": "x" }, "real": { "value": 0.1, "type": "Double" },
        "long": { "value": 0.299_999_999_999_999_93, "type": "Double" }, "huge": { "value": f64::MAX, "type": "Double" }, "whole": { "value": 7 },
        "file": file, "nothing": { "value": null }, "doc": { "value": "{\"a\":1}", "type": "Json" },
    });
    let id = engine.begin("p", variables).await;
    let locked = engine.fetch("pack").await;
    assert!(locked.iter().any(|work| work["processInstanceId"] == *id));
    id
}

/// Goes on to the end.
async fn end(engine: &Engine, id: &str, held: &Json) {
    engine
        .complete_work(&held["work"][0]["id"], json!({}))
        .await;
    engine
        .complete_task(&held["task"][0]["id"], json!({}))
        .await;
    let body = json!({ "messageName": "paid", "processInstanceId": held["below"] });
    assert_eq!(
        engine
            .send(Method::POST, "/engine-rest/message", body)
            .await
            .status,
        204
    );
    let job = format!(
        "/engine-rest/job/{}/execute",
        held["jobs"][0]["id"].as_str().unwrap()
    );
    engine.post(&job, json!({})).await;
    assert_eq!(engine.state(id).await, "COMPLETED");
    assert_eq!(
        engine.path(id).await.split(' ').count(),
        11,
        "{}",
        engine.path(id).await
    );
}

/// What was looked for and not found may have come in that very moment: so it is to be asked for again, for a while.
async fn absence_is_not_told_at_once(engine: &Engine, id: &str, task: &str) {
    let path = format!("{task}/variables/never-set");
    let early = engine.call(Method::GET, &path, None).await;
    let body = early.json();
    let told = (early.status, &body["reason"], &body["instance"]);
    assert_eq!(told, (503, &json!("moving"), &json!(id)));
    tokio::time::timeout(Duration::from_secs(30), async {
        while engine.call(Method::GET, &path, None).await.status != 404 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("what never was is not found in the end");
}

async fn an_instance_moves_with_all_it_has(urls: [String; 2]) {
    let sites = Sites::start(urls).await;
    let id = begin(&sites.a).await;
    let before = seen(&sites.a, &id).await;
    assert_eq!(before["task"][0]["taskDefinitionKey"], "u");

    let exported = export(&sites.a, "h1", &id).await;
    let task = format!(
        "/engine-rest/task/{}",
        before["task"][0]["id"].as_str().unwrap()
    );
    for path in [format!("/engine-rest/process-instance/{id}"), task.clone()] {
        let answer = sites.a.call(Method::GET, &path, None).await;
        assert_eq!(
            (answer.status, &answer.json()["reason"]),
            (503, &json!("moving")),
            "{path}"
        );
    }
    assert_eq!(stage(&sites.b, "h1", &exported).await.status, 200);
    assert_eq!(
        sites.b.get("/engine-rest/process-instance/count").await["count"],
        0
    );
    let alive = step(&sites.b, "/h1/activate", json!({ "generation": 2 })).await;
    assert_eq!(alive["stage"], "active");
    step(
        &sites.a,
        "/h1/entomb",
        json!({ "site": "b", "generation": 2 }),
    )
    .await;

    assert_eq!(seen(&sites.b, &id).await, before);
    absence_is_not_told_at_once(&sites.b, &id, &task).await;
    for path in [format!("/engine-rest/process-instance/{id}"), task] {
        let answer = sites.a.call(Method::GET, &path, None).await;
        assert_eq!(
            (answer.status, &answer.json()["site"]),
            (410, &json!("b")),
            "{path}"
        );
    }
    assert_eq!(
        sites
            .a
            .get("/engine-rest/history/process-instance/count")
            .await["count"],
        0
    );

    // And back.
    let exported = export(&sites.b, "h2", &id).await;
    assert_eq!(stage(&sites.a, "h2", &exported).await.status, 200);
    step(&sites.a, "/h2/activate", json!({ "generation": 3 })).await;
    step(
        &sites.b,
        "/h2/entomb",
        json!({ "site": "a", "generation": 3 }),
    )
    .await;
    assert_eq!(seen(&sites.a, &id).await, before);
    end(&sites.a, &id, &before).await;
    sites.a.node.shutdown().await;
    sites.b.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_moves_between_files_and_back_with_all_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    an_instance_moves_with_all_it_has([url("a"), url("b")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_moves_from_postgresql_to_a_file_and_back_with_all_it_has() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("b").display());
    an_instance_moves_with_all_it_has([server.database("a"), file]).await;
}

/// One driver that dies after `lives` steps, and one that finds what is there and finishes. The home is the only
/// thing that both know.
async fn driven(mut sites: Sites, number: usize, lives: usize) -> Sites {
    let id = begin(&sites.a).await;
    let before = seen(&sites.a, &id).await;
    let handover = format!("h{number}");
    let mut home = "a";
    let exported = if lives > 0 {
        export(&sites.a, &handover, &id).await
    } else {
        Json::Null
    };
    if lives > 1 {
        assert_eq!(stage(&sites.b, &handover, &exported).await.status, 200);
    }
    if lives > 2 {
        // The compare-and-set of the mapping: the only moment that counts.
        home = "b";
    }
    if lives > 3 {
        step(
            &sites.b,
            &format!("/{handover}/activate"),
            json!({ "generation": 2 }),
        )
        .await;
    }
    if lives > 4 {
        step(
            &sites.a,
            &format!("/{handover}/entomb"),
            json!({ "site": "b", "generation": 2 }),
        )
        .await;
    }
    sites = sites.die().await;
    // The second driver repeats the last steps blindly, as often as it likes.
    for _ in 0..2 {
        if home == "a" {
            step(&sites.a, &format!("/{handover}/cancel"), json!({})).await;
            step(&sites.b, &format!("/{handover}/cancel"), json!({})).await;
            if lives == 0 {
                continue;
            }
            break;
        }
        step(
            &sites.b,
            &format!("/{handover}/activate"),
            json!({ "generation": 2 }),
        )
        .await;
        step(
            &sites.a,
            &format!("/{handover}/entomb"),
            json!({ "site": "b", "generation": 2 }),
        )
        .await;
    }
    let count = format!("/engine-rest/process-instance/count?processInstanceIds={id}");
    let alive = [
        sites.a.get(&count).await["count"].as_i64().unwrap(),
        sites.b.get(&count).await["count"].as_i64().unwrap(),
    ];
    let (at, wanted) = if home == "a" {
        (&sites.a, [1, 0])
    } else {
        (&sites.b, [0, 1])
    };
    assert_eq!(alive, wanted, "after {lives} steps");
    assert_eq!(seen(at, &id).await, before, "after {lives} steps");
    end(at, &id, &before).await;
    sites
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_lives_exactly_once_after_deaths_between_any_two_steps() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let mut sites = Sites::start([url("a"), url("b")]).await;
    for lives in 0..=5 {
        sites = driven(sites, lives, lives).await;
    }
    sites.a.node.shutdown().await;
    sites.b.node.shutdown().await;
}

/// The same step three times at once: all are told that it is done, and it is done once.
async fn thrice(engine: &Engine, method: Method, path: &str, body: Json) -> Json {
    let path = format!("/homing/handovers{path}");
    let call = || engine.send(method.clone(), &path, body.clone());
    let (a, b, c) = tokio::join!(call(), call(), call());
    for answer in [&a, &b, &c] {
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
    }
    assert_eq!(a.json(), b.json());
    assert_eq!(a.json(), c.json());
    a.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_several_drivers_ask_for_at_once_is_done_once() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("b").display());
    let sites = Sites::start([server.database("a"), file]).await;
    let id = begin(&sites.a).await;
    let before = seen(&sites.a, &id).await;
    let mut ways = [
        (&sites.a, "a", &sites.b, "b"),
        (&sites.b, "b", &sites.a, "a"),
    ];
    for turn in 0..4_i64 {
        let (from, _, to, name) = ways[0];
        let way = |step: &str| format!("/h{turn}{step}");
        let ask = json!({ "id": format!("h{turn}"), "instance": id });
        let exported = thrice(from, Method::POST, "", ask).await;
        let body = json!({ "seal": exported["seal"], "bundle": exported["bundle"] });
        thrice(to, Method::PUT, &way(""), body).await;
        let lives = json!({ "generation": turn + 2 });
        thrice(to, Method::POST, &way("/activate"), lives).await;
        let went = json!({ "site": name, "generation": turn + 2 });
        thrice(from, Method::POST, &way("/entomb"), went).await;
        assert_eq!(seen(to, &id).await, before);
        ways.reverse();
    }
    end(&sites.a, &id, &before).await;
    sites.a.node.shutdown().await;
    sites.b.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_completes_beside_an_export_comes_before_it_or_is_sent_away() {
    let server = Server::start();
    let a = site(&server.database("a"), "a").await;
    a.deploy(&many_waits()).await;
    let mut early = 0;
    for round in 0..20 {
        let id = begin(&a).await;
        let held = seen(&a, &id).await;
        let work = held["work"][0]["id"].as_str().unwrap();
        let complete = format!("/engine-rest/external-task/{work}/complete");
        let body = json!({ "workerId": "w", "variables": {} });
        let handover = format!("h{round}");
        let ask = json!({ "id": handover, "instance": id });
        let (worker, exported) =
            tokio::join!(a.send(Method::POST, &complete, body), post(&a, "", ask));
        assert_eq!(exported.status, 200, "{}", exported.json());
        let (status, answer) = (worker.status, worker.json());
        let came_first = status == 204;
        assert!(
            came_first || (status, &answer["reason"]) == (503, &json!("moving")),
            "{status} {answer}"
        );
        step(&a, &format!("/{handover}/cancel"), json!({})).await;
        let left = seen(&a, &id).await;
        let still = left["work"].as_array().unwrap().len();
        assert_eq!(still, usize::from(!came_first), "{left}");
        early += usize::from(came_first);
    }
    assert_eq!(
        a.get("/engine-rest/process-instance/count").await["count"],
        40
    );
    assert_eq!(
        a.get("/engine-rest/external-task/count").await["count"],
        20 - early
    );
    a.node.shutdown().await;
}

/// Writes that are tied to no revision of the instance, by what they say; each tells if the instance has them.
async fn loose(engine: &Engine, held: &Json, said: &str) -> Vec<Answer> {
    let task = format!(
        "/engine-rest/task/{}",
        held["task"][0]["id"].as_str().unwrap()
    );
    let work = held["work"][0]["id"].as_str().unwrap();
    let unlock = format!("/engine-rest/external-task/{work}/unlock");
    let (comment, link) = (
        format!("{task}/comment/create"),
        format!("{task}/identity-links"),
    );
    let delegate = format!("{task}/delegate");
    let message = json!({ "message": said });
    let user = json!({ "userId": said, "type": "candidate" });
    let other = json!({ "userId": said });
    let (comment, link, delegate, unlock) = tokio::join!(
        engine.send(Method::POST, &comment, message),
        engine.send(Method::POST, &link, user),
        engine.send(Method::POST, &delegate, other),
        engine.send(Method::POST, &unlock, json!({})),
    );
    vec![comment, link, delegate, unlock]
}

/// Which of the loose writes the instance has.
async fn kept(engine: &Engine, held: &Json, said: &str) -> Vec<bool> {
    let task = format!(
        "/engine-rest/task/{}",
        held["task"][0]["id"].as_str().unwrap()
    );
    let work = held["work"][0]["id"].as_str().unwrap();
    let comments = engine.get(&format!("{task}/comment")).await;
    let links = engine.get(&format!("{task}/identity-links")).await;
    let work = engine
        .get(&format!("/engine-rest/external-task/{work}"))
        .await;
    let of = |rows: &Json, field: &str, kind: Option<&str>| {
        let mut rows = rows.as_array().unwrap().iter();
        rows.any(|row| row[field] == said && kind.is_none_or(|kind| row["type"] == kind))
    };
    vec![
        of(&comments, "message", None),
        of(&links, "userId", Some("candidate")),
        engine.get(&task).await["assignee"] == said,
        work["workerId"].is_null(),
    ]
}

/// What was acknowledged is there, and what was refused is not.
async fn nothing_is_lost(a: &Engine, held: &Json, handover: &str, said: &str, told: &[Answer]) {
    for answer in told {
        let refused = (answer.status, answer.json()["reason"].clone()) == (503, json!("moving"));
        assert!(
            answer.status < 300 || refused,
            "{} {}",
            answer.status,
            answer.json()
        );
    }
    step(a, &format!("/{handover}/cancel"), json!({})).await;
    let acknowledged: Vec<bool> = told.iter().map(|answer| answer.status < 300).collect();
    assert_eq!(kept(a, held, said).await, acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_acknowledged_beside_an_export_from_a_file_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let a = site(
        &format!("sqlite:{}", folder.path().join("a").display()),
        "a",
    )
    .await;
    a.deploy(&many_waits()).await;
    for round in 0..10 {
        let id = begin(&a).await;
        let held = seen(&a, &id).await;
        let (handover, said) = (format!("h{round}"), format!("u{round}"));
        let ask = json!({ "id": handover, "instance": id });
        let (told, exported) = tokio::join!(loose(&a, &held, &said), post(&a, "", ask));
        assert_eq!(exported.status, 200, "{}", exported.json());
        nothing_is_lost(&a, &held, &handover, &said, &told).await;
    }
    a.node.shutdown().await;
}

/// A table is held until `waiting` sessions wait for a lock of the database.
async fn held_up(server: &Server, table: &str, waiting: usize) {
    let sql =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'a' AND wait_event_type = 'Lock'";
    eventually(&format!("{waiting} wait for {table}"), async || {
        server.ask("a", sql).parse::<usize>().unwrap() >= waiting
    })
    .await;
    let of = "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
              WHERE l.granted AND l.mode = 'ExclusiveLock' AND c.relname = ";
    server.ask("a", &format!("{of}'{table}'"));
}

/// Holds a table; when this returns it is held.
async fn hold(server: &Server, table: &str) -> std::process::Child {
    let sql = format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE; SELECT pg_sleep(120)");
    let session = server.hang("a", &sql);
    let held = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                WHERE l.granted AND l.mode = 'ExclusiveLock' AND c.relname = ";
    let asked = format!("{held}'{table}'");
    eventually("the table is held", async || server.ask("a", &asked) == "1").await;
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_acknowledged_beside_an_export_from_postgresql_is_in_it() {
    let server = Server::start();
    let a = site(&server.database("a"), "a").await;
    a.deploy(&many_waits()).await;

    // The export has taken the rows, and cannot commit yet: what comes now is refused.
    let id = begin(&a).await;
    let rows = seen(&a, &id).await;
    let mut session = hold(&server, "handover").await;
    let ask = json!({ "id": "h1", "instance": id });
    let (told, exported, ()) = tokio::join!(
        async {
            let taken = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                         WHERE NOT l.granted AND c.relname = 'handover'";
            eventually("the rows are taken", async || server.ask("a", taken) == "1").await;
            loose(&a, &rows, "late").await
        },
        post(&a, "", ask),
        held_up(&server, "handover", 5),
    );
    session.wait().unwrap();
    assert_eq!(exported.status, 200, "{}", exported.json());
    let states: Vec<u16> = told.iter().map(|answer| answer.status).collect();
    assert_eq!(states, [503; 4]);
    nothing_is_lost(&a, &rows, "h1", "late", &told).await;

    // A comment and a link have touched the task, and cannot commit yet: the export waits for them.
    for (table, which) in [("comment", 0), ("link", 1)] {
        let mut session = hold(&server, table).await;
        let (said, handover) = (format!("early {table}"), format!("h {table}"));
        let ask = json!({ "id": handover, "instance": id });
        let task = rows["task"][0]["id"].as_str().unwrap();
        let (path, body) = match which {
            0 => ("comment/create", json!({ "message": said })),
            _ => (
                "identity-links",
                json!({ "userId": said, "type": "candidate" }),
            ),
        };
        let path = format!("/engine-rest/task/{task}/{path}");
        let (told, exported, ()) = tokio::join!(
            a.send(Method::POST, &path, body),
            async {
                let sql = format!(
                    "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                     WHERE NOT l.granted AND c.relname = '{table}'"
                );
                eventually("the write waits", async || server.ask("a", &sql) == "1").await;
                post(&a, "", ask).await
            },
            held_up(&server, table, 2),
        );
        session.wait().unwrap();
        assert!(told.status < 300, "{}", told.json());
        assert_eq!(exported.status, 200, "{}", exported.json());
        let text = exported.json()["bundle"].to_string();
        assert!(text.contains(&said), "{text}");
        step(
            &a,
            &format!("/{}/cancel", handover.replace(' ', "%20")),
            json!({}),
        )
        .await;
    }
    a.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_handed_over_stays_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let (a, b) = (site(&url("a"), "a").await, site(&url("b"), "b").await);
    a.deploy(&many_waits()).await;
    let id = begin(&a).await;
    let below = seen(&a, &id).await["below"].clone();
    let called = post(&a, "", json!({ "id": "h", "instance": below })).await;
    assert_eq!(called.status, 409);
    assert!(called.json()["message"].as_str().unwrap().contains(&id));
    let unknown = post(&a, "", json!({ "id": "h", "instance": "nobody" })).await;
    assert_eq!(unknown.status, 404);
    let exported = export(&a, "h", &id).await;
    let missing = stage(&b, "h", &exported).await;
    assert_eq!(missing.status, 409, "{}", missing.json());
    assert!(
        missing.json()["message"]
            .as_str()
            .unwrap()
            .contains("deploy it first")
    );
    b.deploy(&many_waits()).await;
    let mut forged = exported.clone();
    forged["bundle"]["root"] = json!("another");
    assert_eq!(stage(&b, "h", &forged).await.status, 400);
    assert_eq!(stage(&b, "other", &exported).await.status, 400);
    assert_eq!(
        post(&b, "/h/activate", json!({ "generation": 1 }))
            .await
            .status,
        404
    );
    assert_eq!(
        post(&a, "/h/activate", json!({ "generation": 1 }))
            .await
            .status,
        409
    );
    assert_eq!(
        post(&a, "/h/entomb", json!({ "site": "b" })).await.status,
        400
    );
    step(&a, "/h/cancel", json!({})).await;
    assert_eq!(a.tasks(&id).await.len(), 1);
    a.node.shutdown().await;
    b.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_instance_with_a_job_under_way_waits_until_it_has_ended() {
    let server = Server::start();
    let a = site(&server.database("a"), "a").await;
    let slow = model(&format!(
        r#"<startEvent id="s"/><scriptTask id="slow" scriptFormat="javascript" camunda:asyncBefore="true">
        <script>const begin = Date.now(); while (Date.now() - begin &lt; 1200) {{}}</script></scriptTask><userTask id="u"/><endEvent id="e"/>{}"#,
        flows("s>slow slow>u u>e")
    ));
    a.deploy(&slow).await;
    let id = a.begin("p", json!({})).await;
    eventually("the job runs", async || {
        a.get("/homing/site").await["jobs_held"] == 1
    })
    .await;
    let early = post(&a, "", json!({ "id": "h", "instance": id })).await;
    assert_eq!(early.status, 409, "{}", early.json());
    eventually("it can be handed over", async || {
        post(&a, "", json!({ "id": "h", "instance": id }))
            .await
            .status
            == 200
    })
    .await;
    let held = a.get("/homing/handovers/h").await;
    assert_eq!(held["stage"], "exported");
    a.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_slept_through_the_way_back_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let sites = Sites::start([url("a"), url("b")]).await;
    let (a, b) = (&sites.a, &sites.b);
    let id = begin(a).await;
    let listed = a.get("/homing/instances?max=10").await;
    assert_eq!(listed["items"][0]["id"], id.as_str());
    assert_eq!(listed["items"][0]["called"].as_array().unwrap().len(), 1);
    for (from, to, way, at) in [(a, b, "op.1", 2), (b, a, "op.2", 3)] {
        let taken = export(from, way, &id).await;
        assert_eq!(taken["about"]["definition"], "p");
        assert_eq!(
            taken["ids"]["process-instance"].as_array().unwrap().len(),
            2
        );
        assert_eq!(stage(to, way, &taken).await.status, 200);
        let of = format!("/{way}/activate");
        step(to, &of, json!({ "generation": at })).await;
        let of = format!("/{way}/entomb");
        step(from, &of, json!({ "site": "x", "generation": at })).await;
    }
    let moved = a.get("/homing/handovers?prefix=op.&stage=moved").await;
    assert_eq!(
        (&moved["count"], &moved["items"][0]["id"]),
        (&json!(1), &json!("op.1"))
    );
    let late = json!({ "id": "op.0", "instance": id, "generation": 1 });
    let refused = post(a, "", late).await;
    assert_eq!(refused.status, 409, "{}", refused.json());
    let now = json!({ "id": "op.3", "instance": id, "generation": 3 });
    step(a, "", now).await;
}
