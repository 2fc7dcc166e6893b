//! The parts that safety stands on, each taken away in its turn.
//!
//! Owns their names. A model that stays green without one of them proves nothing.

/// What is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Sabotage {
    /// The wait for a lease is the lease, as if clocks were right.
    WaitIgnoresClockError,
    /// A controller takes every silent lease for over at once.
    NobodyWaits,
    /// A router counts its lease from the answer, not from the question.
    RouterLeaseCountsFromTheAnswer,
    /// An agent counts its lease from when it heard of it.
    SiteLeaseCountsFromTheAnswer,
    /// A router sends what has chosen its target before, without asking again.
    RouterDoesNotAskAgain,
    /// A router goes on sending after its lease.
    RouterHasNoLease,
    /// The relay asks no clock: it passes until the agent shuts it.
    FenceFallsOnlyWhenTheAgentActs,
    /// The store entitles the new place as soon as a switch begins.
    EntitledBeforeTheFence,
    /// A fence is noted for whatever switch is under way.
    NoteComparesNoGeneration,
    /// A router acknowledges what it was told before it obeys it.
    AcknowledgesBeforeItObeys,
    /// A lower generation than one that the agent remembers is obeyed, in a restored copy that nobody has told that it is one.
    AgentObeysAnyGeneration,
    /// A copy that becomes the store begins no incarnation.
    NoIncarnation,
    /// A copy that becomes the store gives rights at once.
    CopyGivesRightsAtOnce,
    /// An answer that continues a lease counts although the lease has ended meanwhile.
    LateAnswersContinue,
    /// A position in the change sequence says nothing of the copy that it was read from.
    PositionsOfAnotherCopyCount,
    /// An agent extends its right when the store does not answer.
    AgentExtendsByItself,
    /// A controller goes on attesting to what was before the switch that it watches.
    WatcherAttests,
    /// The word of one router is enough.
    OneWordIsEnough,
    /// What is attested counts from when the last word came.
    AttestationCountsFromTheAnswer,
    /// A controller that nobody asks takes silence for a lease that has run out.
    StrangerWaits,
    /// A watch counts from the last look at which nobody whose word is needed knew of the switch.
    WatchCountsFromTheLookBefore,
    /// Somebody relies on others before the store has heard of it.
    RosterCountsBeforeItIsTold,
    /// Whom it has told that it relies on is relied on before the assignment was read since.
    RosterNeedsNoLook,
    /// Whom it has told that it relies on is relied on though somebody has been registered before the store heard of it.
    RosterMayBeOutOfDate,
    /// What was told to another incarnation is believed of what is relied on now.
    OldWordsCountInACopy,
    /// A process with a router's journal is taken for the one that was there before.
    AnotherProcessCountsAsTheSame,
    /// Those whose word is needed are told by the names of routers, not as processes.
    AskedByName,
    /// A router whose name another journal takes is taken for gone.
    NameTakenOverIsGone,
    /// A copy gives rights anew as soon as any router has read it.
    AnyRouterHearsACopy,
    /// A router that still runs is said to be gone for good.
    ForgottenAlive,
    /// A router that has read of a switch goes on attesting to what was before it.
    ReaderAttests,
    /// A word of the store that nobody waits for any more confirms what was told.
    LateWordsConfirm,
    /// A process that takes over counts although the one that hands over to it still attests.
    HandingOverCounts,
}
