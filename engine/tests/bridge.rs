//! A bridge from a real RabbitMQ: what the broker sends again, because the engine died before it could acknowledge, has no
//! second effect.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::{Bridge, KeyAt, RabbitMq};
use http::Method;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::{Value as Json, json};
use std::time::Duration;
use support::postgres::Server;
use support::rabbitmq::Broker;
use support::{Engine, eventually, flows, model};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const ORDERS: usize = 20;
/// The orders, one of them once more, and one without a message id.
const SENT: u32 = 22;

/// What becomes of what the engine says to the broker.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    Held,
    Cut,
}

/// Ends when either side does, or when the way is cut.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        match way.wait_for(|way| *way != Way::Held).await {
            Ok(now) if *now == Way::Open => {}
            _ => return,
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}

/// A way to the broker on which the engine can be held back while it goes on to hear the broker.
async fn way_to(broker: u16) -> (u16, watch::Sender<Way>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (change, way) = watch::channel(Way::Open);
    tokio::spawn(async move {
        let (always, free) = watch::channel(Way::Open);
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(("127.0.0.1", broker)).await else {
                continue;
            };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            let up = pass(near_in, far_out, way.clone());
            let down = pass(far_in, near_out, free.clone());
            tokio::spawn(async move {
                tokio::select! { () = up => {}, () = down => {} }
            });
        }
        drop(always);
    });
    (port, change)
}

async fn publish(channel: &Channel, id: Option<&str>, body: Json) {
    let mut properties = BasicProperties::default().with_delivery_mode(2);
    if let Some(id) = id {
        properties = properties.with_message_id(id.into());
    }
    let (body, options) = (body.to_string(), BasicPublishOptions::default());
    let sent = channel.basic_publish("".into(), "in".into(), options, body.as_bytes(), properties);
    sent.await.unwrap().await.unwrap();
}

/// Messages that the broker has given to nobody.
async fn unsent(channel: &Channel) -> u32 {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let found = channel.queue_declare("in".into(), passive, FieldTable::default());
    found.await.unwrap().message_count()
}

async fn bridged(url: &str, name: &str, broker: u16) -> Engine {
    Engine::with(|options| {
        options.store_url = url.to_owned();
        options.name = name.to_owned();
        options.failover_window = Duration::from_millis(900);
        options.bridges = vec![Bridge {
            name: "orders".to_owned(),
            broker: homing_engine::Broker::RabbitMq(RabbitMq {
                url: Broker::url_through(broker),
                prefetch: 200,
            }),
            from: "in".to_owned(),
            queue: "orders".to_owned(),
            key: KeyAt::MessageId,
        }];
    })
    .await
}

async fn told(engine: &Engine, what: &str) -> Json {
    engine.get("/homing/bridges").await[0][what].clone()
}

/// How many instances there are, and of how many business keys.
async fn instances(engine: &Engine) -> (usize, usize) {
    let path = "/engine-rest/process-instance?maxResults=1000";
    let rows = engine.get(path).await;
    let rows = rows.as_array().unwrap();
    let keys = rows.iter().map(|row| row["businessKey"].as_str().unwrap());
    let keys: std::collections::HashSet<&str> = keys.collect();
    (rows.len(), keys.len())
}

async fn channel_of(broker: &Broker) -> (Connection, Channel) {
    let url = Broker::url_through(broker.port);
    let connection = Connection::connect(&url, ConnectionProperties::default());
    let connection = connection.await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let confirm = channel.confirm_select(ConfirmSelectOptions::default());
    confirm.await.unwrap();
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let made = channel.queue_declare("in".into(), durable, FieldTable::default());
    made.await.unwrap();
    (connection, channel)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_broker_sends_again_after_a_death_has_one_effect() {
    let (server, broker) = (Server::start(), Broker::start());
    let url = server.database("bridged");
    let (_connection, channel) = channel_of(&broker).await;
    let (port, way) = way_to(broker.port).await;
    let engine = bridged(&url, "first", port).await;
    let xml = format!(
        r#"<startEvent id="s"/><userTask id="u"/><endEvent id="e"/>{}"#,
        flows("s>u u>e")
    );
    engine.deploy(&model(&xml)).await;
    let settings = json!({ "deliver": { "start": "p" } });
    engine.put("/homing/queues/orders", settings).await;
    eventually("it is open", async || {
        told(&engine, "state").await == "open"
    })
    .await;

    // From here on no acknowledgement reaches the broker.
    way.send_replace(Way::Held);
    for n in 0..ORDERS {
        publish(&channel, Some(&format!("order-{n}")), json!({ "n": n })).await;
    }
    publish(&channel, Some("order-0"), json!({ "n": 0 })).await;
    publish(&channel, None, json!({ "n": -1 })).await;
    eventually("every order is committed", async || {
        told(&engine, "poison").await == 1 && instances(&engine).await == (ORDERS, ORDERS)
    })
    .await;
    assert_eq!(unsent(&channel).await, 0, "the broker waits for its answer");

    engine.node.abort();
    way.send_replace(Way::Cut);
    eventually("it has them all back", async || {
        unsent(&channel).await == SENT
    })
    .await;
    way.send_replace(Way::Open);
    let engine = bridged(&url, "second", port).await;
    eventually("all were sent again, and known", async || {
        told(&engine, "duplicates").await == SENT && unsent(&channel).await == 0
    })
    .await;
    assert_eq!(told(&engine, "taken").await, 0);
    publish(&channel, Some("last"), json!({})).await;
    let after = (ORDERS + 1, ORDERS + 1);
    eventually("what comes later is worked on", async || {
        instances(&engine).await == after
    })
    .await;
    let dead = engine.get("/homing/queues/orders/dead").await;
    assert_eq!(dead.as_array().unwrap().len(), 1, "{dead}");
    assert!(
        dead[0]["error"].as_str().unwrap().contains("message_id"),
        "{dead}"
    );
    let answer = engine.call(Method::GET, "/homing/openapi.json", None).await;
    assert!(answer.json()["paths"]["/homing/bridges"].is_object());
    engine.node.shutdown().await;
}
