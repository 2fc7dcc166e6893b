//! What an evacuation asks for: a site whose engine lets instances go, and others that take them.
//!
//! Owns the judgement, purely. Must not say which instance goes where: placement chooses when each one goes.

use super::{Considered, Draft, Move, Subject};
use crate::decide::world::{Compared, HandsOver, Leaving, Recovery, Site};
use homing_mapping_store::switch::Rule;
use std::collections::BTreeMap;

/// The target of an evacuation that leaves the choice to placement.
pub const ANY: &str = "*";

/// Instances that a note names; the rest is counted.
const NAMED_MAX: usize = 20;

/// What to know before all of a site, or one instance of it, is handed over.
fn notes(leaving: &Leaving, key: Option<&str>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(key) = key {
        if leaving.behind.iter().any(|one| one == key) {
            notes.push(format!(
                "{key} is not in the table: it began behind the routers' back, and leaves all the same"
            ));
        }
    } else if !leaving.behind.is_empty() {
        let named: Vec<&str> = leaving
            .behind
            .iter()
            .map(String::as_str)
            .take(NAMED_MAX)
            .collect();
        let rest = leaving.behind.len() - named.len();
        let rest = if rest > 0 {
            format!(" and {rest} more")
        } else {
            String::new()
        };
        notes.push(format!(
            "{} live instances are not in the table: they began behind the routers' back, and leave like the others: {}{rest}",
            leaving.behind.len(),
            named.join(", ")
        ));
    }
    if leaving.more && key.is_none() {
        notes.push("more instances live there than were looked at".to_owned());
    }
    notes.extend(leaving.lacking.iter().map(|one| {
        let stays = if one.everywhere {
            "they stay until it is deployed there"
        } else {
            "they go elsewhere"
        };
        format!(
            "definition {} (live instances there: {}) is not deployed with the same content at {}: {stays}",
            one.definition,
            one.instances,
            one.sites.join(", ")
        )
    }));
    notes.extend(compared(leaving.compared, leaving));
    notes.extend(
        leaving
            .unknown
            .iter()
            .map(|why| format!("not known: {why}")),
    );
    notes
}

fn compared(found: Option<Compared>, leaving: &Leaving) -> Vec<String> {
    let Some(found) = found else {
        return vec!["the table has never been compared with it".to_owned()];
    };
    let mut notes = Vec::new();
    if found.conflicts + found.orphans > 0 {
        notes.push(format!(
            "the newest comparison found {} conflicts and {} orphans there (homing map reconcile): a conflict stays",
            found.conflicts, found.orphans
        ));
    }
    if found.age > leaving.stale_after {
        notes.push(format!(
            "the newest comparison of the table with it is {:.0?} old",
            found.age
        ));
    }
    notes
}

impl<'a> Draft<'a> {
    pub(super) fn evacuate(&mut self, site: &'a Site) {
        let takers = match self.may_leave(site).and_then(|()| self.takers(site)) {
            Ok(takers) => takers,
            Err(why) => return self.refuse(site, why),
        };
        if self.world.safety.freeze {
            let why = "the freeze switch is on".to_owned();
            self.forbid(Some(Rule::Freeze), Some(&site.name), why);
        }
        let names: Vec<&str> = takers.iter().map(|one| one.name.as_str()).collect();
        let (what, wait) = match &self.question.key {
            Some(key) => (key.clone(), format!("{key} to have no job under way")),
            None => (
                "its live instances".to_owned(),
                format!("all routers to send no new work to {}", site.name),
            ),
        };
        let to = self.question.to.as_deref().unwrap_or(ANY);
        self.moves.push(Move {
            site: site.name.clone(),
            from: site.serving.clone(),
            to: to.to_owned(),
            generation: site.generation.0,
            recovery: Recovery::Evacuate.as_str().to_owned(),
            max_lag_ms: None,
            key: self.question.key.clone(),
        });
        self.report.sites.push(Considered {
            site: site.name.clone(),
            verdict: "moves".to_owned(),
            why: format!("{what} can be handed to {}", names.join(", ")),
            fate: Some("moved".to_owned()),
            rows: BTreeMap::new(),
            waits_for: vec![wait],
            notes: match &site.leaving {
                Some(leaving) => notes(leaving, self.question.key.as_deref()),
                None => Vec::new(),
            },
        });
    }

    fn may_leave(&self, site: &Site) -> Result<(), String> {
        match site.recovery {
            Some(Recovery::Evacuate) => {}
            Some(other) => {
                return Err(format!(
                    "its recovery is {}; live instances are handed over only from sites with recovery = {{ mode = \"evacuate\" }}",
                    other.as_str()
                ));
            }
            None => return Err("no configuration of this router declares it".to_owned()),
        }
        if let Some(pending) = &site.pending {
            return Err(format!("it is switching to {pending}"));
        }
        match site.hands_over {
            HandsOver::Yes => Ok(()),
            HandsOver::No => Err(
                "its engine cannot hand live instances over: only Homing's own engine can; its instances stay where their database is"
                    .to_owned(),
            ),
            HandsOver::Unknown => Err(
                "its engine does not answer, and live instances can only be taken out of an engine that works"
                    .to_owned(),
            ),
        }
    }

    /// The sites that take now.
    fn takers(&self, site: &'a Site) -> Result<Vec<&'a Site>, String> {
        let named = self.question.to.as_deref();
        if let Some(name) = named {
            if name == site.name {
                return Err("it cannot be handed to itself".to_owned());
            }
            if !self.world.sites.iter().any(|one| one.name == name) {
                return Err(format!("there is no site {name} to take its instances"));
            }
        }
        let elsewhere = |one: &&Site| match &self.question.subject {
            Subject::Zone(zone) => {
                let serving = one.installation(&one.serving);
                serving.and_then(|it| it.zone.as_deref()) != Some(zone)
            }
            Subject::Site(_) => one.name != site.name,
        };
        let takers: Vec<&Site> = self
            .world
            .sites
            .iter()
            .filter(|one| named.is_none_or(|name| one.name == name))
            .filter(elsewhere)
            .filter(|one| one.hands_over == HandsOver::Yes && one.is_available())
            .collect();
        match (takers.is_empty(), named) {
            (false, _) => Ok(takers),
            (true, Some(name)) => Err(format!(
                "site {name} does not take instances: it has to be available, with Homing's own engine"
            )),
            (true, None) => Err(
                "no other site takes its instances: one that is available, with Homing's own engine, is needed"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::world::Lacking;
    use std::time::Duration;

    #[test]
    fn what_is_not_known_or_could_not_live_elsewhere_is_named_with_the_age_of_what_was_compared() {
        let compared = Compared {
            age: Duration::from_secs(7_300),
            conflicts: 0,
            orphans: 0,
        };
        let mut leaving = Leaving {
            compared: Some(compared),
            stale_after: Duration::from_secs(7_200),
            ..Leaving::default()
        };
        assert_eq!(notes(&leaving, None).len(), 1);
        assert!(notes(&leaving, None)[0].contains("7300s old"));
        leaving.stale_after = Duration::from_secs(7_300);
        assert_eq!(notes(&leaving, None), Vec::<String>::new());
        leaving.behind = (0..30).map(|number| format!("k{number}")).collect();
        leaving.lacking = vec![Lacking {
            definition: "note version 1".to_owned(),
            instances: 2,
            sites: vec!["b".to_owned()],
            everywhere: true,
        }];
        leaving.compared = None;
        let [behind, lacking, never] = &notes(&leaving, None)[..] else {
            panic!("{:?}", notes(&leaving, None));
        };
        assert!(
            behind.contains("k19 and 10 more") && !behind.contains("k20"),
            "{behind}"
        );
        assert!(lacking.contains("at b: they stay"), "{lacking}");
        assert!(never.contains("never"), "{never}");
        // Of one instance only what is its own is told.
        let of = |key| notes(&leaving, Some(key)).join("\n");
        assert!(
            of("k3").starts_with("k3 is not in the table"),
            "{}",
            of("k3")
        );
        assert!(!of("other").contains("not in the table"), "{}", of("other"));
    }
}
