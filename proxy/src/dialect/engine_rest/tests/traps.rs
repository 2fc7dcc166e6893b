//! Requests that are easy to get wrong.

use super::*;

fn create(method: &str, target: &str, body: &str) -> crate::classify::Create {
    let class = class(method, target, body);
    let Class::Create(create) = class else {
        panic!("{class:?}")
    };
    create
}

fn gather(method: &str, target: &str, body: &str) -> Gather {
    let class = class(method, target, body);
    let Class::Gather(gather) = class else {
        panic!("{class:?}")
    };
    gather
}

fn owner(method: &str, target: &str, body: &str) -> Option<String> {
    gather(method, target, body)
        .owner
        .map(|key| key.to_string())
}

#[test]
fn literal_segments_win_over_ids() {
    assert_eq!(class("GET", "/process-instance/count", "").name(), "gather");
    assert_eq!(
        class("GET", "/process-instance/counter", ""),
        keyed("process-instance:counter")
    );
    assert_eq!(class("POST", "/task/create", "{}").name(), "create");
    assert_eq!(
        class("POST", "/task/create/complete", ""),
        keyed("task:create")
    );
    assert_eq!(
        class("DELETE", "/task/count", ""),
        Class::Refuse(Refusal::MethodNotAllowed)
    );
    assert_eq!(
        class("GET", "/process-definition/key", ""),
        keyed("process-definition:key")
    );
    assert_eq!(
        class("GET", "/process-definition/key/xml", "").name(),
        "any"
    );
    assert_eq!(
        class("POST", "/process-definition/key/start", ""),
        Class::Refuse(Refusal::MethodNotAllowed)
    );
    assert_eq!(
        create("POST", "/process-definition/key/key/start", "")
            .definition
            .as_deref(),
        Some("key")
    );
    assert_eq!(class("DELETE", "/metrics/task-worker", "").name(), "local");
}

#[test]
fn paths_that_a_container_could_read_in_another_way_have_no_route() {
    for path in [
        "",
        "/",
        "//task/1",
        "/task//1",
        "/task/1//",
        "/./task/1",
        "/task/x/../1",
        "/task/%2e%2E/1",
        "/task/..;a=b/1",
        "/task/1/./complete",
        "/engine//task/1",
        "/engine/a/engine",
        "/engine/a",
        "/nothing",
        "/task/1/nothing",
        "task/1",
        "/%74ask/1",
        "/task/;x=1",
        "/engine/%zz/task/1",
    ] {
        assert_eq!(
            class("GET", path, ""),
            Class::Refuse(Refusal::NoRoute),
            "{path}"
        );
    }
}

#[test]
fn ids_are_decoded_and_stripped_of_matrix_parameters() {
    for path in [
        "/task/a%20b",
        "/task/a%20b/",
        "/task;v=1/a%20b;x=1",
        "/engine/default/task/a%20b;x=/",
    ] {
        assert_eq!(class("GET", path, ""), keyed("task:a b"), "{path}");
    }
    assert_eq!(class("GET", "/task/a%2Fb", ""), keyed("task:a/b"));
    assert_eq!(class("GET", "/task/a%3Bb", ""), keyed("task:a;b"));
    assert_eq!(class("GET", "/task/a+b", ""), keyed("task:a+b"));
    assert_eq!(class("GET", "/task/c%6Funt", ""), keyed("task:count"));
    for path in [
        "/task/%",
        "/task/%f",
        "/task/%zz",
        "/task/%ff",
        &format!("/task/{}", "x".repeat(1025)),
    ] {
        assert!(
            matches!(class("GET", path, ""), Class::Refuse(Refusal::BadKey(_))),
            "{path}"
        );
    }
    // Only the key matters: a variable's name may be whatever it is.
    assert_eq!(class("GET", "/task/1/variables/%zz", ""), keyed("task:1"));
}

#[test]
fn history_has_the_keys_of_what_runs() {
    for (path, key) in [
        ("/history/process-instance/1", "process-instance:1"),
        ("/history/case-instance/1", "case-instance:1"),
        ("/history/activity-instance/a:1", "activity-instance:a:1"),
        ("/history/variable-instance/1/data", "variable:1"),
        ("/history/batch/1", "batch:1"),
        ("/history/case-activity-instance/1", "case-execution:1"),
        ("/history/detail/1", "detail:1"),
        ("/history/job-log/1/stacktrace", "log-entry:1"),
        ("/history/external-task-log/1", "log-entry:1"),
        ("/history/decision-instance/1", "decision-instance:1"),
    ] {
        assert_eq!(class("GET", path, ""), keyed(key), "{path}");
    }
    assert_eq!(
        class("PUT", "/history/user-operation/1/set-annotation", ""),
        keyed("user-operation:1")
    );
}

#[test]
fn a_start_tells_all_that_placing_needs() {
    let by_key = create(
        "POST",
        "/process-definition/key/order/start",
        r#"{"variables":{"businessKey":{"value":"no"}},"businessKey":"B-1"}"#,
    );
    assert_eq!(by_key.business_key.as_deref(), Some("B-1"));
    assert_eq!(
        (by_key.definition.as_deref(), by_key.tenant, by_key.beside),
        (Some("order"), None, None)
    );
    assert_eq!(by_key.kind, Some(Kind::PROCESS_INSTANCE));
    let of_tenant = create(
        "POST",
        "/engine/blue/process-definition/key/order/tenant-id/t%201/start",
        "",
    );
    assert_eq!(
        (of_tenant.tenant.as_deref(), of_tenant.engine.name()),
        (Some("t 1"), Some("blue"))
    );
    let by_id = create(
        "POST",
        "/process-definition/order:3:0d0e5c8a-96c7-11f0-8de9-0242ac120002/submit-form",
        "{}",
    );
    assert_eq!(by_id.definition.as_deref(), Some("order"));
    assert_eq!(
        by_id.beside.unwrap().to_string(),
        "process-definition:order:3:0d0e5c8a-96c7-11f0-8de9-0242ac120002"
    );
    let bare = create(
        "POST",
        "/process-definition/0d0e5c8a-96c7-11f0-8de9-0242ac120002/start",
        "{}",
    );
    assert_eq!((bare.definition, bare.beside.is_some()), (None, true));
    assert_eq!(
        create("POST", "/case-definition/key/claim/create", "{}").kind,
        Some(Kind::CASE_INSTANCE)
    );
    let case = create("POST", "/case-definition/claim:1:7/create", "{}");
    assert_eq!(
        case.beside.unwrap().to_string(),
        "case-definition:claim:1:7"
    );
}

#[test]
fn a_start_whose_body_is_no_json_or_too_long_is_still_a_start() {
    for body in [
        None,
        Some(""),
        Some("{"),
        Some("[]"),
        Some(r#"{"businessKey":{}}"#),
        Some(r#"{"businessKey":null}"#),
    ] {
        let (_, class) = classified("POST", "/process-definition/key/order/start", body);
        let Class::Create(create) = class else {
            panic!("{class:?}")
        };
        assert_eq!(
            (create.definition.as_deref(), create.business_key),
            (Some("order"), None),
            "{body:?}"
        );
    }
    assert_eq!(
        create(
            "POST",
            "/process-definition/key/o/start",
            r#"{"businessKey":7}"#
        )
        .business_key
        .as_deref(),
        Some("7")
    );
}

#[test]
fn a_condition_is_a_start_beside_the_definition_it_names() {
    let any = create(
        "POST",
        "/condition",
        r#"{"tenantId":"t","businessKey":"B"}"#,
    );
    assert_eq!(
        (
            any.tenant.as_deref(),
            any.business_key.as_deref(),
            any.beside
        ),
        (Some("t"), Some("B"), None)
    );
    let one = create("POST", "/condition", r#"{"processDefinitionId":"p:1:2"}"#);
    assert_eq!(one.beside.unwrap().to_string(), "process-definition:p:1:2");
    assert!(matches!(
        classified("POST", "/condition", None).1,
        Class::Refuse(Refusal::Unread(_))
    ));
}

#[test]
fn a_job_definition_of_several_sites_is_split_in_the_path_and_refused_elsewhere() {
    for id in ["homing.a.b", "homing_a_2E1.b_2E2"] {
        assert_eq!(
            class("PUT", &format!("/job-definition/{id}/retries"), "{}"),
            Class::Split
        );
        for (method, target, body) in [
            ("GET", format!("/job?jobDefinitionId={id}"), String::new()),
            (
                "PUT",
                "/job/suspended".into(),
                format!(r#"{{"jobDefinitionId":"{id}"}}"#),
            ),
        ] {
            let class = class(method, &target, &body);
            let is_refused = matches!(class, Class::Refuse(Refusal::OfSeveral(_)));
            assert!(is_refused, "{method} {target}: {class:?}");
        }
    }
    assert_eq!(
        class("PUT", "/batch/homing.a.b/suspended", "{}"),
        Class::Split
    );
    assert_eq!(
        class("DELETE", "/batch/homing.a.a", ""),
        keyed("batch:homing.a.a")
    );
}

#[test]
fn a_task_stands_alone_unless_its_body_names_an_owner() {
    let alone = create(
        "POST",
        "/task/create",
        r#"{"id":"mine","tenantId":"t","parentTaskId":null}"#,
    );
    assert_eq!(
        (alone.kind, alone.tenant.as_deref()),
        (Some(Kind::TASK), Some("t"))
    );
    assert_eq!(alone.named.unwrap().to_string(), "task:mine");
    assert_eq!(
        class(
            "POST",
            "/task/create",
            r#"{"parentTaskId":"p","caseInstanceId":"c"}"#
        ),
        keyed("task:p")
    );
    assert_eq!(
        class("POST", "/task/create", r#"{"caseInstanceId":"c"}"#),
        keyed("case-instance:c")
    );
    assert!(matches!(
        classified("POST", "/task/create", None).1,
        Class::Refuse(Refusal::Unread(_))
    ));
}

#[test]
fn filters_narrow_only_when_they_name_one_owner() {
    assert_eq!(
        owner("GET", "/task?processInstanceId=p&taskId=t", "").as_deref(),
        Some("process-instance:p")
    );
    assert_eq!(
        owner("GET", "/task?assignee=x&taskId=t%31", "").as_deref(),
        Some("task:t1")
    );
    assert_eq!(
        owner("GET", "/variable-instance?processInstanceIdIn=p", "").as_deref(),
        Some("process-instance:p")
    );
    assert_eq!(
        owner("GET", "/variable-instance?processInstanceIdIn=p%2Cp", "").as_deref(),
        Some("process-instance:p")
    );
    for target in [
        "/variable-instance?processInstanceIdIn=p,q",
        "/task?processInstanceId=p&processInstanceId=q",
        "/task?processInstanceId=",
        "/task?processInstanceID=p",
        "/task?processInstanceBusinessKey=b",
        "/task?caseInstanceId=c",
    ] {
        assert_eq!(owner("GET", target, ""), None, "{target}");
    }
    let body = r#"{"orQueries":[{"processInstanceId":"no"}],"processInstanceId":"old","processInstanceId":"p"}"#;
    assert_eq!(
        owner("POST", "/task", body).as_deref(),
        Some("process-instance:p")
    );
    assert_eq!(
        owner(
            "POST",
            "/task",
            r#"{"orQueries":[{"processInstanceId":"no"}]}"#
        ),
        None
    );
    assert_eq!(
        owner("POST", "/task?processInstanceId=ignored-by-engines", "{}"),
        None
    );
    assert_eq!(
        owner(
            "POST",
            "/process-instance",
            r#"{"processInstanceIds":["p"]}"#
        )
        .as_deref(),
        Some("process-instance:p")
    );
    for body in [
        r#"{"processInstanceIds":["p","q"]}"#,
        r#"{"processInstanceIds":"p"}"#,
        r#"{"processInstanceIds":[]}"#,
        "{",
        "",
    ] {
        assert_eq!(owner("POST", "/process-instance", body), None, "{body}");
    }
    let (_, class) = classified("POST", "/task", None);
    assert_eq!(class, Class::Gather(Gather::default()));
}

#[test]
fn copies_of_definitions_are_aliases_and_never_owners() {
    let list = gather(
        "GET",
        "/process-instance?processDefinitionId=p:1:2&deploymentId=d",
        "",
    );
    let aliases: Vec<_> = list.aliases.iter().map(ToString::to_string).collect();
    assert_eq!(
        (list.owner, aliases.join(" ").as_str()),
        (None, "process-definition:p:1:2 deployment:d")
    );
    let statistics = gather("GET", "/process-definition/p:1:2/statistics", "");
    assert_eq!(
        statistics.aliases,
        ["process-definition:p:1:2".parse().unwrap()]
    );
    assert_eq!(
        gather("GET", "/process-definition/key/p/statistics", "").aliases,
        []
    );
    let either = r#"{"orQueries":[{"processDefinitionId":"p:1:2"},{"processInstanceId":"zz"}]}"#;
    let either = gather("POST", "/task/count", either);
    assert_eq!(
        (either.owner, either.aliases),
        (None, vec!["process-definition:p:1:2".parse().unwrap()])
    );
    let removed = Class::Broadcast(Broadcast::Remove("deployment:d".parse().unwrap()));
    assert_eq!(class("DELETE", "/deployment/d?cascade=true", ""), removed);
    assert_eq!(
        class("POST", "/deployment/create", ""),
        Class::Broadcast(Broadcast::Deploy)
    );
    assert_eq!(
        class("DELETE", "/process-definition/key/p/delete", ""),
        Class::Broadcast(Broadcast::Same)
    );
    assert_eq!(
        class(
            "POST",
            "/migration/generate",
            r#"{"sourceProcessDefinitionId":"p:1:2"}"#
        ),
        keyed("process-definition:p:1:2")
    );
    assert_eq!(class("POST", "/migration/generate", "{}").name(), "any");
}

#[test]
fn suspending_goes_where_its_body_says() {
    assert_eq!(
        class("PUT", "/job/suspended", r#"{"jobId":"j","suspended":true}"#),
        keyed("job:j")
    );
    assert_eq!(
        class("PUT", "/job/suspended", r#"{"processInstanceId":"p"}"#),
        keyed("process-instance:p")
    );
    assert_eq!(
        class("PUT", "/job/suspended", r#"{"jobDefinitionId":"d"}"#),
        keyed("job-definition:d")
    );
    let aliased = Class::Broadcast(Broadcast::Aliased(
        "process-definition:p:1:2".parse().unwrap(),
    ));
    assert_eq!(
        class(
            "PUT",
            "/job/suspended",
            r#"{"processDefinitionId":"p:1:2"}"#
        ),
        aliased
    );
    assert_eq!(
        class(
            "PUT",
            "/process-definition/suspended",
            r#"{"processDefinitionId":"p:1:2"}"#
        ),
        aliased
    );
    assert_eq!(
        class(
            "PUT",
            "/process-definition/suspended",
            r#"{"processDefinitionKey":"p"}"#
        ),
        Class::Broadcast(Broadcast::Same)
    );
    assert_eq!(
        class(
            "PUT",
            "/process-instance/suspended",
            r#"{"processInstanceIds":["p"]}"#
        ),
        keyed("process-instance:p")
    );
    assert_eq!(
        class(
            "PUT",
            "/process-instance/suspended",
            r#"{"processInstanceIds":["p"],"processDefinitionKey":"d"}"#
        ),
        Class::Split
    );
}

#[test]
fn a_write_about_one_id_belongs_to_its_owner_and_others_are_split() {
    let path = "/process-instance/delete";
    assert_eq!(
        class("POST", path, r#"{"processInstanceIds":["p"]}"#),
        keyed("process-instance:p")
    );
    assert_eq!(
        class(
            "POST",
            path,
            r#"{"processInstanceIds":["p"],"processInstanceQuery":null}"#
        ),
        keyed("process-instance:p")
    );
    for body in [
        r#"{"processInstanceIds":["p","q"]}"#,
        r#"{"processInstanceIds":["p"],"historicProcessInstanceQuery":{}}"#,
        r#"{"processInstanceQuery":{}}"#,
        "{}",
        "nonsense",
    ] {
        assert_eq!(class("POST", path, body), Class::Split, "{body}");
    }
    assert_eq!(classified("POST", path, None).1, Class::Split);
    // Its owner has the definition under an id of its own.
    for (path, body) in [
        (
            "/modification/executeAsync",
            r#"{"processInstanceIds":["p"],"processDefinitionId":"o:1:7"}"#,
        ),
        (
            "/migration/execute",
            r#"{"processInstanceIds":["p"],"migrationPlan":{"sourceProcessDefinitionId":"o:1:7"}}"#,
        ),
        (
            "/process-definition/o:1:7/restart",
            r#"{"processInstanceIds":["p"]}"#,
        ),
    ] {
        assert_eq!(class("POST", path, body), Class::Split, "{path}");
    }
    assert_eq!(
        class(
            "POST",
            "/process-instance/job-retries",
            r#"{"processInstances":["p"]}"#
        ),
        keyed("process-instance:p")
    );
    assert_eq!(
        class(
            "PUT",
            "/external-task/retries",
            r#"{"externalTaskIds":["e"],"processInstanceIds":["p"]}"#
        ),
        Class::Split
    );
    assert_eq!(
        class("POST", "/process-instance/p/modification-async", ""),
        keyed("process-instance:p")
    );
}

#[test]
fn a_message_with_an_owner_is_no_correlation() {
    assert_eq!(
        class(
            "POST",
            "/message",
            r#"{"messageName":"m","processInstanceId":"p"}"#
        ),
        keyed("process-instance:p")
    );
    assert_eq!(
        class(
            "POST",
            "/message",
            r#"{"messageName":"m","correlationKeys":{"processInstanceId":{"value":"p"}}}"#
        ),
        Class::Correlate
    );
    assert_eq!(
        class("POST", "/signal", r#"{"name":"s","executionId":"e"}"#),
        keyed("execution:e")
    );
    assert_eq!(
        class("POST", "/signal", r#"{"name":"s"}"#),
        Class::Correlate
    );
    assert_eq!(
        class("POST", "/external-task/fetchAndLock", "{}"),
        Class::WorkerFetch
    );
}

#[test]
fn containers_answer_options_and_head_by_themselves() {
    assert_eq!(
        classified("OPTIONS", "/task/1", None),
        ("options".into(), Class::Any(Any::default()))
    );
    assert_eq!(
        classified("OPTIONS", "/user", None).0,
        "availableOperations"
    );
    let mut preflight = HeaderMap::new();
    preflight.insert("access-control-request-method", "GET".parse().unwrap());
    assert_eq!(
        with_headers("OPTIONS", "/user", None, &preflight).0,
        "options"
    );
    assert_eq!(
        classified("HEAD", "/task/1", None),
        ("getTask".into(), keyed("task:1"))
    );
    assert_eq!(
        classified("HEAD", "/task/1/complete", None).1,
        Class::Refuse(Refusal::MethodNotAllowed)
    );
}

#[test]
fn engines_are_told_apart_and_listed_once() {
    assert_eq!(
        classified("GET", "/engine", None).0,
        classified("GET", "/engine/", None).0
    );
    assert_eq!(
        class("GET", "/engine/blue/task/1", ""),
        keyed("blue/task:1")
    );
    assert_eq!(
        class("GET", "/engine/blue%20sky/task/1", ""),
        keyed("blue sky/task:1")
    );
    assert_eq!(
        class("GET", "/engine/d%65fault;x/task/1", ""),
        keyed("task:1")
    );
    assert_eq!(
        class("GET", "/engine/engine/task/1", ""),
        keyed("engine/task:1")
    );
}
