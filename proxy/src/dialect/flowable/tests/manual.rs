//! The manual's table of all operations is what the route table says.

use super::*;
use crate::dialect::Merge;
use std::fmt::Write as _;
use std::path::Path;

const MANUAL: &str = "docs/dialects/flowable-operations.md";

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
    let (_, operations) = DIALECT.operations().split_last().unwrap();
    let mut text = String::from(
        "# Dialect `flowable`: every operation\n\n\
         Generated from the route table by a test, so that it cannot be out of date. What is said holds for several \
         sites; with one site, or with a trusted `Homing-Site` header, everything passes to that site as it is. Paths \
         stand below their API: `process-api` (`service` in Flowable's own application), `cmmn-api`, `dmn-api`, \
         `external-job-api`.\n\n",
    );
    let _ = writeln!(text, "{} operations.\n", operations.len());
    text.push_str("| method | path | what Homing does |\n|---|---|---|\n");
    for operation in operations {
        let method = operation
            .method
            .as_ref()
            .map_or("*", |method| method.as_str());
        let _ = writeln!(
            text,
            "| {method} | `{}` | {} |",
            operation.path,
            does(operation)
        );
    }
    text.push_str("\n## Sort keys that rows do not hold\n\nRefused with 400 over several sites; narrowed to one instance they pass.\n\n");
    for (path, by) in DIALECT.facts.sorts.absent() {
        let _ = writeln!(text, "- `{path}`: `{by}`");
    }
    text
}

fn does(operation: &Operation) -> &'static str {
    match operation.class {
        "keyed" if operation.path.contains("migrat") => {
            "sent to the home of the key, the target's id as that site has it"
        }
        "keyed" => "sent to the home of the key",
        "create" => "a site is chosen; the new id is durable before the answer",
        "any" => "any site answers",
        "local" => "one site answers; nothing is copied to the others",
        "shared" if operation.method == Some(http::Method::GET) => {
            "one site that has all of it answers"
        }
        "shared" if operation.path.contains("/info") || operation.path.ends_with("/picture") => {
            "every site at once, or none; not recorded"
        }
        "shared" => {
            "recorded, then brought to every site, also to one that is away; with a password to every site at once, or to none"
        }
        "worker-fetch" => "work of all sites, at most `numberOfTasks`",
        "split" => "each owner gets its own ids; if one refuses, the answer names what was done",
        "correlate" => "every site hears it; what it starts, starts at one site",
        "broadcast" if operation.path.ends_with("repository/deployments") => {
            "recorded, then brought to every site, also to one that is away"
        }
        "broadcast"
            if operation.path.contains("repository/")
                && operation.path.contains('{')
                && !operation.path.contains("migrate") =>
        {
            "every site, each under its own id for its copy, of what was deployed through Homing; else 501"
        }
        "broadcast" if operation.path.contains("batch-migrate") => {
            "501: each site makes a batch of its own; the operation without a batch goes to every site"
        }
        "broadcast" if operation.path.contains("migrate") => {
            "every site, each under its own ids for its copies, of what was deployed through Homing; 501 if the plan names its target by version"
        }
        "broadcast" if operation.path.contains('{') => {
            "501: each site has its own copy of it under its own id, and which these are is not recorded"
        }
        "broadcast" => "every site; if one refuses, what can be undone at the others is undone",
        "gather" if !matches!(operation.merge, Merge::Rows(_)) => {
            "one site answers for all: what is deployed, every site has"
        }
        "gather" => "all sites' rows merged in the engine's order, totals summed",
        _ => "refused",
    }
}
