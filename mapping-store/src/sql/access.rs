//! How a session begins: to read, or to change something.
//!
//! Owns the refusal of a database that was left behind. Must not know what is read or changed.

use super::Sql;
use super::session::{Access, Session};
use super::write::Write;
use crate::store::Error;

impl Sql {
    pub(super) async fn read(&self, doing: &'static str) -> Result<Box<dyn Session>, Error> {
        self.backend.session(Access::Read, doing).await
    }

    pub(super) async fn write(&self, doing: &'static str) -> Result<Write, Error> {
        let write = Write::begin(self.backend.session(Access::Write, doing).await?).await?;
        match self.floor.take(write.found_incarnation()) {
            Ok(()) => Ok(write),
            Err(behind) => {
                self.backend.left_behind();
                write.end(Err(behind)).await
            }
        }
    }
}
