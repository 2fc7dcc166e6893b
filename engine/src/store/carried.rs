//! Which tables and columns belong to an instance.
//!
//! Owns the list; who carries an instance elsewhere goes through it. A new table or column of an instance goes here.

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Int,
    Real,
    Blob,
    /// The id of a definition: each site has its own.
    Definition,
    /// The document, which also names the definition.
    Document,
    /// A deadline by the database's clock that is carried as what is left of it.
    Deadline,
}

/// A table with rows of instances.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Which rows are those of a root: a condition with its id once.
    pub(super) of_root: &'static str,
    pub(super) columns: &'static [(&'static str, Holds)],
}

use Holds::{Blob, Deadline, Definition, Document, Int, Real, Text};

/// All instances of a root: those that run, and those that history knows.
macro_rules! of_instances {
    () => {
        "inst IN (SELECT r.id FROM (SELECT id, root FROM inst UNION ALL SELECT id, root FROM h_inst) r WHERE r.root = ?)"
    };
}

/// All tables, in the order in which they are emptied.
pub(super) const TABLES: [Table; 16] = [
    Table {
        name: "var",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("inst", Text),
            ("scope", Text),
            ("name", Text),
            ("type", Text),
            ("num", Real),
            ("txt", Text),
            ("bytes", Blob),
            ("meta", Text),
            ("ai", Text),
        ],
    },
    Table {
        name: "job",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("act", Text),
            ("kind", Text),
            ("due", Int),
            ("has_due", Int),
            ("prio", Int),
            ("retries", Int),
            ("tried", Int),
            ("exclusive", Int),
            ("suspended", Int),
            ("owner", Text),
            ("fence", Int),
            ("lease_until", Int),
            ("failovers", Int),
            ("err", Text),
            ("trace", Text),
            ("repeat", Text),
            ("created", Int),
            ("tenant", Text),
            ("place", Text),
        ],
    },
    Table {
        name: "work",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("act", Text),
            ("ai", Text),
            ("topic", Text),
            ("prio", Int),
            ("created", Int),
            ("retries", Int),
            ("suspended", Int),
            ("worker", Text),
            ("lock_until", Deadline),
            ("err", Text),
            ("details", Text),
            ("tenant", Text),
        ],
    },
    Table {
        name: "link",
        of_root: "task IN (SELECT t.id FROM task t JOIN inst i ON i.id = t.inst WHERE i.root = ?)",
        columns: &[
            ("task", Text),
            ("type", Text),
            ("user_id", Text),
            ("group_id", Text),
        ],
    },
    Table {
        name: "comment",
        of_root: "task IN (SELECT t.id FROM h_task t JOIN h_inst h ON h.id = t.inst WHERE h.root = ?)",
        columns: &[
            ("id", Text),
            ("task", Text),
            ("inst", Text),
            ("user_id", Text),
            ("at", Int),
            ("message", Text),
        ],
    },
    Table {
        name: "task",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("act", Text),
            ("ai", Text),
            ("name", Text),
            ("description", Text),
            ("assignee", Text),
            ("owner", Text),
            ("delegation", Text),
            ("due", Int),
            ("follow_up", Int),
            ("prio", Int),
            ("form_key", Text),
            ("created", Int),
            ("updated", Int),
            ("suspended", Int),
            ("tenant", Text),
            ("parent", Text),
            ("form_ref", Text),
        ],
    },
    Table {
        name: "sub",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("act", Text),
            ("kind", Text),
            ("name", Text),
            ("tenant", Text),
            ("created", Int),
        ],
    },
    Table {
        name: "incident",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("act", Text),
            ("type", Text),
            ("message", Text),
            ("ref", Text),
            ("cause", Text),
            ("root_cause", Text),
            ("at", Int),
            ("tenant", Text),
        ],
    },
    Table {
        name: "h_act",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("inst", Text),
            ("parent", Text),
            ("def", Definition),
            ("act", Text),
            ("name", Text),
            ("type", Text),
            ("exec", Text),
            ("task", Text),
            ("called", Text),
            ("assignee", Text),
            ("started", Int),
            ("ended", Int),
            ("canceled", Int),
            ("seq", Int),
            ("tenant", Text),
        ],
    },
    Table {
        name: "h_task",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("act", Text),
            ("ai", Text),
            ("name", Text),
            ("description", Text),
            ("assignee", Text),
            ("owner", Text),
            ("due", Int),
            ("follow_up", Int),
            ("prio", Int),
            ("started", Int),
            ("ended", Int),
            ("reason", Text),
            ("tenant", Text),
        ],
    },
    Table {
        name: "h_var",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("ai", Text),
            ("name", Text),
            ("type", Text),
            ("num", Real),
            ("txt", Text),
            ("bytes", Blob),
            ("meta", Text),
            ("created", Int),
            ("state", Text),
            ("tenant", Text),
        ],
    },
    Table {
        name: "h_incident",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("act", Text),
            ("type", Text),
            ("message", Text),
            ("ref", Text),
            ("cause", Text),
            ("root_cause", Text),
            ("at", Int),
            ("ended", Int),
            ("state", Text),
            ("tenant", Text),
        ],
    },
    Table {
        name: "h_job",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("job", Text),
            ("at", Int),
            ("seq", Int),
            ("state", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("act", Text),
            ("place", Text),
            ("due", Int),
            ("retries", Int),
            ("prio", Int),
            ("err", Text),
            ("trace", Text),
            ("failed", Text),
            ("tenant", Text),
            ("host", Text),
        ],
    },
    Table {
        name: "h_work",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("work", Text),
            ("at", Int),
            ("seq", Int),
            ("state", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("act", Text),
            ("ai", Text),
            ("topic", Text),
            ("worker", Text),
            ("retries", Int),
            ("prio", Int),
            ("err", Text),
            ("details", Text),
            ("tenant", Text),
        ],
    },
    Table {
        name: "h_detail",
        of_root: of_instances!(),
        columns: &[
            ("id", Text),
            ("at", Int),
            ("rev", Int),
            ("pos", Int),
            ("kind", Text),
            ("var", Text),
            ("inst", Text),
            ("exec", Text),
            ("def", Definition),
            ("ai", Text),
            ("task", Text),
            ("name", Text),
            ("type", Text),
            ("num", Real),
            ("txt", Text),
            ("bytes", Blob),
            ("meta", Text),
            ("initial", Int),
            ("tenant", Text),
        ],
    },
    Table {
        name: "inst",
        of_root: "root = ?",
        columns: &[
            ("id", Text),
            ("def", Definition),
            ("root", Text),
            ("super_inst", Text),
            ("super_exec", Text),
            ("bkey", Text),
            ("tenant", Text),
            ("suspended", Int),
            ("rev", Int),
            ("home_gen", Int),
            ("doc", Document),
            ("started", Int),
        ],
    },
];

/// What says which instances are of a root, with the table before it: emptied last.
pub(super) const INSTANCES: Table = Table {
    name: "h_inst",
    of_root: "root = ?",
    columns: &[
        ("id", Text),
        ("def", Definition),
        ("bkey", Text),
        ("tenant", Text),
        ("super_inst", Text),
        ("root", Text),
        ("start_act", Text),
        ("end_act", Text),
        ("started", Int),
        ("ended", Int),
        ("state", Text),
        ("reason", Text),
        ("removal", Int),
    ],
};

impl Table {
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    pub(super) fn at(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(held, _)| *held == name)
    }
}

/// All tables, in order.
pub(super) fn tables() -> impl Iterator<Item = &'static Table> {
    static LAST: Table = INSTANCES;
    static ALL: [Table; 16] = TABLES;
    ALL.iter().chain(std::iter::once(&LAST))
}
