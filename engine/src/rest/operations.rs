//! The one table of operations: what `engine-rest` has, and what of it is done here.
//!
//! Owns its reading. The router, the OpenAPI document and the coverage page are made of it, so they cannot disagree.

use std::sync::LazyLock;

/// Is an operation done here?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Built {
    /// It is.
    Yes,
    /// It answers 501 with its name.
    No,
}

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// HTTP method.
    pub method: &'static str,
    /// Path below `/engine-rest`, with `{names}`.
    pub path: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Is it done here?
    pub built: Built,
}

/// All operations of `engine-rest`.
pub static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    include_str!("operations.tsv")
        .lines()
        .filter_map(read)
        .collect()
});

fn read(line: &'static str) -> Option<Operation> {
    let mut fields = line.split('\t');
    let (method, path, name, built) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    let built = match built {
        "yes" => Built::Yes,
        _ => Built::No,
    };
    Some(Operation {
        method,
        path,
        name,
        built,
    })
}

impl Operation {
    /// What it is about: the first part of its path, two for history.
    pub fn resource(&self) -> &'static str {
        let path = self.path.trim_start_matches('/');
        let from = if path.starts_with("history/") {
            "history/".len()
        } else {
            0
        };
        let end = path[from..].find('/').map_or(path.len(), |at| from + at);
        &path[..end]
    }

    /// The names in its path.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        let names = self.path.split('/');
        names.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}
