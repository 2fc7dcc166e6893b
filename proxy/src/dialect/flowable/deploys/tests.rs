//! Promises of how deployments are read and found.
#![allow(
    clippy::unwrap_used,
    reason = "an answer that cannot be read fails the test"
)]
use super::*;
use crate::dialect::Dialect as _;
use crate::dialect::flowable::Flowable;
use crate::dialect::flowable::archive::tests::archive;

const MODEL: &str = r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"><process id="review"/></definitions>"#;
const TYPE: &str = "multipart/form-data; boundary=b";

fn part(name: &str, file: Option<&str>, text: &str) -> String {
    let file = file.map(|file| format!("; filename=\"{file}\""));
    let file = file.unwrap_or_default();
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n")
}

fn bundle(parts: &[String], query: Option<&str>) -> Option<Bundle> {
    let form = parts.concat() + "--b--\r\n";
    read(Part::Processes, TYPE, query, form.as_bytes())
}

#[test]
fn a_form_brings_its_first_file() {
    let parts = [
        part("tenantId", None, "t"),
        part("file", Some("review.bpmn20.xml"), MODEL),
        part("more", Some("more.bpmn"), MODEL),
    ];
    let read = bundle(&parts, None).unwrap();
    assert_eq!(
        (read.name.as_str(), read.tenant.as_deref()),
        ("review", Some("t"))
    );
    assert_eq!(read.keys, [(Kind::PROCESS_DEFINITION, "review".to_owned())]);
    assert_eq!(read.resources.len(), 1);
    let read = bundle(&parts, Some("deploymentName=a%20b&tenantId=u")).unwrap();
    assert_eq!(
        (read.name.as_str(), read.tenant.as_deref()),
        ("a b", Some("u"))
    );
}

#[test]
fn what_is_no_model_is_left_to_the_engines() {
    for (file, text) in [
        ("all.bar", MODEL),
        ("all.zip", MODEL),
        ("review.bpmn", "<not xml"),
        ("review.xml", MODEL),
    ] {
        assert_eq!(
            bundle(&[part("file", Some(file), text)], None),
            None,
            "{file}"
        );
    }
    assert_eq!(read(Part::Processes, "application/json", None, b"{}"), None);
}

/// A form with one file, which may be anything.
fn upload(part: Part, file: &str, bytes: &[u8]) -> Option<Bundle> {
    let head = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\r\n"
    );
    let form = [head.as_bytes(), bytes, b"\r\n--b--\r\n"].concat();
    read(part, TYPE, None, &form)
}

#[test]
fn an_archive_brings_all_its_files_and_the_keys_of_all_engines() {
    let case = r#"<definitions><case id="claim"/></definitions>"#;
    let bytes = archive(&[
        ("claim.cmmn", case),
        ("review.bpmn", MODEL),
        ("note.txt", "words"),
    ]);
    let read = upload(Part::Processes, "all.bar", &bytes).unwrap();
    assert_eq!(read.name, "all");
    let keys = [
        (Kind::PROCESS_DEFINITION, "review".to_owned()),
        (Kind::CASE_DEFINITION, "claim".to_owned()),
    ];
    assert_eq!(read.keys, keys);
    let names = read.resources.iter().map(|one| one.name.as_str());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["claim.cmmn", "review.bpmn", "note.txt"]
    );
    let cases = upload(Part::Cases, "all.ZIP", &bytes).unwrap();
    assert_eq!(cases.keys[0].0, Kind::CASE_DEFINITION);
    // Decisions take no archives, and an archive without a model of its own engine is the engine's business.
    assert_eq!(upload(Part::Decisions, "all.zip", &bytes), None);
    assert_eq!(
        upload(
            Part::Processes,
            "all.zip",
            &archive(&[("claim.cmmn", case)])
        ),
        None
    );
}

#[test]
fn each_engine_is_asked_at_its_own_api() {
    let flowable = Flowable::new(Layout::Boot).unwrap();
    let decision = r#"<definitions><decision id="dish"/></definitions>"#;
    let bundle = upload(Part::Decisions, "dish.dmn", decision.as_bytes()).unwrap();
    let decisions = flowable.deploys(Part::Decisions).unwrap();
    assert_eq!(
        decisions.candidates(&Engine::DEFAULT, &bundle).path,
        "/dmn-api/dmn-repository/decisions?resourceName=dish.dmn&sort=version&order=desc&size=100"
    );
    let cases = flowable.deploys(Part::Cases).unwrap();
    assert_eq!(
        cases.path(&Engine::DEFAULT),
        "/cmmn-api/cmmn-repository/deployments"
    );
    for (path, wanted) in [
        ("/repository/deployments", Part::Processes),
        ("/cmmn-repository/deployments/{deploymentId}", Part::Cases),
        ("/dmn-repository/deployments", Part::Decisions),
    ] {
        assert_eq!(super::part(path), wanted);
    }
    // A site that is named by its process API has no other.
    let process = Flowable::new(Layout::Process).unwrap();
    assert!(process.deploys(Part::Cases).is_none());
}

#[test]
fn candidates_are_of_the_same_tenant_oldest_first() {
    let flowable = Flowable::new(Layout::Boot).unwrap();
    let mut wanted = bundle(&[part("file", Some("review.bpmn"), MODEL)], None).unwrap();
    let processes = flowable.deploys(Part::Processes).unwrap();
    let ask = processes.candidates(&Engine::DEFAULT, &wanted);
    assert_eq!(
        ask.path,
        "/process-api/repository/process-definitions?key=review&sort=version&order=desc&size=100"
    );
    let body = br#"{"data":[{"id":"review:2:y","key":"review","deploymentId":"d2","tenantId":""},
        {"id":"review:1:t","key":"review","deploymentId":"dt","tenantId":"t"},
        {"id":"review:1:x","key":"review","deploymentId":"d1","tenantId":""}],"total":3}"#;
    let read = |wanted: &Bundle| processes.read_candidates(wanted, StatusCode::OK, body);
    assert_eq!(read(&wanted).unwrap(), ["d1", "d2"]);
    wanted.tenant = Some("t".into());
    assert_eq!(read(&wanted).unwrap(), ["dt"]);
    assert_eq!(
        processes.read_candidates(&wanted, StatusCode::BAD_GATEWAY, body),
        None
    );
}
