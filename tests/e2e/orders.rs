//! The order service of `deploy/orders`: eight shards with a database each look like one, by configuration alone.

mod shop;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use homing_harness::client::{Answer, Client};
use homing_harness::clock::eventually;
use homing_harness::outcome::Promise;
use serde_json::{Value, json};
use shop::{PATIENCE, Shop};
use std::collections::{BTreeMap, BTreeSet};

const CUSTOMERS: usize = 25;
const ORDERS_EACH: usize = 8;
const CENTS: i64 = 1_250;
/// Customers who order at a time.
const AT_A_TIME: usize = 6;

/// An order as its customer knows it.
struct Order {
    id: String,
    customer: usize,
    /// What `Homing-Site` said.
    shard: String,
}

impl Shop {
    /// Every customer has a router of his own choice.
    fn client(&self, customer: usize) -> Client {
        let router = &self.routers[customer % 2];
        router
            .client("")
            .with_header("customer", &format!("customer-{customer}"))
    }

    async fn orders_of(&self, customer: usize) -> Result<Vec<Order>> {
        let client = self.client(customer);
        let mut orders = Vec::new();
        for number in 0..ORDERS_EACH {
            let order = json!({ "item": format!("book {number}"), "cents": CENTS });
            let made = client.post("/orders", &order).await?.expect(201)?;
            orders.push(Order {
                id: made.member("id")?,
                customer,
                shard: site(&made)?,
            });
        }
        Ok(orders)
    }

    /// Which shard's database has which orders: `id -> shard`. An order in two databases is an error.
    async fn databases(&self) -> Result<BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        for shard in &self.shards {
            for id in shard.database.column("SELECT id FROM inst").await? {
                let other = all.insert(id.clone(), shard.name.clone());
                ensure!(other.is_none(), "{id} is at {} and {other:?}", shard.name);
            }
        }
        Ok(all)
    }

    /// The rows of the table order -> shard, by SQL.
    async fn table(&self) -> Result<BTreeMap<String, String>> {
        let sql = "SELECT encode(m.id, 'hex') || ' ' || home.name FROM mappings m \
                   JOIN names kind ON kind.class = 1 AND kind.number = m.kind AND kind.name = 'order' \
                   JOIN names home ON home.class = 3 AND home.number = m.home";
        let rows = self.store.column(sql).await?;
        let rows = rows.iter().map(|row| {
            let (id, shard) = row.split_once(' ').context("a row")?;
            let id = uuid::Uuid::parse_str(id)?.to_string();
            Ok((id, shard.to_owned()))
        });
        rows.collect()
    }

    /// A key that the other router has just learned is in the table a moment later.
    async fn known(&self, client: &Client, path: &str) -> Result<Answer> {
        eventually(path, PATIENCE, async || {
            let answer = client.get(path).await?;
            Ok((answer.status != 503).then_some(answer))
        })
        .await
    }
}

fn site(answer: &Answer) -> Result<String> {
    let site = answer.header("homing-site").context("no Homing-Site")?;
    Ok(site.to_owned())
}

fn ids(list: &Answer) -> Result<BTreeSet<String>> {
    let list = list.json()?;
    let rows = list.as_array().context("no list")?;
    let ids: BTreeSet<String> = rows
        .iter()
        .filter_map(|row| row["id"].as_str().map(str::to_owned))
        .collect();
    ensure!(ids.len() == rows.len(), "an order is listed twice");
    Ok(ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_shards_with_a_database_each_are_one_order_service() -> Promise {
    let shop = Shop::open().await?;
    let orders: Vec<Order> = futures_util::stream::iter(0..CUSTOMERS)
        .map(|customer| shop.orders_of(customer))
        .buffer_unordered(AT_A_TIME)
        .try_collect::<Vec<_>>()
        .await?
        .into_iter()
        .flatten()
        .collect();

    each_order_is_in_one_database_and_the_table_says_which(&shop, &orders).await?;
    lists_and_figures_are_the_whole(&shop).await?;
    either_router_finds_every_order(&shop, &orders).await?;
    what_all_need_is_in_every_database(&shop).await?;
    a_session_stays_where_its_customers_orders_are(&shop, &orders).await?;
    a_shard_that_is_down_harms_nobody_else(&shop, &orders).await?;
    Ok(())
}

#[test]
fn the_page_shows_the_file_that_is_tested() {
    let page = include_str!("../../docs/dialects/orders-example.md");
    let shown = page
        .split("```")
        .find_map(|block| block.strip_prefix("toml\n"));
    let shown = shown.expect("a block of TOML").trim();
    assert!(shop::FILE.contains(shown), "{shown}");
}

async fn each_order_is_in_one_database_and_the_table_says_which(
    shop: &Shop,
    orders: &[Order],
) -> Result<()> {
    let told: BTreeMap<String, String> = orders
        .iter()
        .map(|order| (order.id.clone(), order.shard.clone()))
        .collect();
    assert_eq!(told.len(), CUSTOMERS * ORDERS_EACH);
    assert_eq!(shop.databases().await?, told);
    eventually("the table has every order", PATIENCE, async || {
        Ok((shop.table().await?.len() >= told.len()).then_some(()))
    })
    .await?;
    assert_eq!(shop.table().await?, told);
    let homes: BTreeSet<(usize, &str)> = orders
        .iter()
        .map(|order| (order.customer, order.shard.as_str()))
        .collect();
    assert_eq!(homes.len(), CUSTOMERS, "a customer has two homes");
    let used: BTreeSet<&str> = homes.iter().map(|(_, shard)| *shard).collect();
    // All 25 at three shards of eight would be an accident of one in a hundred million.
    assert!(used.len() > 3, "{used:?}");
    Ok(())
}

async fn lists_and_figures_are_the_whole(shop: &Shop) -> Result<()> {
    let expected: BTreeSet<String> = shop.databases().await?.into_keys().collect();
    for router in &shop.routers {
        let client = router.client("");
        let list = client.get("/orders").await?.expect(200)?;
        assert_eq!(list.header("homing-missing-sites"), None);
        assert_eq!(ids(&list)?, expected);
        let figures = client.get("/orders/figures").await?.expect(200)?.json()?;
        let count = i64::try_from(expected.len())?;
        let whole = json!({ "orders": count, "cents": count * CENTS, "shards": 8 });
        assert_eq!(figures, whole);
    }
    Ok(())
}

/// Through the router that has not seen the order made; every fifth one is paid, and of these one is packed.
async fn either_router_finds_every_order(shop: &Shop, orders: &[Order]) -> Result<()> {
    for (number, order) in orders.iter().enumerate() {
        let client = shop.client(order.customer + 1);
        let path = format!("/orders/{}", order.id);
        let shown = shop.known(&client, &path).await?.expect(200)?;
        assert_eq!(site(&shown)?, order.shard);
        assert_eq!(
            shown.member("customer")?,
            format!("customer-{}", order.customer)
        );
        if number % 5 == 0 {
            let payment = json!({ "order": order.id });
            let paid = client.post("/payments", &payment).await?.expect(200)?;
            assert_eq!(site(&paid)?, order.shard);
        }
    }
    let mut tasks = BTreeSet::new();
    for shard in &shop.shards {
        tasks.extend(shard.database.column("SELECT inst FROM task").await?);
    }
    let paid: BTreeSet<String> = orders.iter().step_by(5).map(|o| o.id.clone()).collect();
    assert_eq!(tasks, paid, "who is to be packed, by SQL");
    let first = orders.first().context("no orders")?;
    let client = shop.client(first.customer + 1);
    let packed = format!("/orders/{}/packed", first.id);
    client.post(&packed, &json!({})).await?.expect(200)?;
    ensure!(!shop.databases().await?.contains_key(&first.id), "not sent");
    Ok(())
}

async fn what_all_need_is_in_every_database(shop: &Shop) -> Result<()> {
    let price = json!({ "cents": CENTS });
    shop.client(0)
        .put("/prices/book", &price)
        .await?
        .expect(200)?;
    for shard in &shop.shards {
        let sql = "SELECT cents FROM price WHERE item = 'book'";
        assert_eq!(shard.database.count(sql).await?, CENTS, "{}", shard.name);
    }
    let read = shop.client(1).get("/prices/book").await?.expect(200)?;
    assert_eq!(read.json()?["cents"], CENTS);
    Ok(())
}

async fn a_session_stays_where_its_customers_orders_are(
    shop: &Shop,
    orders: &[Order],
) -> Result<()> {
    // Each customer's last, which nobody has packed.
    for order in orders.iter().skip(ORDERS_EACH - 1).step_by(ORDERS_EACH) {
        let client = shop.client(order.customer);
        let login = client.post("/app/login", &Value::Null).await?.expect(200)?;
        assert_eq!(site(&login)?, order.shard);
        // Who logs in again shows what he has, and gets another.
        let client = client.with_header("cookie", &cookie(&login)?);
        let again = client.post("/app/login", &Value::Null).await?.expect(200)?;
        assert_ne!(cookie(&again)?, cookie(&login)?);
        for session in [login, again] {
            // The other router first, at once.
            for router in [order.customer + 1, order.customer] {
                let client = shop.routers[router % 2].client("");
                let client = client.with_header("cookie", &cookie(&session)?);
                let mine = client.get("/app/orders").await?.expect(200)?;
                assert_eq!(site(&mine)?, order.shard);
                assert!(ids(&mine)?.contains(&order.id));
            }
        }
    }
    Ok(())
}

/// As a browser sends it back.
fn cookie(answer: &Answer) -> Result<String> {
    let cookie = answer.header("set-cookie").context("no cookie")?;
    let cookie = cookie.split(';').next().context("an empty cookie")?;
    Ok(cookie.to_owned())
}

async fn a_shard_that_is_down_harms_nobody_else(shop: &Shop, orders: &[Order]) -> Result<()> {
    let lost = shop.shard(&orders.last().context("no orders")?.shard)?;
    let (there, elsewhere): (Vec<&Order>, Vec<&Order>) =
        orders.iter().skip(1).partition(|o| o.shard == lost.name);
    let before = shop.databases().await?;
    lost.kill()?;
    let [_, client] = shop.routers.each_ref().map(|router| router.client(""));
    for order in &there {
        let path = format!("/orders/{}", order.id);
        let refused = client.get(&path).await?.expect(503)?.json()?;
        assert_eq!(refused["reason"], "site-unreachable", "{refused}");
        assert_eq!(refused["site"], lost.name.as_str());
    }
    for order in elsewhere.iter().step_by(4) {
        let path = format!("/orders/{}", order.id);
        client.get(&path).await?.expect(200)?;
    }
    let list = client.get("/orders").await?.expect(200)?;
    let missing = list.header("homing-missing-sites");
    assert_eq!(missing, Some(lost.name.as_str()));
    let others = before.iter().filter(|(_, shard)| **shard != lost.name);
    let others: BTreeSet<String> = others.map(|(id, _)| id.clone()).collect();
    assert_eq!(ids(&list)?, others);
    let figures = client.get("/orders/figures").await?.expect(200)?;
    let missing = figures.header("homing-missing-sites");
    assert_eq!(missing, Some(lost.name.as_str()));
    assert_eq!(figures.json()?["shards"], 7);
    eventually("the router has seen it go", PATIENCE, async || {
        let sample = format!("homing_site_available{{site=\"{}\"}}", lost.name);
        let available = shop.routers[1].metric(&sample).await?;
        Ok((available == Some(0.0)).then_some(()))
    })
    .await?;
    // Customers get another shard; a price that could not be written everywhere is written nowhere.
    let theirs = there.first().context("the shard had no orders")?.customer;
    for customer in [format!("customer-{theirs}"), "new".to_owned()] {
        let client = client.clone().with_header("customer", &customer);
        let order = json!({ "item": "pen", "cents": 1 });
        let made = client.post("/orders", &order).await?.expect(201)?;
        assert_ne!(site(&made)?, lost.name);
    }
    let price = json!({ "cents": 1 });
    let refused = client.put("/prices/book", &price).await?.expect(503)?;
    assert_eq!(refused.json()?["site"], lost.name.as_str());
    for shard in &shop.shards {
        let sql = "SELECT cents FROM price WHERE item = 'book'";
        assert_eq!(shard.database.count(sql).await?, CENTS, "{}", shard.name);
    }

    lost.launch()?;
    lost.serves().await?;
    for order in &there {
        let path = format!("/orders/{}", order.id);
        let shown = shop.known(&client, &path).await?.expect(200)?;
        assert_eq!(site(&shown)?, lost.name);
    }
    let whole: BTreeSet<String> = shop.databases().await?.into_keys().collect();
    eventually("the list is whole again", PATIENCE, async || {
        let list = client.get("/orders").await?.expect(200)?;
        let is_whole = list.header("homing-missing-sites").is_none();
        Ok((is_whole && ids(&list)? == whole).then_some(()))
    })
    .await
}
