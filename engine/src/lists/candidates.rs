//! The condition on who may take a task: several parameters of one question make it together.
//!
//! Owns how they are combined, as the real engine combines them: the task has no assignee unless assigned tasks are
//! included, and one link has to fit all of them. Must not know groups of users: a user's tasks are those that name the
//! user.

use super::filter::{one_of, texts, unfit};
use super::{Parameters, Problem};
use crate::store::{Cell, Condition};
use serde_json::Value as Json;

const BOTH: &str = "Invalid query usage: cannot set both candidateUser and candidateGroup";
const BOTH_LISTS: &str = "Invalid query usage: cannot set both candidateGroupIn and candidateUser";
const ALONE: &str = "Invalid query usage: candidateUser, candidateGroup, candidateGroupLike, candidateGroupIn, \
     withCandidateGroups, withoutCandidateGroups, withCandidateUsers, withoutCandidateUsers has to be called before \
     'includeAssignedTasks'.";

/// The parameters.
const NAMES: [&str; 9] = [
    "candidateUser",
    "candidateGroup",
    "candidateGroups",
    "candidateGroupLike",
    "withCandidateGroups",
    "withCandidateUsers",
    "withoutCandidateGroups",
    "withoutCandidateUsers",
    "includeAssignedTasks",
];

/// What is asked of candidates.
struct Asked {
    user: Option<String>,
    groups: Option<Vec<String>>,
    like: Option<String>,
    with_groups: bool,
    with_users: bool,
    without_groups: bool,
    without_users: bool,
    assigned: bool,
}

impl Asked {
    fn of(all: &Parameters) -> Result<Asked, Problem> {
        let one = |name: &str| match all.values.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(value @ (Json::Array(_) | Json::Object(_))) => {
                Err(unfit(name, value, "java.lang.String"))
            }
            Some(value) => Ok(Some(super::filter::text(value))),
        };
        let user = one("candidateUser")?;
        let group = one("candidateGroup")?;
        let list = match all.values.get("candidateGroups") {
            None | Some(Json::Null) => None,
            Some(value) => Some(
                texts(value, all.from_query)
                    .ok_or_else(|| unfit("candidateGroups", value, "java.util.List"))?,
            ),
        };
        if user.is_some() && !all.any {
            if group.is_some() {
                return Err(Problem::Usage(BOTH));
            }
            if list.is_some() {
                return Err(Problem::Usage(BOTH_LISTS));
            }
        }
        let groups = match (group, list) {
            (Some(group), Some(list)) if all.any => Some(list.into_iter().chain([group]).collect()),
            (Some(group), Some(list)) => {
                Some(list.into_iter().filter(|one| *one == group).collect())
            }
            (Some(group), None) => Some(vec![group]),
            (None, list) => list,
        };
        let asked = Asked {
            user,
            groups,
            like: one("candidateGroupLike")?,
            with_groups: all.flag("withCandidateGroups")?,
            with_users: all.flag("withCandidateUsers")?,
            without_groups: all.flag("withoutCandidateGroups")?,
            without_users: all.flag("withoutCandidateUsers")?,
            assigned: all.flag("includeAssignedTasks")?,
        };
        if asked.assigned && !asked.links() && !asked.without_groups && !asked.without_users {
            return Err(Problem::Usage(ALONE));
        }
        Ok(asked)
    }

    /// Is a link asked for?
    fn links(&self) -> bool {
        self.named() || self.with_groups || self.with_users
    }

    /// Is somebody named?
    fn named(&self) -> bool {
        self.user.is_some() || self.groups.is_some() || self.like.is_some()
    }

    /// The condition on one link, any of who is named.
    fn who(&self) -> Condition {
        let mut any: Vec<Condition> = Vec::new();
        if let Some(user) = &self.user {
            any.push(Condition {
                sql: "l.user_id = ?".to_owned(),
                cells: vec![Cell::from(user.as_str())],
            });
        }
        if let Some(groups) = &self.groups {
            any.push(one_of("l.group_id", groups.clone(), true));
        }
        if let Some(like) = &self.like {
            any.push(Condition {
                sql: "l.group_id LIKE ?".to_owned(),
                cells: vec![Cell::from(like.as_str())],
            });
        }
        let sql: Vec<String> = any.iter().map(|one| one.sql.clone()).collect();
        Condition {
            sql: sql.join(" OR "),
            cells: any.into_iter().flat_map(|one| one.cells).collect(),
        }
    }
}

/// The condition of all of them, at the first of those that are there.
pub(super) fn condition(name: &str, all: &Parameters) -> Result<Option<Condition>, Problem> {
    let present = |name: &&&str| all.values.get(**name).is_some_and(|value| !value.is_null());
    if NAMES.iter().find(present) != Some(&name) {
        return Ok(None);
    }
    let asked = Asked::of(all)?;
    let mut parts: Vec<String> = Vec::new();
    let mut cells = Vec::new();
    if asked.links() {
        let mut link =
            "SELECT 1 FROM link l WHERE l.task = t.id AND l.type = 'candidate'".to_owned();
        if asked.named() {
            let who = asked.who();
            link.push_str(&format!(" AND ({})", who.sql));
            cells = who.cells;
        }
        for (wanted, column) in [
            (asked.with_groups, "group_id"),
            (asked.with_users, "user_id"),
        ] {
            if wanted {
                link.push_str(&format!(" AND l.{column} IS NOT NULL"));
            }
        }
        parts.push(format!("EXISTS ({link})"));
    }
    for (wanted, column) in [
        (asked.without_groups, "group_id"),
        (asked.without_users, "user_id"),
    ] {
        if wanted {
            parts.push(format!(
                "NOT EXISTS (SELECT 1 FROM link l WHERE l.task = t.id AND l.type = 'candidate' AND l.{column} IS NOT NULL)"
            ));
        }
    }
    if parts.is_empty() {
        return Ok(None);
    }
    if !asked.assigned {
        parts.push("t.assignee IS NULL".to_owned());
    }
    Ok(Some(Condition {
        sql: parts.join(" AND "),
        cells,
    }))
}
