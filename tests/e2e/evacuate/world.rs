//! Two sites with Homing's own engine, each on a database of its own, and two routers on one store.
//!
//! Owns the processes and what SQL says of both databases. Must not judge what an evacuation does beyond "exactly once".

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use homing_harness::{
    client::{Answer, Client},
    clock::{Stopwatch, eventually},
    crowd::crowd,
    deploy::deploy,
    nursery::{self, Process},
    paths,
    ports::{free_port, loopback},
    postgres::Cluster,
    router::{self, Router},
    sql::Database,
};
use rustix::process::Signal;
use serde_json::{Value, json};

pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// The model of every instance: a user task, an external task, a timer and a called process with a user task.
const PARCEL: (&str, &str) = ("parcel.bpmn", include_str!("../../models/parcel.bpmn"));
/// Clients at a time.
const CLIENTS: usize = 6;

/// One engine process and its database.
pub(super) struct Site {
    _process: Process,
    port: u16,
    pub(super) database: Database,
}

impl Site {
    async fn start(name: &str) -> Result<Site> {
        let database = Cluster::shared()?.fresh_database(&name.replace('-', "_"))?;
        let folder = paths::new_folder(name)?;
        let (port, file) = (free_port()?, folder.join("engine.toml"));
        let text = format!(
            "[router]\nname = \"{name}\"\n[engine]\nbind = \"127.0.0.1:{port}\"\nstore = \"{}\"\n",
            database.url()
        );
        std::fs::write(&file, text)?;
        let process = nursery::start(nursery::Spec {
            name: name.to_owned(),
            program: paths::homing_binary()?.to_owned(),
            args: vec!["engine".into(), "-c".into(), file.into()],
            user: None,
            stop_signal: Signal::TERM,
            log: folder.join("log"),
        })?;
        let client = Client::new(loopback(port), "/engine-rest");
        eventually("the engine answers", PATIENCE, async || {
            ensure!(
                process.ended()?.is_none(),
                "it ended: {}",
                process.log_tail()?
            );
            let answer = client.get("/version").await;
            Ok(answer.ok().filter(|answer| answer.status == 200).map(drop))
        })
        .await?;
        Ok(Site {
            _process: process,
            port,
            database,
        })
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/engine-rest", self.port)
    }

    /// Past every router.
    pub(super) fn client(&self) -> Client {
        Client::new(loopback(self.port), "/engine-rest")
    }

    /// Ids of one column, each once.
    pub(super) async fn ids(&self, what: &str) -> Result<BTreeSet<String>> {
        let all = self.database.column(&format!("SELECT {what}")).await?;
        let ids: BTreeSet<String> = all.iter().cloned().collect();
        ensure!(ids.len() == all.len(), "twice in {what}: {all:?}");
        Ok(ids)
    }
}

/// All ids that a site has of live instances, by what they are of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) instances: BTreeSet<String>,
    pub(super) tasks: BTreeSet<String>,
    pub(super) work: BTreeSet<String>,
    pub(super) jobs: BTreeSet<String>,
}

impl Live {
    pub(super) async fn at(site: &Site) -> Result<Live> {
        Ok(Live {
            instances: site.ids("id FROM inst").await?,
            tasks: site.ids("id FROM task").await?,
            work: site.ids("id FROM work").await?,
            jobs: site.ids("id FROM job").await?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        let sets = [&self.instances, &self.tasks, &self.work, &self.jobs];
        sets.iter().all(|set| set.is_empty())
    }
}

/// Everything that a test needs.
pub(super) struct World {
    pub(super) a: Site,
    pub(super) b: Site,
    pub(super) store: Database,
    pub(super) routers: [Arc<Router>; 2],
}

impl World {
    /// `safety`: lines of that table of both routers.
    pub(super) async fn start(name: &str, safety: &str) -> Result<World> {
        let (at_a, at_b) = (format!("{name}-a"), format!("{name}-b"));
        let (a, b) = tokio::try_join!(Site::start(&at_a), Site::start(&at_b))?;
        let store = Cluster::shared()?.fresh_database("evacuate")?;
        let start = |router: String| {
            router::Builder::new(&router)
                .store(&store.url())
                .site_with(
                    "a",
                    "engine-rest",
                    &[&a.endpoint()],
                    "zone = \"eu-1\"\nrecovery = { mode = \"evacuate\" }",
                )
                // New work comes here only when the other site takes none.
                .site_with(
                    "b",
                    "engine-rest",
                    &[&b.endpoint()],
                    "weight = 0\nzone = \"eu-2\"\nrecovery = { mode = \"evacuate\" }",
                )
                .tables("[lease]\nrouter = \"4s\"\nsite = \"4s\"\nrenew_every = \"100ms\"\nmargin = \"100ms\"\n")
                // Placement weighs the other site nothing, so by weight nothing would survive.
                .tables(&format!("[safety]\nsurvivors_capacity = 0.0\n{safety}"))
                .start()
        };
        let (r1, r2) = tokio::try_join!(start(format!("{name}-1")), start(format!("{name}-2")))?;
        let world = World {
            a,
            b,
            store,
            routers: [Arc::new(r1), Arc::new(r2)],
        };
        deploy(&world.client(0), "parcel", &[PARCEL])
            .await?
            .expect(200)?;
        Ok(world)
    }

    pub(super) fn client(&self, at: usize) -> Client {
        self.routers[at % 2].client("/engine-rest")
    }

    /// Instances at site a, started over both routers.
    pub(super) async fn parcels(&self, count: usize) -> Result<BTreeSet<String>> {
        let routers = self.routers.clone();
        let started = crowd(CLIENTS, |member| {
            let client = routers[member % 2].client("/engine-rest");
            async move {
                let mut ids = Vec::new();
                for number in (member..count).step_by(CLIENTS) {
                    let body = json!({ "businessKey": format!("parcel-{number}") });
                    let answer = client.post("/process-definition/key/parcel/start", &body);
                    let answer = answer.await?.expect(200)?;
                    ensure!(answer.header("homing-site") == Some("a"), "{answer:?}");
                    ids.push(answer.member("id")?);
                }
                Ok(ids)
            }
        })
        .await?;
        let ids: BTreeSet<String> = started.into_iter().flatten().collect();
        ensure!(ids.len() == count, "{} of {count}", ids.len());
        Ok(ids)
    }

    /// Every mapping of these instances, as the store has it: home, and none is on its way.
    pub(super) async fn homes(&self) -> Result<Vec<String>> {
        let sql = "SELECT home.name || ' ' || m.state || ' ' || count(*) FROM mappings m \
                   JOIN names kind ON kind.class = 1 AND kind.number = m.kind AND kind.name = 'process-instance' \
                   JOIN names home ON home.class = 3 AND home.number = m.home \
                   GROUP BY home.name, m.state ORDER BY 1";
        self.store.column(sql).await
    }

    /// Both databases together have every id once; `before` is what there was.
    pub(super) async fn assert_once(&self, before: &Live) -> Result<()> {
        let (a, b) = (Live::at(&self.a).await?, Live::at(&self.b).await?);
        ensure!(a.is_empty(), "still at a: {a:?}");
        ensure!(b == *before, "b has something else than a had");
        for site in [&self.a, &self.b] {
            let half_done = site
                .ids("id FROM handover WHERE stage IN ('exported', 'staged')")
                .await?;
            ensure!(half_done.is_empty(), "half done: {half_done:?}");
        }
        Ok(())
    }

    /// Does all work that there is, over both routers; then every instance has come to its end at the second site, once.
    pub(super) async fn work_off(&self, live: &Live, instances: usize) -> Result<()> {
        self.work_off_at([&self.b, &self.a], live, instances).await
    }

    /// The same, at the first of these sites and not at the second.
    pub(super) async fn work_off_at(
        &self,
        [here, not_here]: [&Site; 2],
        live: &Live,
        instances: usize,
    ) -> Result<()> {
        let calls = live
            .tasks
            .iter()
            .map(|id| (format!("/task/{id}/complete"), 204));
        let jobs = live
            .jobs
            .iter()
            .map(|id| (format!("/job/{id}/execute"), 204));
        let calls: Arc<Vec<(String, u16)>> = Arc::new(calls.chain(jobs).collect());
        let routers = self.routers.clone();
        crowd(CLIENTS, |member| {
            let client = routers[(member + 1) % 2].client("/engine-rest");
            let calls = Arc::clone(&calls);
            async move {
                for (path, status) in calls.iter().skip(member).step_by(CLIENTS) {
                    client.post(path, &json!({})).await?.expect(*status)?;
                }
                Ok(())
            }
        })
        .await?;
        self.pack(live.work.len()).await?;
        let ended = "SELECT count(*) FROM h_inst WHERE state = 'COMPLETED'";
        eventually("every instance ends", PATIENCE, async || {
            let ended = here.database.count(ended).await?;
            Ok((ended == i64::try_from(instances)?).then_some(()))
        })
        .await?;
        ensure!(here.ids("id FROM inst").await?.is_empty());
        ensure!(not_here.ids("id FROM h_inst").await?.is_empty());
        Ok(())
    }

    /// A worker's part.
    async fn pack(&self, count: usize) -> Result<()> {
        let client = self.client(1);
        let watch = Stopwatch::start();
        let mut packed = BTreeSet::new();
        while packed.len() < count {
            ensure!(
                !watch.is_past(PATIENCE),
                "packed {} of {count}",
                packed.len()
            );
            let topics = json!([{ "topicName": "pack", "lockDuration": 60_000 }]);
            let fetch = json!({ "workerId": "w", "maxTasks": 50, "topics": topics });
            let fetched = client.post("/external-task/fetchAndLock", &fetch).await?;
            let fetched = fetched.expect(200)?.json()?;
            for task in fetched.as_array().context("no list")? {
                let id = task["id"].as_str().context("no id")?.to_owned();
                let path = format!("/external-task/{id}/complete");
                let done = client.post(&path, &json!({ "workerId": "w" })).await?;
                done.expect(204)?;
                ensure!(packed.insert(id.clone()), "{id} was fetched twice");
            }
        }
        Ok(())
    }

    /// Nobody was alarmed, nothing went to a wrong home.
    pub(super) async fn assert_calm(&self) -> Result<()> {
        for router in &self.routers {
            let metrics = router.admin().get("/metrics").await?.expect(200)?.text();
            let alarms = metrics
                .lines()
                .filter(|line| line.starts_with("homing_mapping_conflicts_total"))
                .find(|line| !line.ends_with(" 0"));
            ensure!(alarms.is_none(), "{alarms:?}");
        }
        Ok(())
    }
}

/// Whether an answer is a refusal that says that a key is on its way.
pub(super) fn is_on_its_way(answer: &Answer, body: &Value) -> bool {
    answer.status == 503 && body["reason"] == "site-switching"
}
