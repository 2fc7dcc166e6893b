//! A site that is to stand still.

use super::*;

#[tokio::test]
async fn a_site_stands_still_when_every_live_router_has_stopped() {
    let admin = admin().await;
    let state = &admin._router.admin;
    state.registrar.register().await.unwrap();
    let body = |ms: u64| json!({ "wait_ms": ms, "overrides": ["last-available"] }).to_string();
    let call = "POST /v1/sites/a/quiesce";
    assert_eq!(
        admin.call(call, &[], body(0)).await.reason(),
        "reason-required"
    );
    let rehearsed = admin
        .call("POST /v1/sites/a/quiesce?dry_run=true", &[WHY], body(0))
        .await;
    assert_eq!(rehearsed.json()["state"], "ready", "{}", rehearsed.text);
    // Nobody follows the registry yet, so nobody has said that it has stopped.
    let begun = admin.call(call, &[WHY], body(0)).await;
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
    let begun = begun.json();
    assert_eq!(
        (&begun["state"], &begun["still"]),
        (&json!("maintenance"), &json!(false))
    );
    assert_eq!(begun["routers"][0]["stopped"], false, "{begun}");
    admin._router.start().await;
    let still = admin.call(call, &[WHY], body(60_000)).await.json();
    assert_eq!(still["still"], true, "{still}");
    let told = json!({ "router": "r1", "live": true, "stopped": true, "running": 0 });
    assert_eq!(still["routers"], json!([told]), "{still}");
    assert_eq!(
        still["generation"], begun["generation"],
        "said twice is said once"
    );
    assert_eq!(admin.audit("site.quiesce").await.len(), 1);
    // A site that is in quarantine is not made ready by this detour.
    let kept_out = json!({ "state": "quarantined", "overrides": ["last-available"] });
    let put = "PUT /v1/sites/a/state";
    assert_eq!(
        admin.call(put, &[WHY], kept_out.to_string()).await.status,
        StatusCode::OK
    );
    let refused = admin.call(call, &[WHY], body(0)).await;
    assert_eq!(refused.reason(), "site-quarantined");
}
