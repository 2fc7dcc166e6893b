//! What the journal promises.

use super::*;
use crate::mapping::{Source, State, Timestamp};
use crate::store::Shipment;
use crate::{Kind, RoutingKey, SiteId};
use std::io::Write;

fn row(number: u64) -> NewMapping {
    let key = RoutingKey::new(
        Kind::PROCESS_INSTANCE,
        &Uuid::from_u128(u128::from(number)).to_string(),
    );
    NewMapping {
        key,
        home: SiteId::named("a"),
        state: State::Homed,
        source: Source::Started,
        at: Timestamp(1),
    }
}

fn intent(number: u128) -> OpenIntent {
    OpenIntent {
        id: Uuid::from_u128(number),
        router: "r1".into(),
        site: SiteId::named("a"),
        what: "{}".into(),
        at: Timestamp(1),
    }
}

fn open(folder: &Path) -> (Journal, Replay) {
    Journal::open(folder, "r1", Settings::default()).unwrap()
}

fn only_segment(folder: &Path) -> PathBuf {
    let instance = instances(folder).unwrap().pop().unwrap();
    segment::files(&instance).unwrap().pop().unwrap()
}

#[tokio::test]
async fn outcomes_and_open_intents_survive() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (journal, _) = open(folder.path());
        let handle = journal.handle();
        handle.intent(intent(1)).unwrap();
        handle.intent(intent(2)).unwrap();
        handle
            .outcome(Uuid::from_u128(1), vec![row(1)])
            .await
            .unwrap();
        handle.learned(&row(2)).unwrap();
    }
    for _ in 0..3 {
        let (_journal, replay) = open(folder.path());
        assert_eq!(replay.mappings, [row(1), row(2)]);
        assert_eq!(replay.open, [intent(2)]);
    }
    assert_eq!(
        instances(folder.path()).unwrap().len(),
        1,
        "left-over folders are taken over"
    );
}

#[tokio::test]
async fn what_was_shipped_is_not_shipped_again() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (journal, _) = open(folder.path());
        let handle = journal.handle();
        for number in 0..5 {
            handle
                .outcome(Uuid::nil(), vec![row(number)])
                .await
                .unwrap();
        }
        let (shipment, _) = handle.next_shipment(0);
        assert_eq!(shipment.mappings.len(), 5);
        handle.shipped(
            &Shipment {
                mappings: shipment.mappings[..3].to_vec(),
                ..Shipment::default()
            },
            3,
        );
    }
    let (_journal, replay) = open(folder.path());
    assert_eq!(replay.mappings, [row(3), row(4)]);
}

#[tokio::test]
async fn a_torn_end_is_cut_at_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (journal, _) = open(folder.path());
        journal
            .handle()
            .outcome(Uuid::nil(), vec![row(1)])
            .await
            .unwrap();
        journal
            .handle()
            .outcome(Uuid::nil(), vec![row(2)])
            .await
            .unwrap();
    }
    let whole = std::fs::read(only_segment(folder.path())).unwrap();
    let last = Record::Outcome {
        intent: Uuid::nil(),
        rows: vec![row(2)],
    }
    .encode()
    .len();
    for cut in 1..=last {
        let other = tempfile::tempdir().unwrap();
        let instance = other.path().join("000000000001");
        std::fs::create_dir(&instance).unwrap();
        std::fs::write(instance.join(segment::name(1)), &whole[..whole.len() - cut]).unwrap();
        let (_journal, replay) = open(other.path());
        assert_eq!(replay.mappings, [row(1)], "cut by {cut}");
    }
}

#[tokio::test]
async fn damage_in_the_middle_names_file_and_place() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (journal, _) = open(folder.path());
        for number in 0..3 {
            journal
                .handle()
                .outcome(Uuid::nil(), vec![row(number)])
                .await
                .unwrap();
        }
    }
    let path = only_segment(folder.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let at = Record::Base { rows: 0 }.encode().len();
    bytes[at + 20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    match Journal::open(folder.path(), "r1", Settings::default()) {
        Err(Error::Damaged { file, offset }) => assert_eq!((file, offset), (path, at)),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[tokio::test]
async fn a_second_process_is_refused_unless_it_is_handed_over_to() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = open(folder.path());
    first
        .handle()
        .outcome(Uuid::nil(), vec![row(1)])
        .await
        .unwrap();
    assert!(matches!(
        Journal::open(folder.path(), "r1", Settings::default()),
        Err(Error::InUse(_))
    ));
    let settings = Settings {
        overlap: Overlap::HandOver,
        ..Settings::default()
    };
    let (second, replay) = Journal::open(folder.path(), "r1", settings).unwrap();
    assert!(replay.mappings.is_empty());
    assert!(
        second
            .handle()
            .adopt_leftovers()
            .unwrap()
            .mappings
            .is_empty(),
        "the first one still runs"
    );
    drop(first);
    assert_eq!(
        second.handle().adopt_leftovers().unwrap().mappings,
        [row(1)]
    );
    assert_eq!(instances(folder.path()).unwrap().len(), 1);
}

#[tokio::test]
async fn a_full_journal_refuses_starts_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(
        folder.path(),
        "r1",
        Settings {
            bytes_max: 6_000,
            ..Settings::default()
        },
    )
    .unwrap();
    let handle = journal.handle();
    handle.intent(intent(1)).unwrap();
    let mut taken = 0;
    while handle.learned(&row(taken)).is_ok() {
        taken += 1;
    }
    assert!((3..100).contains(&taken), "{taken}");
    assert!(matches!(handle.intent(intent(2)), Err(Error::Full { .. })));
    // The start that was let go has its room.
    let begun = Uuid::from_u128(1);
    handle.outcome(begun, vec![row(1_000)]).await.unwrap();
    handle
        .closed(Uuid::nil(), "what frees space always fits")
        .unwrap();
}

#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_of_a_record_leaves_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (journal, _) = open(folder.path());
        journal
            .handle()
            .outcome(Uuid::nil(), vec![row(1)])
            .await
            .unwrap();
        // What a failed write leaves behind when it cannot be taken back: half a record at the end of a segment that is
        // not the last one.
        let mut file = File::options()
            .append(true)
            .open(only_segment(folder.path()))
            .unwrap();
        file.write_all(&Record::Learned(row(9)).encode()[..11])
            .unwrap();
    }
    let (_journal, replay) = open(folder.path());
    assert_eq!(replay.mappings, [row(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_outcomes_share_a_sync_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (journal, _) = open(folder.path());
        let mut running = tokio::task::JoinSet::new();
        for number in 0..200 {
            let handle = journal.handle();
            running.spawn(async move { handle.outcome(Uuid::nil(), vec![row(number)]).await });
        }
        while let Some(done) = running.join_next().await {
            done.unwrap().unwrap();
        }
    }
    let (_journal, replay) = open(folder.path());
    assert_eq!(replay.mappings.len(), 200);
}
