//! A page of what a site has, and the rows that are missing.
//!
//! Owns reading a page and what becomes of each thing on it. Must not look at rows that the page does not name (`rows`).

use super::states::Differ;
use super::{Adds, Comparison, ConflictShape, NAMED_MAX, PAGE, PROVEN_MAX, Stage};
use crate::clock;
use crate::control::reconcile::states;
use crate::dialect::Presence;
use crate::dialect::holdings::{After, Cursor, Holding};
use homing_mapping_store::store::{Error, Inserted, NewMapping, Shipment};
use homing_mapping_store::{Kind, RoutingKey, Source};
use http::StatusCode;

impl Comparison<'_> {
    /// A site whose database moves on meanwhile may leave something out; it is found again.
    pub(super) async fn list(
        &mut self,
        kind: Kind,
        cursor: Cursor,
    ) -> Result<Result<(), String>, Error> {
        let Some(question) = self.site.dialect.holdings(kind, cursor, PAGE) else {
            self.unlisted(kind);
            return Ok(Ok(()));
        };
        if self.at.named >= self.most {
            crate::telemetry::metrics::limit_hit("compared_max");
            let limit = self.most;
            self.give_up().await?;
            return Ok(Err(format!(
                "more than {limit} of {} (limit `compared_max`)",
                kind.name()
            )));
        }
        let (status, body) = match self.put(&question).await {
            Ok(answer) => answer,
            Err(detail) => return Ok(Err(detail)),
        };
        let Some(page) = self.site.dialect.read_holdings(kind, status, &body) else {
            // An engine without such a list, and not one that cannot answer now.
            let lacks = matches!(
                status,
                StatusCode::NOT_FOUND
                    | StatusCode::METHOD_NOT_ALLOWED
                    | StatusCode::NOT_IMPLEMENTED
            );
            if lacks && self.at.named == 0 {
                self.unlisted(kind);
                return Ok(Ok(()));
            }
            return Ok(Err(format!("the site answered {status}")));
        };
        let after = cursor.after(&page, PAGE, clock::wall());
        let news = self.news(cursor, &page);
        self.at.named += news.len();
        self.take(kind, &news).await?;
        for thing in &news {
            self.seen.add(&thing.key);
        }
        self.at.stage = match after {
            After::Page(next) => Stage::List(next),
            After::End if self.at.named == 0 && self.runs(kind, cursor) => {
                Stage::List(Cursor::Running(0))
            }
            After::End => Stage::Rows(None),
            After::Disorder => {
                let kind = kind.name();
                self.give_up().await?;
                return Ok(Err(format!("the site's list of {kind} is in disorder")));
            }
        };
        Ok(Ok(()))
    }

    /// Whether a site without any history may be asked for what runs.
    fn runs(&self, kind: Kind, cursor: Cursor) -> bool {
        let running = Cursor::Running(0);
        matches!(cursor, Cursor::Window { .. })
            && self.site.dialect.holdings(kind, running, PAGE).is_some()
    }

    /// What the page before has not named: windows share their ends.
    fn news(&mut self, cursor: Cursor, page: &[Holding]) -> Vec<Holding> {
        let recent = |one: &&Holding| !self.recent.contains(&one.key);
        let news: Vec<Holding> = page.iter().filter(recent).cloned().collect();
        if !matches!(cursor, Cursor::Within { .. }) {
            self.recent.clear();
        }
        let last = |one: &&Holding| match cursor {
            Cursor::Within { at, .. } => one.began > Some(at),
            Cursor::Window { .. } | Cursor::Row(_) | Cursor::Running(_) => true,
        };
        let named = page.iter().filter(last).map(|one| one.key.clone());
        self.recent.extend(named);
        news
    }

    async fn take(&mut self, kind: Kind, things: &[Holding]) -> Result<(), Error> {
        self.found.seen += things.len() as u64;
        let keys: Vec<RoutingKey> = things.iter().map(|one| one.key.clone()).collect();
        let held = self.pipeline.resolver.store.get_many(&keys).await?;
        let (mut missing, mut differ) = (Vec::new(), Differ::default());
        for (thing, held) in things.iter().zip(held) {
            match held {
                None => missing.push(NewMapping {
                    key: thing.key.clone(),
                    home: self.site.id,
                    state: states::of(thing),
                    source: Source::Reconciled,
                    at: clock::wall(),
                }),
                Some(held) if held.home == self.site.id => {
                    self.found.unchanged += 1;
                    differ.look(thing, held);
                }
                Some(held) => self.conflict(&thing.key, held.home.name()),
            }
        }
        self.states(kind, differ).await?;
        self.add(missing).await
    }

    async fn add(&mut self, mut missing: Vec<NewMapping>) -> Result<(), Error> {
        match self.adds {
            Adds::Nothing => {
                self.found.added += missing.len() as u64;
                return Ok(());
            }
            Adds::OnItsWord => {}
            Adds::IfProven => missing = self.alone(missing).await,
        }
        let shipment = Shipment {
            router: self.pipeline.name.clone(),
            mappings: missing.clone(),
            ..Shipment::default()
        };
        let inserted = self.pipeline.resolver.store.ship(&shipment).await?;
        for (row, inserted) in missing.iter().zip(inserted) {
            match inserted {
                Inserted::New => self.found.added += 1,
                Inserted::Same => self.found.unchanged += 1,
                Inserted::Conflict { held, .. } => self.conflict(&row.key, held.name()),
            }
        }
        Ok(())
    }

    /// Those that no other site of the same dialect has.
    async fn alone(&mut self, missing: Vec<NewMapping>) -> Vec<NewMapping> {
        let topology = self.pipeline.topology.load_full();
        let mut groups = topology.groups.iter();
        let group = groups.find(|group| group.sites.iter().any(|one| one.id == self.site.id));
        let mut proven = Vec::new();
        for row in missing {
            self.at.proven += 1;
            let others = group.into_iter().flat_map(|group| &group.sites);
            let mut alone = self.at.proven <= PROVEN_MAX;
            for other in others.filter(|other| other.id != self.site.id) {
                if !alone {
                    break;
                }
                self.wait().await;
                let locator = &self.pipeline.resolver.locator;
                match locator.ask(&row.key, other).await {
                    Presence::Absent => {}
                    Presence::Present(_) => {
                        self.conflict(&row.key, other.id.name());
                        alone = false;
                    }
                    Presence::Unclear => alone = false,
                }
            }
            if alone {
                proven.push(row);
            } else {
                self.orphan(&row.key);
            }
        }
        proven
    }

    fn orphan(&mut self, key: &RoutingKey) {
        self.found.orphans += 1;
        if self.found.orphaned.len() < NAMED_MAX {
            self.found.orphaned.push(key.to_string());
        }
    }

    fn conflict(&mut self, key: &RoutingKey, home: &str) {
        tracing::warn!(%key, home, site = %self.site.id, "a site holds what the table says lives elsewhere");
        self.found.conflicts += 1;
        if self.found.conflicting.len() < NAMED_MAX {
            self.found.conflicting.push(ConflictShape {
                key: key.to_string(),
                home: home.to_owned(),
                line_home: self.site.id.name().to_owned(),
            });
        }
    }
}
