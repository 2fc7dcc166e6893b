//! Orders to agents.
//!
//! Owns their rows. Must not carry them out. Relies on the store's lock: an order and the generation that it belongs to
//! are judged together.

use super::Sql;
use super::names::{Known, generation};
use super::session::{Row, Session, args};
use super::switch::held;
use super::write::{What, Write};
use crate::agent::{NewOrder, Order, OrderKind, OrderState};
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::store::Error;
use crate::{Generation, SiteId};
use uuid::Uuid;

/// Orders of a site that are read at once.
const ORDERS_MAX: i64 = 200;
/// Longest detail of an order, in bytes; the rest is cut off.
const DETAIL_BYTES_MAX: usize = 8 * 1024;

impl Sql {
    pub(super) async fn give_order(
        &self,
        order: &NewOrder,
        audit: &AuditEntry,
    ) -> Result<Order, Error> {
        let number = self.site_number(order.site).await?;
        let mut write = self.write("give an order").await?;
        let known = self.names.known();
        let result = give(&mut write, &known, number, order, audit).await;
        write.end(result).await
    }

    pub(super) async fn orders_of(&self, site: SiteId) -> Result<Vec<Order>, Error> {
        let number = self.site_number(site).await?;
        let mut session = self.read("read orders").await?;
        let sql = "SELECT id, site, installation, generation, what, state, detail, at, updated_at FROM orders \
                   WHERE site = $1 ORDER BY at DESC, id LIMIT $2";
        let rows = session.rows(sql, args![number, ORDERS_MAX]).await?;
        session.commit().await?;
        rows.iter().rev().map(|row| read(site, row)).collect()
    }

    pub(super) async fn move_order(
        &self,
        id: Uuid,
        expected: OrderState,
        to: OrderState,
        detail: &str,
    ) -> Result<Order, Error> {
        let mut write = self.write("follow an order").await?;
        let known = self.names.refresh(write.session.as_mut()).await?;
        let result = advance(&mut write, &known, id, expected, to, detail).await;
        write.end(result).await
    }
}

async fn one(session: &mut dyn Session, known: &Known, id: Uuid) -> Result<Option<Order>, Error> {
    let sql = "SELECT id, site, installation, generation, what, state, detail, at, updated_at FROM orders WHERE id = $1";
    let rows = session.rows(sql, args![id.to_string()]).await?;
    rows.first()
        .map(|row| read(known.site_at(row.int(1)?)?, row))
        .transpose()
}

/// Refuses what belongs to a generation that is over.
async fn current(
    write: &mut Write,
    site: SiteId,
    number: i64,
    at: Generation,
) -> Result<(), Error> {
    let found = held(write, site, number).await?.generation;
    if found == at {
        return Ok(());
    }
    Err(Error::Stale {
        what: format!("the assignment of {site}"),
        expected: Some(at),
        found: Some(found),
    })
}

async fn give(
    write: &mut Write,
    known: &Known,
    number: i64,
    order: &NewOrder,
    audit: &AuditEntry,
) -> Result<Order, Error> {
    if let Some(before) = one(write.session.as_mut(), known, order.id).await? {
        return if before.order == *order {
            Ok(before)
        } else {
            Err(Error::Busy(format!("{} is another order", order.id)))
        };
    }
    current(write, order.site, number, order.generation).await?;
    let now = write.session.now().await?;
    let sql = "INSERT INTO orders (id, site, installation, generation, what, state, detail, at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, '', $7, $7)";
    let args = args![
        order.id.to_string(),
        number,
        &order.installation,
        order.generation,
        order.what.as_str(),
        OrderState::Asked.as_str(),
        now,
    ];
    write.session.run(sql, args).await?;
    write
        .event_of_name(What::Assignment, order.site.name())
        .await?;
    write.audit(audit).await?;
    Ok(Order {
        order: order.clone(),
        state: OrderState::Asked,
        detail: String::new(),
        at: now,
        updated_at: now,
    })
}

async fn advance(
    write: &mut Write,
    known: &Known,
    id: Uuid,
    expected: OrderState,
    to: OrderState,
    detail: &str,
) -> Result<Order, Error> {
    let before = one(write.session.as_mut(), known, id).await?;
    let mut order = before.ok_or_else(|| Error::Unknown {
        what: format!("order {id}"),
    })?;
    let site = order.order.site;
    let number = known.site(site).ok_or_else(|| Error::Unknown {
        what: format!("site {site}"),
    })?;
    current(write, site, number, order.order.generation).await?;
    if order.state != expected || !expected.may_become(to) {
        let state = order.state;
        return Err(Error::Busy(format!(
            "order {id} is {state}, so it cannot go from {expected} to {to}"
        )));
    }
    let now = write.session.now().await?;
    let mut end = detail.len().min(DETAIL_BYTES_MAX);
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    let sql =
        "UPDATE orders SET state = $1, detail = $2, updated_at = $3 WHERE id = $4 AND state = $5";
    let args = args![
        to.as_str(),
        &detail[..end],
        now,
        id.to_string(),
        expected.as_str()
    ];
    write.session.run(sql, args).await?;
    write.event_of_name(What::Assignment, site.name()).await?;
    (order.state, order.updated_at) = (to, now);
    detail[..end].clone_into(&mut order.detail);
    Ok(order)
}

fn read(site: SiteId, row: &Row) -> Result<Order, Error> {
    let (id, what, state) = (row.text(0)?, row.text(4)?, row.text(5)?);
    let unreadable = |text: &str| Error::Corrupt(format!("an order holds \"{text}\""));
    Ok(Order {
        order: NewOrder {
            id: id.parse().map_err(|_| unreadable(&id))?,
            site,
            installation: row.text(2)?,
            generation: generation(row.int(3)?)?,
            what: OrderKind::parse(&what).ok_or_else(|| unreadable(&what))?,
        },
        state: OrderState::parse(&state).ok_or_else(|| unreadable(&state))?,
        detail: row.text(6)?,
        at: Timestamp(row.int(7)?),
        updated_at: Timestamp(row.int(8)?),
    })
}
