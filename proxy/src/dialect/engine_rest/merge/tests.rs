//! Promises of the plan.

use super::super::tests::DIALECT;
use super::*;
use crate::dialect::merge::{Only, Unit};
use crate::dialect::{Dialect, Found};
use http::HeaderMap;
use http::header::ACCEPT;
use proptest::prelude::*;
use serde_json::{Value, json};

fn plan_with(method: &str, target: &str, body: &str, accept: &str) -> Plan {
    let mut headers = HeaderMap::new();
    if !accept.is_empty() {
        headers.insert(ACCEPT, accept.parse().unwrap());
    }
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let head = Head {
        method: &method.parse().unwrap(),
        path,
        query,
        headers: &headers,
    };
    let Found::Route(found) = DIALECT.find(&head) else {
        panic!("no route {method} {target}")
    };
    DIALECT.merging(&found, &head, Some(body.as_bytes()))
}

fn plan(method: &str, target: &str, body: &str) -> Plan {
    plan_with(method, target, body, "")
}

fn rows(plan: Plan) -> Rows {
    let Plan::Rows(rows) = plan else {
        panic!("{plan:?}")
    };
    rows
}

fn order(rows: &Rows) -> Vec<String> {
    rows.order
        .iter()
        .map(|by| format!("{} {:?} {:?}", by.member, by.reading, by.direction))
        .collect()
}

#[test]
fn without_an_order_rows_stand_by_their_id() {
    let rows = rows(plan("GET", "/task?firstResult=20&maxResults=10", ""));
    assert_eq!(order(&rows), ["id Text Ascending"]);
    assert_eq!(
        (rows.ties, rows.page),
        (
            Ties::None,
            Page {
                first: 20,
                max: Some(10)
            }
        )
    );
    assert_eq!(rows.ask(), Some(30));
}

#[test]
fn a_page_is_read_as_the_engines_read_it() {
    let page = |query: &str| rows(plan("GET", &format!("/task?{query}"), "")).page;
    let whole = Page::default();
    for none in ["maxResults=", "firstResult=", "firstResult=&maxResults="] {
        assert_eq!(page(none), whole, "{none}");
    }
    let (first, max) = (3, Some(2));
    assert_eq!(page("firstResult=%2B3&maxResults=2"), Page { first, max });
    let (first, max) = (0, Some(0));
    for nothing in [
        "firstResult=-1",
        "firstResult=-1&maxResults=3",
        "firstResult=3&maxResults=-1",
    ] {
        assert_eq!(page(nothing), Page { first, max }, "{nothing}");
    }
}

#[test]
fn no_body_filters_by_nothing() {
    let post = rows(plan("POST", "/task?maxResults=5", ""));
    assert_eq!(order(&post), ["id Text Ascending"]);
    assert_eq!((post.ties, post.body), (Ties::None, None));
    assert_eq!(plan("POST", "/task/count", ""), Plan::Count);
}

#[test]
fn a_get_cannot_break_ties_and_a_post_can() {
    let get = rows(plan(
        "GET",
        "/task?sortBy=dueDate&sortOrder=desc&maxResults=5",
        "",
    ));
    assert_eq!(
        (order(&get), get.ties, get.body),
        (vec!["due Time Descending".into()], Ties::Loose, None)
    );
    let body = r#"{"name":"x","priority":1.50,"sorting":[{"sortBy":"nameCaseInsensitive","sortOrder":"asc"}]}"#;
    let post = rows(plan("POST", "/task?maxResults=5", body));
    assert_eq!(order(&post), ["name Folded Ascending", "id Text Ascending"]);
    assert_eq!(post.ties, Ties::None);
    let sent = post.body.unwrap();
    assert!(
        std::str::from_utf8(&sent).unwrap().contains("1.50"),
        "what is not the order passes as it is"
    );
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    let sorting = json!([{ "sortBy": "nameCaseInsensitive", "sortOrder": "asc" }, { "sortBy": "id", "sortOrder": "asc" }]);
    assert_eq!((&sent["name"], &sent["sorting"]), (&json!("x"), &sorting));
    let by_id = rows(plan(
        "POST",
        "/job",
        r#"{"sorting":[{"sortBy":"jobId","sortOrder":"desc"}]}"#,
    ));
    assert_eq!(
        (order(&by_id), by_id.ties, by_id.body),
        (vec!["id Text Descending".into()], Ties::None, None)
    );
    let no_id = rows(plan(
        "POST",
        "/variable-instance",
        r#"{"sorting":[{"sortBy":"variableName","sortOrder":"desc"}]}"#,
    ));
    assert_eq!((no_id.ties, no_id.body), (Ties::Loose, None));
}

#[test]
fn what_the_rows_do_not_hold_is_refused_by_name_with_an_alternative() {
    let body = r#"{"sorting":[{"sortBy":"processVariable","sortOrder":"asc","parameters":{"variable":"v","type":"String"}}]}"#;
    let Plan::Refused(Refused::Sort(why)) = plan("POST", "/task", body) else {
        panic!("not refused")
    };
    assert!(
        why.contains("processVariable") && why.contains("dueDate"),
        "{why}"
    );
    let Plan::Refused(Refused::Sort(why)) =
        plan("GET", "/execution?sortBy=definitionKey&sortOrder=asc", "")
    else {
        panic!("not refused")
    };
    assert!(why.contains("definitionKey"), "{why}");
}

#[test]
fn what_the_engine_refuses_is_left_to_the_engine() {
    for (method, target, body) in [
        ("GET", "/task?sortBy=name", ""),
        ("GET", "/task?sortOrder=asc", ""),
        ("GET", "/task?sortBy=name&sortOrder=up", ""),
        ("GET", "/task?sortBy=nonsense&sortOrder=asc", ""),
        ("GET", "/task?maxResults=many", ""),
        ("GET", "/task?firstResult=-2", ""),
        ("GET", "/task?maxResults=-2", ""),
        ("GET", "/task?firstResult=2147483648", ""),
        ("GET", "/task?firstResult=%20", ""),
        ("POST", "/task", "{"),
        ("POST", "/task", " "),
        ("POST", "/task", r#"{"sorting":[{"sortBy":"name"}]}"#),
        ("POST", "/task", r#"{"sorting":"name"}"#),
    ] {
        let plan = plan(method, target, body);
        assert!(
            matches!(plan, Plan::Words(_)),
            "{method} {target} {body}: {plan:?}"
        );
    }
}

#[test]
fn an_answer_has_the_form_that_the_client_prefers() {
    let shape = |accept: &str| rows(plan_with("GET", "/task", "", accept)).shape;
    for accept in [
        "application/hal+json",
        "application/hal+json, application/json; q=0.5",
        "application/hal+json, application/json",
        "*/*, application/hal+json",
    ] {
        assert_eq!(shape(accept), Shape::Hal("task"), "{accept}");
    }
    for accept in [
        "",
        "*/*",
        "text/html, */*;q=0.1",
        "application/json, application/hal+json",
        "application/hal+json;q=0.1, APPLICATION/JSON;q=0.2",
        "application/hal+json;q=0, */*;q=0.1",
    ] {
        assert_eq!(shape(accept), Shape::List, "{accept}");
    }
    for (method, target, accept) in [
        ("GET", "/process-instance", "application/hal+json"),
        ("POST", "/task", "application/hal+json"),
        ("GET", "/task", "text/csv"),
        ("GET", "/task", "application/json;q=0"),
    ] {
        let plan = plan_with(method, target, "{}", accept);
        assert!(matches!(plan, Plan::Words(_)), "{method} {target} {accept}");
    }
    let by = "/task?sortBy=lastUpdated&sortOrder=asc";
    assert!(matches!(plan("GET", by, ""), Plan::Rows(_)));
    assert!(matches!(
        plan_with("GET", by, "", "application/hal+json"),
        Plan::Refused(Refused::Sort(_))
    ));
}

#[test]
fn copies_count_once_and_the_rest_adds_up() {
    assert_eq!(plan("GET", "/process-definition/count", ""), Plan::Copies);
    assert_eq!(
        plan("GET", "/deployment?sortBy=name&sortOrder=asc", ""),
        Plan::Copies
    );
    assert_eq!(plan("POST", "/task/count", "{}"), Plan::Count);
    assert_eq!(plan("GET", "/external-task/topic-names", ""), Plan::Union);
    assert!(matches!(
        plan("GET", "/process-definition/key/k/statistics", ""),
        Plan::Sum(_)
    ));
    let tail = rows(plan(
        "GET",
        "/optimize/process-instance/running?startedAfter=T&maxResults=100",
        "",
    ));
    assert_eq!(
        (order(&tail), tail.ties),
        (vec!["startTime Time Ascending".into()], Ties::Free)
    );
}

#[test]
fn reports_are_summed_or_made_of_rows() {
    let Plan::Sum(by_name) = plan(
        "GET",
        "/history/task/report?reportType=count&groupBy=taskName",
        "",
    ) else {
        panic!("not summed")
    };
    assert_eq!(
        by_name.by.join(" "),
        "taskName processDefinitionKey tenantId"
    );
    let target = "/history/process-instance/report?reportType=duration&periodUnit=quarter\
        &startedAfter=2027-01-01T00:00:00.000%2B0100&processDefinitionKeyIn=a,b&periodUnit=month";
    let Plan::Durations(report) = plan("GET", target, "") else {
        panic!("not made of rows")
    };
    assert_eq!(
        (&*report.query, report.when, report.took, report.unit),
        (
            "finished=true&startedAfter=2027%2D01%2D01T00%3A00%3A00%2E000%2B0100&processDefinitionKeyIn=a%2Cb",
            "startTime",
            "durationInMillis",
            Unit::Quarter
        )
    );
    let only = Only {
        member: "processDefinitionKey",
        values: vec!["a".into(), "b".into()],
    };
    assert_eq!(report.only, [only]);
    let target = "/history/task/report?reportType=duration&periodUnit=month&completedBefore=T&processDefinitionKeyIn=a";
    let Plan::Durations(report) = plan("GET", target, "") else {
        panic!("not made of rows")
    };
    assert_eq!(&*report.query, "finished=true&finishedBefore=T");
    assert_eq!(
        (report.when, report.took, report.only.len()),
        ("endTime", "duration", 0)
    );
    for wrong in [
        "/history/task/report",
        "/history/task/report?reportType=duration",
        "/history/task/report?reportType=count&groupBy=assignee",
        "/history/process-instance/report?reportType=count&groupBy=taskName",
    ] {
        assert!(matches!(plan("GET", wrong, ""), Plan::Words(_)), "{wrong}");
    }
}

#[test]
fn numbers_of_different_people_are_not_added() {
    assert_eq!(
        plan("GET", "/metrics/activity-instance-start/sum", ""),
        Plan::Add
    );
    for name in ["unique-task-workers", "task-users", "task%2Dusers"] {
        let plan = plan("GET", &format!("/metrics/{name}/sum?startDate=T"), "");
        assert!(
            matches!(plan, Plan::Refused(Refused::NotBuilt(_))),
            "{name}"
        );
    }
}

#[test]
fn a_saved_filters_rows_come_in_its_order_and_then_in_the_requests() {
    let content = json!({"id": "f", "resourceType": "Task", "query":
        {"assignee": "x", "sorting": [{"sortBy": "name", "sortOrder": "desc"}]}});
    let saved = |method: &str, target: &str, body: &str| {
        let headers = HeaderMap::new();
        let (path, query) = target.split_once('?').unwrap();
        let head = Head {
            method: &method.parse().unwrap(),
            path,
            query: Some(query),
            headers: &headers,
        };
        let Found::Route(found) = DIALECT.find(&head) else {
            panic!("no route {target}")
        };
        DIALECT.saved(
            &found,
            &head,
            body.as_bytes(),
            content.to_string().as_bytes(),
        )
    };
    let get = rows(saved(
        "GET",
        "/filter/f/list?maxResults=5&sortBy=priority&sortOrder=asc",
        "",
    ));
    assert_eq!(order(&get), ["name Text Descending"]);
    assert_eq!((get.ties, get.page.max), (Ties::Loose, Some(5)));
    let body = r#"{"sorting":[{"sortBy":"priority","sortOrder":"asc"}]}"#;
    let post = rows(saved("POST", "/filter/f/list?maxResults=5", body));
    assert_eq!(
        order(&post),
        [
            "name Text Descending",
            "priority Number Ascending",
            "id Text Ascending"
        ]
    );
    assert_eq!(saved("GET", "/filter/f/count?x=1", ""), Plan::Count);
    assert_eq!(plan("GET", "/filter/f/list", ""), Plan::Saved);
    let single = saved("POST", "/filter/f/singleResult?x=1", "{}");
    assert!(matches!(single, Plan::Single(_)), "{single:?}");
}

#[test]
fn every_read_over_all_sites_has_a_plan() {
    let mut built = 0;
    let mut refused = Vec::new();
    for operation in DIALECT
        .operations()
        .iter()
        .filter(|operation| operation.class == "gather")
    {
        let method = operation.method.as_ref().unwrap();
        let target = operation.path.replace(['{', '}'], "");
        match plan(method.as_str(), &target, "{}") {
            Plan::Refused(Refused::NotBuilt(_)) => {
                refused.push(format!("{method} {}", operation.path))
            }
            Plan::Rows(_)
            | Plan::Count
            | Plan::Sum(_)
            | Plan::SumCount(_)
            | Plan::Union
            | Plan::Add
            | Plan::Saved
            | Plan::Copies => built += 1,
            Plan::Words(_) if operation.merge == Merge::Report => built += 1,
            other @ (Plan::Concat
            | Plan::Single(_)
            | Plan::Durations(_)
            | Plan::Words(_)
            | Plan::Refused(_)) => {
                panic!("{method} {target}: {other:?}")
            }
        }
    }
    refused.sort();
    insta::assert_snapshot!(format!(
        "{built} built, {} refused:\n{}",
        refused.len(),
        refused.join("\n")
    ));
}

#[test]
fn every_list_that_is_merged_has_its_sort_keys() {
    for operation in DIALECT
        .operations()
        .iter()
        .filter(|operation| operation.class == "gather")
    {
        if matches!(operation.merge, Merge::Rows(_)) && !operation.path.starts_with("/filter/") {
            assert!(
                DIALECT.sorts.0.contains_key(&operation.path),
                "{}",
                operation.path
            );
        }
    }
}

proptest! {
    #[test]
    fn no_request_makes_planning_panic(query in "[ -~]{0,60}", body in "[ -~]{0,80}") {
        plan("GET", &format!("/task?{query}"), "");
        plan("POST", &format!("/task?{query}"), &body);
    }
}
