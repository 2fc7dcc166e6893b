//! One world: its hosts, its course, and what must be true of it at the end.
//!
//! Owns the wiring of the simulation. Relies on the product for everything that is judged.

use super::clocks::{self, Clock, HOUR};
use super::faults::{self, Event, HOSTS, PLACES, ROUTERS, Wish};
use super::line::{self, Near, STORE, Way};
use super::place::{PORT, Place};
use super::router::{self, DOOR, Member, Wishes};
use super::truth::{TICK, Truth};
use fastrand::Rng;
use homing_mapping_store::Handle;
use homing_mapping_store::simulated::Ground;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};
use turmoil::Sim;

/// The site of every world.
const SITE: &str = "b";
/// Before the first fault: so long that agents and routers have told the store whom they ask.
const QUIET: Duration = Duration::from_millis(3_000);
/// After the last fault was mended.
const HEALING: Duration = Duration::from_secs(90);
/// Between two looks whether all is well again.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// Once for a process: its clocks and its network are simulated.
pub(crate) fn begin() {
    clocks::begin();
    homing_proxy::forward::dial::simulate(router::network);
}

/// What happened in one run, or in many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    pub(crate) switches: u64,
    pub(crate) writes: u64,
    pub(crate) faults: u64,
    pub(crate) operations: u64,
    pub(crate) attested: u64,
}

impl Story {
    /// And what happened in another one.
    pub(crate) fn add(&mut self, other: &Story) {
        self.switches += other.switches;
        self.writes += other.writes;
        self.faults += other.faults;
        self.operations += other.operations;
        self.attested += other.attested;
    }
}

impl fmt::Display for Story {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            to,
            "{} operations, {} generations, {} writes, {} faults, {} attestations",
            self.operations, self.switches, self.writes, self.faults, self.attested
        )
    }
}

/// A world before it begins.
pub(crate) struct World {
    rng: Rng,
    seed: u64,
    folder: TempDir,
    ground: Ground,
    truth: Arc<Truth>,
    near: Handle,
    /// Where who judges looks at the store.
    judges: Runtime,
    /// How long engines go on after they were fenced.
    goes_on: Duration,
    wishes: HashMap<&'static str, Wishes>,
    /// How much the rates of clocks may be wrong, and the clocks.
    drift: f64,
    clocks: HashMap<&'static str, Clock>,
}

impl World {
    /// The world of a seed.
    pub(crate) fn of(seed: u64) -> World {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.expect("a folder");
        let file = folder.path().join("store.db");
        let ground = Ground::open(&file.display().to_string()).expect("a store");
        let truth = Arc::new(Truth::default());
        let near = ground.through(Arc::new(Near(Arc::clone(&truth))));
        let judges = runtime::Builder::new_current_thread().enable_all().build();
        let wishes = ROUTERS.into_iter().map(|name| (name, Wishes::default()));
        let mut rng = Rng::with_seed(seed);
        let drift = [0.01, 0.1, 0.3][rng.usize(0..3)];
        let clocks = HOSTS.map(|name| (name, Clock::within(&mut rng, drift)));
        clocks::forget();
        World {
            drift,
            clocks: clocks.into_iter().collect(),
            rng,
            seed,
            folder,
            ground,
            truth,
            near,
            judges: judges.expect("a runtime"),
            goes_on: Duration::ZERO,
            wishes: wishes.collect(),
        }
    }

    /// A world whose engines do not obey their fence at once.
    pub(crate) fn sabotaged(self, goes_on: Duration) -> World {
        World { goes_on, ..self }
    }

    /// A world in which holders of leases are slow by so much, and who waits for their end is fast.
    pub(crate) fn with_clocks_off_by(mut self, off: f64) -> World {
        let rate = |name| match PLACES.contains(&name) {
            true => 1.0 - off,
            false => 1.0 + off,
        };
        self.clocks = HOSTS.map(|name| (name, Clock::at(rate(name)))).into();
        self
    }

    fn line(&self) -> Handle {
        let near = Arc::new(OnceLock::new());
        let _ = near.set(Arc::clone(&self.near));
        let way = Way {
            truth: Arc::clone(&self.truth),
            near,
        };
        self.ground.through(Arc::new(way))
    }

    /// Times, the same for all.
    fn times(&self, term: u64, renew: u64) -> String {
        format!(
            "[lease]\nrouter = \"{term}ms\"\nsite = \"{term}ms\"\nrenew_every = \"{renew}ms\"\nmargin = \"100ms\"\ndrift = {}\n",
            self.drift
        )
    }

    fn router(&self, name: &str, times: &str, automatic: &str) -> String {
        let at = self.folder.path().join(name);
        let at = at.display();
        let places = PLACES.map(|place| {
            format!(
                "[[site.installation]]\nname = \"{place}\"\nendpoints = [\"http://{place}:{PORT}\"]\n"
            )
        });
        format!(
            "[router]\nname = \"{name}\"\n[store]\nurl = \"sqlite:{at}.db\"\njournal = \"{at}\"\n{times}\
             [attest]\nbind = \"0.0.0.0:{DOOR}\"\naddress = \"{name}:{DOOR}\"\n\
             [health]\ninterval = \"300ms\"\n[timeouts]\nprobe = \"600ms\"\n\
             [safety]\ncool_down = \"0ms\"\ndown_for = \"500ms\"\nshare_at_once = 1.0\n\
             [[dialect]]\nname = \"orders\"\nrules = [{{ path = \"/orders/{{id}}\", class = \"keyed\", kind = \"order\", key = {{ path = \"id\" }} }}]\n\
             [[site]]\nname = \"{SITE}\"\ndialect = \"orders\"\nidentity = \"off\"\nhealth = \"tcp\"\n\
             recovery = {{ mode = \"shared-data\", automatic = \"{automatic}\" }}\n{}",
            places.join("")
        )
    }

    fn agent(&self, name: &str, times: &str) -> String {
        let state = self.folder.path().join(format!("{name}-state"));
        format!(
            "[router]\nname = \"agent-{name}\"\n{times}[agent]\nsite = \"{SITE}\"\ninstallation = \"{name}\"\n\
             store = \"postgres://store/homing\"\nstate = \"{}\"\nmode = \"relay\"\n\
             relay = {{ listen = \"127.0.0.1:6432\", database = \"127.0.0.1:5432\" }}\n",
            state.display()
        )
    }

    /// Everything that happens, and the judgement over it.
    pub(crate) fn run(mut self) -> Result<Story, String> {
        let chaos = Duration::from_millis(self.rng.u64(4_000..9_000));
        let latency = [2, 10, 40, 120][self.rng.usize(0..4)];
        let term = self.rng.u64(900..2_200);
        let times = self.times(term, term / 5);
        let automatic = ["on", "on", "off"][self.rng.usize(0..3)];
        let events = faults::schedule(&mut self.rng, QUIET, QUIET + chaos);
        let mut sim = turmoil::Builder::new()
            .rng_seed(self.seed)
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(latency))
            .simulation_duration(QUIET + chaos + HEALING + LOOKS_EVERY)
            .build();
        sim.host(STORE, line::answer);
        for name in ROUTERS {
            let member = Arc::new(Member {
                config: self.router(name, &times, automatic),
                store: self.line(),
                wishes: Arc::clone(&self.wishes[name]),
                site: SITE,
                name,
                clock: self.clocks[name].clone(),
                truth: Arc::clone(&self.truth),
            });
            sim.host(name, move || {
                let member = Arc::clone(&member);
                async move { member.live().await }
            });
        }
        for name in PLACES {
            let place = Arc::new(Place {
                name,
                config: self.agent(name, &times),
                store: self.line(),
                truth: Arc::clone(&self.truth),
                goes_on: self.goes_on,
                clock: self.clocks[name].clone(),
            });
            sim.host(name, move || {
                let place = Arc::clone(&place);
                async move { place.live().await }
            });
        }
        let told = |error: Box<dyn std::error::Error>| format!("a host ended: {error}");
        for (at, event) in &events {
            until(&mut sim, *at).map_err(told)?;
            tracing::info!("{at:?} {event:?}");
            self.happen(&mut sim, *event);
        }
        until(&mut sim, QUIET + chaos).map_err(told)?;
        tracing::info!("everything is whole again");
        heal(&mut sim);
        let healed = QUIET + chaos + HEALING;
        let mut wrong = "nothing was looked at".to_owned();
        while sim.elapsed() < healed {
            let next = sim.elapsed() + LOOKS_EVERY;
            until(&mut sim, next).map_err(told)?;
            match self.settled(sim.elapsed()) {
                Ok(operations) => {
                    drop(sim);
                    return self.end(operations, &events);
                }
                Err(why) => wrong = why,
            }
        }
        drop(sim);
        self.end(0, &events)?;
        Err(format!("it does not heal: {wrong}\n  {events:?}"))
    }

    fn happen(&self, sim: &mut Sim<'_>, event: Event) {
        match event {
            Event::Cut(a, b) => sim.partition(a, b),
            Event::CutOneWay(a, b) => sim.partition_oneway(a, b),
            Event::Mend(a, b) => sim.repair(a, b),
            Event::Hold(a, b) => sim.hold(a, b),
            Event::Release(a, b) => sim.release(a, b),
            Event::Crash(host) => sim.crash(host),
            Event::Back(host) => sim.bounce(host),
            Event::Set(STORE, _) => self.truth.set(HOUR),
            Event::Set(host, hours) => self.clocks[host].set(hours),
            Event::Ask(router, wish) => self.wish(router, wish),
        }
    }

    fn wish(&self, router: &str, wish: Wish) {
        let wishes = self.wishes[router].lock();
        wishes.unwrap_or_else(PoisonError::into_inner).push(wish);
    }

    /// Whether nothing is asked for or under way, and who is entitled does serve; answers how many operations there were.
    fn settled(&self, at: Duration) -> Result<u64, String> {
        let asked = |wishes: &Wishes| {
            !wishes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_empty()
        };
        if self.wishes.values().any(asked) {
            return Err("an operator still waits to be heard".into());
        }
        let look = async {
            let assignments = self.near.assignments().await?;
            let operations = self.near.operations(1_000).await?;
            Ok::<_, homing_mapping_store::store::Error>((assignments, operations))
        };
        let looked = self.judges.block_on(look);
        let (assignments, operations) = looked.map_err(|error| error.to_string())?;
        if let Some(open) = operations.iter().find(|one| one.ended_at.is_none()) {
            if open.state == "blocked" {
                // What waits for a person goes on by a person's word.
                self.wish(ROUTERS[0], Wish::Resume);
            }
            return Err(format!(
                "an operation has not ended: {} {}",
                open.state, open.body
            ));
        }
        let assignment = assignments.first().ok_or("no assignment")?;
        let serves = assignment.entitled().unwrap_or_default();
        if !self
            .truth
            .wrote_since(serves, at.saturating_sub(LOOKS_EVERY))
        {
            return Err(format!("{serves:?} does not serve: {assignment:?}"));
        }
        Ok(operations.len() as u64)
    }

    /// Safety, for the whole run.
    fn end(&self, operations: u64, events: &[(Duration, Event)]) -> Result<Story, String> {
        self.truth
            .judge()
            .map_err(|why| format!("{why}\n  {events:?}"))?;
        let faults = events
            .iter()
            .filter(|(_, event)| !matches!(event, Event::Ask(..)));
        Ok(Story {
            switches: self.truth.generations(),
            writes: self.truth.writes(),
            faults: faults.count() as u64,
            operations,
            attested: self.truth.attestations(),
        })
    }
}

fn until(sim: &mut Sim<'_>, at: Duration) -> turmoil::Result {
    while sim.elapsed() < at {
        sim.step()?;
    }
    Ok(())
}

/// Everything is whole again.
fn heal(sim: &mut Sim<'_>) {
    for host in HOSTS {
        sim.repair(host, STORE);
        sim.release(host, STORE);
        if !sim.is_host_running(host) {
            sim.bounce(host);
        }
    }
    sim.repair(ROUTERS[0], ROUTERS[1]);
    for router in ROUTERS {
        for place in PLACES {
            sim.repair(router, place);
            sim.release(router, place);
        }
    }
}
