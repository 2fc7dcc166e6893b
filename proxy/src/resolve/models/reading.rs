//! One reading of the models that are deployed at a site: what is there, and what of it has not been read yet.
//!
//! Owns the order of the questions, and noticing that a list has changed while it was read page by page: a definition
//! that is overlooked once would be overlooked for good. Must not decide when a site is read.

use super::Sort;
use crate::dialect::names::{self, Model, Names};
use crate::dialect::{Ask, Role};
use crate::forward::ask::{self, Told};
use crate::forward::send::Times;
use crate::problem::{Problem, Reason};
use crate::resolve::target::{RouteSource, Target};
use crate::topology::Site;
use futures_util::stream::{self, StreamExt};
use homing_mapping_store::{Engine, Generation};
use http::{HeaderValue, StatusCode};
use std::collections::HashSet;
use std::sync::Arc;

/// Most definitions of a site that are read (limit `models_per_site`); of a site with more every name counts as everything.
const MODELS_MAX: usize = 20_000;
/// Definitions in one page of the list.
const PAGE: usize = 200;
/// Models that are read from a site at a time.
const READ_AT_A_TIME: usize = 8;

/// What has been read of a site.
#[derive(Clone, Default)]
pub(super) struct Progress {
    read: HashSet<Box<str>>,
    names: Names,
    standing: Standing,
}

/// Whether that is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Standing {
    /// Something is deployed that has not been read.
    #[default]
    Partly,
    /// It is: so many definitions were deployed then.
    Whole(usize),
}

impl Progress {
    /// What a name does, as far as that is known.
    pub(super) fn role(&self, sort: Sort, name: &str) -> Role {
        match (self.standing, sort) {
            (Standing::Partly, _) => Role::UNKNOWN,
            (Standing::Whole(_), Sort::Message) => self.names.message(name),
            (Standing::Whole(_), Sort::Signal) => self.names.signal(name),
        }
    }

    /// Whether what has been read says by name that this starts something.
    pub(super) fn starts(&self, sort: Sort, name: &str) -> bool {
        match sort {
            Sort::Message => self.names.message_starts(name),
            Sort::Signal => self.names.signal_starts(name),
        }
    }

    fn news(&self, ids: impl IntoIterator<Item = Box<str>>) -> Vec<Box<str>> {
        ids.into_iter()
            .filter(|id| !self.read.contains(id))
            .collect()
    }
}

/// Whether the newest page held all that is new: as many as the definitions have become more. Otherwise something was
/// deleted, or lies beyond that page.
fn explains(standing: Standing, news: usize, count: usize) -> bool {
    standing == Standing::Whole(count.saturating_sub(news)) && news <= count
}

/// Whether pages that were read one after the other are the whole list: it had this length before and after.
fn is_whole(before: usize, listed: usize, after: usize) -> bool {
    before == listed && listed == after
}

/// One reading of one site.
pub(super) struct Reading {
    pub(super) engine: Engine,
    pub(super) via: HeaderValue,
    pub(super) times: Times,
    pub(super) progress: Arc<Progress>,
}

impl Reading {
    /// What is known afterwards, also where it ended early.
    pub(super) async fn run(mut self, site: &Arc<Site>) -> (Arc<Progress>, Result<(), Problem>) {
        let ended = self.all(site).await;
        (self.progress, ended)
    }

    async fn all(&mut self, site: &Arc<Site>) -> Result<(), Problem> {
        let target = Target::of(site, RouteSource::Default, Generation::default())?;
        let count = self.count(&target).await?;
        if count > MODELS_MAX {
            crate::telemetry::metrics::limit_hit("models_per_site");
            let progress = Arc::make_mut(&mut self.progress);
            progress.names = Names::unknown();
            progress.standing = Standing::Whole(count);
            return Ok(());
        }
        let news = match self.newest(&target, count).await? {
            Some(news) => news,
            None => self.unread(&target, count).await?,
        };
        if news.is_empty() && self.progress.standing == Standing::Whole(count) {
            return Ok(());
        }
        // From here on it is known that something has not been read.
        Arc::make_mut(&mut self.progress).standing = Standing::Partly;
        self.read(&target, news).await?;
        Arc::make_mut(&mut self.progress).standing = Standing::Whole(count);
        Ok(())
    }

    /// What is new since the last whole reading, if that can be told from one page.
    async fn newest(
        &self,
        target: &Target,
        count: usize,
    ) -> Result<Option<Vec<Box<str>>>, Problem> {
        let standing = self.progress.standing;
        if standing == Standing::Partly {
            return Ok(None);
        }
        let page = names::newest(&self.engine, PAGE);
        let news = self.progress.news(self.page(target, &page).await?);
        Ok(explains(standing, news.len(), count).then_some(news))
    }

    /// All that has not been read, out of the whole list. What is not deployed any more need not be remembered as read.
    async fn unread(&mut self, target: &Target, count: usize) -> Result<Vec<Box<str>>, Problem> {
        let mut listed: HashSet<Box<str>> = HashSet::new();
        for page in 0..=MODELS_MAX / PAGE {
            let question = names::page(&self.engine, page * PAGE, PAGE);
            let ids = self.page(target, &question).await?;
            let (is_last, before) = (ids.len() < PAGE, listed.len());
            listed.extend(ids);
            if is_last || listed.len() == before {
                break;
            }
        }
        let after = self.count(target).await?;
        if !is_whole(count, listed.len(), after) {
            let site = target.site.id;
            let detail = format!("the definitions of site {site} changed while they were listed");
            return Err(Problem::new(Reason::UpstreamBroke, detail).at(site));
        }
        Arc::make_mut(&mut self.progress)
            .read
            .retain(|id| listed.contains(id));
        Ok(self.progress.news(listed))
    }

    /// Reads models. Ends with the first that the site could not answer for; the others are kept.
    async fn read(&mut self, target: &Target, news: Vec<Box<str>>) -> Result<(), Problem> {
        let (engine, via, times) = (&self.engine, &self.via, self.times);
        let progress = Arc::make_mut(&mut self.progress);
        let mut models = stream::iter(news)
            .map(|id| async {
                let question = names::model(engine, &id);
                let model = match ask::told(target, &question.path, via, times).await? {
                    Told::Whole(status, body) => names::read_model(status, &body),
                    Told::TooLong => Model::Says(Names::unknown()),
                };
                Ok::<_, Problem>((id, model))
            })
            .buffer_unordered(READ_AT_A_TIME);
        while let Some(model) = models.next().await {
            let (id, model) = model?;
            match model {
                Model::Says(names) => progress.names.absorb(names),
                Model::Gone => {}
                Model::Unanswered => {
                    let site = target.site.id;
                    let detail = format!("site {site} cannot answer now for the definition {id}");
                    return Err(Problem::new(Reason::UpstreamBroke, detail).at(site));
                }
            }
            progress.read.insert(id);
        }
        Ok(())
    }

    async fn page(&self, target: &Target, question: &Ask) -> Result<Vec<Box<str>>, Problem> {
        self.answer(target, question, names::read_page).await
    }

    async fn count(&self, target: &Target) -> Result<usize, Problem> {
        self.answer(target, &names::count(&self.engine), names::read_count)
            .await
    }

    async fn answer<T>(
        &self,
        target: &Target,
        question: &Ask,
        read: impl FnOnce(StatusCode, &[u8]) -> Option<T>,
    ) -> Result<T, Problem> {
        let (status, body) = ask::ask(target, question, &self.via, self.times).await?;
        read(status, &body).ok_or_else(|| {
            let site = target.site.id;
            let detail = format!("site {site} answers {status} when asked for its definitions");
            Problem::new(Reason::UpstreamBroke, detail).at(site)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_tells_what_is_new_only_if_the_number_fits() {
        let whole = Standing::Whole(300);
        assert!(explains(whole, 0, 300));
        assert!(explains(whole, 7, 307));
        // More were deployed than the page shows, or some were deleted.
        assert!(!explains(whole, 200, 550));
        assert!(!explains(whole, 1, 300));
        assert!(!explains(whole, 0, 299));
        assert!(!explains(Standing::Partly, 0, 0));
        assert!(!explains(Standing::Whole(0), 1, 0));
    }

    #[test]
    fn a_list_that_changed_under_its_pages_is_not_believed() {
        assert!(is_whole(400, 400, 400));
        // One was deleted out of the first page: the row that moved up was not seen.
        assert!(!is_whole(400, 399, 399));
        assert!(!is_whole(400, 400, 401));
        assert!(!is_whole(400, 399, 400));
    }

    #[test]
    fn everything_is_expected_of_a_site_that_was_read_in_part() {
        let mut progress = Progress {
            standing: Standing::Whole(1),
            ..Progress::default()
        };
        assert_eq!(progress.role(Sort::Signal, "s"), Role::default());
        progress.standing = Standing::Partly;
        assert_eq!(progress.role(Sort::Signal, "s"), Role::UNKNOWN);
    }
}
