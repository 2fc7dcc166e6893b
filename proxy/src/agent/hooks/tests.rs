//! Commands that hang, lie, fail and leave children behind.

use super::*;

fn sh(text: &str) -> Option<Vec<String>> {
    Some(vec!["sh".into(), "-c".into(), text.into()])
}

fn hooks(folder: &tempfile::TempDir, limit: Duration) -> Hooks {
    Hooks {
        start: None,
        stop: None,
        verify_start: None,
        verify_stop: None,
        limit,
        folder: folder.path().to_owned(),
        at_it: Default::default(),
    }
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_its_children_and_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let hooks = Hooks {
        stop: sh(&format!(
            "echo begun; sleep 600 & echo $! > {}; wait",
            pid.display()
        )),
        ..hooks(&folder, SHORT)
    };
    let error = hooks.stop().await.unwrap_err();
    assert!(
        matches!(&error, Error::Hangs { output, .. } if output == "begun"),
        "{error}"
    );
    let child = std::fs::read_to_string(&pid).unwrap();
    let state = format!("/proc/{}/stat", child.trim());
    // Killed children of a killed shell are reaped by somebody else: gone, or a zombie.
    let gone = || std::fs::read_to_string(&state).map_or(true, |stat| stat.contains(") Z "));
    for _ in 0..500 {
        if gone() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the child of the killed command still runs");
}

#[tokio::test]
async fn a_command_that_lies_is_never_done() {
    let folder = tempfile::tempdir().unwrap();
    let hooks = Hooks {
        stop: sh("echo stopped"),
        verify_stop: sh("echo still there; exit 3"),
        ..hooks(&folder, SHORT)
    };
    let error = hooks.stop().await.unwrap_err();
    assert!(
        matches!(&error, Error::Lies { last, .. } if last.contains("still there")),
        "{error}"
    );
}

#[tokio::test]
async fn a_verification_may_agree_later() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let hooks = Hooks {
        start: sh(&format!("(sleep 0.3; touch {}) &", mark.display())),
        verify_start: sh(&format!("test -e {}", mark.display())),
        ..hooks(&folder, LONG)
    };
    assert!(
        hooks
            .start()
            .await
            .unwrap()
            .starts_with("by `verify_start`")
    );
}

#[tokio::test]
async fn what_a_command_wrote_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let hooks = Hooks {
        stop: sh("echo out; echo err >&2; exit 7"),
        ..hooks(&folder, LONG)
    };
    let error = hooks.stop().await.unwrap_err().to_string();
    assert!(error.contains("out\nerr") && error.contains('7'), "{error}");
    let kept = std::fs::read_to_string(folder.path().join("stop.log")).unwrap();
    assert_eq!(kept, "out\nerr\n");
    let missing = Hooks {
        stop: Some(vec!["/nowhere/engine".into()]),
        ..hooks
    };
    assert!(matches!(
        missing.stop().await.unwrap_err(),
        Error::Run { .. }
    ));
}
