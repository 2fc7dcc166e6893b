//! How the store is made, and how a session begins: to read, or to change something.
//!
//! Owns the refusal of a database that was left behind. Must not know what is read or changed.

use super::session::{Access, Backend, Session};
use super::timed;
use super::write::Write;
use super::{Floor, Names, Sql};
use crate::store::Error;

impl Sql {
    pub(crate) fn new(backend: Box<dyn Backend>) -> Sql {
        Sql {
            backend,
            names: Names::default(),
            floor: Floor::default(),
        }
    }

    pub(super) async fn read(&self, doing: &'static str) -> Result<Box<dyn Session>, Error> {
        self.session(Access::Read, doing).await
    }

    /// A session of its own, without the store's lock.
    pub(super) async fn session(
        &self,
        access: Access,
        doing: &'static str,
    ) -> Result<Box<dyn Session>, Error> {
        timed::session(self.backend.as_ref(), access, doing).await
    }

    pub(super) async fn write(&self, doing: &'static str) -> Result<Write, Error> {
        let write = Write::begin(self.session(Access::Write, doing).await?).await?;
        match self.floor.take(write.found_incarnation()) {
            Ok(()) => Ok(write),
            Err(behind) => {
                self.backend.left_behind();
                write.end(Err(behind)).await
            }
        }
    }
}
