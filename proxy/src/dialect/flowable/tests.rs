//! Promises of the flowable dialect.

use super::*;
use crate::classify::{Create, Gather, Keyed, Refusal, Unknown};
use crate::dialect::merge::{Direction, Page, Refused, Shape, Ties};
use crate::dialect::{Durability, Resend};
use http::HeaderMap;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::LazyLock;

mod answers;
mod manual;

static DIALECT: LazyLock<Flowable> = LazyLock::new(|| Flowable::new(Layout::Boot).unwrap());

/// What is done with a request to an application with all APIs: `/process-api/...`.
fn looked_up<T>(
    method: &str,
    target: &str,
    look: impl FnOnce(&Matched<'_>, &Head<'_>) -> T,
) -> Result<T, Refusal> {
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let headers = HeaderMap::new();
    let head = Head {
        method: &method.parse().unwrap(),
        path,
        query,
        headers: &headers,
    };
    match DIALECT.find(&head) {
        Found::NoRoute => Err(Refusal::NoRoute),
        Found::MethodNotAllowed => Err(Refusal::MethodNotAllowed),
        Found::Route(found) => Ok(look(&found, &head)),
    }
}

fn class(method: &str, target: &str, body: &str) -> Class {
    looked_up(method, target, |found, head| {
        DIALECT.classify(found, head, Some(body.as_bytes()))
    })
    .unwrap_or_else(Class::Refuse)
}

fn plan(method: &str, target: &str, body: &str) -> Plan {
    looked_up(method, target, |found, head| {
        DIALECT.merging(found, head, Some(body.as_bytes()))
    })
    .unwrap()
}

fn keyed(key: &str) -> Class {
    LazyLock::force(&DIALECT);
    Class::Keyed(Keyed {
        key: key.parse().unwrap(),
        unknown: Unknown::Locate,
    })
}

fn text(class: &Class) -> String {
    if let Class::Keyed(keyed) = class {
        format!("keyed {}", keyed.key)
    } else if let Class::Gather(gather) = class {
        format!("gather {:?}", gather.aliases)
    } else if let Class::Broadcast(broadcast) = class {
        format!("broadcast {broadcast:?}")
    } else {
        class.name().to_owned()
    }
}

/// The plan of a list that is merged.
fn rows(method: &str, target: &str, body: &str) -> crate::dialect::merge::Rows {
    let plan = plan(method, target, body);
    let Plan::Rows(rows) = plan else {
        panic!("{plan:?}");
    };
    rows
}

/// A path of the pattern: `{key}` becomes `~key`, the rest of a path two segments.
fn sample(pattern: &str) -> String {
    let path = pattern.replace('{', "~").replace('}', "");
    DIALECT.layout.path(&path.replace("**", "a/b")).unwrap()
}

#[test]
fn every_operation_is_found_by_its_own_path_and_has_its_class() {
    let mut table = String::new();
    let (options, operations) = DIALECT.operations().split_last().unwrap();
    assert_eq!(&*options.name, "options");
    for operation in operations {
        let method = operation.method.as_ref().unwrap().as_str();
        let path = sample(&operation.path);
        let name = looked_up(method, &path, |found, _| found.operation.name.clone());
        assert_eq!(name.as_ref(), Ok(&operation.name), "{method} {path}");
        table += &format!("{method} {path} -> {}\n", text(&class(method, &path, "")));
    }
    assert_eq!(operations.len(), 383);
    insta::assert_snapshot!(table);
}

#[test]
fn names_are_unique_and_sort_tables_are_about_lists() {
    let (_, operations) = DIALECT.operations().split_last().unwrap();
    let names: BTreeSet<&str> = operations.iter().map(|one| &*one.name).collect();
    assert_eq!(names.len(), operations.len());
    let lists: BTreeSet<&str> = operations
        .iter()
        .filter(|one| matches!(one.merge, crate::dialect::Merge::Rows(_)))
        .map(|one| &*one.path)
        .collect();
    assert_eq!(lists.len(), 54);
    for path in &lists {
        // A default that the table does not know would never be merged.
        let is_post = path.contains("query/");
        let method = if is_post { "POST" } else { "GET" };
        let plan = plan(method, &DIALECT.layout.path(path).unwrap(), "{}");
        assert!(matches!(plan, Plan::Rows(_)), "{path}: {plan:?}");
    }
}

#[test]
fn a_site_named_by_its_process_api_has_only_that() {
    let narrow = DIALECT.at(Layout::Process);
    let headers = HeaderMap::new();
    for (path, is_there) in [
        ("/runtime/tasks/1", true),
        ("/jobs/1", false),
        ("/cmmn-runtime/tasks/1", false),
    ] {
        let head = Head {
            method: &http::Method::GET,
            path,
            query: None,
            headers: &headers,
        };
        assert_eq!(
            matches!(narrow.find(&head), Found::Route(_)),
            is_there,
            "{path}"
        );
    }
}

#[test]
fn requests_go_where_the_thing_is_that_they_name() {
    for (method, target, body, key) in [
        ("POST", "/process-api/runtime/tasks/t%201", "{}", "task:t 1"),
        (
            "GET",
            "/process-api/form/form-data?taskId=t1",
            "",
            "task:t1",
        ),
        (
            "GET",
            "/process-api/form/form-data?processDefinitionId=p:1:2",
            "",
            "process-definition:p:1:2",
        ),
        (
            "POST",
            "/process-api/form/form-data",
            r#"{"taskId":"t1","properties":[]}"#,
            "task:t1",
        ),
        (
            "POST",
            "/process-api/runtime/tasks",
            r#"{"parentTaskId":"t0","name":"n"}"#,
            "task:t0",
        ),
        (
            "POST",
            "/process-api/runtime/process-instances/delete",
            r#"{"action":"delete","instanceIds":["p1"]}"#,
            "process-instance:p1",
        ),
    ] {
        assert_eq!(class(method, target, body), keyed(key), "{method} {target}");
    }
}

#[test]
fn the_other_apis_name_things_of_their_own() {
    for (method, target, body, key) in [
        (
            "POST",
            "/cmmn-api/cmmn-runtime/case-instances/delete",
            r#"{"instanceIds":["c1"]}"#,
            "case-instance:c1",
        ),
        (
            "POST",
            "/cmmn-api/cmmn-management/deadletter-jobs",
            r#"{"action":"move","jobIds":["j1"]}"#,
            "case-job:j1",
        ),
        (
            "POST",
            "/external-job-api/acquire/jobs/j1/complete",
            "{}",
            "external-task:j1",
        ),
        (
            "GET",
            "/process-api/repository/deployments/d1/resources/a/b.bpmn",
            "",
            "deployment:d1",
        ),
    ] {
        assert_eq!(class(method, target, body), keyed(key), "{method} {target}");
    }
    let several = r#"{"action":"delete","instanceIds":["p1","p2"]}"#;
    assert_eq!(
        class(
            "POST",
            "/process-api/runtime/process-instances/delete",
            several
        ),
        Class::Split
    );
    assert_eq!(
        class("PATCH", "/process-api/runtime/tasks", ""),
        Class::Refuse(Refusal::MethodNotAllowed)
    );
    assert_eq!(
        class("GET", "/process-api/nothing", ""),
        Class::Refuse(Refusal::NoRoute)
    );
}

#[test]
fn a_start_says_what_it_makes() {
    let start = |body: &str| class("POST", "/process-api/runtime/process-instances", body);
    assert_eq!(
        start(
            r#"{"processDefinitionKey":"review","businessKey":"k","tenantId":"acme","variables":[{"name":"taskId","value":1}]}"#
        ),
        Class::Create(Create {
            kind: Some(Kind::PROCESS_INSTANCE),
            definition: Some("review".into()),
            tenant: Some("acme".into()),
            business_key: Some("k".into()),
            ..Create::default()
        })
    );
    assert_eq!(
        start(r#"{"processDefinitionId":"review:3:abc"}"#),
        Class::Create(Create {
            kind: Some(Kind::PROCESS_INSTANCE),
            definition: Some("review".into()),
            beside: Some("process-definition:review:3:abc".parse().unwrap()),
            ..Create::default()
        })
    );
    let case = r#"{"caseDefinitionId":"visit:1:d"}"#;
    assert_eq!(
        class("POST", "/cmmn-api/cmmn-runtime/case-instances", case),
        Class::Create(Create {
            kind: Some(Kind::CASE_INSTANCE),
            definition: Some("visit".into()),
            beside: Some("case-definition:visit:1:d".parse().unwrap()),
            ..Create::default()
        })
    );
}

#[test]
fn a_list_about_one_instance_names_its_owner() {
    let narrowed = |method: &str, target: &str, body: &str| {
        let class = class(method, target, body);
        let Class::Gather(Gather { owner, .. }) = class else {
            panic!("{class:?}");
        };
        owner.map(|key| key.to_string())
    };
    let of_instance = Some("process-instance:p1".to_owned());
    let tasks = "/process-api/runtime/tasks";
    assert_eq!(
        narrowed("GET", &format!("{tasks}?processInstanceId=p1"), ""),
        of_instance
    );
    assert_eq!(
        narrowed("GET", "/process-api/runtime/process-instances?id=p1", ""),
        of_instance
    );
    assert_eq!(
        narrowed(
            "POST",
            "/process-api/query/tasks",
            r#"{"processInstanceId":"p1"}"#
        ),
        of_instance
    );
    assert_eq!(narrowed("GET", &format!("{tasks}?assignee=mary"), ""), None);
    let several = r#"{"processInstanceIds":["p1","p2"]}"#;
    assert_eq!(
        narrowed("POST", "/process-api/query/process-instances", several),
        None
    );
    let found = looked_up("POST", "/process-api/query/tasks", |found, _| {
        found.operation.resend
    });
    assert_eq!(found, Ok(Resend::Safe));
}

#[test]
fn a_page_is_read_as_the_engine_reads_it() {
    let tasks = "/process-api/runtime/tasks";
    let first = rows("GET", tasks, "");
    assert_eq!(
        (first.page, first.ties, first.shape),
        (
            Page {
                first: 0,
                max: Some(10)
            },
            Ties::None,
            Shape::Data
        )
    );
    let later = rows(
        "GET",
        &format!("{tasks}?start=20&size=5&sort=priority&order=desc"),
        "",
    );
    assert_eq!(
        (later.page, later.ties),
        (
            Page {
                first: 20,
                max: Some(5)
            },
            Ties::Loose
        )
    );
    assert_eq!(
        (&*later.order[0].member, later.order[0].direction),
        ("priority", Direction::Descending)
    );
    assert_eq!(
        rows("GET", &format!("{tasks}?size=-1&start=-3"), "").page,
        Page {
            first: 0,
            max: Some(10)
        }
    );
}

#[test]
fn the_page_of_a_posted_query_stands_in_its_body_first() {
    let tasks = "/process-api/runtime/tasks";
    let posted = rows(
        "POST",
        "/process-api/query/tasks?size=7&start=1",
        r#"{"assignee":"mary","size":2,"order":"desc"}"#,
    );
    assert_eq!(
        posted.page,
        Page {
            first: 1,
            max: Some(2)
        }
    );
    assert_eq!(posted.order[0].direction, Direction::Descending);
    assert_eq!(
        posted.body.as_deref(),
        Some(&br#"{"assignee":"mary","order":"desc"}"#[..])
    );
    let variables = rows(
        "GET",
        "/process-api/history/historic-variable-instances",
        "",
    );
    assert_eq!(&*variables.order[0].member, "variable/name");
    for target in ["?size=a", "?order=up", "?sort=nope"] {
        assert!(
            matches!(plan("GET", &format!("{tasks}{target}"), ""), Plan::Words(_)),
            "{target}"
        );
    }
    assert!(matches!(
        plan("POST", "/process-api/query/tasks", "["),
        Plan::Words(_)
    ));
    let sorted = plan(
        "GET",
        "/process-api/runtime/executions?sort=processDefinitionKey",
        "",
    );
    assert!(matches!(sorted, Plan::Refused(Refused::Sort(_))));
    assert_eq!(
        plan("GET", "/process-api/repository/process-definitions", ""),
        Plan::Copies
    );
}

#[test]
fn a_plan_of_migration_names_its_target_by_id_or_stays_at_one_site() {
    let read = |target: &str, plan: &str| {
        let read = |found: &Matched<'_>, _: &Head<'_>| DIALECT.migration(found, plan.as_bytes());
        looked_up("POST", target, read).unwrap()
    };
    let definition = "/process-api/repository/process-definitions/p:1:a";
    let migrate = format!("{definition}/migrate");
    let names = |plan: &str| {
        let plan = read(&migrate, plan).unwrap();
        let names: Vec<String> = plan.names.iter().map(ToString::to_string).collect();
        (names, plan.alone.is_some())
    };
    let by_id = (vec!["process-definition:p:2:b".to_owned()], false);
    let id = r#"{"toProcessDefinitionId":"p:2:b"}"#;
    assert_eq!(names(id), by_id);
    // The id decides where both are given, and what is no plan an engine refuses.
    let both = r#"{"toProcessDefinitionId":"p:2:b","toProcessDefinitionKey":"p","toProcessDefinitionVersion":2}"#;
    assert_eq!(names(both), by_id);
    for nothing in ["", "x", "{}", r#"{"toProcessDefinitionVersion":null}"#] {
        assert_eq!(names(nothing), (vec![], false), "{nothing}");
    }
    let version = r#"{"toProcessDefinitionKey":"p","toProcessDefinitionVersion":2}"#;
    assert_eq!(names(version), (vec![], true));
    let batch = read(&format!("{definition}/batch-migrate"), id);
    assert!(batch.unwrap().alone.is_some());
    let instance = "/process-api/runtime/process-instances/i/migrate";
    assert_eq!(read(instance, id).unwrap().names.len(), 1);
    assert_eq!(read("/process-api/runtime/process-instances", id), None);
    let cases = "/cmmn-api/cmmn-repository/case-definitions/c:1:a/migrate";
    let case = read(cases, r#"{"toCaseDefinitionId":"c:2:b"}"#).unwrap();
    assert_eq!(case.names[0].to_string(), "case-definition:c:2:b");
}
