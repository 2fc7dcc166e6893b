//! The script played: each step at the reference and at every other side, the answers compared.
//!
//! Owns the course of one seed and its report. Must not know where the sides live. Relies on what was the same staying
//! the same: after a difference in what the sides hold, further ones follow from it, so the first is what counts.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use homing_harness::clock::eventually;
use serde_json::Value;

use super::{
    acts::{self, Act, Touched},
    compare::{self, Likeness},
    known::{self, Known},
    lists::Lists,
    side::{Seen, Side},
    step::{Check, Step},
    world::{self, Look, World},
};

/// More says nothing new.
const DIFFERENCES_MAX: usize = 60;
const BATCH_WITHIN: Duration = Duration::from_secs(120);
/// Acts whose subject is not there yet, one after the other.
const IDLE_MAX: usize = 1_000;

/// What each site has a copy of under an id of its own: kind, the member that tells one from another, where it is listed.
const COPIED: [(&str, &str, &str); 6] = [
    ("deployment", "name", "/deployment?nameLike=%25-MARK"),
    (
        "definition",
        "key",
        "/process-definition?keyLike=%25-MARK&sortBy=version&sortOrder=asc",
    ),
    (
        "case-definition",
        "key",
        "/case-definition?keyLike=%25-MARK",
    ),
    (
        "decision-definition",
        "key",
        "/decision-definition?keyLike=%25-MARK",
    ),
    (
        "decision-requirements-definition",
        "key",
        "/decision-requirements-definition?keyLike=%25-MARK",
    ),
    (
        "job-definition",
        "activityId",
        "/job-definition?processDefinitionKey=wait-MARK",
    ),
];

pub(super) struct Play {
    pub(super) seed: u64,
    /// The reference, then those that are compared with it, each with its number of sites.
    sides: Vec<Side>,
    sites: Vec<usize>,
    world: World,
    lists: Lists,
    random: fastrand::Rng,
    likeness: Likeness,
    pub(super) report: Report,
}

#[derive(Default)]
pub(super) struct Report {
    pub(super) steps: usize,
    /// Generated lists, and how many of them had rows.
    pub(super) lists: (usize, usize),
    /// Filters whose value the script never had.
    pub(super) never_asked: Vec<String>,
    pub(super) known: BTreeMap<&'static str, usize>,
    pub(super) differences: Vec<String>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (lists, filled) = self.lists;
        write!(
            f,
            "{} steps compared, {lists} of them generated lists ({filled} with rows), never asked {:?}, known differences {:?}",
            self.steps, self.never_asked, self.known
        )
    }
}

impl Play {
    pub(super) fn new(seed: u64, reference: Side, others: Vec<(usize, Side)>) -> Result<Play> {
        let (sites, others): (Vec<usize>, Vec<Side>) = others.into_iter().unzip();
        Ok(Play {
            seed,
            sides: std::iter::once(reference).chain(others).collect(),
            sites: std::iter::once(1).chain(sites).collect(),
            world: World::default(),
            lists: Lists::read()?,
            random: fastrand::Rng::with_seed(seed),
            likeness: Likeness::Same,
            report: Report::default(),
        })
    }

    /// The engines are not all of one kind: what only some of them know is not compared.
    pub(super) fn mixed(mut self) -> Play {
        self.likeness = Likeness::Akin;
        self
    }

    /// Every filter and every sort key is asked with, however many steps that takes.
    pub(super) fn sweeping(mut self) -> Play {
        self.lists.sweep();
        self
    }

    /// Plays until this many steps were compared, or too much differed.
    pub(super) async fn run(&mut self, steps: usize) -> Result<()> {
        self.prepare().await?;
        let mut idle = 0;
        while (self.report.steps < steps || self.lists.left() > 0)
            && self.report.differences.len() < DIFFERENCES_MAX
        {
            let Some(act) = acts::next(
                &mut self.random,
                &mut self.world,
                &mut self.lists,
                self.likeness,
            ) else {
                idle += 1;
                anyhow::ensure!(idle < IDLE_MAX, "nothing to do");
                continue;
            };
            idle = 0;
            self.act(act).await?;
        }
        self.report.never_asked.clone_from(&self.lists.given_up);
        Ok(())
    }

    async fn prepare(&mut self) -> Result<()> {
        for step in acts::deploy() {
            let seen = self.step(&step).await?;
            anyhow::ensure!(seen.status == 200, "deploying: {}", seen.plain);
        }
        for (kind, member, list) in COPIED {
            for (number, side) in self.sides.iter_mut().enumerate() {
                let seen = side.run(&Step::get(list)).await?;
                for row in seen.raw.as_array().context("no definitions")? {
                    let of = |member: &str| row[member].as_str().unwrap_or_default().to_owned();
                    let base = format!("{kind}/{}", side.names.text(&of(member)));
                    let symbol = side.names.call(&base, &of("id"));
                    match (number, kind) {
                        (0, "definition") => self.world.definitions.push(symbol),
                        (0, "deployment") => self.world.deployments.push(symbol),
                        (0, _) => self.world.add(kind, symbol),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    async fn act(&mut self, act: Act) -> Result<()> {
        for step in &act.steps {
            let seen = self.step(step).await?;
            if step.names.iter().any(|(_, base)| base == "batch") && seen.status == 200 {
                self.finish_batch(&seen).await?;
            }
        }
        let mut instances = match act.touched {
            Touched::Nothing => return Ok(()),
            Touched::New => self.discover().await?,
            Touched::All => {
                let mut all = self.discover().await?;
                all.extend(self.world.live.clone());
                all
            }
            Touched::This(symbol) => self.near(&symbol),
        };
        instances.dedup();
        for instance in instances {
            self.look(&instance).await?;
        }
        Ok(())
    }

    /// The instance that this is a part of; what calls another, or is called, changes with it.
    fn near(&self, symbol: &str) -> Vec<String> {
        let calls = |symbol: &str| symbol.starts_with("parent-") || symbol.starts_with("child-");
        let live = self.world.live.iter();
        live.filter(|instance| {
            symbol == **instance
                || symbol.starts_with(&format!("{instance}/"))
                || (calls(symbol) && calls(instance))
        })
        .cloned()
        .collect()
    }

    /// One step everywhere. The reference's answer.
    async fn step(&mut self, step: &Step) -> Result<Seen> {
        let answers = try_join_all(self.sides.iter_mut().map(|side| side.run(step))).await;
        let answers = answers.with_context(|| format!("seed {}: {step}", self.seed))?;
        self.report.steps += 1;
        let (reference, others) = answers.split_first().context("no side")?;
        for (at, other) in others.iter().enumerate() {
            self.judge(&step.to_string(), step, reference, at + 1, other);
        }
        if let (Check::List(_), Some(rows)) = (&step.check, reference.raw.as_array()) {
            self.report.lists.0 += 1;
            self.report.lists.1 += usize::from(!rows.is_empty());
        }
        for (pointer, kind) in &step.names {
            if let Some(id) = reference.raw.pointer(pointer).and_then(Value::as_str) {
                self.world.add(kind, self.sides[0].names.text(id));
            }
        }
        Ok(reference.clone())
    }

    fn judge(&mut self, what: &str, step: &Step, reference: &Seen, at: usize, other: &Seen) {
        let Some(why) = compare::differ(&step.check, self.likeness, reference, other) else {
            return;
        };
        match known::reason(step, reference, other, self.sites[at]) {
            Some(Known { name, .. }) => *self.report.known.entry(name).or_default() += 1,
            None => self.report.differences.push(format!(
                "step {} {what}\n  {}: {why}\n  one engine: {} {}\n  {}: {} {}",
                self.report.steps,
                self.sides[at].title,
                reference.status,
                short(&reference.plain),
                self.sides[at].title,
                other.status,
                short(&other.plain),
            )),
        }
    }

    async fn discover(&mut self) -> Result<Vec<String>> {
        let found = try_join_all(self.sides.iter_mut().map(world::discover)).await?;
        let (reference, others) = found.split_first().context("no side")?;
        for (side, new) in self.sides[1..].iter().zip(others) {
            if new != reference {
                self.report.differences.push(format!(
                    "step {}: new at {} are {new:?}, not {reference:?}",
                    self.report.steps, side.title
                ));
            }
        }
        Ok(reference.clone())
    }

    async fn look(&mut self, instance: &str) -> Result<()> {
        let looks = try_join_all(
            self.sides
                .iter_mut()
                .map(|side| world::look(side, instance)),
        )
        .await;
        let looks: Vec<Look> =
            looks.with_context(|| format!("seed {}: looking at {instance}", self.seed))?;
        let (reference, others) = looks.split_first().context("no side")?;
        for (at, other) in others.iter().enumerate() {
            for ((path, one), (_, two)) in reference.shown.iter().zip(&other.shown) {
                self.report.steps += 1;
                let step = Step::get(path).check(Check::All);
                self.judge(&format!("(then) {path}"), &step, one, at + 1, two);
            }
            if reference.is_live != other.is_live {
                self.report
                    .differences
                    .push(format!("{instance} lives at one side only"));
            }
        }
        self.world.note(instance, reference);
        Ok(())
    }

    /// A batch runs by itself, at each side at its own pace, until it ends or all that is left of it has failed.
    async fn finish_batch(&mut self, seen: &Seen) -> Result<()> {
        let symbol = seen.plain["id"].as_str().context("a batch without an id")?;
        try_join_all(self.sides.iter().map(|side| ended(side, symbol))).await?;
        Ok(())
    }
}

async fn ended(side: &Side, batch: &str) -> Result<()> {
    let id = side.names.fill(&format!("{{{{{batch}}}}}"))?;
    let client = &side.client;
    eventually("the batch ends", BATCH_WITHIN, async || {
        let path = format!("/history/batch/{id}");
        let batch = client.get(&path).await?.expect(200)?.json()?;
        let path = format!("/batch/statistics?batchId={id}");
        let running = client.get(&path).await?.expect(200)?.json()?;
        let jobs = |member: &str| running[0][member].as_u64().unwrap_or_default();
        // What is refused for good stays as it is, at every side.
        let stuck = jobs("failedJobs") > 0 && jobs("failedJobs") == jobs("remainingJobs");
        Ok((stuck || batch["endTime"] != Value::Null).then_some(()))
    })
    .await
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(400).collect()
}
