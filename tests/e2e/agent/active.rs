//! Active/active: site `a` is served in zone eu-1 and has its replica in eu-2, site `b` the other way round. Zone eu-1 is lost: one
//! verb, and both sites are served from eu-2, with everything that they had.

use anyhow::{Result, ensure};
use homing_harness::{
    agent::LEASES,
    clock::eventually,
    deploy::{self, ORDER},
    engine::{self, Engine, Kind},
    faults::FaultProxy,
    outcome::Promise,
    places::{Names, Places},
    ports::loopback,
    postgres::Cluster,
    router::{self, Router},
    sql::Database,
};
use serde_json::json as object;

use super::world::{PATIENCE, session};
use crate::life::{Started, open_task, start_order};
use crate::operate::{homing, json, said};

const A: Names = Names {
    site: "a",
    first: "a-eu-1",
    second: "a-eu-2",
};
const B: Names = Names {
    site: "b",
    first: "b-eu-2",
    second: "b-eu-1",
};
const ORDERS_AT_EACH: usize = 2;
const ORDERS_AT_MOST: usize = 100;
const RUNNING: &str = "SELECT count(DISTINCT proc_inst_id_) FROM act_ru_execution";

/// Two zones, each of them serving one site and standing by for the other.
struct Zones {
    router: Router,
    a: Places,
    b: Places,
    /// Of site `a` in eu-1, of `a` in eu-2, of `b` in eu-2.
    engines: [Engine; 3],
    _doors: [FaultProxy; 3],
}

fn site(names: Names, doors: [u16; 2], zones: [&str; 2]) -> String {
    let place = |name: &str, zone: &str, port: u16| {
        format!(
            "[[site.installation]]\nname = \"{name}\"\nzone = \"{zone}\"\nendpoints = [\"http://127.0.0.1:{port}/engine-rest\"]\n"
        )
    };
    format!(
        "[[site]]\nname = \"{}\"\ndialect = \"engine-rest\"\nrecovery = {{ mode = \"replica\", max_lag = \"300s\" }}\n{}{}",
        names.site,
        place(names.first, zones[0], doors[0]),
        place(names.second, zones[1], doors[1])
    )
}

impl Zones {
    async fn start() -> Result<Zones> {
        let store = Cluster::shared()?.fresh_database("store")?;
        let door = |seed| FaultProxy::start(loopback(1), seed);
        let doors = [door(1).await?, door(2).await?, door(3).await?];
        let [a_1, a_2, b_2] = [&doors[0], &doors[1], &doors[2]].map(FaultProxy::port);
        // Nothing listens at b's place in eu-1 but its database: its engine would be lost with it.
        let tables = format!(
            "{LEASES}[safety]\ncool_down = \"0ms\"\n{}{}",
            site(A, [a_1, a_2], ["eu-1", "eu-2"]),
            site(B, [b_2, 1], ["eu-2", "eu-1"])
        );
        let router = router::Builder::new("active")
            .store(&store.url())
            .tables(&tables)
            .start()
            .await?;
        let url = store.url();
        let at = (url.as_str(), LEASES);
        let a = Places::of(A, at, "SELECT 1", None).await?;
        let b = Places::of(B, at, "SELECT 1", None).await?;
        a.one.is("open").await?;
        b.one.is("open").await?;
        let engine = async |name: &str, database: &Database, port: u16, door: &FaultProxy| {
            let engine = engine::Builder::new(name, Kind::Operaton, database)
                .database_through(port)
                .start()
                .await?;
            door.retarget(loopback(engine.port()));
            anyhow::Ok(engine)
        };
        let engines = [
            engine(A.first, &a.database, a.at_one, &doors[0]).await?,
            // Warm: it runs beside the replica.
            engine(A.second, &a.database, a.at_two, &doors[1]).await?,
            engine(B.first, &b.database, b.at_one, &doors[2]).await?,
        ];
        Ok(Zones {
            router,
            a,
            b,
            engines,
            _doors: doors,
        })
    }

    /// Orders at both sites, and each replica has them.
    async fn orders(&self) -> Result<Vec<Started>> {
        let client = self.router.client("/engine-rest");
        eventually("the model is deployed", PATIENCE, async || {
            let deployed = deploy::deploy(&client, "order", &[ORDER]).await?;
            Ok((deployed.status == 200).then_some(()))
        })
        .await?;
        let mut orders: Vec<Started> = Vec::new();
        let at =
            |orders: &[Started], site: &str| orders.iter().filter(|one| one.home == site).count();
        while at(&orders, "a").min(at(&orders, "b")) < ORDERS_AT_EACH {
            ensure!(orders.len() < ORDERS_AT_MOST, "one site gets no order");
            orders.push(start_order(&client, &format!("active-{}", orders.len())).await?);
        }
        for (places, site) in [(&self.a, "a"), (&self.b, "b")] {
            let replica = places.database.at(places.standby.port());
            let wanted = i64::try_from(at(&orders, site))?;
            eventually("the replica has them", PATIENCE, async || {
                Ok((replica.count(RUNNING).await? == wanted).then_some(()))
            })
            .await?;
        }
        Ok(orders)
    }

    /// Everything that stands there, at once: where `a` is served, and the replica of `b`.
    fn lose_eu_1(&self) -> Result<()> {
        self.a.one.kill()?;
        self.engines[0].kill()?;
        self.a.primary.kill_server()?;
        self.b.two.kill()?;
        self.b.standby.kill_server()
    }

    /// Through the router, from one address; judged by what each site's database in eu-2 has.
    async fn each_is_finished_at_its_site(&self, orders: &[Started]) -> Result<()> {
        let client = self.router.client("/engine-rest");
        for order in orders {
            let path = format!("/process-instance/{}", order.id);
            let answer = eventually("it is served", PATIENCE, async || {
                let answer = client.get(&path).await?;
                Ok((answer.status == 200).then_some(answer))
            })
            .await?;
            let by = if order.home == "a" { A.second } else { B.first };
            assert_eq!(answer.header("homing-installation"), Some(by));
            let task = open_task(&client, &order.id).await?;
            let complete = format!("/task/{task}/complete");
            client.post(&complete, &object!({})).await?.expect(204)?;
        }
        // Ended in the databases of eu-2, each in its own site's.
        let promoted = self.a.database.at(self.a.standby.port());
        for (database, site) in [(&promoted, "a"), (&self.b.database, "b")] {
            let ended =
                "SELECT proc_inst_id_ FROM act_hi_procinst WHERE end_time_ IS NOT NULL ORDER BY 1";
            let mut mine: Vec<&str> = orders
                .iter()
                .filter(|one| one.home == site)
                .map(|one| one.id.as_str())
                .collect();
            mine.sort_unstable();
            assert_eq!(database.column(ended).await?, mine, "{site}");
        }
        Ok(())
    }

    /// It comes back by itself, databases first: nobody gets a session there.
    async fn eu_1_comes_back_fenced(&self) -> Result<()> {
        self.a.primary.start_server()?;
        self.a.one.start_again().await?;
        self.b.standby.start_server()?;
        self.b.two.start_again().await?;
        eventually("it knows who serves", PATIENCE, async || {
            let status = self.a.one.is("fenced").await?;
            Ok((status["entitled"] == A.second).then_some(()))
        })
        .await?;
        ensure!(session(&self.a.database, self.a.at_one).await.is_err());
        self.b.two.is("fenced").await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_of_two_that_both_serve_is_lost_and_one_verb_serves_all_from_the_other() -> Promise {
    let zones = Zones::start().await?;
    let orders = zones.orders().await?;
    zones.lose_eu_1()?;
    let words = [
        "failover", "--zone", "eu-1", "--yes", "--reason", "it burns",
    ];
    let told = eventually("the failover is done", PATIENCE, async || {
        let output = homing(&zones.router.admin_url(), &words).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        // Refused until the router has seen that the place is down.
        ensure!(output.status.success(), "{text}{complaint}");
        Ok(Some(text))
    })
    .await?;
    assert!(told.contains("is done"), "{told}");

    zones.each_is_finished_at_its_site(&orders).await?;
    for (site, serving) in [("a", A.second), ("b", B.first)] {
        let told = json(&zones.router, &["site", "show", site]).await?;
        assert_eq!(told["serving"], serving, "{told:#}");
    }
    start_order(&zones.router.client("/engine-rest"), "after the loss").await?;
    zones.eu_1_comes_back_fenced().await?;
    said(&zones.router, &["audit", "verify"], 0).await?;
    Ok(())
}
