//! The variables of one instance, by scope and name, and which of them a step touched.

use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One variable.
#[derive(Clone, PartialEq, Debug)]
pub struct Variable {
    /// Its id.
    pub id: String,
    /// Its value.
    pub value: Value,
}

/// Scope (an execution's id) and name.
pub type Key = (String, String);

/// The variables of one instance.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Variables {
    all: BTreeMap<Key, Variable>,
    touched: BTreeSet<Key>,
    /// What the instance had when this step ended it.
    last: Option<BTreeMap<Key, Variable>>,
}

impl Variables {
    /// Variables as they are stored.
    pub fn stored(all: BTreeMap<Key, Variable>) -> Variables {
        Variables {
            all,
            touched: BTreeSet::new(),
            last: None,
        }
    }

    /// Removes those of the instance itself, which ends; [`Variables::of_instance`] still has them.
    pub(super) fn end(&mut self, instance: &str) {
        let keys: Vec<Key> = in_scope(&self.all, instance)
            .map(|(name, _)| (instance.to_owned(), name.to_owned()))
            .collect();
        let last = self.last.get_or_insert_default();
        for key in keys {
            self.touched.insert(key.clone());
            last.extend(self.all.remove(&key).map(|variable| (key, variable)));
        }
    }

    /// The variables of the instance itself: as they are, or as they were when this step ended it.
    pub fn of_instance<'a>(
        &'a self,
        instance: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let all = self.last.as_ref().unwrap_or(&self.all);
        in_scope(all, instance).map(|(name, variable)| (name, &variable.value))
    }

    /// The variable of this name in exactly this scope.
    pub fn get(&self, scope: &str, name: &str) -> Option<&Variable> {
        self.all.get(&(scope.to_owned(), name.to_owned()))
    }

    /// All of one scope.
    pub fn of_scope<'a>(&'a self, scope: &'a str) -> impl Iterator<Item = (&'a str, &'a Variable)> {
        in_scope(&self.all, scope)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Variable)> {
        self.all.iter()
    }

    /// Sets one; `id` is used if it is new. Gives whether it is new.
    pub fn set(
        &mut self,
        scope: &str,
        name: &str,
        value: Value,
        id: impl FnOnce() -> String,
    ) -> bool {
        let key = (scope.to_owned(), name.to_owned());
        self.touched.insert(key.clone());
        match self.all.entry(key) {
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                entry.get_mut().value = value;
                false
            }
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(Variable { id: id(), value });
                true
            }
        }
    }

    /// Removes one.
    pub fn remove(&mut self, scope: &str, name: &str) -> Option<Variable> {
        let key = (scope.to_owned(), name.to_owned());
        let removed = self.all.remove(&key);
        if removed.is_some() {
            self.touched.insert(key);
        }
        removed
    }

    /// What was touched, with the value it has now (`None`: removed).
    pub fn touched(&self) -> impl Iterator<Item = (&Key, Option<&Variable>)> {
        self.touched.iter().map(|key| (key, self.all.get(key)))
    }
}

fn in_scope<'a>(
    all: &'a BTreeMap<Key, Variable>,
    scope: &'a str,
) -> impl Iterator<Item = (&'a str, &'a Variable)> {
    all.range((scope.to_owned(), String::new())..)
        .take_while(move |(key, _)| key.0 == scope)
        .map(|(key, variable)| (key.1.as_str(), variable))
}
