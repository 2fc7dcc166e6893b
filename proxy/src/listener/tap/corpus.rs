//! The corpus against the tap: every case, whole and in pieces.

#[expect(unreachable_pub, reason = "the end-to-end tests use it too")]
#[path = "../../../../tests/corpus/cases.rs"]
mod cases;

use super::judge::{Judge, Verdict};
use super::tests::{product, whole};
use cases::Expected;

/// Rules of all refusals, in order, when the bytes arrive in pieces of this size.
fn refusals(bytes: &[u8], size: usize) -> Vec<&'static str> {
    let limits = product();
    let mut judge = Judge::new(limits.gate, limits.head_bytes);
    let mut held = Vec::new();
    for piece in bytes.chunks(size) {
        held.extend_from_slice(piece);
        let (count, verdict) = judge.look(&held);
        held.drain(..count);
        match verdict {
            Verdict::Passed => {}
            Verdict::Refused(rule) | Verdict::Broken(rule) => return vec![rule.as_str()],
        }
    }
    Vec::new()
}

#[test]
fn every_case_is_judged_the_same_in_any_cut() {
    let cases = cases::all();
    assert!(cases.len() >= 400, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let wanted: Vec<&str> = case
            .expected
            .iter()
            .filter_map(|expected| match expected {
                Expected::Refused(rule) => Some(rule.as_str()),
                Expected::Passes { .. } => None,
            })
            .collect();
        // Pieces say the same, but for what is not yet there when a piece is judged.
        let pieces = if wanted.contains(&"upgrade-pipelined") || case.bytes.len() > 4096 {
            vec![usize::MAX]
        } else {
            vec![usize::MAX, 1, 2, 7]
        };
        for size in pieces {
            let got = refusals(&case.bytes, size.min(case.bytes.len()));
            if got != wanted {
                wrong.push(format!(
                    "{} in pieces of {size}: {got:?}, wanted {wanted:?}",
                    case.name
                ));
                break;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn the_parser_behind_the_tap_sees_what_was_meant_or_nothing() {
    let mut wrong = Vec::new();
    for case in cases::all() {
        let got = whole(&case.bytes).await;
        let passed: Vec<&str> = got
            .seen
            .iter()
            .map(|line| line.trim_end())
            .filter(|line| !line.starts_with("! ") && !line.ends_with(" broken"))
            .collect();
        let wanted: Vec<String> = case
            .expected
            .iter()
            .filter_map(|expected| match expected {
                Expected::Passes {
                    method,
                    target,
                    body,
                } => Some(format!("{method} {target} {body}").trim_end().to_owned()),
                Expected::Refused(_) => None,
            })
            .collect();
        if passed != wanted {
            wrong.push(format!("{}: {:?}, wanted {wanted:?}", case.name, got.seen));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
