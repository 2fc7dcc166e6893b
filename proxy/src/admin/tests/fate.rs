//! Fates as the admin API tells them: for a key, a site, a plan.

use super::*;
use homing_mapping_store::store::{NewMapping, Shipment};
use homing_mapping_store::{SiteId, Source, State as MappingState, Timestamp};

pub(super) async fn hold(admin: &Admin, key: &str, home: &str, state: MappingState) {
    let row = NewMapping {
        key: key.parse().unwrap(),
        home: SiteId::named(home),
        state,
        source: Source::Started,
        at: Timestamp(1_000),
    };
    let known = &admin._router.admin.pipeline.resolver.known;
    known.table.insert_once(&row);
    let shipment = Shipment {
        router: "r1".into(),
        mappings: vec![row],
        ..Shipment::default()
    };
    admin._router.admin.store.ship(&shipment).await.unwrap();
}

#[tokio::test]
async fn the_fate_of_a_key_and_of_a_site_is_told_before_anything_is_applied() {
    let admin = admin().await;
    admin._router.admin.registrar.register().await.unwrap();
    hold(&admin, "process-instance:one", "a", MappingState::Homed).await;
    hold(&admin, "process-instance:two", "a", MappingState::Homed).await;
    hold(&admin, "user:mary", "a", MappingState::Placed).await;
    let fate = async |path: &str| {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    };
    let one = fate("/v1/fate/process-instance%3Aone").await;
    assert_eq!(
        (&one["home"], &one["fate"]),
        (&json!("a"), &json!("parked"))
    );
    let gone = fate("/v1/fate/process-instance%3Aone?event=loss").await;
    assert_eq!(gone["fate"], "lost");
    assert_eq!(fate("/v1/fate/user%3Amary").await["fate"], "restartable");

    let site = fate("/v1/sites/a/fate").await;
    let counts = site["counts"].as_array().unwrap();
    let parked = json!({ "kind": "process-instance", "fate": "parked", "count": 2 });
    let again = json!({ "kind": "user", "fate": "restartable", "count": 1 });
    assert!(
        counts.contains(&parked) && counts.contains(&again),
        "{site}"
    );
    let lines = admin.get("/v1/sites/a/fate/list?event=loss").await.text;
    let lost = lines.lines().filter(|line| line.contains("\"lost\""));
    assert_eq!((lines.lines().count(), lost.count()), (3, 2), "{lines}");

    let question = json!({ "verb": "failover", "site": "a" }).to_string();
    let plan = admin.call("POST /v1/plans", &[], question).await.json();
    let considered = &plan["report"]["sites"][0];
    assert_eq!(considered["fate"], "parked", "{plan}");
    assert_eq!(
        considered["rows"],
        json!({ "process-instance": 2, "user": 1 })
    );
}

#[tokio::test]
async fn a_question_about_a_fate_that_makes_no_sense_is_refused() {
    let admin = admin().await;
    admin._router.admin.registrar.register().await.unwrap();
    let wrong = admin.get("/v1/sites/a/fate?event=rain").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        admin.get("/v1/sites/z/fate").await.status,
        StatusCode::NOT_FOUND
    );
    let homeless = admin.get("/v1/fate/user%3Anobody").await;
    assert_eq!(homeless.status, StatusCode::NOT_FOUND, "{}", homeless.text);
}
