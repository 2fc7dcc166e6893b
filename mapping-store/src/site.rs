//! Site names as small numbers.
//!
//! Owns the process-wide table of site names. Records and APIs carry the name; memory carries the number.

use std::fmt;
use std::sync::{OnceLock, RwLock};

/// A site, as a number that is stable within this process only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(u16);

fn names() -> &'static RwLock<Vec<&'static str>> {
    static NAMES: OnceLock<RwLock<Vec<&'static str>>> = OnceLock::new();
    NAMES.get_or_init(|| RwLock::new(Vec::new()))
}

impl SiteId {
    /// The site with this name. Names come from configuration, the registry and the store, never from traffic.
    pub fn named(name: &str) -> SiteId {
        if let Some(site) = SiteId::known(name) {
            return site;
        }
        let mut names = names()
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(at) = names.iter().position(|known| *known == name) {
            return SiteId(at as u16);
        }
        assert!(
            names.len() < usize::from(u16::MAX),
            "a process knows at most 65,535 site names"
        );
        names.push(Box::leak(name.to_owned().into_boxed_str()));
        SiteId((names.len() - 1) as u16)
    }

    /// The site with this name, if any part of this process has named it before.
    pub fn known(name: &str) -> Option<SiteId> {
        let names = names()
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        names
            .iter()
            .position(|known| *known == name)
            .map(|at| SiteId(at as u16))
    }

    /// The site's name.
    pub fn name(self) -> &'static str {
        names()
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)[usize::from(self.0)]
    }

    /// A small dense number.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The site with the number that `index` gave. Not looked up: every request comes by here, on every core, and even a
    /// lock that is only read would be passed from core to core.
    pub(crate) fn numbered(index: u16) -> SiteId {
        SiteId(index)
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
