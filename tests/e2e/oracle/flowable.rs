//! The same for Flowable: a script of generated operations, at one engine and at Homing over two and three.
//!
//! Owns its course and the lists it asks for, with every sort key that the router's own table knows. Must not know where
//! the sides live. Relies on engines that nobody else uses, so that lists need no scope.

mod acts;
mod look;
mod run;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use homing_harness::{clock::eventually, paths};
use serde_json::{Value, json};

use super::{
    compare::{self, Likeness},
    side::{Seen, Side},
    step::{Body, Check, Kind, Order, Step},
};
use look::Live;

const MODEL: &str = include_str!("../../models/oracle_flowable.bpmn20.xml");
const DIFFERENCES_MAX: usize = 40;
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// What `docs/dialects/flowable.md` explains.
pub(super) const KNOWN: [(&str, &str); 4] = [
    ("an unknown id", "`404 unknown-id`"),
    (
        "a sort key that rows do not hold",
        "Sort keys that the rows do not hold",
    ),
    ("signals", "**Signals**"),
    ("an unknown path", "An unknown path is `404`"),
];

pub(super) struct Script {
    pub(super) seed: u64,
    sides: Vec<Side>,
    random: fastrand::Rng,
    live: BTreeMap<String, Live>,
    ended: Vec<String>,
    started: usize,
    sorts: Vec<(String, String, String, Kind)>,
    asked: usize,
    steps: usize,
    known: BTreeMap<&'static str, usize>,
    pub(super) differences: Vec<String>,
}

/// Path, sort key, member and kind, as the router's own table tells them.
fn sorts() -> Result<Vec<(String, String, String, Kind)>> {
    let table = "proxy/src/dialect/flowable/merge/sorts.tsv";
    let table = std::fs::read_to_string(paths::checkout().join(table))?;
    let mut sorts = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[path, by, member, reading] = columns.as_slice() else {
            continue;
        };
        // The APIs of cases and decisions have a script of their own; nothing here makes batches or log entries.
        if path.contains("/cmmn-") || path.contains("/dmn-") {
            continue;
        }
        let kind = match reading {
            "id" => Kind::Id,
            _ if member.ends_with("Id") && member != "activityId" && member != "tenantId" => {
                Kind::Id
            }
            _ if ["durationInMillis", "workTimeInMillis"].contains(&member) => Kind::Measured,
            "text" => Kind::Text,
            "number" => Kind::Number,
            "time" => Kind::Time,
            _ => Kind::Absent,
        };
        let api = if path == "/jobs" {
            "/external-job-api"
        } else {
            "/process-api"
        };
        sorts.push((
            format!("{api}{path}"),
            by.to_owned(),
            member.to_owned(),
            kind,
        ));
    }
    Ok(sorts)
}

impl Script {
    /// The reference first.
    pub(super) fn new(seed: u64, sides: Vec<Side>) -> Result<Script> {
        Ok(Script {
            seed,
            sides,
            random: fastrand::Rng::with_seed(seed),
            live: BTreeMap::new(),
            ended: Vec::new(),
            started: 0,
            sorts: sorts()?,
            asked: 0,
            steps: 0,
            known: BTreeMap::new(),
            differences: Vec::new(),
        })
    }

    pub(super) fn told(&self) -> String {
        format!(
            "seed {}: {} steps compared, {} of {} sort keys asked with, known differences {:?}",
            self.seed,
            self.steps,
            self.asked.min(self.sorts.len()),
            self.sorts.len(),
            self.known
        )
    }

    /// Plays until this many steps were compared and every sort key was asked with, or too much differed.
    pub(super) async fn run(&mut self, steps: usize) -> Result<()> {
        for side in &self.sides {
            let model = MODEL.replace("MARK", &side.names.fill("MARK")?);
            let form = format!(
                "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"oracle.bpmn20.xml\"\r\n\
                 Content-Type: application/xml\r\n\r\n{model}\r\n--edge--\r\n"
            );
            let path = "/process-api/repository/deployments";
            let content_type = Some("multipart/form-data; boundary=edge");
            let sent = side
                .client
                .send(hyper::Method::POST, path, form.into(), content_type);
            sent.await?.expect(201)?;
        }
        let mut random = self.random.clone();
        random.shuffle(&mut self.sorts);
        while self.steps < steps && self.differences.len() < DIFFERENCES_MAX {
            match self.random.usize(..20) {
                0..3 if self.live.len() < 12 => self.start().await?,
                3..8 => self.task().await?,
                8..11 => self.instance().await?,
                11..13 => self.work().await?,
                13 => self.bad().await?,
                _ => self.list().await?,
            }
        }
        while self.asked < self.sorts.len() && self.differences.len() < DIFFERENCES_MAX {
            self.list().await?;
        }
        Ok(())
    }

    /// One step everywhere. The reference's answer.
    async fn step(&mut self, step: &Step) -> Result<Seen> {
        let answers = try_join_all(self.sides.iter_mut().map(|side| side.run(step))).await;
        let answers = answers.with_context(|| format!("seed {}: {step}", self.seed))?;
        self.steps += 1;
        let (reference, others) = answers.split_first().context("no side")?;
        for (at, other) in others.iter().enumerate() {
            self.judge(step, reference, at + 1, other);
        }
        Ok(reference.clone())
    }

    fn judge(&mut self, step: &Step, one: &Seen, at: usize, two: &Seen) {
        let Some(why) = differ(&step.check, one, two) else {
            return;
        };
        if let Some(name) = reason(step, one, two) {
            *self.known.entry(name).or_default() += 1;
            return;
        }
        let short = |seen: &Seen| seen.plain.to_string().chars().take(500).collect::<String>();
        let title = &self.sides[at].title;
        self.differences.push(format!(
            "step {} {step}\n  {title}: {why}\n  one engine: {} {}\n  {title}: {} {}",
            self.steps,
            one.status,
            short(one),
            two.status,
            short(two)
        ));
    }

    /// Continuations run by themselves, at each side at its own pace.
    async fn settle(&self) -> Result<()> {
        let settled = self.sides.iter().map(|side| async move {
            eventually("no job is left", SETTLED_WITHIN, async || {
                let path = "/process-api/management/jobs?size=1";
                let jobs = side.client.get(path).await?.expect(200)?.json()?;
                Ok((jobs["total"] == 0).then_some(()))
            })
            .await
        });
        try_join_all(settled).await?;
        Ok(())
    }

    /// A list by the next sort key, in the query or in the body.
    async fn list(&mut self) -> Result<()> {
        let (path, by, member, kind) = self.sorts[self.asked % self.sorts.len()].clone();
        let descends = if self.asked < self.sorts.len() {
            self.asked.is_multiple_of(2)
        } else {
            self.random.bool()
        };
        self.asked += 1;
        let page = self.random.bool().then(|| {
            let sizes = [1, 2, 3, 5, 10, 50];
            (
                self.random.usize(..6),
                sizes[self.random.usize(..sizes.len())],
            )
        });
        let order = if descends { "desc" } else { "asc" };
        let (first, size) = page.unwrap_or((0, 1_000));
        let check = Check::List(Order {
            by: vec![(member, kind, descends)],
            page,
        });
        let step = if path.contains("/query/") {
            let mut body = json!({ "sort": by, "order": order, "start": first, "size": size });
            if self.random.bool() && path.ends_with("query/tasks") {
                body["processInstanceVariables"] = json!([{ "name": "prio", "operation": "greaterThan",
                    "value": 30, "type": "integer" }]);
            }
            Step::post(path, body)
        } else {
            Step::get(format!(
                "{path}?sort={by}&order={order}&start={first}&size={size}"
            ))
        };
        self.step(&step.check(check)).await?;
        Ok(())
    }
}

/// A list's rows and what stands around them are compared by themselves.
fn differ(check: &Check, one: &Seen, two: &Seen) -> Option<String> {
    let rows = |seen: &Seen| -> Option<(Seen, Seen)> {
        let (plain, raw) = (seen.plain.get("data")?, seen.raw.get("data")?);
        let rows = Seen {
            plain: plain.clone(),
            raw: raw.clone(),
            ..seen.clone()
        };
        let mut rest = seen.clone();
        rest.plain.as_object_mut()?.remove("data");
        Some((rest, rows))
    };
    match (rows(one), rows(two)) {
        (Some((rest, rows)), Some((other_rest, other_rows))) => {
            compare::differ(&Check::All, Likeness::Same, &rest, &other_rest)
                .or_else(|| compare::differ(check, Likeness::Same, &rows, &other_rows))
        }
        _ => compare::differ(check, Likeness::Same, one, two),
    }
}

fn reason(step: &Step, one: &Seen, two: &Seen) -> Option<&'static str> {
    let says = |reason: &str| two.is_problem && two.raw["reason"] == reason;
    let is_absent = matches!(&step.check, Check::List(order)
        if order.by.iter().any(|(_, kind, _)| *kind == Kind::Absent));
    let names_signal = matches!(&step.body, Body::Json(body) if body.get("signalName").is_some());
    if one.status >= 400 && says("unknown-id") {
        Some(KNOWN[0].0)
    } else if is_absent && two.status == 400 && says("bad-request") {
        Some(KNOWN[1].0)
    } else if names_signal && two.status == 501 {
        Some(KNOWN[2].0)
    } else if one.status >= 400 && says("not-routable") {
        Some(KNOWN[3].0)
    } else {
        None
    }
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    let list = value.get("data").unwrap_or(value);
    list.as_array().into_iter().flatten()
}
