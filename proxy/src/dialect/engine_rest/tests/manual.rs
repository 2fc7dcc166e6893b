//! The manual's table of all operations is what the route table says.

use super::super::merge::Sorts;
use super::*;
use crate::dialect::merge::{Plan, Refused};
use crate::dialect::split::Answers;
use crate::dialect::{Merge, Operation};
use std::fmt::Write as _;
use std::path::Path;

const MANUAL: &str = "docs/dialects/engine-rest-operations.md";

#[test]
fn the_manual_lists_every_operation_with_what_is_done() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(MANUAL);
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let generated = manual();
    if written != generated {
        std::fs::write(&path, generated).unwrap();
        panic!(
            "{MANUAL} was out of date; it has been written again: look at the difference and commit it"
        );
    }
}

fn manual() -> String {
    let sorts = Sorts::read().unwrap();
    let operations = DIALECT.operations();
    let mut text = String::from(
        "# Dialect `engine-rest`: every operation\n\n\
         Generated from the route table by a test, so that it cannot be out of date. What is said holds for several \
         sites; with one site, or with a trusted `Homing-Site` header, everything passes to that site as it is.\n\n",
    );
    let _ = writeln!(text, "{} operations.\n", operations.len());
    text.push_str("| method | path | what Homing does |\n|---|---|---|\n");
    for operation in operations {
        let method = operation
            .method
            .as_ref()
            .map_or("*", |method| method.as_str());
        let does = does(operation);
        let _ = writeln!(text, "| {method} | `{}` | {does} |", operation.path);
    }
    text.push_str("\n## Sort keys that rows do not hold\n\nRefused with 400 over several sites; narrowed to one instance they pass.\n\n");
    for (path, by) in sorts.absent() {
        let _ = writeln!(text, "- `{path}`: `{by}`");
    }
    text
}

fn does(operation: &Operation) -> String {
    match operation.class {
        "keyed" => "sent to the home of the key".into(),
        "create" => "a site is chosen; the new id is durable before the answer".into(),
        "any" => "any site answers".into(),
        "shared" => shared(operation),
        "local" => "one site answers; nothing is copied to the others".into(),
        "worker-fetch" => "work of all sites, at most `maxTasks`; long polls included".into(),
        "split" => split(operation),
        "correlate" if &*operation.name == "deliverMessage" => {
            "an instance is named: sent to its home; otherwise to who waits at any site, or one start at a chosen site".into()
        }
        "correlate" => {
            "an execution is named: sent to its home; otherwise to who waits at every site, and what it starts starts at one".into()
        }
        "broadcast" if &*operation.path == "/deployment/create" => {
            "recorded, then every site, now or later; if one refuses, nothing is recorded and the others are undone or named in `Homing-Kept-Sites`".into()
        }
        "broadcast" if operation.path.starts_with("/deployment/{id}/") => {
            "recorded as a new deployment of these files, then every site, now or later, if the first one was deployed through Homing; else 501".into()
        }
        "broadcast" if operation.merge == Merge::Each && operation.path.contains("{id}") => {
            "every site, each under its own id for its copy, of what was deployed through Homing; else 501".into()
        }
        "broadcast" => {
            "every site; if one refuses, the others are undone or named in `Homing-Kept-Sites`; a copy that the body names is translated, if it was deployed through Homing, else 501"
                .into()
        }
        "gather" => gathered(operation),
        other => format!("refused: {other}"),
    }
}

fn shared(operation: &Operation) -> String {
    let has = |part: &str| operation.path.contains(part);
    let is_copied = has("/filter/{id}") || has("/authorization/{id}");
    match (&operation.merge, operation.path.ends_with("/credentials")) {
        (Merge::Each, true) => "every site, or none: a password is never kept".into(),
        (Merge::Each, false) if has("/unlock") => "every site".into(),
        (Merge::Each, false) if &*operation.path == "/user/create" => {
            "recorded without the password, for sites that join; every site, or none".into()
        }
        (Merge::Each, false) if is_copied => {
            "recorded; every site, now or later, each under its own id for it, if it was made through Homing, else its own site".into()
        }
        (Merge::Each, false) => "recorded; every site, now or later".into(),
        _ if is_copied => "the first site that has all of it answers, under its own id for it".into(),
        _ => "the first site that has all of it answers".into(),
    }
}

fn split(operation: &Operation) -> String {
    let found = Matched {
        operation: DIALECT
            .operations()
            .iter()
            .find(|of| of.name == operation.name)
            .unwrap(),
        params: Default::default(),
        engine: Engine::DEFAULT,
    };
    if &*operation.name == "deleteDeploymentsAsyncOperation" {
        return "501 (an operation of CIB seven alone): every site has its own copy of a deployment; `DELETE /deployment/{id}` removes one at every site".into();
    }
    let headers = HeaderMap::new();
    let head = Head {
        method: &Method::POST,
        path: "",
        query: None,
        headers: &headers,
    };
    let split = DIALECT.split(&found, &head, b"{}").unwrap().unwrap();
    let answer = match split.answers {
        Answers::Batch => "; the sites' batches are one, with an id that any router knows",
        Answers::Nothing | Answers::Data => "",
    };
    let definition = if operation.path.contains("/{id}/")
        || operation.path.starts_with("/migration/")
        || operation.path.starts_with("/modification/")
    {
        "; the definition's id is translated, if it was deployed through Homing, else 501 for instances of several sites"
    } else {
        ""
    };
    format!("each owner gets its own ids, every site the queries{answer}{definition}")
}

fn gathered(operation: &Operation) -> String {
    let headers = HeaderMap::new();
    let method = operation.method.clone().unwrap_or(Method::GET);
    let path = operation.path.replace(['{', '}'], "");
    let head = Head {
        method: &method,
        path: &path,
        query: None,
        headers: &headers,
    };
    let Found::Route(found) = DIALECT.find(&head) else {
        panic!("no route {method} {path}")
    };
    match DIALECT.merging(&found, &head, Some(b"{}")) {
        Plan::Rows(_) => "all sites' rows merged in the engine's order".into(),
        Plan::Count => "all sites' counts summed".into(),
        Plan::Sum(sum) => format!("all sites' rows, summed by `{}`", sum.by.join("`, `")),
        Plan::SumCount(by) => format!("the rows of all sites' lists counted, once for each `{}`", by.join("`, `")),
        Plan::Add => "all sites' numbers added; `unique-task-workers` and `task-users`: 501, because who works at two sites is one person, and an engine tells only how many there are".into(),
        Plan::Durations(_) => panic!("{method} {path}: not without a report type"),
        Plan::Words(_) if operation.merge == Merge::Report => reported(operation),
        Plan::Union => "the distinct values of all sites".into(),
        Plan::Saved => saved(operation).into(),
        Plan::Copies => "copies: the first site that has it answers".into(),
        Plan::Refused(Refused::NotBuilt(what)) => format!("501: {what} is not built"),
        other @ (Plan::Concat | Plan::Single(_) | Plan::Words(_) | Plan::Refused(_)) => {
            panic!("{method} {path}: {other:?}")
        }
    }
}

fn saved(operation: &Operation) -> &'static str {
    if operation.merge == Merge::Count {
        "every site runs its own copy of a filter that was made through Homing, counts summed; of another 501, because the other sites do not have it"
    } else if operation.merge == Merge::Single {
        "every site runs its own copy of a filter that was made through Homing, the only row of all answers, in JSON; of another 501, because the other sites do not have it"
    } else {
        "every site runs its own copy of a filter that was made through Homing, rows merged in its order, in JSON or HAL; of another 501, because the other sites do not have it"
    }
}

fn reported(operation: &Operation) -> String {
    let durations = "least, greatest and average duration of all sites' instances in each period, out of their rows where two sites have the same period";
    if operation.path.ends_with("/task/report") {
        format!(
            "counts: all sites' rows, summed by definition key and tenant, or by these and the task's name; durations: {durations}"
        )
    } else {
        durations.into()
    }
}
