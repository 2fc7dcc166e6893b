//! Ids of an engine that counts them, told apart from those of other such engines: `SITE.ID` on Homing's side, `ID` on the site's.
//!
//! Owns how one id is rewritten each way, in text and in paths. Must not know which members of an API hold ids: the
//! dialect says it. Pure; relies on counted ids being a number, alone or behind the last `:`.

use std::borrow::Cow;

mod json;

pub use json::Rewriter;

/// Stands before a counted id that does not carry the site's name: no engine has such an id, so nothing is found.
const STRANGER: &str = "~";

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the site: its name is taken off.
    In,
    /// From the site: its name is put before.
    Out,
}

/// What a text is, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An id that the engine gave.
    Id,
    /// An id that clients may choose: one without the site's name stays as it is on its way to the site.
    Chosen,
    /// An address of the API.
    Link,
}

/// What the members of JSON objects hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// Members that the dialect knows by their names.
    Members,
    /// The same, but `id` is no id of the engine's.
    OthersIds,
    /// Texts and lists of texts of this kind.
    Texts(What),
    /// An object whose members' names are ids.
    Named,
    /// Nothing that is rewritten: variables, contents, settings.
    Content,
}

/// What a dialect knows of the places of ids.
pub trait VirtualIds: Send + Sync {
    /// What a member holds, by its name and by what it is a member of.
    fn member(&self, inside: Inside, name: &str, way: Way) -> Inside;

    /// What the bodies of an operation hold at their top, by its path below the base path. `None`: it is not rewritten.
    fn body(&self, path: &str, way: Way) -> Option<Inside>;

    /// Path and query below the base path, rewritten; `None`: nothing in it changes.
    fn target(&self, target: &str, own: &Own, way: Way) -> Option<String>;
}

/// One site's ids.
#[derive(Clone, Debug)]
pub struct Own {
    /// `SITE.`
    prefix: String,
    base_path: String,
}

impl Own {
    /// Those of the site with this name and base path.
    pub fn of(site: &str, base_path: &str) -> Own {
        Own {
            prefix: format!("{site}."),
            base_path: base_path.to_owned(),
        }
    }

    /// Whether this id is said to be the site's.
    pub fn has(&self, id: &str) -> bool {
        id.starts_with(&self.prefix)
    }

    /// The path and query below the base path.
    pub fn below<'t>(&self, target: &'t str) -> Option<&'t str> {
        let below = target.strip_prefix(&self.base_path)?;
        below.starts_with('/').then_some(below)
    }

    /// One id, as it stands in text that needs no decoding.
    pub fn id<'i>(&self, id: &'i str, what: What, way: Way) -> Cow<'i, str> {
        match way {
            Way::In => match id.strip_prefix(&self.prefix) {
                Some(plain) => Cow::Borrowed(plain),
                None if what == What::Id && is_counted(id) => Cow::Owned(format!("{STRANGER}{id}")),
                None => Cow::Borrowed(id),
            },
            Way::Out if is_counted(id) && !self.has(id) => {
                Cow::Owned(format!("{}{id}", self.prefix))
            }
            Way::Out => Cow::Borrowed(id),
        }
    }

    /// A text of this kind.
    fn text<'i>(&self, ids: &dyn VirtualIds, text: &'i str, what: What, way: Way) -> Cow<'i, str> {
        match what {
            What::Id | What::Chosen => self.id(text, what, way),
            What::Link => self.link(ids, text, way),
        }
    }

    /// An address of the API, with or without scheme, host and base path.
    pub fn link<'i>(&self, ids: &dyn VirtualIds, link: &'i str, way: Way) -> Cow<'i, str> {
        let path_at = match link.find("://") {
            Some(scheme) => link[scheme + 3..].find('/').map(|path| scheme + 3 + path),
            None => link.starts_with('/').then_some(0),
        };
        let Some((before, path)) = path_at.map(|at| link.split_at(at)) else {
            return Cow::Borrowed(link);
        };
        let (base, below) = match self.below(path) {
            Some(below) => (self.base_path.as_str(), below),
            None => ("", path),
        };
        match ids.target(below, self, way) {
            Some(target) => Cow::Owned(format!("{before}{base}{target}")),
            None => Cow::Borrowed(link),
        }
    }
}

/// `12`, `order:1:12`, `Task_1:12`.
fn is_counted(id: &str) -> bool {
    let number = id.rsplit(':').next().unwrap_or(id);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_goes_out_with_its_site_and_comes_in_without() {
        let own = Own::of("a", "/engine-rest");
        for (native, outside) in [
            ("12", "a.12"),
            ("order:1:12", "a.order:1:12"),
            ("2c1b-f", "2c1b-f"),
            ("", ""),
        ] {
            assert_eq!(own.id(native, What::Id, Way::Out), outside);
            assert_eq!(own.id(outside, What::Id, Way::In), native);
        }
        assert_eq!(own.id("a.12", What::Id, Way::Out), "a.12");
    }

    #[test]
    fn an_id_that_is_not_the_sites_finds_nothing_there() {
        let own = Own::of("a", "/engine-rest");
        assert_eq!(own.id("12", What::Id, Way::In), "~12");
        assert_eq!(own.id("b.12", What::Id, Way::In), "b.12");
        assert_eq!(own.id("ab.12", What::Id, Way::In), "ab.12");
        assert_eq!(own.id("12", What::Chosen, Way::In), "12");
        assert_eq!(own.id("none", What::Id, Way::In), "none");
    }
}
