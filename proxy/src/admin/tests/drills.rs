//! What is refused before a drill begins, in words.

use super::*;

async fn asked(admin: &Admin, body: Value) -> Answer {
    admin
        .call("POST /v1/drills", &[WHY], body.to_string())
        .await
}

#[tokio::test]
async fn a_drill_that_cannot_be_is_refused_and_leaves_nothing() {
    let admin = admin().await;
    let silent = json!({ "site": "a" }).to_string();
    let silent = admin.call("POST /v1/drills", &[], silent).await;
    assert_eq!(silent.reason(), "reason-required");
    for (body, status, words) in [
        (json!({}), StatusCode::BAD_REQUEST, "a site or a zone"),
        (
            json!({ "site": "a", "zone": "x" }),
            StatusCode::BAD_REQUEST,
            "a site or a zone",
        ),
        (
            json!({ "site": "a", "share": 0.0 }),
            StatusCode::BAD_REQUEST,
            "share",
        ),
        (
            json!({ "site": "a", "probes": ["orders"] }),
            StatusCode::BAD_REQUEST,
            "probes",
        ),
        (
            json!({ "site": "a", "overrides": ["luck"] }),
            StatusCode::BAD_REQUEST,
            "no safety rule",
        ),
        (
            json!({ "site": "z" }),
            StatusCode::NOT_FOUND,
            "there is no site z",
        ),
        (
            json!({ "zone": "nowhere" }),
            StatusCode::NOT_FOUND,
            "there is no zone nowhere",
        ),
        (
            json!({ "site": "a", "mode": "switch" }),
            StatusCode::CONFLICT,
            "no installation that could take over",
        ),
        // Its recovery is park, and nobody has been seen that could take its work.
        (
            json!({ "site": "a" }),
            StatusCode::CONFLICT,
            "no other site takes new work",
        ),
    ] {
        let refused = asked(&admin, body.clone()).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.text);
        assert!(refused.text.contains(words), "{body}: {}", refused.text);
    }
    let list = admin.get("/v1/drills").await.json();
    assert_eq!(list["items"], json!([]));
    assert!(admin.audit("drill.begin").await.is_empty());
    let absent = admin.get("/v1/drills/nothing").await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
}
