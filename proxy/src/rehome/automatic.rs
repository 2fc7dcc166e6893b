//! Failover without a person: every router watches the sites that want it, the leader acts.
//!
//! Owns the loop and what it last said. Must not judge (`decide::automatic`): a failover that is due takes the same way as
//! one that a person asks for, plan and apply, with nobody's word for a fence and no rule overridden.

use super::apply::{self, Error};
use super::audit::Actor;
use super::execute::{Executor, LEADER, OPERATIONS_MAX};
use super::gather;
use super::step::millis;
use crate::clock;
use crate::decide::automatic::{Advice, Automatic, Last, Sight, Target, Watch};
use crate::decide::plan::{Plan, Question, Subject, Verb, plan};
use crate::decide::{Report, World};
use crate::observe::Evidence;
use crate::telemetry::chain;
use crate::telemetry::metrics::metrics;
use arc_swap::ArcSwap;
use homing_config::Config;
use homing_config::settings::Automatic as Wanted;
use homing_mapping_store::SiteId;
use homing_mapping_store::operation::OperationRecord;
use homing_mapping_store::store::{self, RouterRecord};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// What was last said of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What may happen.
    pub automatic: Automatic,
    /// `nothing`, `waits`, `advised` or `begun`.
    pub advice: &'static str,
    /// Why, in one sentence.
    pub why: String,
    /// What a failover waits for.
    pub waits_for: Vec<String>,
    /// The plan to apply, or that was applied.
    pub plan: Option<String>,
}

/// What was last said of each site that does not have `automatic = "off"`.
#[derive(Default)]
pub struct Advised(ArcSwap<HashMap<SiteId, Said>>);

impl Advised {
    /// What was last said of this site.
    pub fn of(&self, site: SiteId) -> Option<Said> {
        self.0.load().get(&site).cloned()
    }
}

/// What one round reads from the store.
struct Picture {
    world: World,
    routers: Vec<RouterRecord>,
    operations: Vec<OperationRecord>,
}

/// Watches until the task is dropped; costs nothing where no site wants it.
pub async fn run(executor: Arc<Executor>) {
    let began = clock::now();
    let mut watches = HashMap::new();
    loop {
        let config = executor.config();
        let wanted = wanted(&config);
        if wanted.is_empty() {
            executor.advised.0.store(Arc::default());
            watches.clear();
        } else {
            match picture(&executor, &config).await {
                Ok(picture) => round(&executor, &wanted, &picture, &mut watches, began).await,
                Err(error) => tracing::warn!("sites cannot be watched: {}", chain(&error)),
            }
        }
        tokio::time::sleep(config.lease.renew_every).await;
    }
}

fn wanted(config: &Config) -> Vec<(SiteId, Automatic)> {
    config
        .sites
        .iter()
        .map(|site| (SiteId::named(&site.name), mode(site.automatic)))
        .filter(|(_, automatic)| *automatic != Automatic::Off)
        .collect()
}

fn mode(wanted: Wanted) -> Automatic {
    match wanted {
        Wanted::Off => Automatic::Off,
        Wanted::Advise => Automatic::Advise,
        Wanted::On => Automatic::On,
    }
}

async fn picture(executor: &Executor, config: &Config) -> Result<Picture, store::Error> {
    let store = &executor.store;
    Ok(Picture {
        world: gather::world(store, config).await?,
        routers: store.routers().await?,
        operations: store.operations(OPERATIONS_MAX).await?,
    })
}

async fn round(
    executor: &Executor,
    wanted: &[(SiteId, Automatic)],
    picture: &Picture,
    watches: &mut HashMap<SiteId, Watch>,
    began: Instant,
) {
    let mut said = HashMap::new();
    for (site, automatic) in wanted {
        let question = question(*site);
        let (made, report) = plan(&question, &picture.world, clock::wall());
        let watch = watches.entry(*site).or_default();
        let Some(advice) = look(executor, picture, *site, (&made, &report), watch, began).await
        else {
            continue;
        };
        let before = executor.advised.of(*site);
        let says = follow(executor, *automatic, &question, advice, before.as_ref()).await;
        if before.as_ref().map(|before| before.advice) != Some(says.advice) {
            let why = format!("{}{}", says.why, says.waits_for.join("; "));
            tracing::info!(%site, advice = says.advice, "automatic failover: {why}");
        }
        let due = matches!(says.advice, "advised" | "begun");
        metrics()
            .failover_advised
            .with_label_values(&[site.name()])
            .set(due.into());
        said.insert(*site, says);
    }
    executor.advised.0.store(Arc::new(said));
}

fn question(site: SiteId) -> Question {
    Question {
        verb: Verb::Failover,
        subject: Subject::Site(site.name().to_owned()),
        to: None,
        key: None,
        fenced_by: None,
        overrides: Vec::new(),
    }
}

async fn look(
    executor: &Executor,
    picture: &Picture,
    id: SiteId,
    (plan, report): (&Plan, &Report),
    watch: &mut Watch,
    began: Instant,
) -> Option<Advice> {
    let site = picture.world.sites.iter().find(|one| one.name == id.name());
    let target = match plan.moves.first() {
        Some(one) => executor.look(id, &one.to).await,
        None => Evidence::Broke,
    };
    let sight = Sight {
        site: site?,
        safety: &picture.world.safety,
        routers: picture.routers.iter().filter(|one| one.live).count(),
        target: match target {
            Evidence::ProbePassed => Target::Answers,
            Evidence::ProbeFailed(_)
            | Evidence::Answered
            | Evidence::ConnectFailed
            | Evidence::Broke => Target::Silent,
        },
        last: last(&picture.operations, id),
        plan,
        report,
    };
    let now = clock::now().saturating_duration_since(began);
    Some(watch.see(&sight, now))
}

fn last(operations: &[OperationRecord], site: SiteId) -> Last {
    let newest = operations.iter().find(|one| one.sites.contains(&site));
    match newest {
        Some(one) if one.ended_at.is_none() => Last::Running,
        Some(one) if matches!(one.state.as_str(), "failed" | "aborted") => Last::Undone(one.id),
        Some(_) | None => Last::Done,
    }
}

/// Does what the advice says, as far as the site's operators allow.
async fn follow(
    executor: &Executor,
    automatic: Automatic,
    question: &Question,
    advice: Advice,
    before: Option<&Said>,
) -> Said {
    let say = |advice, why, waits_for, plan| Said {
        automatic,
        advice,
        why,
        waits_for,
        plan,
    };
    match advice {
        Advice::Nothing(why) => say("nothing", why, Vec::new(), None),
        Advice::Waits(waits) => say("waits", String::new(), waits, None),
        Advice::FailOver => {
            let kept = before.and_then(|before| before.plan.as_deref());
            let done = match automatic {
                Automatic::On => begin(executor, question).await,
                Automatic::Advise | Automatic::Off => advise(executor, question, kept).await,
            };
            match done {
                Ok((advice, why, plan)) => say(advice, why, Vec::new(), plan),
                Err(error) => say("waits", String::new(), vec![chain(&error)], None),
            }
        }
    }
}

type Followed = Result<(&'static str, String, Option<String>), Error>;

/// A plan that still holds is shown again.
async fn advise(executor: &Executor, question: &Question, kept: Option<&str>) -> Followed {
    let why = "it is down, and a person may apply this plan".to_owned();
    if let Some(hash) = kept
        && apply::check(executor, hash).await.is_ok()
    {
        return Ok(("advised", why, Some(hash.to_owned())));
    }
    let actor = actor(executor, "advised");
    let (made, _) = apply::make(executor, question, &actor).await?;
    Ok(("advised", why, Some(made.hash())))
}

async fn begin(executor: &Executor, question: &Question) -> Followed {
    let (store, config) = (&executor.store, executor.config());
    let ttl = millis(config.lease.router);
    if store
        .lease(LEADER, &config.router.name, ttl)
        .await?
        .is_none()
    {
        let why = "it is down; the leader fails it over, and this router is not it".to_owned();
        return Ok(("waits", why, None));
    }
    let actor = actor(executor, "automatic: enough routers see the site down");
    let (made, _) = apply::make(executor, question, &actor).await?;
    let begun = apply::apply(executor, &made.hash(), &actor).await?;
    executor.bell.notify_one();
    let why = format!("operation {} has begun", begun.id);
    Ok(("begun", why, Some(made.hash())))
}

fn actor(executor: &Executor, reason: &str) -> Actor {
    Actor {
        name: format!("router:{}", executor.config().router.name),
        reason: Some(reason.to_owned()),
        request_id: None,
    }
}
