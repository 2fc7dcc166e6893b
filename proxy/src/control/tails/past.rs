//! The failovers to a replica that a site has had, what was said of them, and how far their databases had got.
//!
//! Owns the choice among operations, agents' words and the audit trail. Must not judge what is lost (`control::tails`).

use super::ACTION;
use crate::rehome::work::{Moving, Step, Work};
use homing_mapping_store::agent::AgentRecord;
use homing_mapping_store::audit::AuditRecord;
use homing_mapping_store::operation::OperationRecord;
use homing_mapping_store::store::Error;
use homing_mapping_store::switch::Rule;
use homing_mapping_store::{Generation, Handle, SiteId, Timestamp};
use serde_json::Value;
use uuid::Uuid;

/// Records of the trail that are looked through, from the newest back (limit `tail_records`).
const RECORDS_MAX: u64 = 10_000;
/// Records read at a time.
const WINDOW: u64 = 500;

/// A failover of a site to a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The operation.
    pub operation: Uuid,
    /// The installation that it went to.
    pub to: String,
    /// By this assignment it served there.
    pub at: Generation,
    /// By assignments before this one what was lost is another failover's.
    pub after: Generation,
    /// Routers that were registered then.
    pub routers: Vec<String>,
    /// If another assignment is in force since: when it began, by the store's clock.
    pub began: Option<Timestamp>,
    /// And when it had ended.
    pub ended: Option<Timestamp>,
}

impl Past {
    /// Those of these reports that are of it.
    pub fn of<'a>(&self, reports: &'a [Value]) -> impl Iterator<Item = &'a Value> {
        let operation = self.operation.to_string();
        let ours = move |report: &&Value| report["operation"] == *operation;
        reports.iter().filter(ours)
    }
}

/// The move of this operation that takes a site to a replica without its old place, unless it was taken back.
pub fn to_replica<'a>(work: &'a Work, site: &str) -> Option<&'a Moving> {
    work.moves.iter().find(|one| {
        one.of.site == site
            && one.of.recovery == "replica"
            && one.generation.is_some()
            && !matches!(one.step, Step::Aborted | Step::Failed)
    })
}

/// Whether what it went to may lack something: a planned switch waits until nothing is missing, unless a person did not want that.
pub fn may_lack(work: &Work) -> bool {
    let mut overrides = work.plan.overrides.iter();
    !work.plan.verb.is_planned() || overrides.any(|rule| rule == Rule::Lag.as_str())
}

/// Those after this generation and up to the one by which the site is served now, the oldest first.
pub fn failovers(
    operations: &[OperationRecord],
    site: &str,
    after: Option<Generation>,
    now: Generation,
) -> Result<Vec<Past>, Error> {
    let mut found = Vec::new();
    for record in operations {
        let work = Work::of(record)?;
        if !may_lack(&work) {
            continue;
        }
        let Some(moving) = to_replica(&work, site) else {
            continue;
        };
        let at = Generation(moving.generation.unwrap_or_default());
        // The last word of one that serves may not be noted yet.
        let took_effect = moving.step == Step::Done || at == now;
        if took_effect && at <= now && after.is_none_or(|after| after < at) {
            let is_over = at < now;
            found.push(Past {
                operation: record.id,
                to: moving.of.to.clone(),
                at,
                after: Generation::default(),
                routers: work.routers.clone(),
                began: is_over.then_some(record.started_at),
                ended: is_over.then(|| record.ended_at.unwrap_or(record.updated_at)),
            });
        }
    }
    found.sort_by_key(|one| one.at);
    for later in 1..found.len() {
        found[later].after = found[later - 1].at;
    }
    Ok(found)
}

/// Every router's reports of a site's failovers, the newest first.
pub async fn reports(store: &Handle, site: &str) -> Result<Vec<AuditRecord>, Error> {
    let (mut before, _) = store.audit_end().await?;
    let oldest = before.saturating_sub(RECORDS_MAX);
    let mut found = Vec::new();
    while before > oldest {
        let after = before.saturating_sub(WINDOW).max(oldest);
        let limit = usize::try_from(before - after).unwrap_or(usize::MAX);
        let records = store.audit(Some(after), limit).await?;
        let newest_first = records.into_iter().rev();
        let of_site = |one: &AuditRecord| one.entry.action == ACTION && one.entry.subject == site;
        found.extend(newest_first.filter(of_site));
        before = after;
    }
    Ok(found)
}

/// Their words.
pub fn said(reports: &[AuditRecord]) -> Vec<Value> {
    let words = reports.iter();
    words
        .map(|one| serde_json::from_str(&one.entry.detail).unwrap_or_default())
        .collect()
}

/// When the last transaction was committed that a promoted database has from the old one, by the old one's clock; `None`: it does
/// not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position(pub Option<i64>);

/// `None`: no agent there has said yet that its database is promoted.
pub fn position(agents: &[AgentRecord], site: SiteId, to: &str) -> Option<Position> {
    let here = agents
        .iter()
        .filter(|one| one.report.site == site && one.report.installation == to);
    let mut lowest: Option<Position> = None;
    for one in here {
        let facts: Value = serde_json::from_str(&one.report.facts).unwrap_or_default();
        let replica = &facts["replica"];
        if replica["role"] != "primary" {
            continue;
        }
        let said = replica["last_replayed_ms"].as_i64();
        lowest = Some(Position(match lowest {
            Some(Position(before)) => before.zip(said).map(|(one, other)| one.min(other)),
            None => said,
        }));
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::plan::Verb;
    use crate::decide::plan::{Move, Plan, Subject};
    use crate::rehome::audit::Actor;
    use homing_mapping_store::agent::{AgentReport, AgentRole};
    use serde_json::json;

    fn agent(installation: &str, replica: &Value) -> AgentRecord {
        AgentRecord {
            report: AgentReport {
                site: SiteId::named("tails"),
                installation: installation.to_owned(),
                holder: "agent".to_owned(),
                generation: Generation(1),
                role: AgentRole::Open,
                facts: json!({ "replica": replica }).to_string(),
            },
            counter: 1,
            lease_ms: 1_000,
            seen_at: Timestamp(0),
            live: true,
        }
    }

    #[test]
    fn only_a_promoted_database_tells_how_far_it_had_got() {
        let site = SiteId::named("tails");
        let replica = json!({ "role": "replica", "replay_age_ms": 5 });
        assert_eq!(position(&[agent("two", &replica)], site, "two"), None);
        let primary = json!({ "role": "primary", "last_replayed_ms": 40 });
        let found = position(
            &[agent("one", &primary), agent("two", &primary)],
            site,
            "two",
        );
        assert_eq!(found, Some(Position(Some(40))));
        // One that does not know makes it unknown.
        let unknown = json!({ "role": "primary", "last_replayed_ms": null });
        let both = [agent("two", &primary), agent("two", &unknown)];
        assert_eq!(position(&both, site, "two"), Some(Position(None)));
    }

    fn operation(verb: Verb, at: u64, to: &str, step: Step) -> OperationRecord {
        let plan = Plan {
            verb,
            subject: Subject::Site("tails".to_owned()),
            moves: vec![Move {
                site: "tails".to_owned(),
                from: "other".to_owned(),
                to: to.to_owned(),
                generation: at - 1,
                recovery: "replica".to_owned(),
                max_lag_ms: Some(1),
                key: None,
            }],
            fenced_by: None,
            overrides: Vec::new(),
            made_at: 0,
            expires_at: 0,
        };
        let actor = Actor {
            name: "anna".to_owned(),
            reason: None,
            request_id: None,
        };
        let mut work = Work::new(plan, &actor, vec!["r1".to_owned()]);
        work.moves[0].generation = Some(at);
        work.moves[0].step = step;
        OperationRecord {
            id: Uuid::from_u128(at.into()),
            plan: String::new(),
            verb: verb.as_str().to_owned(),
            subject: "tails".to_owned(),
            sites: vec![SiteId::named("tails")],
            state: "done".to_owned(),
            generation: Generation(1),
            body: work.body(),
            started_at: Timestamp(i64::try_from(at).unwrap() * 100),
            updated_at: Timestamp(0),
            ended_at: Some(Timestamp(i64::try_from(at).unwrap() * 100 + 50)),
        }
    }

    #[test]
    fn a_planned_switch_lacks_something_only_where_a_person_did_not_wait() {
        let mut work = Work::of(&operation(Verb::Switchover, 9, "one", Step::Done)).unwrap();
        assert!(!may_lack(&work));
        work.plan.overrides = vec!["lag".to_owned()];
        assert!(may_lack(&work));
        assert!(may_lack(
            &Work::of(&operation(Verb::Failover, 9, "one", Step::Done)).unwrap()
        ));
    }

    #[test]
    fn a_router_that_was_away_for_two_failovers_and_the_way_back_answers_for_both() {
        // Newest first: as the store tells them.
        let operations = [
            operation(Verb::Switchover, 9, "one", Step::Done),
            operation(Verb::Failover, 7, "two", Step::Done),
            operation(Verb::Failover, 6, "two", Step::Aborted),
            operation(Verb::Failback, 5, "one", Step::Done),
            operation(Verb::Failover, 3, "two", Step::Done),
        ];
        let found = |after: u64, now: u64| {
            let after = Some(Generation(after));
            let found = failovers(&operations, "tails", after, Generation(now)).unwrap();
            let brief = found.into_iter();
            brief
                .map(|one| (one.at.0, one.after.0, one.ended.map(|ended| ended.0)))
                .collect::<Vec<_>>()
        };
        assert_eq!(found(2, 9), [(3, 0, Some(350)), (7, 3, Some(750))]);
        assert_eq!(found(3, 9), [(7, 0, Some(750))]);
        // The place of the last one serves: its agent is asked how far its database had got.
        assert_eq!(found(2, 7), [(3, 0, Some(350)), (7, 3, None)]);
        assert_eq!(found(7, 9), []);
        assert_eq!(
            failovers(&operations, "b", None, Generation(9)).unwrap(),
            []
        );
    }

    #[test]
    fn a_switch_that_serves_counts_before_its_end_is_noted() {
        let operations = [operation(Verb::Failover, 4, "two", Step::Open)];
        let now = |now| failovers(&operations, "tails", None, Generation(now));
        assert_eq!(now(4).unwrap().len(), 1);
        assert_eq!(now(5).unwrap().len(), 0);
    }
}
