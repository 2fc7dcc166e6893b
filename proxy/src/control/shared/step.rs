//! One shared write, brought to one site.
//!
//! Owns looking before sending, and what is done about a write of which nobody knows whether it was done: nobody was told
//! that it was, so it is found out, and not sent again. Must not choose what is due.

use crate::control::deployments::Settings;
use crate::deployments::Deployments;
use crate::deployments::outcome::{Outcome, judge};
use crate::dialect::Ask;
use crate::dialect::shares::{LeftOut, Seen, Shares, Thing, Write};
use crate::forward::ask;
use crate::resolve::{RouteSource, Target};
use crate::shared::Picture;
use crate::topology::Topology;
use homing_mapping_store::deployment::{AtSite, Standing};
use homing_mapping_store::shared::{SharedRecord, SharedVerb};
use homing_mapping_store::{Generation, SiteId, Timestamp, store};

/// Most characters of an engine's refusal that are kept.
const DETAIL_CHARS_MAX: usize = 2_000;
/// What a user lacks who was made without the password that is not kept.
const LACKS_PASSWORD: &str = "password";

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// What follows may be sent.
    Further,
    /// What follows has to wait for it.
    Waits,
}

/// What is to be done.
pub(super) struct Step<'s> {
    pub(super) topology: &'s Topology,
    pub(super) deployments: &'s Deployments,
    pub(super) settings: &'s Settings,
    pub(super) picture: &'s Picture,
    pub(super) record: &'s SharedRecord,
    /// By the store's clock.
    pub(super) now: Timestamp,
}

/// A write as it is kept.
struct Kept<'k> {
    write: &'k Write,
    content: &'k [u8],
}

impl Kept<'_> {
    /// What a site lacks that gets it as it is kept.
    fn lacks(&self, shares: &dyn Shares) -> &'static str {
        let kept = shares.keepable(self.write, self.content);
        match kept.map_or(LeftOut::Nothing, |kept| kept.left_out) {
            LeftOut::Nothing => "",
            LeftOut::Password => LACKS_PASSWORD,
        }
    }

    /// What a site that shows all of it may lack nevertheless: a password that was changed is in no answer.
    fn unseen(&self, shares: &dyn Shares) -> &'static str {
        match self.write.verb {
            SharedVerb::Set => self.lacks(shares),
            SharedVerb::Make | SharedVerb::Drop | SharedVerb::Join | SharedVerb::Leave => "",
        }
    }
}

impl Step<'_> {
    pub(super) async fn take(&self, target: &Target) -> Result<Taken, store::Error> {
        let site = target.site.id;
        let Ok(write) = serde_json::from_str::<Write>(&self.record.what) else {
            let why = "this router cannot read what is to be done".to_owned();
            return self
                .note(at(site, Standing::Failed, why), Taken::Further)
                .await;
        };
        // Another write may have taken its place meanwhile.
        let content = match self
            .deployments
            .store()
            .shared_content(self.record.number)
            .await
        {
            Err(store::Error::Unknown { .. }) => return Ok(Taken::Further),
            content => content?,
        };
        let kept = Kept {
            write: &write,
            content: &content,
        };
        let is_promised = |at: &AtSite| at.standing == Standing::Done;
        if self.record.sites.iter().any(is_promised) {
            self.bring(target, &kept).await
        } else {
            self.decide(&kept).await
        }
    }

    /// Somebody was told that it is done.
    async fn bring(&self, target: &Target, kept: &Kept<'_>) -> Result<Taken, store::Error> {
        let site = target.site.id;
        let Some(shares) = target.site.dialect.shares() else {
            return Ok(Taken::Waits);
        };
        let is_young = self.record.at(site).is_some_and(|at| self.is_young(at));
        let own = self.own(site);
        let verb = kept.write.verb;
        let seen = self.look(target, shares, kept).await;
        match (verb, seen) {
            (_, Seen::Unclear) => {
                let why = "the site does not tell whether it has it".to_owned();
                self.note(at(site, Standing::Missing, why), Taken::Waits)
                    .await
            }
            (SharedVerb::Make | SharedVerb::Set | SharedVerb::Join, Seen::There(id)) => {
                self.has(site, id.or(own), kept.unseen(shares)).await
            }
            (SharedVerb::Drop | SharedVerb::Leave, Seen::Absent) => self.has(site, own, "").await,
            // It may be done in a moment, and must not be done twice.
            (_, _) if is_young => Ok(Taken::Waits),
            // It was there before, as something else.
            (SharedVerb::Make, Seen::Other(id)) => {
                let own = id.or(own);
                let set = Write {
                    verb: SharedVerb::Set,
                    ..kept.write.clone()
                };
                let content = set_by(kept);
                let ask = shares.ask(&set, own.as_deref(), &content, "");
                self.send(target, ask, own, "").await
            }
            (SharedVerb::Set, Seen::Absent) => {
                let why = "the site does not have what this is about".to_owned();
                self.note(at(site, Standing::Failed, why), Taken::Further)
                    .await
            }
            (_, Seen::There(_) | Seen::Other(_) | Seen::Absent) => {
                let password = password();
                let ask = shares.ask(kept.write, own.as_deref(), kept.content, &password);
                self.send(target, ask, own, kept.lacks(shares)).await
            }
        }
    }

    async fn look(&self, target: &Target, shares: &dyn Shares, kept: &Kept<'_>) -> Seen {
        let site = target.site.id;
        let own = self.own(site);
        let Some(question) = shares.look(kept.write, own.as_deref(), kept.content) else {
            return Seen::Absent;
        };
        let (via, times) = (&self.settings.via, self.settings.times);
        match ask::ask(target, &question, via, times).await {
            Ok((status, body)) => {
                let taken = match own {
                    Some(_) => Default::default(),
                    None => self.picture.taken(&self.record.scope, site),
                };
                shares.seen(kept.write, kept.content, &taken, status, &body)
            }
            Err(_) => Seen::Unclear,
        }
    }

    async fn send(
        &self,
        target: &Target,
        ask: Option<Ask>,
        own: Option<String>,
        lacks: &str,
    ) -> Result<Taken, store::Error> {
        let (site, number) = (target.site.id, self.record.number);
        let Some(ask) = ask else {
            let why = "the site has no copy that this is about".to_owned();
            return self
                .note(at(site, Standing::Failed, why), Taken::Further)
                .await;
        };
        let (via, times) = (&self.settings.via, self.settings.times);
        let answered = ask::tell(target, &ask, via, times).await;
        match judge(target.site.dialect.as_ref(), answered) {
            Outcome::Done(_, body) => {
                tracing::info!(%site, "shared write {number} ({}) was brought to the site", self.record.subject);
                let made = target.site.dialect.shares();
                let made = made.filter(|_| self.record.verb == SharedVerb::Make);
                let id = own.or_else(|| made.and_then(|shares| shares.read_id(&body)));
                self.has(site, id, lacks).await
            }
            Outcome::Refused(head, body) => {
                let why = format!("{}: {}", head.status, String::from_utf8_lossy(&body));
                tracing::warn!(%site, "shared write {number} is refused by the site's engine: {why}");
                self.note(at(site, Standing::Failed, why), Taken::Further)
                    .await
            }
            Outcome::Missing(problem) => {
                let missing = at(site, Standing::Missing, problem.detail.clone());
                self.note(missing, Taken::Waits).await
            }
            Outcome::Unknown(_, why) => {
                self.note(at(site, Standing::Unknown, why), Taken::Waits)
                    .await
            }
        }
    }

    /// No site is known to have done it, so nobody was told that it is done. One site that has it is enough.
    async fn decide(&self, kept: &Kept<'_>) -> Result<Taken, store::Error> {
        let mut is_sure = true;
        let sites = self.record.sites.iter();
        // To a site where it is missing it was never sent.
        for at in sites.filter(|at| at.standing != Standing::Missing) {
            let Some(site) = self.topology.site(at.site) else {
                continue;
            };
            let target = Target::of(site, RouteSource::Default, Generation::default());
            let shares = site.dialect.shares();
            let seen = match (target, shares) {
                (Ok(target), Some(shares)) => self.look(&target, shares, kept).await,
                (_, _) => Seen::Unclear,
            };
            let unseen = shares.map_or("", |shares| kept.unseen(shares));
            match (kept.write.verb, seen) {
                (SharedVerb::Make | SharedVerb::Set | SharedVerb::Join, Seen::There(id)) => {
                    return self.has(at.site, id, unseen).await;
                }
                (SharedVerb::Drop | SharedVerb::Leave, Seen::Absent) => {
                    return self.has(at.site, None, "").await;
                }
                (_, Seen::Unclear) => is_sure = false,
                (_, Seen::There(_) | Seen::Other(_) | Seen::Absent) => {
                    is_sure &= !self.is_young(at);
                }
            }
        }
        if !is_sure {
            return Ok(Taken::Waits);
        }
        let number = self.record.number;
        tracing::info!(
            "no site has shared write {number}, and nobody was told that it is done: it is withdrawn"
        );
        self.deployments.store().withdraw_shared(number).await?;
        Ok(Taken::Further)
    }

    fn own(&self, site: SiteId) -> Option<String> {
        let copies = self
            .picture
            .copies(&self.record.scope, &self.record.subject)?;
        copies.get(&site).cloned()
    }

    /// Whether it may still be running there, so that what is seen is no answer yet.
    fn is_young(&self, at: &AtSite) -> bool {
        let bound = self.settings.transaction_bound.as_millis();
        let bound = i64::try_from(bound).unwrap_or(i64::MAX);
        matches!(at.standing, Standing::Sending | Standing::Unknown)
            && self.now.0 < at.updated_at.0.saturating_add(bound)
    }

    async fn has(
        &self,
        site: SiteId,
        id: Option<String>,
        lacks: &str,
    ) -> Result<Taken, store::Error> {
        // Only what was made has an id; what is written about it later finds it there.
        let thing = self.record.subject.split('/').next();
        let is_copied = thing
            .and_then(Thing::parse)
            .is_some_and(|thing| thing.is_copied());
        let done = AtSite {
            id: id.filter(|_| is_copied && self.record.verb == SharedVerb::Make),
            holds: lacks.to_owned(),
            ..at(site, Standing::Done, String::new())
        };
        self.note(done, Taken::Further).await
    }

    /// What is known already is not written again.
    async fn note(&self, found: AtSite, taken: Taken) -> Result<Taken, store::Error> {
        let known = self.record.at(found.site);
        let is_news = known.is_none_or(|known| {
            (known.standing, &known.detail, &known.id) != (found.standing, &found.detail, &found.id)
                // Counts anew from now on.
                || matches!(found.standing, Standing::Failed | Standing::Unknown)
        });
        if is_news {
            let (store, number) = (self.deployments.store(), self.record.number);
            match store
                .note_shared(number, std::slice::from_ref(&found))
                .await
            {
                // Another write has taken its place meanwhile.
                Err(store::Error::Unknown { .. }) => {}
                noted => noted?,
            }
        }
        Ok(taken)
    }
}

/// The content of something made, as it is set.
fn set_by(kept: &Kept<'_>) -> Vec<u8> {
    let content: serde_json::Value = serde_json::from_slice(kept.content).unwrap_or_default();
    match content.get("profile") {
        Some(profile) => profile.to_string().into_bytes(),
        None => kept.content.to_vec(),
    }
}

/// One that nobody knows, and that the usual policies take.
fn password() -> String {
    format!("Aa1!{}", uuid::Uuid::new_v4())
}

fn at(site: SiteId, standing: Standing, detail: String) -> AtSite {
    AtSite {
        site,
        standing,
        id: None,
        holds: String::new(),
        detail: detail.chars().take(DETAIL_CHARS_MAX).collect(),
        updated_at: Timestamp(0),
    }
}
