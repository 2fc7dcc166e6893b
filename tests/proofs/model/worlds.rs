//! The worlds that are explored, by their bounds.
//!
//! Owns these bounds, and what makes each world different. Must not run anything.

use crate::bounds::{Attest, Bounds, Called, Clocked, Copies, Reports, Rosters, Second};
use crate::world::Processes;

/// The first router.
pub(crate) const FIRST: Processes = 1;
/// The second router.
pub(crate) const SECOND: Processes = 2;
/// Both routers.
pub(crate) const BOTH: Processes = 3;

/// One switch, with every pause that there is.
pub(crate) const SWITCH: Bounds = Bounds {
    switches: 1,
    aborts: 0,
    crashes: 0,
    failovers: 0,
    carriers: 1,
    routers: 1,
    controllers: 1,
    pauses: 5,
    reports: Reports::AtOnce,
    clocks: Clocked::Worst,
    copies: Copies::Older,
    attest: Attest::Off,
    agents: &[0, 1],
    attesters: &[0, 1],
    registered: FIRST,
    asked: FIRST,
    rosters: Rosters::ReliedOn,
    copied: FIRST,
    copy_knows: FIRST,
    names: Called::Apart,
    second: Second::Runs,
    restarts: 0,
    handovers: 0,
};
/// The store is away, and both places may go on by the word of both routers, while two rest.
pub(crate) const PLACE_GOES_ON: Bounds = Bounds {
    pauses: 2,
    attest: Attest::On,
    registered: BOTH,
    asked: BOTH,
    carriers: 0,
    routers: 2,
    ..SWITCH
};
/// The store is away, and a router goes on by the word of the other one.
pub(crate) const ROUTER_GOES_ON: Bounds = Bounds {
    carriers: 1,
    attesters: &[],
    pauses: 1,
    ..PLACE_GOES_ON
};
/// Both at once.
pub(crate) const ATTESTED: Bounds = Bounds {
    carriers: 1,
    ..PLACE_GOES_ON
};
/// One place may go on, while somebody rests.
pub(crate) const ONE_GOES_ON: Bounds = Bounds {
    attesters: &[0],
    pauses: 1,
    ..PLACE_GOES_ON
};
/// Its agent dies and is started again.
pub(crate) const AGENT_ANEW: Bounds = Bounds {
    crashes: 1,
    ..ONE_GOES_ON
};
/// Both routers watch.
pub(crate) const BOTH_WATCH: Bounds = Bounds {
    controllers: 2,
    ..ONE_GOES_ON
};
/// Every combination of clocks.
pub(crate) const ATTESTED_CLOCKS: Bounds = Bounds {
    clocks: Clocked::All,
    ..ONE_GOES_ON
};
/// A switch that is taken back, and another one.
pub(crate) const ATTESTED_BACK: Bounds = Bounds {
    switches: 2,
    aborts: 1,
    ..ONE_GOES_ON
};
/// A controller that the store has never heard of, and whom nobody asks.
pub(crate) const STRANGER: Bounds = Bounds {
    attest: Attest::On,
    attesters: &[0],
    carriers: 0,
    pauses: 2,
    ..SWITCH
};
/// A controller that registers itself after everybody has read whom to ask.
pub(crate) const NEWCOMER: Bounds = Bounds {
    routers: 2,
    ..STRANGER
};
/// The old place has told nobody yet whom it asks, and its report is late.
pub(crate) const UNTOLD: Bounds = Bounds {
    reports: Reports::Late,
    asked: 0,
    pauses: 3,
    ..STRANGER
};
/// The first router is cut off, and the second one takes its name with a journal of its own; a place goes on.
pub(crate) const NAME_TAKEN: Bounds = Bounds {
    names: Called::Alike,
    ..NEWCOMER
};
/// The same; the first router goes on by its own word alone.
pub(crate) const NAME_TAKEN_ROUTER: Bounds = Bounds {
    carriers: 1,
    agents: &[],
    attesters: &[],
    ..NAME_TAKEN
};
/// A router that is asked by all hands over to another process, which watches.
pub(crate) const HANDED_OVER: Bounds = Bounds {
    registered: SECOND,
    asked: SECOND,
    handovers: 1,
    ..NEWCOMER
};
/// A controller that is asked by all, ends, is forgotten and comes back as another process.
pub(crate) const RETURNED: Bounds = Bounds {
    registered: BOTH,
    asked: BOTH,
    restarts: 1,
    pauses: 1,
    ..NEWCOMER
};
/// The same, while the reports of the agent are late.
pub(crate) const RETURNED_LATE: Bounds = Bounds {
    reports: Reports::Late,
    ..RETURNED
};
/// The store fails over to a copy that knows nothing of the last switch, while the place that serves since then goes on.
pub(crate) const COPY_OF_THE_NEW: Bounds = Bounds {
    failovers: 1,
    copies: Copies::BeforeTheSwitch,
    switches: 0,
    attesters: &[1],
    ..NEWCOMER
};
/// The same; the copy knows a process that has ended since, and been forgotten.
pub(crate) const COPY_RETURNED: Bounds = Bounds {
    registered: BOTH,
    asked: BOTH,
    copied: BOTH,
    copy_knows: BOTH,
    restarts: 1,
    ..COPY_OF_THE_NEW
};
/// The same; a router had been registered before the place told whom it asks, and the copy was taken in between.
pub(crate) const COPY_OUTDATED: Bounds = Bounds {
    registered: BOTH,
    rosters: Rosters::JustTold,
    copied: 0,
    copy_knows: BOTH,
    ..COPY_OF_THE_NEW
};
/// The same; the copy knows a router that has ended since, was forgotten, and begins anew.
pub(crate) const COPY_REVIVED: Bounds = Bounds {
    copied: 0,
    copy_knows: BOTH,
    second: Second::HasEnded,
    restarts: 1,
    ..COPY_OF_THE_NEW
};
/// The same; the copy knows both routers, and has been told of one only.
pub(crate) const COPY_UNTOLD: Bounds = Bounds {
    registered: BOTH,
    asked: 0,
    copied: 0,
    copy_knows: BOTH,
    ..COPY_OF_THE_NEW
};
/// A copy that has been told nothing, and a switch that is begun before it or in it, while a router goes on.
pub(crate) const COPY_SWITCHES: Bounds = Bounds {
    failovers: 1,
    copies: Copies::First,
    copied: 0,
    attesters: &[],
    carriers: 1,
    pauses: 1,
    ..NEWCOMER
};
/// A switch in such a copy, while a router goes on.
pub(crate) const COPY_ROUTER: Bounds = Bounds {
    copies: Copies::FirstAtOnce,
    agents: &[],
    ..COPY_SWITCHES
};
/// The same, while the old place goes on.
pub(crate) const COPY_PLACE: Bounds = Bounds {
    agents: &[0, 1],
    attesters: &[0],
    carriers: 0,
    ..COPY_ROUTER
};
/// A copy that may be older, reports that are late, and a router that registers itself meanwhile.
pub(crate) const COPY_LATE: Bounds = Bounds {
    failovers: 1,
    copies: Copies::Older,
    reports: Reports::Late,
    asked: 0,
    pauses: 1,
    ..NEWCOMER
};
/// One switch, with every combination of clocks.
pub(crate) const CLOCKS: Bounds = Bounds {
    pauses: 1,
    clocks: Clocked::All,
    ..SWITCH
};
/// A switch that is taken back and another one, while somebody rests.
pub(crate) const TAKEN_BACK: Bounds = Bounds {
    switches: 2,
    aborts: 1,
    pauses: 1,
    ..SWITCH
};
/// The store fails over to a copy that has every change, while two rest.
pub(crate) const SAME_COPY: Bounds = Bounds {
    failovers: 1,
    pauses: 2,
    copies: Copies::Synchronous,
    ..SWITCH
};
/// The store fails over to a copy that may be older, while somebody rests.
pub(crate) const OLDER_COPY: Bounds = Bounds {
    failovers: 1,
    pauses: 1,
    ..SWITCH
};
/// An agent dies and comes back, and reports are late, while two rest.
pub(crate) const CRASHES: Bounds = Bounds {
    crashes: 1,
    pauses: 2,
    reports: Reports::Late,
    ..SWITCH
};
/// Two routers that both watch.
pub(crate) const TWO: Bounds = Bounds {
    registered: BOTH,
    asked: BOTH,
    carriers: 2,
    routers: 2,
    controllers: 2,
    pauses: 1,
    ..SWITCH
};
