//! What a switch of a site costs by the number of mappings that are homed at it: in the store, and until every router serves the new place.
//!
//! The controller's transactions are called one after the other, as it calls them; two routers as real processes obey them. Nothing is
//! promoted or fenced: the fence is said to be proven as soon as both routers have said that they obey.
#![expect(
    clippy::print_stdout,
    reason = "the table is the product of this program"
)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use homing_benches::keys::{Key, Keys, site_name};
use homing_benches::rig::{sites, store};
use homing_harness::clock::{Stopwatch, eventually};
use homing_harness::postgres::{Cluster, Durability};
use homing_harness::router::{self, Router};
use homing_mapping_store::audit::AuditEntry;
use homing_mapping_store::store::{Handle, Seq};
use homing_mapping_store::switch::{Limits, Switch};
use homing_mapping_store::{Generation, SiteId, Timestamp};

/// A switch by the number of mappings.
#[derive(Parser)]
struct Args {
    /// Mappings of the site.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 1_000_000, 10_000_000])]
    keys: Vec<usize>,
    /// Switches, there and back in turns.
    #[arg(long, default_value_t = 30)]
    flips: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

const PATIENCE: Duration = Duration::from_secs(300);
const PLACES: [&str; 2] = ["one", "two"];
/// Between two looks at a router: what is told is at most so much too long.
const LOOK: Duration = Duration::from_millis(1);

/// What one switch took.
struct Flip {
    begin: Duration,
    obeyed: Duration,
    fence: Duration,
    complete: Duration,
    served: Duration,
    whole: Duration,
}

struct Rig {
    store: Handle,
    routers: [Router; 2],
    path: String,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    println!(
        "| mappings of the site | begin ms | until both routers have said that they obey | note the fence | complete | until both \
         routers serve the new place | the whole |\n|---|---|---|---|---|---|---|"
    );
    for count in &args.keys {
        let cluster = Cluster::start("flip", Durability::On)?;
        let database = cluster.fresh_database("store")?;
        let sites = sites::start()?;
        fill(&database.url(), *count)?;
        runtime.block_on(async {
            let rig = Rig::start(&database.url(), &sites, *count).await?;
            let mut flips = Vec::new();
            for number in 0..args.flips {
                flips.push(rig.flip(PLACES[(number + 1) % PLACES.len()]).await?);
            }
            tell(*count, &flips);
            anyhow::Ok(())
        })?;
    }
    homing_harness::paths::remove_run_folder()
}

/// All at the first site.
fn fill(url: &str, count: usize) -> Result<()> {
    const PART: usize = 1_000_000;
    let mut keys = Keys::begin().map(|key| Key { site: 0, ..key });
    let mut left = count;
    while left > 0 {
        let part: Vec<Key> = keys.by_ref().take(left.min(PART)).collect();
        store::fill(url, &part)?;
        left -= part.len();
    }
    Ok(())
}

impl Rig {
    async fn start(url: &str, sites: &sites::Sites, count: usize) -> Result<Rig> {
        let mut tables = format!(
            "[[site]]\nname = {:?}\ndialect = \"engine-rest\"\nrecovery = {{ mode = \"shared-data\" }}\n",
            site_name(0)
        );
        // Both say that they are the first site.
        let ports = [sites.ports(), sites.any_ports()].map(<[u16]>::first);
        for (name, port) in PLACES.iter().zip(ports.into_iter().flatten()) {
            tables.push_str(&format!(
                "[[site.installation]]\nname = {name:?}\nendpoints = [\"http://127.0.0.1:{port}/engine-rest\"]\n"
            ));
        }
        let start = |name| {
            router::Builder::new(name)
                .store(url)
                .tables(&tables)
                .start()
        };
        let routers = [start("r1").await?, start("r2").await?];
        for router in &routers {
            eventually("the table is whole", PATIENCE, async || {
                let held = router
                    .metric("homing_mappings{kind=\"process-instance\"}")
                    .await?;
                Ok((held == Some(count as f64)).then_some(()))
            })
            .await?;
        }
        let rig = Rig {
            store: homing_mapping_store::open(url).await?,
            routers,
            path: sites.probe_path(),
        };
        rig.served(PLACES[0]).await?;
        Ok(rig)
    }

    async fn flip(&self, to: &str) -> Result<Flip> {
        let site = SiteId::named(&site_name(0));
        let whole = Stopwatch::start();
        let watch = Stopwatch::start();
        let begun = self
            .store
            .begin_switch(&self.switch(to).await?, &audit())
            .await?;
        let begin = watch.elapsed();
        let watch = Stopwatch::start();
        self.obeyed(begun.seq).await?;
        let obeyed = watch.elapsed();
        let (at, watch) = (begun.assignment.generation, Stopwatch::start());
        self.store
            .note_fence(site, at, "nothing to fence", &audit())
            .await?;
        let fence = watch.elapsed();
        let watch = Stopwatch::start();
        self.store.complete_switch(site, at, &audit()).await?;
        let complete = watch.elapsed();
        let watch = Stopwatch::start();
        self.served(to).await?;
        Ok(Flip {
            begin,
            obeyed,
            fence,
            complete,
            served: watch.elapsed(),
            whole: whole.elapsed(),
        })
    }

    async fn switch(&self, to: &str) -> Result<Switch> {
        Ok(Switch {
            site: SiteId::named(&site_name(0)),
            to: to.into(),
            expected: self.generation().await?,
            operation: uuid::Uuid::new_v4(),
            limits: Limits {
                freeze: false,
                cool_down_ms: 0,
                share_at_once: 1.0,
            },
            overrides: Vec::new(),
        })
    }

    async fn generation(&self) -> Result<Generation> {
        let all = self.store.assignments().await?;
        Ok(all.first().context("no assignment")?.generation)
    }

    async fn obeyed(&self, seq: Seq) -> Result<()> {
        let watch = Stopwatch::start();
        loop {
            let all = self.store.routers().await?;
            if all.len() == self.routers.len() && all.iter().all(|router| router.applied >= seq) {
                return Ok(());
            }
            ensure!(!watch.is_past(PATIENCE), "a router does not obey: {all:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// By the answers of both.
    async fn served(&self, by: &str) -> Result<()> {
        let one = |router: &Router| {
            let client = router.client("");
            async move {
                let watch = Stopwatch::start();
                loop {
                    let answer = client.get(&self.path).await?;
                    if answer.status == 200 && answer.header("homing-installation") == Some(by) {
                        return anyhow::Ok(());
                    }
                    ensure!(
                        !watch.is_past(PATIENCE),
                        "{by} does not serve: {}",
                        answer.text()
                    );
                    tokio::time::sleep(LOOK).await;
                }
            }
        };
        tokio::try_join!(one(&self.routers[0]), one(&self.routers[1]))?;
        Ok(())
    }
}

fn audit() -> AuditEntry {
    AuditEntry {
        actor: "bench".into(),
        action: "switch".into(),
        subject: site_name(0),
        reason: Some("a bench".into()),
        detail: "{}".into(),
        request_id: None,
        at: Timestamp(0),
    }
}

fn tell(count: usize, flips: &[Flip]) {
    let of = |part: fn(&Flip) -> Duration| {
        let mut all: Vec<Duration> = flips.iter().map(part).collect();
        all.sort_unstable();
        let ms = |time: Option<&Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
        format!("{:.1} / {:.1}", ms(all.get(all.len() / 2)), ms(all.last()))
    };
    println!(
        "| {count} | {} | {} | {} | {} | {} | {} |",
        of(|flip| flip.begin),
        of(|flip| flip.obeyed),
        of(|flip| flip.fence),
        of(|flip| flip.complete),
        of(|flip| flip.served),
        of(|flip| flip.whole),
    );
}
