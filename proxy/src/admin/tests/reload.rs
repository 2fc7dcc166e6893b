//! A reload by a call: taken as a whole, or refused as a whole with every problem; looked at without being taken.

use super::*;
use homing_config::Input;
use std::path::PathBuf;

fn text(folder: &str, more: &str) -> String {
    format!(
        "[router]\nname = \"r1\"\n[store]\nurl = \"sqlite:{folder}/store.db\"\njournal = \"{folder}/journal\"\n\
         [[site]]\nname = \"a\"\ndialect = \"engine-rest\"\nendpoints = [\"http://127.0.0.1:9/engine-rest\"]\n{more}"
    )
}

async fn of_a_file() -> (Admin, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display().to_string();
    let file = folder.path().join("homing.toml");
    std::fs::write(&file, text(&at, "")).unwrap();
    let inputs = Inputs {
        files: vec![Input::File(file.clone())],
        host_name: "host".to_owned(),
        ..Inputs::default()
    };
    (serving(folder, inputs).await, file, at)
}

fn weight(config: &Value) -> Value {
    let items = config["items"].as_array().unwrap().iter();
    let mut found = items.filter(|one| one["path"] == "site.a.weight");
    found.next().unwrap()["value"].clone()
}

#[tokio::test]
async fn a_good_file_is_taken_and_a_bad_one_is_refused_with_every_problem() {
    let (admin, file, at) = of_a_file().await;
    admin._router.admin.registrar.register().await.unwrap();
    let reload = "POST /v1/config/reload";
    let same = admin.call(reload, &[WHY], "").await;
    assert_eq!(same.status, StatusCode::OK, "{}", same.text);
    assert_eq!(
        same.json(),
        json!({ "outcome": "loaded", "dry_run": false, "changes": [] })
    );

    std::fs::write(&file, text(&at, "weight = 7\n")).unwrap();
    let looked = admin
        .call("POST /v1/config/reload?dry_run=true", &[], "")
        .await;
    assert_eq!(looked.json()["dry_run"], true, "{}", looked.text);
    assert_eq!(looked.json()["changes"][0]["path"], "site.a.weight");
    let before = admin.get("/v1/config").await.json();
    assert_ne!(weight(&before), 7, "{before}");
    let taken = admin.call(reload, &[WHY], "").await;
    assert_eq!(
        taken.json()["changes"],
        json!([{ "path": "site.a.weight", "change": "live" }]),
        "{}",
        taken.text
    );
    let after = admin.get("/v1/config").await.json();
    assert_eq!(weight(&after), 7, "{after}");

    std::fs::write(&file, text(&at, "wieght = 8\nzone = 3\n")).unwrap();
    for query in ["?dry_run=true", ""] {
        let refused = admin.call(&format!("{reload}{query}"), &[WHY], "").await;
        assert_eq!(
            (refused.status, refused.reason().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "config-refused"),
            "{}",
            refused.text
        );
        let refused = refused.json();
        assert_eq!(refused["outcome"], "refused", "{refused}");
        let problems = refused["problems"].as_array().unwrap();
        assert!(problems.len() >= 2, "{refused}");
        assert!(
            refused.to_string().contains("did you mean `weight`"),
            "{refused}"
        );
    }
    let kept = admin.get("/v1/config").await.json();
    assert_eq!(weight(&kept), 7, "{kept}");
    let outcomes = admin.audit("config.reload").await;
    let outcomes: Vec<&Value> = outcomes
        .iter()
        .map(|one| &one["detail"]["outcome"])
        .collect();
    assert_eq!(outcomes, ["loaded", "loaded", "refused"]);
}
