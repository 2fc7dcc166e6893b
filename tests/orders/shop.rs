//! The shop's interface: orders by their number, a customer's session, payments, prices, figures.
//!
//! Owns paths and bodies. Lists and figures are this shard's own: only together with the others' are they the whole.

use crate::answer::{Answer, Refused};
use crate::prices::Prices;
use crate::process::{Order, Processes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// Who a request comes from, as the gateway in front of the shop has found out.
const CUSTOMER: &str = "customer";
const COOKIE: &str = "SID=";

#[derive(Clone)]
struct Shop {
    processes: Processes,
    prices: Prices,
    /// Who is logged in, in this process's memory only.
    sessions: Arc<Mutex<HashMap<String, String>>>,
}

#[derive(Deserialize)]
struct NewOrder {
    item: String,
    cents: i64,
}

#[derive(Deserialize)]
struct Payment {
    order: String,
}

#[derive(Deserialize)]
struct Price {
    cents: i64,
}

pub(crate) fn routes(processes: Processes, prices: Prices) -> Router {
    let shop = Shop {
        processes,
        prices,
        sessions: Arc::default(),
    };
    Router::new()
        .route("/orders", get(all).post(place))
        .route("/orders/figures", get(figures))
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/packed", post(packed))
        .route("/payments", post(paid))
        .route("/prices/{item}", put(set_price).get(price))
        .route("/app/login", post(log_in))
        .route("/app/orders", get(mine))
        .route("/health", get(health))
        .with_state(shop)
}

fn customer(headers: &HeaderMap) -> Result<&str, Refused> {
    let name = headers.get(CUSTOMER).and_then(|name| name.to_str().ok());
    name.ok_or_else(|| Refused(StatusCode::UNAUTHORIZED, "who are you?".into()))
}

fn line(order: &Order) -> Value {
    json!({ "id": order.id, "customer": order.customer })
}

async fn place(
    State(shop): State<Shop>,
    headers: HeaderMap,
    Json(new): Json<NewOrder>,
) -> Result<Response, Refused> {
    let customer = customer(&headers)?;
    let id = shop.processes.place(customer, &new.item, new.cents).await?;
    let order = json!({ "id": id, "customer": customer });
    Ok((StatusCode::CREATED, Json(order)).into_response())
}

async fn all(State(shop): State<Shop>) -> Answer {
    let orders = shop.processes.all(None).await?;
    Ok(Json(orders.iter().map(line).collect()))
}

async fn figures(State(shop): State<Shop>) -> Answer {
    let orders = shop.processes.all(None).await?.len();
    let cents = shop.processes.cents().await?;
    Ok(Json(
        json!({ "orders": orders, "cents": cents, "shards": 1 }),
    ))
}

async fn show(State(shop): State<Shop>, Path(id): Path<String>) -> Answer {
    let (order, mut details) = shop.processes.find(&id).await?;
    details["id"] = order.id.into();
    details["customer"] = order.customer.into();
    Ok(Json(details))
}

/// The payment service knows nothing but the order's number.
async fn paid(State(shop): State<Shop>, Json(payment): Json<Payment>) -> Answer {
    shop.processes.pay(&payment.order).await?;
    Ok(Json(json!({ "order": payment.order })))
}

async fn packed(State(shop): State<Shop>, Path(id): Path<String>) -> Answer {
    shop.processes.pack(&id).await?;
    Ok(Json(json!({ "id": id })))
}

async fn set_price(
    State(shop): State<Shop>,
    Path(item): Path<String>,
    Json(price): Json<Price>,
) -> Answer {
    shop.prices.set(&item, price.cents).await?;
    Ok(Json(json!({ "item": item, "cents": price.cents })))
}

async fn price(State(shop): State<Shop>, Path(item): Path<String>) -> Answer {
    let cents = shop.prices.of(&item).await?;
    let cents = cents.ok_or_else(|| Refused::missing("price"))?;
    Ok(Json(json!({ "item": item, "cents": cents })))
}

async fn log_in(State(shop): State<Shop>, headers: HeaderMap) -> Result<Response, Refused> {
    let customer = customer(&headers)?.to_owned();
    let session = Uuid::new_v4().simple().to_string();
    let cookie = format!("{COOKIE}{session}; Path=/app; HttpOnly");
    let answer = json!({ "customer": customer });
    let mut sessions = shop.sessions.lock().unwrap_or_else(PoisonError::into_inner);
    sessions.insert(session, customer);
    Ok(([(header::SET_COOKIE, cookie)], Json(answer)).into_response())
}

/// A session that this process does not know is nobody's: the mark of a request at the wrong shard.
async fn mine(State(shop): State<Shop>, headers: HeaderMap) -> Answer {
    let cookie = headers.get(header::COOKIE).and_then(|it| it.to_str().ok());
    let session = cookie.and_then(|cookie| cookie.strip_prefix(COOKIE));
    let sessions = || shop.sessions.lock().unwrap_or_else(PoisonError::into_inner);
    let customer = session.and_then(|session| sessions().get(session).cloned());
    let unknown = || Refused(StatusCode::UNAUTHORIZED, "no such session here".into());
    let customer = customer.ok_or_else(unknown)?;
    let orders = shop.processes.all(Some(&customer)).await?;
    Ok(Json(orders.iter().map(line).collect()))
}

/// Touches the database.
async fn health(State(shop): State<Shop>) -> Answer {
    shop.prices.of("").await?;
    Ok(Json(json!({})))
}
