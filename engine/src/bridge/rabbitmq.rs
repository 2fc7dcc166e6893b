//! A queue of RabbitMQ, consumed with manual acknowledgement.
//!
//! Owns the connection and the order of things: messages are taken in batches, put into the work queue in one transaction,
//! and acknowledged after its commit. When anything fails the connection is dropped, and the broker sends them again.

use super::taken::{Delivered, Taken, taken};
use super::{Bridge, Broken, KeyAt, RabbitMq, serving};
use crate::runtime::Handle;
use crate::store::NewMessage;
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, ConnectionProperties, Consumer};
use std::time::Duration;
use tokio::sync::watch;

/// Longest wait for a connection, and for its end.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Messages that are put with one transaction.
const BATCH_MAX: usize = 100;
/// How the broker is told that this end leaves.
const GOODBYE: u16 = 200;

/// Takes messages until `stop`, or until something breaks.
pub(super) async fn consume(
    handle: &Handle,
    bridge: &Bridge,
    broker: &RabbitMq,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), Broken> {
    let opened = tokio::time::timeout(CONNECT_MAX, open(bridge, broker)).await;
    let (connection, mut consumer) = opened.map_err(|_| Broken::Late(CONNECT_MAX))??;
    tracing::info!(
        bridge = bridge.name,
        from = bridge.from,
        queue = bridge.queue,
        "the bridge is open"
    );
    handle.inner.bridges.change(bridge, |told| {
        told.connected = true;
        told.error = None;
    });
    let ended = loop {
        let first = tokio::select! {
            next = consumer.next() => match next {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => break Err(error.into()),
                None => break Err(Broken::Ended),
            },
            _ = stop.changed() => break Ok(()),
        };
        if !serving(handle) {
            break Err(Broken::NotServing);
        }
        let (mut batch, mut after) = (vec![first], None);
        while batch.len() < BATCH_MAX && after.is_none() {
            match consumer.next().now_or_never() {
                Some(Some(Ok(delivery))) => batch.push(delivery),
                Some(Some(Err(error))) => after = Some(error.into()),
                Some(None) => after = Some(Broken::Ended),
                // That is all that has come by now.
                None => break,
            }
        }
        if let Err(broken) = take(handle, bridge, batch).await {
            break Err(broken);
        }
        if let Some(broken) = after {
            break Err(broken);
        }
    };
    let close = connection.close(GOODBYE, "the bridge is closed".into());
    // A connection that is broken cannot be closed in good order.
    drop(tokio::time::timeout(CONNECT_MAX, close).await);
    ended
}

async fn open(bridge: &Bridge, broker: &RabbitMq) -> Result<(Connection, Consumer), Broken> {
    let name = format!("homing engine: bridge {}", bridge.name);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let from = ShortString::try_new(bridge.from.as_str()).map_err(|_| Broken::Name)?;
    let connection = Connection::connect(&broker.url, properties).await?;
    let channel = connection.create_channel().await?;
    channel
        .basic_qos(broker.prefetch, BasicQosOptions::default())
        .await?;
    let consumer = channel
        .basic_consume(
            from,
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    Ok((connection, consumer))
}

/// Puts a batch into the work queue, and then tells the broker.
async fn take(handle: &Handle, bridge: &Bridge, batch: Vec<Delivery>) -> Result<(), Broken> {
    let messages: Vec<NewMessage> = batch.iter().map(|d| message(handle, bridge, d)).collect();
    let new = handle.put(&bridge.queue, &messages, &[]).await?;
    if let Some(last) = batch.last() {
        // The channel is this bridge's alone, so everything up to the last one is of this batch.
        last.acker.ack(BasicAckOptions { multiple: true }).await?;
    }
    handle.inner.bridges.count(bridge, &messages, &new);
    Ok(())
}

fn message(handle: &Handle, bridge: &Bridge, delivery: &Delivery) -> NewMessage {
    let properties = &delivery.properties;
    let delivered = Delivered {
        message_id: properties
            .message_id()
            .as_ref()
            .map(|id| id.as_str().to_owned()),
        header: match &bridge.key {
            KeyAt::Header(name) => header(properties.headers().as_ref(), name),
            KeyAt::MessageId | KeyAt::RecordKey | KeyAt::Place | KeyAt::Body(_) => None,
        },
        content_type: properties
            .content_type()
            .as_ref()
            .map(|media| media.as_str().to_owned()),
        body: delivery.data.clone(),
        ..Delivered::default()
    };
    let Taken { key, media, poison } = taken(&bridge.key, &delivered);
    NewMessage {
        id: handle.new_id(),
        key,
        media,
        body: delivered.body,
        priority: properties.priority().map_or(0, i64::from),
        visible: handle.clock().now(),
        origin: Some(format!(
            "{}: exchange '{}', routing key '{}'",
            bridge.name, delivery.exchange, delivery.routing_key
        )),
        poison: poison.map(|why| bridge.poison(handle, &why)),
    }
}

/// A header that is a text or a number.
fn header(headers: Option<&FieldTable>, name: &str) -> Option<String> {
    let value = headers?.inner().get(name)?;
    Some(match value {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok()?,
        AMQPValue::ShortString(text) => text.as_str().to_owned(),
        AMQPValue::ShortShortInt(n) => n.to_string(),
        AMQPValue::ShortShortUInt(n) => n.to_string(),
        AMQPValue::ShortInt(n) => n.to_string(),
        AMQPValue::ShortUInt(n) => n.to_string(),
        AMQPValue::LongInt(n) => n.to_string(),
        AMQPValue::LongUInt(n) => n.to_string(),
        AMQPValue::LongLongInt(n) => n.to_string(),
        _ => return None,
    })
}
