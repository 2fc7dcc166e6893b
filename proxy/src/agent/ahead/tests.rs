//! When an engine is started ahead, and when it is stopped again.

use super::*;
use crate::clock::{Moment, moment};
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    folder: tempfile::TempDir,
    course: watch::Sender<Course>,
    replica: watch::Sender<Replica>,
}

/// The commands write down that they ran.
fn world(start: &str) -> World {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    let sh = |text: String| Some(vec!["sh".to_owned(), "-c".to_owned(), text]);
    let hooks = Hooks {
        start: sh(format!("echo start >> {}; {start}", notes.display())),
        stop: sh(format!("echo stop >> {}", notes.display())),
        verify_start: None,
        verify_stop: None,
        limit: PATIENCE,
        folder: folder.path().to_owned(),
        at_it: Arc::default(),
    };
    let (course, leads) = watch::channel(Course::default());
    let (replica, found) = watch::channel(Replica::default());
    let ahead = Ahead {
        hooks,
        course: leads,
        replica: found,
    };
    drop(tokio::spawn(ahead.run()));
    World {
        folder,
        course,
        replica,
    }
}

impl World {
    fn is_a_replica(&self) {
        self.replica
            .send_replace(Replica::asked(moment(), PATIENCE));
    }

    fn notes(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("notes")).unwrap_or_default()
    }

    async fn notes_are(&self, wanted: &str) {
        let written = async {
            while self.notes() != wanted {
                tokio::time::sleep(SOON).await;
            }
        };
        let written = tokio::time::timeout(PATIENCE, written).await;
        assert!(written.is_ok(), "{:?} and not {wanted:?}", self.notes());
    }
}

#[tokio::test]
async fn it_begins_with_the_switch_and_once() {
    let world = world("true");
    world.is_a_replica();
    world.course.send_replace(Course::Here(Generation(2)));
    world.notes_are("start\n").await;
    world.is_a_replica();
    // An abort and a switch anew that were not seen apart: it runs already.
    world.course.send_replace(Course::Here(Generation(4)));
    world.course.send_replace(Course::Serves);
    tokio::time::sleep(SOON * 5).await;
    // It was needed, so nobody stops it when the site moves on.
    world.course.send_replace(Course::Elsewhere);
    tokio::time::sleep(SOON * 5).await;
    assert_eq!(world.notes(), "start\n");
    world.course.send_replace(Course::Here(Generation(6)));
    world.notes_are("start\nstart\n").await;
}

#[tokio::test]
async fn nothing_is_started_on_what_may_take_writes() {
    let world = world("true");
    world.course.send_replace(Course::Here(Generation(2)));
    tokio::time::sleep(SOON * 5).await;
    // Who knows what it is since then.
    world
        .replica
        .send_replace(Replica::asked(Moment(0), Duration::ZERO));
    tokio::time::sleep(SOON * 5).await;
    assert_eq!(world.notes(), "");
    world.is_a_replica();
    world.notes_are("start\n").await;
}

#[tokio::test]
async fn a_switch_that_is_aborted_leaves_it_cold() {
    let world = world("sleep 600");
    world.is_a_replica();
    world.course.send_replace(Course::Here(Generation(2)));
    world.notes_are("start\n").await;
    // The command that still runs is given up as well.
    world.course.send_replace(Course::Elsewhere);
    world.notes_are("start\nstop\n").await;
}
