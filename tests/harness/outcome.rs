//! How a test ends: `Promise` is what every test returns.
//!
//! An error that reaches `?` in a test panics there and then, while everything that the test started is still alive:
//! so each process can print the end of its log when it is dropped. Relies on nothing.

use std::sync::OnceLock;

/// What a test returns: `Ok(())` when the promise was kept.
pub type Promise = Result<(), Broken>;

/// Never made: turning an error into it panics.
#[derive(Debug)]
pub struct Broken(std::convert::Infallible);

impl<E: Into<anyhow::Error>> From<E> for Broken {
    #[track_caller]
    fn from(error: E) -> Self {
        let error: anyhow::Error = error.into();
        panic!("{error:#}");
    }
}

/// A thing that all tests of this process share: made by the first that asks, its failure told to all of them.
pub fn shared<T: Sync>(
    cell: &'static OnceLock<Result<T, String>>,
    make: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<&'static T> {
    cell.get_or_init(|| make().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow::anyhow!(error.clone()))
}
