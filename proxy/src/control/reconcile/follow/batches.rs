//! Batches that were made past Homing: the newest ones of a site, as far back as one of a page is new.
//!
//! Owns how far back a round looks. A list of batches cannot be narrowed to a time, so nothing is kept of how far it was read: what
//! was committed later than a whole page of younger ones a comparison finds.

use super::{One, begun};
use crate::clock;
use homing_mapping_store::Kind;
use homing_mapping_store::store::Error;

/// Batches in one question.
const PAGE: usize = 50;
/// Questions to one site in one round (together limit `batches_per_look`); the next round goes on.
const PAGES_MAX: usize = 20;

impl One<'_> {
    /// Adds the rows that are missing.
    pub(super) async fn batches(&self) -> Result<(), Error> {
        let table = &self.pipeline.resolver.known.table;
        for first in (0..PAGES_MAX).map(|page| page * PAGE) {
            let question = self.site.dialect.newest(Kind::BATCH, first, PAGE);
            let Some(question) = question.filter(|_| clock::now() < self.until) else {
                return Ok(());
            };
            self.pace.next().await;
            let Ok(page) = self.page(Kind::BATCH, &question).await else {
                return Ok(());
            };
            let is_news = page.iter().any(|one| table.get(&one.key).is_none());
            begun::add(self.pipeline, self.site, self.told, &page).await?;
            if !is_news || page.len() < PAGE {
                return Ok(());
            }
        }
        Ok(())
    }
}
