//! What a tail remembers, and what it admits to have missed.

use super::*;
use std::path::Path;

const BYTES: u64 = 16 * 1024 * 1024;

fn place(folder: &Path, bytes_max: u64) -> Place {
    Place {
        folder: folder.join("b"),
        bytes_max,
    }
}

fn tail(folder: &Path, now: i64) -> Tail {
    let tail = Tail::default();
    tail.keep(Timestamp(now), place(folder, BYTES));
    tail
}

fn note(tail: &Tail, at: i64) {
    let path = format!("/task/{at}/complete");
    tail.note(Timestamp(at), Generation(1), Method::POST, path.into());
}

fn all(tail: &Tail) -> (Vec<i64>, i64, usize) {
    let kept = tail.after(Timestamp(0));
    let at = kept.writes.iter().map(|write| write.at.0).collect();
    (at, kept.since.0, kept.gaps.len())
}

/// The newest file of the process that is gone.
fn file(folder: &Path) -> PathBuf {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|of| of == "log") => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found.pop().unwrap()
}

#[test]
fn a_full_journal_drops_the_oldest_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let tail = tail(folder.path(), 5);
    let all = i64::try_from(WRITES_MAX).unwrap();
    (10..10 + all).for_each(|at| note(&tail, at));
    assert_eq!(tail.after(Timestamp(0)).since, Timestamp(5));
    note(&tail, 10 + all);
    let kept = tail.after(Timestamp(0));
    assert_eq!((kept.writes.len(), kept.since), (WRITES_MAX, Timestamp(11)));
    assert_eq!(tail.after(Timestamp(10 + all)).writes.len(), 1);
}

#[test]
fn a_reload_does_not_empty_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let tail = tail(folder.path(), 5);
    note(&tail, 6);
    tail.keep(Timestamp(7), place(folder.path(), BYTES));
    assert_eq!(all(&tail), (vec![6], 5, 0));
    tail.forget(&place(folder.path(), BYTES));
    assert_eq!(tail.after(Timestamp(0)), Kept::default());
    assert!(!folder.path().join("b").exists());
}

#[test]
fn a_process_that_was_killed_leaves_everything() {
    let folder = tempfile::tempdir().unwrap();
    let before = tail(folder.path(), 5);
    let served = Served {
        by: "b-one".to_owned(),
        at: 7,
    };
    before.serves(served.clone());
    (6..9).for_each(|at| note(&before, at));
    drop(before);
    let after = tail(folder.path(), 20);
    note(&after, 21);
    assert_eq!(all(&after), (vec![6, 7, 8, 21], 5, 0));
    assert_eq!(after.served(), Some(served));
    drop(after);
    assert_eq!(
        all(&tail(folder.path(), 30)),
        (vec![6, 7, 8, 21], 5, 0),
        "and once only"
    );
}

#[test]
fn a_process_that_hands_over_is_taken_over_when_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let before = tail(folder.path(), 5);
    note(&before, 6);
    let after = tail(folder.path(), 7);
    assert!(after.another_runs());
    note(&after, 8);
    note(&before, 9);
    after.tend(Timestamp(10));
    assert_eq!(all(&after), (vec![8], 7, 0));
    drop(before);
    after.tend(Timestamp(11));
    assert!(!after.another_runs());
    assert_eq!(all(&after), (vec![6, 8, 9], 5, 0));
}

#[test]
fn after_a_power_loss_nobody_knows_what_came_last() {
    let folder = tempfile::tempdir().unwrap();
    let before = tail(folder.path(), 5);
    note(&before, 6);
    drop(before);
    // As if the machine had another life since.
    let path = file(folder.path());
    let text = std::fs::read(&path).unwrap();
    let payload = homing_mapping_store::journal::frame::payload(&text).unwrap();
    let mut base: serde_json::Value = serde_json::from_slice(payload).unwrap();
    let rest = &text[8 + payload.len()..];
    base["boot"] = "another".into();
    let mut changed = homing_mapping_store::journal::frame::wrap(&base);
    changed.extend(rest);
    std::fs::write(&path, &changed).unwrap();
    let after = tail(folder.path(), 20);
    assert_eq!(all(&after), (vec![6], 5, 1));
    let gap = Gap {
        from: Timestamp(6),
        to: Timestamp(20),
    };
    assert_eq!(after.after(Timestamp(20)).gaps, [gap]);
    assert!(after.after(Timestamp(21)).gaps.is_empty());
}

#[test]
fn a_process_that_ended_in_order_before_a_reboot_lacks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let before = tail(folder.path(), 5);
    note(&before, 6);
    before.close();
    let path = file(folder.path());
    let text = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&text).contains("closed");
    assert!(text);
    drop(before);
    assert_eq!(all(&tail(folder.path(), 20)), (vec![6], 5, 0));
}

#[test]
fn damage_and_a_torn_end_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let before = tail(folder.path(), 5);
    (6..9).for_each(|at| note(&before, at));
    drop(before);
    let path = file(folder.path());
    let sound = std::fs::read(&path).unwrap();
    std::fs::write(&path, &sound[..sound.len() - 3]).unwrap();
    let torn = tail(folder.path(), 20);
    assert_eq!(all(&torn), (vec![6, 7], 5, 0), "it was never acknowledged");
    drop(torn);
    let path = file(folder.path());
    let mut damaged = std::fs::read(&path).unwrap();
    let middle = damaged.len() - 50;
    damaged[middle - 60] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let (writes, _, gaps) = all(&tail(folder.path(), 30));
    assert_eq!((writes.len(), gaps), (0, 1));
}

#[test]
fn two_files_are_enough_and_bytes_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let before = Tail::default();
    before.keep(Timestamp(5), place(folder.path(), 8 * 1024));
    for at in 6..1_000 {
        note(&before, at);
        before.tend(Timestamp(at));
    }
    let own = file(folder.path()).parent().unwrap().to_owned();
    let logs = std::fs::read_dir(&own).unwrap().filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        path.extension().is_some_and(|of| of == "log")
    });
    let sizes: Vec<u64> = logs
        .map(|one| one.unwrap().metadata().unwrap().len())
        .collect();
    assert_eq!(sizes.len(), 2);
    assert!(sizes.iter().sum::<u64>() < 9 * 1024, "{sizes:?}");
    drop(before);
    let after = tail(folder.path(), 2_000);
    let (writes, since, gaps) = all(&after);
    assert_eq!((writes.last(), gaps), (Some(&999), 0));
    assert_eq!(writes.first(), Some(&since), "and it says since when");
}

#[test]
fn a_clock_that_is_set_back_puts_no_write_before_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let tail = tail(folder.path(), 5);
    note(&tail, 3_600_000);
    note(&tail, 7);
    assert_eq!(tail.after(Timestamp(3_600_000)).writes.len(), 2);
}
