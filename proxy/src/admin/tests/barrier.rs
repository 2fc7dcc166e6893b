//! The barrier after a change of one key.

use super::*;
use homing_mapping_store::Timestamp;
use homing_mapping_store::store::{RouterRecord, Seq};

async fn another(admin: &Admin, name: &str, applied: u64, lease_ms: u64) {
    let router = RouterRecord {
        name: name.into(),
        registry_acknowledged: 0,
        applied: Seq(applied),
        address: String::new(),
        version: String::new(),
        config_hash: String::new(),
        seen_at: Timestamp(0),
        live: true,
        lease_ms: 0,
        facts: "{}".into(),
        ..RouterRecord::default()
    };
    let store = &admin._router.admin.store;
    store.heartbeat(&router, lease_ms).await.unwrap();
}

/// Far above everything that happens in a test.
const LATER: u64 = 1_000_000;
const LONG: u64 = 600_000;

#[tokio::test]
async fn a_change_of_a_key_tells_which_router_does_not_act_on_it_yet() {
    let admin = admin().await;
    admin._router.admin.registrar.register().await.unwrap();
    another(&admin, "r2", LATER, LONG).await;
    another(&admin, "gone", 0, 0).await;
    let a = json!({ "home": "a" }).to_string();
    // This router's feed does not run, so it cannot have applied anything.
    let set = "PUT /v1/mappings/user:mary?wait_ms=1";
    let made = admin.call(set, &[WHY, NEW], a.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let barrier = &made.json()["barrier"];
    assert_eq!(barrier["reached"], false, "{barrier}");
    assert_eq!(barrier["waiting_for"], json!(["r1"]));
    assert_eq!(barrier["applied"], json!(["r2"]));
    assert_eq!(barrier["lapsed"], json!(["gone"]));

    another(&admin, "r1", LATER, LONG).await;
    let b = json!({ "home": "b" }).to_string();
    let tag = made.etag.unwrap();
    let set = "PUT /v1/mappings/user:mary?wait_ms=60000";
    let moved = admin.call(set, &[WHY, ("if-match", &tag)], b).await;
    assert_eq!(moved.json()["barrier"]["reached"], true, "{}", moved.text);
    let tag = moved.etag.clone().unwrap();
    let unset = "DELETE /v1/mappings/user:mary?wait_ms=60000";
    let removed = admin.call(unset, &[WHY, ("if-match", &tag)], "").await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.text);
    let sequence = removed.json()["barrier"]["sequence"].as_u64();
    assert!(sequence > moved.json()["barrier"]["sequence"].as_u64());
}

#[tokio::test]
async fn a_router_that_follows_the_changes_reaches_the_barrier_by_itself() {
    let admin = admin().await;
    admin._router.admin.registrar.register().await.unwrap();
    admin._router.start().await;
    let a = json!({ "home": "a" }).to_string();
    let set = "PUT /v1/mappings/user:mary?wait_ms=60000";
    let made = admin.call(set, &[WHY, NEW], a).await;
    assert_eq!(made.json()["barrier"]["reached"], true, "{}", made.text);
    assert_eq!(made.json()["barrier"]["applied"], json!(["r1"]));
}

#[tokio::test]
async fn a_wait_without_end_is_refused_before_anything_changes() {
    let admin = admin().await;
    let a = json!({ "home": "a" }).to_string();
    let set = "PUT /v1/mappings/user:mary?wait_ms=60001";
    let refused = admin.call(set, &[WHY, NEW], a).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let there = admin.get("/v1/mappings/user:mary").await;
    assert_eq!(there.status, StatusCode::NOT_FOUND);
}
