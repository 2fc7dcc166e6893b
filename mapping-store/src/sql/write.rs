//! A changing transaction: the locked row of `store`, the next change numbers, events and audit.
//!
//! Owns the order of changes and the links of the audit chain. Relies on the lock that the session takes first.

use super::session::{Ledger, Session, args, stored};
use crate::Generation;
use crate::audit::{AuditEntry, AuditRecord};
use crate::sql::key::StoredKey;
use crate::store::{Error, Seq};

/// Generations carry the incarnation in their high 16 bits; stores keep them as signed 64-bit numbers.
pub const INCARNATION_MAX: u16 = i16::MAX as u16;

/// What an event is about; the numbers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    Mapping = 1,
    Pin = 2,
    Site = 3,
    Assignment = 4,
    Suffix = 5,
    Loss = 6,
}

pub(super) struct Write {
    pub(super) session: Box<dyn Session>,
    ledger: Ledger,
    locked: Ledger,
}

impl Write {
    /// Locks; starts a new incarnation if the database is not the one that the last change was made in.
    pub(super) async fn begin(mut session: Box<dyn Session>) -> Result<Write, Error> {
        let (locked, lineage) = session.lock().await?;
        let mut write = Write {
            session,
            ledger: locked.clone(),
            locked,
        };
        if write.ledger.lineage != lineage {
            if !write.ledger.lineage.is_empty() {
                write.advance_incarnation(0)?;
            }
            write.ledger.lineage = lineage;
        }
        Ok(write)
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The incarnation as it was committed.
    pub(super) fn found_incarnation(&self) -> u64 {
        self.locked.incarnation
    }

    pub(super) fn incarnation(&self) -> u16 {
        self.ledger.incarnation as u16
    }

    /// An incarnation above the present one and above `above`. Its positions and revisions are above all that were ever
    /// given, so that nobody's position in a copy that is lost looks like an acknowledgement here.
    pub(super) fn advance_incarnation(&mut self, above: u16) -> Result<(), Error> {
        let next = self.ledger.incarnation.max(u64::from(above)) + 1;
        if next > u64::from(INCARNATION_MAX) {
            return Err(Error::Limit("incarnations", usize::from(INCARNATION_MAX)));
        }
        self.ledger.incarnation = next;
        let first = Seq::before(self.incarnation()).0;
        self.ledger.head = self.ledger.head.max(first);
        self.ledger.registry = self.ledger.registry.max(first);
        Ok(())
    }

    pub(super) fn next_generation(&self, last: Option<Generation>) -> Generation {
        last.map_or_else(
            || Generation::first(self.incarnation()),
            |last| last.next(self.incarnation()),
        )
    }

    pub(super) fn next_seq(&mut self) -> Seq {
        self.ledger.head += 1;
        Seq(self.ledger.head)
    }

    pub(super) fn next_registry(&mut self) -> u64 {
        self.ledger.registry += 1;
        self.ledger.registry
    }

    pub(super) async fn event_of_key(&mut self, what: What, key: &StoredKey) -> Result<Seq, Error> {
        let seq = self.next_seq();
        let sql = "INSERT INTO events (seq, what, kind, engine, id) VALUES ($1, $2, $3, $4, $5)";
        let args = args![seq, what as i64, key.kind, key.engine, key.id.as_slice()];
        self.session.run(sql, args).await?;
        Ok(seq)
    }

    pub(super) async fn event_of_name(&mut self, what: What, name: &str) -> Result<Seq, Error> {
        let seq = self.next_seq();
        let sql = "INSERT INTO events (seq, what, name) VALUES ($1, $2, $3)";
        self.session.run(sql, args![seq, what as i64, name]).await?;
        Ok(seq)
    }

    /// Adds a link to the audit chain.
    pub(super) async fn audit(&mut self, entry: &AuditEntry) -> Result<AuditRecord, Error> {
        let record =
            AuditRecord::link(self.ledger.audit_number + 1, entry, &self.ledger.audit_hash);
        let sql = "INSERT INTO audit (number, actor, action, subject, reason, detail, request_id, at, previous, hash) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let args = args![
            stored(record.number),
            &entry.actor,
            &entry.action,
            &entry.subject,
            entry.reason.clone(),
            &entry.detail,
            entry.request_id.clone(),
            entry.at,
            &record.previous,
            &record.hash,
        ];
        self.session.run(sql, args).await?;
        self.ledger.audit_number = record.number;
        self.ledger.audit_hash.clone_from(&record.hash);
        Ok(record)
    }

    pub(super) async fn commit(mut self) -> Result<(), Error> {
        if self.ledger != self.locked {
            let sql = "UPDATE store SET head = $1, incarnation = $2, lineage = $3, registry = $4, audit_number = $5, \
                       audit_hash = $6 WHERE only_row = 1";
            let args = args![
                stored(self.ledger.head),
                stored(self.ledger.incarnation),
                &self.ledger.lineage,
                stored(self.ledger.registry),
                stored(self.ledger.audit_number),
                &self.ledger.audit_hash,
            ];
            self.session.run(sql, args).await?;
        }
        if self.ledger.head != self.locked.head
            || self.ledger.incarnation != self.locked.incarnation
        {
            self.session.announce().await?;
        }
        self.session.commit().await
    }

    /// Commits what went well, undoes what did not.
    pub(super) async fn end<T>(self, result: Result<T, Error>) -> Result<T, Error> {
        match result {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // The transaction is gone either way; the first error is the one that tells something.
                let _ = self.session.rollback().await;
                Err(error)
            }
        }
    }
}
