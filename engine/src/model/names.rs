//! The names of element types in history and activity trees.

use super::element::{End, Kind, Throw, Trigger};

/// The type's name.
pub(super) fn type_name(tag: &str, kind: &Kind) -> String {
    let event = |trigger: &Trigger| match trigger {
        Trigger::None => "",
        Trigger::Message(_) => "Message",
        Trigger::Signal(_) => "Signal",
        Trigger::Date(_) | Trigger::Duration(_) | Trigger::Cycle(_) => "Timer",
        Trigger::Error(_) => "Error",
        Trigger::Escalation { .. } => "Escalation",
        Trigger::Condition(_) => "Conditional",
    };
    match kind {
        Kind::Start {
            trigger: Trigger::None,
            ..
        } => "startEvent".to_owned(),
        Kind::Start {
            trigger: Trigger::Date(_) | Trigger::Duration(_) | Trigger::Cycle(_),
            ..
        } => "startTimerEvent".to_owned(),
        Kind::Start { trigger, .. } => format!("{}StartEvent", lower(event(trigger))),
        Kind::Boundary { trigger, .. } => format!("boundary{}", event(trigger)),
        Kind::Catch(catch) => match &catch.trigger {
            Trigger::Message(_) | Trigger::Signal(_) => {
                format!("intermediate{}Catch", event(&catch.trigger))
            }
            other => format!("intermediate{}", event(other)),
        },
        Kind::Throw(Throw::None | Throw::Message(None)) => "intermediateNoneThrowEvent".to_owned(),
        Kind::Throw(Throw::Message(Some(_))) => "intermediateMessageThrowEvent".to_owned(),
        Kind::Throw(Throw::Signal { .. }) => "intermediateSignalThrow".to_owned(),
        Kind::Throw(Throw::Escalation { .. }) => "intermediateEscalationThrowEvent".to_owned(),
        Kind::End(End::None | End::Throw(Throw::None)) => "noneEndEvent".to_owned(),
        Kind::End(End::Terminate) => "terminateEndEvent".to_owned(),
        Kind::End(End::Error { .. }) => "errorEndEvent".to_owned(),
        Kind::End(End::Throw(Throw::Message(Some(_)))) => "messageEndEvent".to_owned(),
        // The real engine has no other name for it either.
        Kind::End(End::Throw(Throw::Message(None))) => tag.to_owned(),
        Kind::End(End::Throw(Throw::Signal { .. })) => "signalEndEvent".to_owned(),
        Kind::End(End::Throw(Throw::Escalation { .. })) => "escalationEndEvent".to_owned(),
        Kind::UserTask(_)
        | Kind::Service(_)
        | Kind::Script { .. }
        | Kind::PassThrough
        | Kind::Receive(_)
        | Kind::Exclusive
        | Kind::Parallel
        | Kind::Inclusive
        | Kind::EventBased
        | Kind::SubProcess(_)
        | Kind::Call(_) => tag.to_owned(),
    }
}

fn lower(word: &str) -> String {
    word.to_lowercase()
}
