//! A restored site whose engine cannot be asked proves no loss; what is lost is told to everybody who asks.

use super::fate::hold;
use super::*;
use homing_mapping_store::audit::AuditEntry;
use homing_mapping_store::{RoutingKey, SiteId, State as MappingState, Timestamp};
use uuid::Uuid;

const BY: Uuid = Uuid::from_u128(7);

#[tokio::test]
async fn a_site_that_does_not_answer_is_kept_out_and_nothing_of_it_is_lost() {
    let admin = admin().await;
    admin._router.admin.registrar.register().await.unwrap();
    hold(&admin, "process-instance:one", "a", MappingState::Homed).await;
    let before = admin.get("/v1/assignments").await.json();
    let call = "POST /v1/sites/a/restored";
    let silent = admin.call(call, &[], "{}").await;
    assert_eq!(silent.reason(), "reason-required");
    let when = json!({ "taken_at": "yesterday" }).to_string();
    let unreadable = admin.call(call, &[WHY], when).await;
    assert_eq!(unreadable.status, StatusCode::BAD_REQUEST);
    let body = json!({ "overrides": ["last-available"] }).to_string();
    let away = admin.call(call, &[WHY], body).await;
    assert_eq!(
        (away.status, away.reason().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "site-unreachable"),
        "{}",
        away.text
    );
    let store = &admin._router.admin.store;
    assert!(store.losses(None, 10).await.unwrap().items.is_empty());
    let site = admin.get("/v1/sites/a").await.json();
    assert_eq!(site["state"], "quarantined", "{site}");
    let generation = |all: &Value| {
        let items = all["items"].as_array().unwrap().iter();
        let mut a = items.filter(|one| one["site"] == "a");
        a.next().unwrap()["generation"].as_u64().unwrap()
    };
    let after = admin.get("/v1/assignments").await.json();
    assert!(generation(&after) > generation(&before), "{after}");
    let trail = admin.audit("site.restored").await;
    assert_eq!(trail.len(), 1);
    // The operation that the trail names can be looked up, with what came of it.
    let id = trail[0]["detail"]["operation"].as_str().unwrap();
    let account = admin.get(&format!("/v1/operations/{id}")).await.json();
    assert_eq!(
        (&account["verb"], &account["state"], &account["plan"]),
        (&json!("restored"), &json!("failed"), &Value::Null),
        "{account}"
    );
    assert_eq!(account["reason"], "a test", "{account}");
    let events = admin
        .get(&format!("/v1/operations/{id}/events"))
        .await
        .json();
    assert_eq!(events["items"][1]["what"], "not compared", "{events}");
    let listed = admin.get("/v1/operations").await.json();
    assert_eq!(listed["items"][0]["operation"], id, "{listed}");
}

#[tokio::test]
async fn what_is_lost_answers_410_with_the_operation_and_has_that_fate() {
    let admin = admin().await;
    let state = &admin._router.admin;
    state.registrar.register().await.unwrap();
    hold(&admin, "process-instance:one", "a", MappingState::Homed).await;
    let key: RoutingKey = "process-instance:one".parse().unwrap();
    let entry = AuditEntry {
        actor: "uid:0".into(),
        action: "site.restored.lost".into(),
        subject: "a".into(),
        reason: Some("a test".into()),
        detail: "{}".into(),
        request_id: None,
        at: Timestamp(1),
    };
    let keys = [key.clone()];
    let marked = state.store.mark_lost(SiteId::named("a"), BY, &keys, &entry);
    assert_eq!(marked.await.unwrap(), 1);
    state.pipeline.resolver.known.set_loss(&key, Some(BY));

    let question = json!({ "key": "process-instance:one" }).to_string();
    let told = admin.call("POST /v1/explain", &[], question.clone()).await;
    let refused = &told.json()["refused"];
    assert_eq!(
        (&refused["reason"], &refused["status"]),
        (&json!("lost-in-failover"), &json!(410)),
        "{}",
        told.text
    );
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains(&BY.to_string()), "{detail}");
    let row = admin.get("/v1/mappings/process-instance:one").await.json();
    assert_eq!(row["home"], "a", "the row stays");
    let fate = admin.get("/v1/fate/process-instance:one").await.json();
    assert_eq!(fate["fate"], "lost", "{fate}");
    let site = admin.get("/v1/sites/a/fate").await.json();
    let lost = json!({ "kind": "process-instance", "fate": "lost", "count": 1 });
    assert_eq!(site["counts"], json!([lost]), "{site}");

    state.pipeline.resolver.known.set_loss(&key, None);
    let told = admin.call("POST /v1/explain", &[], question).await.json();
    assert_ne!(told["refused"]["reason"], "lost-in-failover", "{told}");
}
