//! What an instance of Flowable shows, and the names of what is in it.

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use serde_json::Value;

use super::{Script, rows};
use crate::oracle::{
    side::{Seen, Side},
    step::Step,
};

/// Symbols of what a live instance has.
#[derive(Clone, Default)]
pub(in crate::oracle) struct Live {
    pub(super) tasks: Vec<String>,
    /// Executions that wait for something, with the activity.
    pub(super) waits: Vec<(String, String)>,
}

const TASKS: &str = "/process-api/runtime/tasks?size=100&processInstanceId=";
const EXECUTIONS: &str = "/process-api/runtime/executions?size=100&processInstanceId=";

impl Script {
    /// Looks at one instance at every side.
    pub(super) async fn look(&mut self, instance: &str) -> Result<()> {
        let looks = self.sides.iter_mut().map(|side| look(side, instance));
        let looks = try_join_all(looks).await?;
        let (reference, others) = looks.split_first().context("no side")?;
        for (at, other) in others.iter().enumerate() {
            for ((step, one), (_, two)) in reference.0.iter().zip(&other.0) {
                self.steps += 1;
                self.judge(step, one, at + 1, two);
            }
        }
        match &reference.1 {
            Some(live) => {
                self.live.insert(instance.to_owned(), live.clone());
            }
            None => {
                self.live.remove(instance);
                self.ended.push(instance.to_owned());
            }
        }
        Ok(())
    }
}

type Look = (Vec<(Step, Seen)>, Option<Live>);

async fn look(side: &mut Side, instance: &str) -> Result<Look> {
    let at = |path: &str| Step::get(format!("{path}{{{{{instance}}}}}"));
    let mut shown = Vec::new();
    for path in [
        "/process-api/runtime/process-instances/",
        "/process-api/history/historic-process-instances/",
        TASKS,
        EXECUTIONS,
    ] {
        let step = at(path);
        let seen = side.run(&step).await?;
        shown.push((step, seen));
    }
    let step = Step::get(format!(
        "/process-api/runtime/process-instances/{{{{{instance}}}}}/variables"
    ));
    let seen = side.run(&step).await?;
    shown.push((step, seen));
    let is_live = shown[0].1.status == 200;
    let tasks = named(
        side,
        &format!("{instance}/task"),
        "taskDefinitionKey",
        &shown[2].1,
    );
    let executions = named(side, &format!("{instance}/at"), "activityId", &shown[3].1);
    for (_, seen) in &mut shown {
        seen.plain = side.names.plain(&seen.raw);
    }
    let live = is_live.then(|| Live {
        tasks: tasks.into_iter().map(|(symbol, _)| symbol).collect(),
        waits: executions
            .into_iter()
            .filter(|(_, activity)| activity.starts_with("on-"))
            .collect(),
    });
    Ok((shown, live))
}

/// Gives every row its symbol: where it is, and the next number. What it has of its own puts equal ones in order.
fn named(side: &mut Side, base: &str, member: &str, seen: &Seen) -> Vec<(String, String)> {
    let text = |row: &Value, member: &str| row[member].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<(String, String, String)> = rows(&seen.raw)
        .map(|row| {
            let order = side.names.plain(row).to_string();
            (text(row, member), order, text(row, "id"))
        })
        .collect();
    found.sort();
    let name = |(activity, _, id): (String, String, String)| {
        let symbol = side.names.name(&format!("{base}/{activity}"), &id);
        (symbol, activity)
    };
    found.into_iter().map(name).collect()
}
