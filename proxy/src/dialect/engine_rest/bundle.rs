//! The multipart form of a deployment, read.
//!
//! Owns which parts are settings and which are files, and which keys stand in a file. Only reads: what is sent to sites is
//! the form as it came. What is not understood here is refused by an engine in its own words.

use crate::dialect::deploys::{Bundle, Resource, hash};
use bytes::Bytes;
use futures_util::FutureExt as _;
use homing_mapping_store::Kind;

/// Most parts that are read; an engine may take more, such a deployment is not recorded.
const PARTS_MAX: usize = 1_000;
/// Most elements of one model.
const NODES_MAX: u32 = 1_000_000;

/// Reads the form.
pub(super) fn read(content_type: &str, body: &[u8]) -> Option<Bundle> {
    let boundary = multer::parse_boundary(content_type).ok()?;
    let body = Bytes::copy_from_slice(body);
    let whole = futures_util::stream::once(async move { Ok::<_, std::io::Error>(body) });
    parts(multer::Multipart::new(whole, boundary))
}

/// Everything is there already: reading never waits.
fn parts(mut form: multer::Multipart<'_>) -> Option<Bundle> {
    let mut bundle = Bundle::default();
    for _ in 0..PARTS_MAX {
        let Some(field) = form.next_field().now_or_never()?.ok()? else {
            return (!bundle.resources.is_empty()).then_some(bundle);
        };
        let name = field.name()?.to_owned();
        let file = field.file_name().map(str::to_owned);
        let bytes = field.bytes().now_or_never()?.ok()?;
        let text = || Some(std::str::from_utf8(&bytes).ok()?.trim().to_owned());
        match name.as_str() {
            "deployment-name" => bundle.name = text()?,
            "tenant-id" => bundle.tenant = text().filter(|tenant| !tenant.is_empty()),
            "enable-duplicate-filtering"
            | "deploy-changed-only"
            | "deployment-source"
            | "deployment-activation-time" => {}
            _ => take(&mut bundle, file?, &bytes),
        }
    }
    None
}

/// Of files with one name the last one counts.
fn take(bundle: &mut Bundle, name: String, bytes: &[u8]) {
    bundle.resources.retain(|known| known.name != name);
    for key in keys(&name, bytes) {
        if !bundle.keys.contains(&key) {
            bundle.keys.push(key);
        }
    }
    bundle.resources.push(Resource {
        name,
        hash: hash(bytes),
    });
}

/// The kind of what stands in a file, by the suffixes that engines go by.
fn kind(name: &str) -> Option<Kind> {
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    if ends(&[".bpmn", ".bpmn20.xml"]) {
        Some(Kind::PROCESS_DEFINITION)
    } else if ends(&[".dmn", ".dmn11.xml"]) {
        Some(Kind::DECISION_DEFINITION)
    } else if ends(&[".cmmn", ".cmmn10.xml", ".cmmn11.xml"]) {
        Some(Kind::CASE_DEFINITION)
    } else {
        None
    }
}

/// The keys in a file of this name.
fn keys(name: &str, bytes: &[u8]) -> Vec<(Kind, String)> {
    kind(name).map_or_else(Vec::new, |kind| keys_of(kind, bytes))
}

/// The element that carries a key.
fn element(kind: Kind) -> &'static str {
    match kind {
        Kind::CASE_DEFINITION => "case",
        Kind::DECISION_DEFINITION => "decision",
        _ => "process",
    }
}

/// The keys in a model. Processes that are marked as not executable are not deployed by engines; what cannot be read is refused by them.
pub(in crate::dialect) fn keys_of(kind: Kind, bytes: &[u8]) -> Vec<(Kind, String)> {
    let element = element(kind);
    let options = roxmltree::ParsingOptions {
        allow_dtd: false,
        nodes_limit: NODES_MAX,
        ..roxmltree::ParsingOptions::default()
    };
    let Ok(text) = homing_engine::model::text_of(bytes) else {
        return Vec::new();
    };
    let Ok(document) = roxmltree::Document::parse_with_options(&text, options) else {
        return Vec::new();
    };
    let root = document.root_element();
    root.children()
        .filter(|node| node.tag_name().name() == element)
        .filter(|node| node.attribute("isExecutable") != Some("false"))
        .filter_map(|node| Some((kind, node.attribute("id")?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a form that cannot be read fails the test"
    )]
    use super::*;

    const MODEL: &str = r#"<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL">
        <bpmn:process id="one" isExecutable="true"/><bpmn:process id="two" isExecutable="false"/>
        </bpmn:definitions>"#;

    fn form(parts: &[(&str, Option<&str>, &str)]) -> String {
        let mut form = String::new();
        for (name, file, text) in parts {
            let file = file
                .map(|file| format!("; filename=\"{file}\""))
                .unwrap_or_default();
            form += &format!(
                "--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n"
            );
        }
        form + "--b--\r\n"
    }

    fn read_form(parts: &[(&str, Option<&str>, &str)]) -> Option<Bundle> {
        read("multipart/form-data; boundary=b", form(parts).as_bytes())
    }

    #[test]
    fn a_form_says_what_it_brings() {
        let bundle = read_form(&[
            ("deployment-name", None, "orders"),
            ("tenant-id", None, " t "),
            ("enable-duplicate-filtering", None, "true"),
            ("data", Some("order.bpmn"), MODEL),
            ("form", Some("form.html"), "<p/>"),
        ])
        .unwrap();
        assert_eq!(
            (bundle.name.as_str(), bundle.tenant.as_deref()),
            ("orders", Some("t"))
        );
        assert_eq!(bundle.keys, [(Kind::PROCESS_DEFINITION, "one".to_owned())]);
        assert_eq!(bundle.resources[0].hash, hash(MODEL.as_bytes()));
        assert_eq!(bundle.resources[1].name, "form.html");
    }

    #[test]
    fn of_files_with_one_name_the_last_counts() {
        let bundle = read_form(&[("a", Some("x.txt"), "1"), ("b", Some("x.txt"), "2")]).unwrap();
        assert_eq!(bundle.resources.len(), 1);
        assert_eq!(bundle.resources[0].hash, hash(b"2"));
    }

    #[test]
    fn what_is_no_deployment_is_not_understood() {
        assert_eq!(read_form(&[("deployment-name", None, "empty")]), None);
        assert_eq!(read_form(&[("data", None, "no file name")]), None);
        assert_eq!(read("application/json", b"{}"), None);
        assert_eq!(read("multipart/form-data; boundary=b", b"--b\r\ncut"), None);
    }

    #[test]
    fn a_model_that_is_no_xml_has_no_keys_and_is_kept_as_bytes() {
        let bundle = read_form(&[("data", Some("x.bpmn"), "<not xml")]).unwrap();
        assert_eq!((bundle.keys.len(), bundle.resources.len()), (0, 1));
    }
}
