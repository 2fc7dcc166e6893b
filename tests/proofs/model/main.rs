//! The model of the control path: exhausted within its bounds without a violation, and red without any one of its parts.
//!
//! Owns the runs. What is modelled, and what is not, is in `docs/dr/proof.md`.

mod attested;
mod bounds;
mod fleet;
mod once;
mod promises;
mod sabotage;
mod starts;
mod steps;
mod time;
mod words;
mod world;
mod worlds;

use bounds::Bounds;
use fleet::Fleet;
use homing_proxy::clock;
use sabotage::Sabotage;
use starts::{Starts, Without};
use stateright::{Checker, HasDiscoveries, Model};
use std::io::Write;
use std::time::Duration;
use worlds::*;

/// The machine that tests run on has two cores.
const THREADS: usize = 2;
/// Fewer states than this are too small a world.
const STATES_MIN: usize = 5_000_000;

/// A larger world is left after so many seconds.
const WITHIN_S: u64 = 1200;

/// The test's output, also where it passes quickly.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Exhausts these, and answers how many states there were.
fn exhausted(worlds: &[(&str, Bounds)]) -> usize {
    let only = std::env::var_os("HOMING_MODEL");
    let mut all = 0;
    for (name, bounds) in worlds {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let fleet = Fleet {
            bounds: *bounds,
            sabotage: None,
        };
        let checker = fleet.checker().threads(THREADS).spawn_bfs().join();
        let (states, depth) = (checker.unique_state_count(), checker.max_depth());
        say(&format!("model: {name}: {states} states, {depth} deep"));
        checker.assert_properties();
        all += states;
    }
    say(&format!("model: {all} unique states exhausted"));
    all
}

/// The same, while no more than one rests at a time.
const fn one(bounds: Bounds) -> Bounds {
    Bounds {
        pauses: 1,
        ..bounds
    }
}

#[test]
fn every_bounded_world_is_exhausted_without_a_violation() {
    let all = exhausted(&[
        ("one switch, every pause", SWITCH),
        ("one switch, every combination of clocks", CLOCKS),
        ("a switch that is taken back, and another one", TAKEN_BACK),
        ("a copy that has everything", one(SAME_COPY)),
        ("the store fails over to an older copy", OLDER_COPY),
        ("agents die, reports are late", one(CRASHES)),
        ("two routers, two controllers", TWO),
        ("both places may go on", PLACE_GOES_ON),
        ("a router goes on", ROUTER_GOES_ON),
        ("two controllers, and a place goes on", BOTH_WATCH),
        ("a controller whom nobody asks", STRANGER),
        (
            "a place that has told nobody yet whom it asks",
            Bounds {
                pauses: 2,
                ..UNTOLD
            },
        ),
        ("a controller that nobody asks yet", one(NEWCOMER)),
        ("a name that another takes", one(NAME_TAKEN)),
        ("the same, and a router goes on", NAME_TAKEN_ROUTER),
        ("a copy without the last switch", one(COPY_OF_THE_NEW)),
        ("a copy, and a controller that returns", one(COPY_RETURNED)),
        ("a copy that was told nothing", one(COPY_UNTOLD)),
        ("a copy and a router that begins anew", one(COPY_REVIVED)),
        ("a copy from before a set was told", one(COPY_OUTDATED)),
        ("a switch in a copy, and a router goes on", COPY_ROUTER),
    ]);
    assert!(all >= STATES_MIN || std::env::var_os("HOMING_MODEL").is_some());
}

#[test]
#[ignore = "minutes: make campaign"]
fn no_larger_world_has_a_violation() {
    let within = std::env::var_os("HOMING_MODEL_SECONDS");
    let within = within.and_then(|seconds| seconds.to_str()?.parse().ok());
    let within = Duration::from_secs(within.unwrap_or(WITHIN_S));
    explored(
        within,
        &[
            ("large: a copy that has everything", SAME_COPY),
            ("large: agents die, reports are late", CRASHES),
            ("large: an agent that goes on dies", AGENT_ANEW),
            ("large: every combination of clocks", ATTESTED_CLOCKS),
            ("large: a place that has told nobody yet", UNTOLD),
            ("large: a controller that nobody asks yet", NEWCOMER),
            ("large: a name that another takes", NAME_TAKEN),
            ("large: a router that hands over", HANDED_OVER),
            ("large: a controller that comes back", RETURNED),
            ("large: the same, and reports are late", RETURNED_LATE),
            ("large: a copy without the last switch", COPY_OF_THE_NEW),
            ("large: a controller returns to a copy", COPY_RETURNED),
            ("large: a copy that was told nothing", COPY_UNTOLD),
            ("large: a copy and one that begins anew", COPY_REVIVED),
            ("large: a copy from before a set was told", COPY_OUTDATED),
            ("large: a switch in a copy, and a place goes on", COPY_PLACE),
            ("large: a switch in a copy told nothing", COPY_SWITCHES),
            ("large: the store is away, and all go on", ATTESTED),
            ("large: taken back, and begun again", ATTESTED_BACK),
            ("large: a copy, late reports, a newcomer", COPY_LATE),
        ],
    );
}

/// Explores these, each no longer than that: a world that is not exhausted by then says so.
fn explored(within: Duration, worlds: &[(&str, Bounds)]) {
    let only = std::env::var_os("HOMING_MODEL");
    for (name, bounds) in worlds {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let fleet = Fleet {
            bounds: *bounds,
            sabotage: None,
        };
        let begun = clock::now();
        let checker = fleet
            .checker()
            .threads(THREADS)
            .timeout(within)
            .spawn_bfs()
            .join();
        let (states, depth) = (checker.unique_state_count(), checker.max_depth());
        // The checker calls itself done also when its time is over.
        let whole = match clock::now().saturating_duration_since(begun) < within {
            true => "exhausted",
            false => "not exhausted",
        };
        say(&format!(
            "model: {name}: {states} states, {depth} deep, {whole}"
        ));
        assert!(broken(&checker).is_empty(), "{:?}", broken(&checker));
    }
}

/// The model must be red without this part.
fn is_caught(sabotage: Sabotage, bounds: Bounds, promise: &'static str) {
    let fleet = Fleet {
        bounds,
        sabotage: Some(sabotage),
    };
    let checker = fleet
        .checker()
        .threads(THREADS)
        .finish_when(HasDiscoveries::AnyOf([promise].into()))
        .spawn_bfs()
        .join();
    let broken: Vec<_> = broken(&checker);
    let path = checker.discovery(promise);
    let length = path.map(|path| path.into_actions().len());
    say(&format!(
        "model: {sabotage:?} breaks {broken:?}: \"{promise}\" after {length:?} steps, {} states",
        checker.unique_state_count()
    ));
    assert!(length.is_some(), "{sabotage:?} is not caught");
}

fn broken<C: Checker<Fleet>>(checker: &C) -> Vec<&'static str> {
    let always = |name: &&'static str| {
        checker.model().properties().iter().any(|property| {
            property.name == *name && property.expectation == stateright::Expectation::Always
        })
    };
    let mut found: Vec<_> = checker.discoveries().into_keys().filter(always).collect();
    found.sort_unstable();
    found
}

const PLACES: &str = "one place at a time";
const SENT: &str = "nothing is sent to a superseded place";
const MEMORY: &str = "no agent goes below what it remembers";
const TWICE: &str = "no generation is given twice";

macro_rules! caught {
    ($($name:ident: $sabotage:ident in $bounds:expr => $promise:expr;)*) => {
        $(#[test] fn $name() { is_caught(Sabotage::$sabotage, $bounds, $promise); })*
    };
}

caught! {
    a_wait_that_ignores_clock_error_is_caught: WaitIgnoresClockError in SWITCH => SENT;
    a_controller_that_does_not_wait_is_caught: NobodyWaits in SWITCH => PLACES;
    a_router_lease_from_the_answer_is_caught: RouterLeaseCountsFromTheAnswer in SWITCH => SENT;
    a_site_lease_from_the_answer_is_caught: SiteLeaseCountsFromTheAnswer in SWITCH => PLACES;
    a_router_that_does_not_ask_again_is_caught: RouterDoesNotAskAgain in SWITCH => SENT;
    a_router_without_a_lease_is_caught: RouterHasNoLease in SWITCH => SENT;
    a_fence_that_needs_its_agent_awake_is_caught: FenceFallsOnlyWhenTheAgentActs in SWITCH => PLACES;
    an_entitlement_before_the_fence_is_caught: EntitledBeforeTheFence in SWITCH => PLACES;
    a_note_without_generation_is_caught: NoteComparesNoGeneration in Bounds { pauses: 2, ..TAKEN_BACK } => PLACES;
    an_acknowledgement_before_obeying_is_caught: AcknowledgesBeforeItObeys in SWITCH => SENT;
    an_agent_that_extends_by_itself_is_caught: AgentExtendsByItself in SWITCH => PLACES;
    a_watcher_that_attests_is_caught: WatcherAttests in PLACE_GOES_ON => PLACES;
    one_word_that_is_enough_is_caught: OneWordIsEnough in PLACE_GOES_ON => PLACES;
    an_attestation_from_the_answer_is_caught: AttestationCountsFromTheAnswer in PLACE_GOES_ON => PLACES;
    a_stranger_that_waits_is_caught: StrangerWaits in STRANGER => PLACES;
    a_watch_from_the_look_before_is_caught: WatchCountsFromTheLookBefore in STRANGER => PLACES;
    a_roster_that_counts_before_it_is_told_is_caught: RosterCountsBeforeItIsTold in UNTOLD => PLACES;
    a_reader_that_attests_is_caught: ReaderAttests in NEWCOMER => PLACES;
    late_words_that_confirm_are_caught: LateWordsConfirm in UNTOLD => PLACES;
    a_handing_over_that_counts_is_caught: HandingOverCounts in one(HANDED_OVER) => PLACES;
    a_roster_without_a_look_is_caught: RosterNeedsNoLook in COPY_OUTDATED => PLACES;
    a_roster_that_may_be_out_of_date_is_caught: RosterMayBeOutOfDate in COPY_OUTDATED => PLACES;
    old_words_in_a_copy_are_caught: OldWordsCountInACopy in COPY_ROUTER => SENT;
    another_process_is_caught: AnotherProcessCountsAsTheSame in COPY_REVIVED => PLACES;
    a_word_by_name_is_caught: AskedByName in NAME_TAKEN => PLACES;
    a_name_that_is_taken_over_is_not_gone: NameTakenOverIsGone in NAME_TAKEN => PLACES;
    a_router_whose_name_is_taken_is_not_gone: NameTakenOverIsGone in NAME_TAKEN_ROUTER => SENT;
    a_router_that_is_forgotten_alive_is_caught: ForgottenAlive in COPY_RETURNED => PLACES;
    a_copy_that_any_router_hears_is_caught: AnyRouterHearsACopy in COPY_OF_THE_NEW => PLACES;
    an_agent_that_obeys_any_generation_is_caught: AgentObeysAnyGeneration in OLDER_COPY => MEMORY;
    a_copy_without_an_incarnation_is_caught: NoIncarnation in OLDER_COPY => TWICE;
    a_copy_that_gives_rights_at_once_is_caught: CopyGivesRightsAtOnce in OLDER_COPY => PLACES;
    late_answers_that_continue_are_caught: LateAnswersContinue in OLDER_COPY => PLACES;
    positions_of_another_copy_are_caught: PositionsOfAnotherCopyCount in Bounds { switches: 2, aborts: 1, agents: &[], ..OLDER_COPY } => SENT;
}

fn starts(without: Without, deaths: u8) -> Starts {
    Starts { without, deaths }
}

#[test]
fn no_acknowledged_start_is_lost_and_none_is_made_twice() {
    let model = starts(Without::Nothing, 2);
    let checker = model.checker().threads(THREADS).spawn_bfs().join();
    say(&format!(
        "model: starts and the journal: {} states",
        checker.unique_state_count()
    ));
    checker.assert_properties();
}

#[test]
fn a_journal_without_one_of_its_parts_is_caught() {
    for (without, promise) in [
        (
            Without::TheSync,
            "what is acknowledged is in journal or store",
        ),
        (
            Without::TheStoresWord,
            "what is acknowledged is in journal or store",
        ),
        (Without::PatienceWithTheUnknown, "nothing is started twice"),
    ] {
        let checker = starts(without, 1)
            .checker()
            .threads(THREADS)
            .finish_when(HasDiscoveries::AnyOf([promise].into()))
            .spawn_bfs()
            .join();
        let length = checker
            .discovery(promise)
            .map(|path| path.into_actions().len());
        say(&format!(
            "model: without {without:?}: \"{promise}\" is broken after {length:?} steps"
        ));
        assert!(length.is_some(), "{without:?} is not caught");
    }
}
