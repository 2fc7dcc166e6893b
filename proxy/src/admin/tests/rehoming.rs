//! Plans about what is not there, and plans that are only looked at.

use super::*;

async fn planned(admin: &Admin, query: &str, question: Value) -> Answer {
    let line = format!("POST /v1/plans{query}");
    admin.call(&line, &[], question.to_string()).await
}

#[tokio::test]
async fn a_name_with_a_slip_is_refused_with_what_was_meant_and_no_plan_is_kept() {
    let admin = admin().await;
    admin._router.admin.registrar.register().await.unwrap();
    for (question, words) in [
        (
            json!({ "verb": "failover", "site": "aa" }),
            "there is no site aa; ",
        ),
        (
            json!({ "verb": "switchover", "zone": "nope" }),
            "there is no zone nope; there is no zone at all",
        ),
    ] {
        for query in ["", "?dry_run=true"] {
            let refused = planned(&admin, query, question.clone()).await;
            assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(words), "{detail}");
        }
    }
    let plans = admin.get("/v1/plans").await.json();
    assert_eq!(plans["items"], json!([]), "{plans}");
    for what in [json!({ "site": "aa" }), json!({ "zone": "nope" })] {
        let drill = admin
            .call("POST /v1/drills", &[WHY], what.to_string())
            .await;
        assert_eq!(drill.status, StatusCode::NOT_FOUND, "{}", drill.text);
    }
}

#[tokio::test]
async fn a_plan_that_is_only_looked_at_is_not_kept() {
    let admin = admin().await;
    admin._router.admin.registrar.register().await.unwrap();
    let question = json!({ "verb": "failover", "site": "a" });
    let looked = planned(&admin, "?dry_run=true", question.clone()).await;
    assert_eq!(looked.status, StatusCode::OK, "{}", looked.text);
    let looked = looked.json();
    let hash = looked["hash"].as_str().unwrap();
    assert_eq!(looked["report"]["sites"][0]["fate"], "parked", "{looked}");
    let kept = admin.get(&format!("/v1/plans/{hash}")).await;
    assert_eq!(kept.status, StatusCode::NOT_FOUND);
    let made = planned(&admin, "", question).await.json();
    let hash = made["hash"].as_str().unwrap();
    let kept = admin.get(&format!("/v1/plans/{hash}")).await;
    assert_eq!(kept.status, StatusCode::OK, "{}", kept.text);
}
