//! Lists that grow are read page by page; each thing is on one page.

use super::*;

async fn pages(admin: &Admin, path: &str, name: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for _ in 0..10 {
        let page = admin.get(&format!("{path}?limit=2{cursor}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let page = page.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2, "{page}");
        seen.extend(
            items
                .iter()
                .map(|item| item[name].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
    panic!("{path} has no end: {seen:?}");
}

#[tokio::test]
async fn plans_operations_and_pins_are_read_to_the_last_one() {
    let admin = admin().await;
    admin._router.admin.registrar.register().await.unwrap();
    for name in ["u1", "u2", "u3", "u4", "u5"] {
        let body = json!({ "home": "a" }).to_string();
        let line = format!("PUT /v1/pins/user:{name}");
        let pin = admin.call(&line, &[WHY], body).await;
        assert_eq!(pin.status, StatusCode::CREATED, "{}", pin.text);
    }
    let pins = pages(&admin, "/v1/pins", "key").await;
    assert_eq!(
        pins,
        ["user:u1", "user:u2", "user:u3", "user:u4", "user:u5"]
    );

    for verb in ["switchover", "failover", "failback", "evacuate", "failover"] {
        let body = json!({ "verb": verb, "site": "a" }).to_string();
        let plan = admin.call("POST /v1/plans", &[], body).await;
        assert_eq!(plan.status, StatusCode::OK, "{}", plan.text);
    }
    let all = admin.get("/v1/plans?limit=1000").await.json();
    let all = all["items"].as_array().unwrap().len();
    let mut hashes = pages(&admin, "/v1/plans", "hash").await;
    assert_eq!(hashes.len(), all);
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), all);

    // Nobody answers at these sites: each call is recorded, and nothing is marked.
    let body = json!({ "overrides": ["last-available"] }).to_string();
    for _ in 0..3 {
        let line = "POST /v1/sites/a/restored";
        admin.call(line, &[WHY], body.clone()).await;
    }
    let mut ids = pages(&admin, "/v1/operations", "operation").await;
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert!(pages(&admin, "/v1/drills", "drill").await.is_empty());
    for list in ["plans", "operations", "drills"] {
        for wrong in ["cursor=x", "limit=0", "limit=1001"] {
            let refused = admin.get(&format!("/v1/{list}?{wrong}")).await;
            let status = refused.status;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{list} {wrong}");
        }
    }
}
