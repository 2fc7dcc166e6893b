//! The process engine inside the application: each order is an instance of `order.bpmn`.
//!
//! Owns how an order is started, paid, packed and found. The engine is called in this process, without a socket. Must
//! not know HTTP requests of customers.

use crate::answer::Refused;
use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use homing_engine::runtime::Upload;
use homing_engine::{Node, Options};
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tower::ServiceExt as _;

const MODEL: &[u8] = include_bytes!("../../deploy/orders/order.bpmn");
/// The engine's own answers are read whole; a list of all orders of a shard fits.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Connections of the engine to its database.
const CONNECTIONS: u32 = 3;

/// The engine.
#[derive(Clone)]
pub(crate) struct Processes {
    engine: Router,
    /// Timers and jobs run as long as it lives.
    _node: Arc<Node>,
}

/// An order.
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) customer: String,
}

impl Processes {
    /// Starts the engine on its database and deploys the model, if it is not there.
    pub(crate) async fn start(database: &str) -> Result<Processes> {
        let options = Options {
            // Its REST interface is not needed: a port that nobody is told.
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            store_url: database.to_owned(),
            connections: CONNECTIONS,
            ..Options::default()
        };
        let node = Node::start(options).await.context("starting the engine")?;
        let upload = Upload {
            name: Some("orders".into()),
            filter_duplicates: true,
            resources: vec![("order.bpmn".into(), MODEL.to_vec())],
            ..Upload::default()
        };
        node.handle().deploy(upload).await.context("deploying")?;
        Ok(Processes {
            engine: homing_engine::router(node.handle().clone()),
            _node: Arc::new(node),
        })
    }

    /// The new order's id.
    pub(crate) async fn place(
        &self,
        customer: &str,
        item: &str,
        cents: i64,
    ) -> Result<String, Refused> {
        let start = json!({
            "businessKey": customer,
            "variables": {
                "item": { "value": item, "type": "String" },
                "cents": { "value": cents, "type": "Long" },
            },
        });
        let path = "/process-definition/key/order/start";
        let started = self.ask(Method::POST, path, Some(start)).await?;
        Ok(text(&started, "id"))
    }

    pub(crate) async fn find(&self, id: &str) -> Result<(Order, Value), Refused> {
        let instance = self.ask(Method::GET, &instance_path(id), None).await?;
        let path = format!("{}/variables", instance_path(id));
        let variables = self.ask(Method::GET, &path, None).await?;
        let state = if self.task(id).await?.is_some() {
            "to be packed"
        } else {
            "to be paid"
        };
        let (item, cents) = (&variables["item"]["value"], &variables["cents"]["value"]);
        let details = json!({ "item": item, "cents": cents, "state": state });
        Ok((order(&instance), details))
    }

    pub(crate) async fn all(&self, of: Option<&str>) -> Result<Vec<Order>, Refused> {
        let filter = of.map_or_else(|| json!({}), |customer| json!({ "businessKey": customer }));
        let list = self
            .ask(Method::POST, "/process-instance", Some(filter))
            .await?;
        Ok(list.as_array().into_iter().flatten().map(order).collect())
    }

    /// What all open orders cost.
    pub(crate) async fn cents(&self) -> Result<i64, Refused> {
        let filter = Some(json!({ "variableName": "cents" }));
        let list = self.ask(Method::POST, "/variable-instance", filter).await?;
        let cents = list.as_array().into_iter().flatten();
        Ok(cents
            .filter_map(|variable| variable["value"].as_i64())
            .sum())
    }

    pub(crate) async fn pay(&self, id: &str) -> Result<(), Refused> {
        let message = json!({ "messageName": "paid", "processInstanceId": id });
        self.ask(Method::POST, "/message", Some(message)).await?;
        Ok(())
    }

    pub(crate) async fn pack(&self, id: &str) -> Result<(), Refused> {
        let Some(task) = self.task(id).await? else {
            return Err(Refused(StatusCode::CONFLICT, format!("{id} is not paid")));
        };
        let path = format!("/task/{task}/complete");
        self.ask(Method::POST, &path, Some(json!({}))).await?;
        Ok(())
    }

    async fn task(&self, id: &str) -> Result<Option<String>, Refused> {
        let filter = Some(json!({ "processInstanceId": id }));
        let tasks = self.ask(Method::POST, "/task", filter).await?;
        Ok(tasks.get(0).map(|task| text(task, "id")))
    }

    /// One call of the engine's interface.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Refused> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/engine-rest{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))?;
        let answer = match self.engine.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await?;
        if !status.is_success() {
            let said = String::from_utf8_lossy(&bytes).into_owned();
            return Err(Refused(status, said));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&bytes)?)
    }
}

fn instance_path(id: &str) -> String {
    format!("/process-instance/{id}")
}

fn order(instance: &Value) -> Order {
    Order {
        id: text(instance, "id"),
        customer: text(instance, "businessKey"),
    }
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}
