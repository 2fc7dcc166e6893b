//! Making a drill: what is rehearsed, whether it may be, what is read.
//!
//! Owns the checks before anything is changed. Must not switch anything: the plan of the way there is made here and applied
//! by whoever leads.

use super::course::{Course, Leg, Mode, Phase, Probe, Starts, Wanted};
use super::tally::{Read, Reads};
use super::{instances, load, outage};
use crate::decide::Report;
use crate::decide::plan::{Plan, Question, Subject, Verb};
use crate::names;
use crate::pipeline::Pipeline;
use crate::rehome::Executor;
use crate::rehome::apply::{self, Error};
use crate::rehome::audit::Actor;
use crate::topology::{Site, Topology};
use homing_config::Config;
use homing_config::settings::Recovery;
use homing_mapping_store::drill::NewDrill;
use homing_mapping_store::store::{self, MappingFilter};
use homing_mapping_store::switch::Rule;
use homing_mapping_store::{Handle, Kind, RoutingKey, SiteId};
use std::sync::Arc;
use uuid::Uuid;

/// Things of a site that are read.
pub const KEYS_MAX: usize = 50;

/// What an operator asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Of what.
    pub subject: Subject,
    /// What is rehearsed; not said: what the site's recovery allows.
    pub mode: Option<Mode>,
    /// The installation to switch to, where there is a choice.
    pub to: Option<String>,
    /// The word that a place which was left becomes a replica again.
    pub rejoins: Rejoins,
    /// Paths to be read, from the root.
    pub probes: Vec<String>,
    /// The rest.
    pub wanted: Wanted,
}

/// Whether the operator says that the place which was left becomes a replica of the other one in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejoins {
    /// It does.
    Stated,
    /// Nothing was said.
    Unsaid,
}

/// What drills are made with.
pub struct Means<'a> {
    /// Who carries plans out.
    pub executor: &'a Executor,
    /// The store.
    pub store: &'a Handle,
    /// The configuration in force.
    pub config: &'a Config,
    /// The data path.
    pub pipeline: &'a Arc<Pipeline>,
}

/// A drill that may begin.
pub struct Prepared {
    /// Its course.
    pub course: Course,
    /// The plan of the way there, and what was considered; none in `park`, in `evacuate` that of the first instance.
    pub planned: Option<(Plan, Report)>,
}

impl Prepared {
    /// What the store is told.
    pub fn new_drill(&self, subject: &Subject) -> NewDrill {
        let sites = self.course.sites.iter();
        NewDrill {
            id: Uuid::now_v7(),
            mode: self.course.wanted.mode.as_str().to_owned(),
            subject: subject.text(),
            sites: sites.map(|site| SiteId::named(site)).collect(),
            state: "running".to_owned(),
            body: self.course.body(),
        }
    }
}

pub(super) fn refuse(why: impl Into<String>) -> Error {
    Error::Refused {
        rule: None,
        why: why.into(),
    }
}

/// Checks everything, makes the plan of the way there, and finds out what can be read. Changes nothing but the list of plans.
pub async fn prepare(means: &Means<'_>, asked: Asked, actor: &Actor) -> Result<Prepared, Error> {
    let mode = mode(means.config, &asked)?;
    let mut wanted = asked.wanted.clone();
    wanted.mode = mode;
    let (legs, sites, planned) = way(means, &asked, mode, actor).await?;
    let probes = match mode {
        Mode::Evacuate => answering(means, &sites, instances::probes(means, &legs)).await?,
        Mode::Switch | Mode::Park | Mode::Failover => probes(means, &sites, &asked.probes).await?,
    };
    if mode != Mode::Park && probes.is_empty() {
        let why = format!(
            "nothing of {} answers well through this router, so nothing would be measured; name what to read as probes",
            asked.subject.text()
        );
        return Err(refuse(why));
    }
    if mode == Mode::Failover {
        outage::measured(&sites, &probes)?;
    }
    let (audit_after, _) = means.store.audit_end().await?;
    let course = Course {
        wanted,
        actor: actor.name.clone(),
        reason: actor.reason.clone(),
        audit_after,
        sites,
        probes,
        phase: match mode {
            Mode::Switch | Mode::Evacuate | Mode::Failover => Phase::There,
            Mode::Park => Phase::Stay,
        },
        legs,
        reads: Reads::default(),
        starts: Starts::default(),
        routers: Vec::new(),
        lost: Vec::new(),
        lost_tail: None,
        ended_early: None,
        abort: None,
        returned: None,
        evidence: Vec::new(),
    };
    Ok(Prepared { course, planned })
}

/// The legs, the sites, and the plan with what was considered.
type Way = (Vec<Leg>, Vec<String>, Option<(Plan, Report)>);

/// What is to be done in this mode.
async fn way(means: &Means<'_>, asked: &Asked, mode: Mode, actor: &Actor) -> Result<Way, Error> {
    Ok(match (mode, &asked.subject) {
        (Mode::Switch, _) => {
            let (plan, report) = way_there(means, asked, actor).await?;
            let legs: Vec<Leg> = plan
                .moves
                .iter()
                .map(|one| Leg {
                    plan: Some(plan.hash()),
                    ..Leg::new(&one.site, &one.from, &one.to, &one.recovery)
                })
                .collect();
            let sites = legs.iter().map(|leg| leg.site.clone()).collect();
            (legs, sites, Some((plan, report)))
        }
        (Mode::Park, Subject::Site(site)) => {
            others_can(&means.pipeline.topology.load_full(), site)?;
            (Vec::new(), vec![site.clone()], None)
        }
        (Mode::Evacuate, Subject::Site(site)) => {
            let chosen = instances::choose(means, site, asked).await?;
            let to = chosen.legs.first().map(|leg| leg.to.clone());
            let sites = [site.clone()].into_iter().chain(to).collect();
            (chosen.legs, sites, Some(chosen.planned))
        }
        (Mode::Failover, _) => {
            let (legs, planned) = outage::prepare(means, asked).await?;
            let sites = legs.iter().map(|leg| leg.site.clone()).collect();
            (legs, sites, Some(planned))
        }
        (Mode::Park | Mode::Evacuate, Subject::Zone(_)) => {
            let why = format!("mode {} rehearses one site, not a zone", mode.as_str());
            return Err(refuse(why));
        }
    })
}

fn mode(config: &Config, asked: &Asked) -> Result<Mode, Error> {
    let Subject::Site(name) = &asked.subject else {
        return Ok(asked.mode.unwrap_or(Mode::Switch));
    };
    let declared = config.sites.iter().find(|site| site.name == *name);
    let declared = declared.ok_or_else(|| {
        let known: Vec<&str> = config.sites.iter().map(|site| site.name.as_str()).collect();
        Error::Unknown(names::unknown("site", name, &known))
    })?;
    match (asked.mode, declared.recovery) {
        (Some(Mode::Switch), Recovery::Evacuate) => Err(refuse(
            "there is no other place to switch to: with recovery evacuate instances are handed to other sites (mode evacuate)",
        )),
        (Some(mode), _) => Ok(mode),
        (None, Recovery::Park) => Ok(Mode::Park),
        (None, Recovery::Evacuate) => Ok(Mode::Evacuate),
        (None, Recovery::SharedData | Recovery::Replica { .. }) => Ok(Mode::Switch),
    }
}

async fn way_there(
    means: &Means<'_>,
    asked: &Asked,
    actor: &Actor,
) -> Result<(Plan, Report), Error> {
    let rules = asked.wanted.overrides.iter();
    let question = Question {
        verb: Verb::Switchover,
        subject: asked.subject.clone(),
        to: asked.to.clone(),
        key: None,
        fenced_by: asked.wanted.fenced_by.clone(),
        overrides: rules.filter_map(|name| Rule::parse(name)).collect(),
    };
    let (plan, report) = apply::make(means.executor, &question, actor).await?;
    if let Some(objection) = report.standing().next() {
        return Err(Error::Refused {
            rule: objection.rule.clone(),
            why: objection.told(),
        });
    }
    if plan.moves.is_empty() {
        let considered = report.sites.iter();
        let why: Vec<String> = considered
            .map(|one| format!("{}: {}", one.site, one.why))
            .collect();
        let why = if why.is_empty() {
            "nothing is served from there".to_owned()
        } else {
            why.join("; ")
        };
        return Err(refuse(format!("there is nothing to switch: {why}")));
    }
    let replica = plan.moves.iter().find(|one| one.recovery == "replica");
    if let (Some(one), Rejoins::Unsaid) = (replica, asked.rejoins) {
        let why = format!(
            "site {}: a replica that was promoted does not become one again by itself; say old_place_rejoins if yours does, or rehearse with switchover and failback",
            one.site
        );
        return Err(refuse(why));
    }
    Ok((plan, report))
}

/// Somebody else has to take the starts.
fn others_can(topology: &Topology, name: &str) -> Result<(), Error> {
    let group = topology
        .groups
        .iter()
        .find(|group| group.sites.iter().any(|site| site.id.name() == name));
    let group = group.ok_or_else(|| Error::Unknown(format!("site {name}")))?;
    let mut others = group.sites.iter().filter(|site| site.id.name() != name);
    if others.any(|site| site.live.available()) {
        return Ok(());
    }
    Err(Error::Refused {
        rule: None,
        why: format!("no other site takes new work, so no share can be taken from {name}"),
    })
}

/// Those that answer well now, from one of these sites: the paths that were given, or else what the sites hold.
async fn probes(
    means: &Means<'_>,
    sites: &[String],
    given: &[String],
) -> Result<Vec<Probe>, Error> {
    let topology = means.pipeline.topology.load_full();
    let mut candidates = Vec::new();
    for path in given {
        candidates.push(Probe {
            site: String::new(),
            path: path.clone(),
            key: None,
        });
    }
    if given.is_empty() {
        for name in sites {
            let site = topology.sites().find(|site| site.id.name() == name);
            if let Some(site) = site {
                candidates.extend(held(means.store, site).await?);
            }
        }
    }
    answering(means, sites, candidates).await
}

async fn answering(
    means: &Means<'_>,
    sites: &[String],
    candidates: Vec<Probe>,
) -> Result<Vec<Probe>, Error> {
    let answers = load::each(means.pipeline, candidates.clone()).await;
    let answers = answers.map_err(|error| refuse(format!("nothing can be read: {error}")))?;
    let pairs = candidates.into_iter().zip(answers);
    let good = pairs.filter_map(|(probe, answer)| match answer {
        Read::Good { site, .. } if sites.contains(&site) => Some(Probe { site, ..probe }),
        Read::Good { .. } | Read::Failed(_) => None,
    });
    Ok(good.collect())
}

/// Process instances of a site, as paths to read.
async fn held(store: &Handle, site: &Site) -> Result<Vec<Probe>, store::Error> {
    let filter = MappingFilter {
        kind: Some(Kind::PROCESS_INSTANCE),
        home: Some(site.id),
        ..MappingFilter::default()
    };
    let rows = store.scan(&filter, None, KEYS_MAX).await?;
    let keys = rows.items.iter();
    Ok(keys.filter_map(|row| probe_of(site, &row.key)).collect())
}

/// How an instance is read. History keeps what runs and what has ended.
pub(super) fn probe_of(site: &Site, key: &RoutingKey) -> Option<Probe> {
    let mut paths = site.dialect.locate(key);
    let history = paths.iter().position(|path| path.contains("/history/"));
    let at = history.unwrap_or_default();
    (!paths.is_empty()).then(|| Probe {
        site: site.id.name().to_owned(),
        path: format!("{}{}", site.base_path, paths.swap_remove(at)),
        key: None,
    })
}
