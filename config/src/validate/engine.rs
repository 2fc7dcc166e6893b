//! `[engine]`.
//!
//! Owns what one node of the engine may be told. Must not start one.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::engine::{
    BranchesFile, EngineFile, HistoryLevelFile, HistoryRemovalFile, ResourceFile,
};
use crate::settings::{Branches, Engine, HistoryCleanup, HistoryLevel, HistoryRemoval, Resource};
use crate::text::At;
use crate::window;
use std::time::Duration;

/// Shortest failover window: below it a busy machine looks like a dead one.
const WINDOW_MIN: Duration = Duration::from_millis(300);

impl Validate<'_> {
    pub(super) fn engine(&mut self, file: &EngineFile) -> Option<Engine> {
        let bind = self.tcp(&file.bind);
        let store = self.store_url(
            Some(&file.store),
            file.store_file.as_ref(),
            ["store", "store_file"],
        );
        let resource = self.measure(file.resource, file.resource_command.as_deref());
        let failover_window = self.window(&file.failover_window);
        let history_cleanup = self.cleanup(file);
        let bridges = self.bridges(&file.bridge);
        let delegates = self.delegates(&file.delegate);
        Some(Engine {
            bind: bind?,
            store: store?,
            executor: file.executor,
            failover_window: failover_window?,
            installation: file.installation.as_ref().map(|name| name.get().clone()),
            resource: resource?,
            resource_interval: file.resource_interval.0,
            concurrent_branches: branches(file.concurrent_branches),
            notify: file.notify,
            history_level: level(file.history_level),
            history_removal: removal(file.history_removal),
            history_cleanup: history_cleanup?,
            variable_bytes: file.variable_bytes,
            body_bytes: file.body_bytes,
            http_answer_bytes: file.http_answer_bytes,
            call_depth: file.call_depth,
            bridges: bridges?,
            delegates: delegates?,
        })
    }

    fn measure(&mut self, by: ResourceFile, words: Option<&[At<String>]>) -> Option<Resource> {
        let words = words.unwrap_or_default();
        let Some(program) = words.first() else {
            return Some(match by {
                ResourceFile::Jobs => Resource::Jobs,
                ResourceFile::Machine => Resource::Machine,
            });
        };
        let problem = if program.get().is_empty() {
            Diagnostic::error("command", "the command `resource_command` is empty")
                .at(&program.span(), "no program is named")
                .help("name a program and its arguments: resource_command = [\"/usr/local/bin/free-share\"]")
        } else if by == ResourceFile::Machine {
            let twice =
                "`resource = \"machine\"` and `resource_command` both say what a node has to give";
            Diagnostic::error("command", twice)
                .at(&program.span(), "measures it as well")
                .help("remove one of the two")
        } else {
            let words = words.iter().map(|word| word.get().clone());
            return Some(Resource::Command(words.collect()));
        };
        self.report(problem);
        None
    }

    fn window(&mut self, text: &At<String>) -> Option<Duration> {
        let why = match window::parse(text.get()) {
            Ok(window) if window >= WINDOW_MIN => return Some(window),
            Ok(_) => format!("is shorter than {}ms", WINDOW_MIN.as_millis()),
            Err(why) => why.told().to_owned(),
        };
        let problem = Diagnostic::error(
            "failover-window",
            format!("`failover_window = \"{}\"` {why}", text.get()),
        );
        self.report(
            problem
                .at(&text.span(), "no window")
                .help("write a duration such as `\"3m\"`, `\"+3m\"` or `\"PT3M\"`; for no failover a very long one"),
        );
        None
    }

    fn cleanup(&mut self, file: &EngineFile) -> Option<HistoryCleanup> {
        let Some(text) = &file.history_cleanup_window else {
            return Some(if file.history_cleanup {
                HistoryCleanup::Always
            } else {
                HistoryCleanup::Off
            });
        };
        match time_of_day(text.get()) {
            Some(_) if !file.history_cleanup => Some(HistoryCleanup::Off),
            Some((from, to)) => Some(HistoryCleanup::Daily(from, to)),
            None => {
                let problem = Diagnostic::error(
                    "history-cleanup-window",
                    format!(
                        "`history_cleanup_window = \"{}\"` is no time of day",
                        text.get()
                    ),
                );
                self.report(problem.at(&text.span(), "not understood").help(
                    "write two different times as hours and minutes in UTC: `\"22:00-05:00\"`",
                ));
                None
            }
        }
    }
}

/// `22:00-05:00` as minutes of the day.
fn time_of_day(text: &str) -> Option<(u16, u16)> {
    let minute = |text: &str| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from != to).then_some((from, to))
}

fn branches(file: BranchesFile) -> Branches {
    match file {
        BranchesFile::Model => Branches::Model,
        BranchesFile::Always => Branches::Always,
        BranchesFile::Never => Branches::Never,
    }
}

fn level(file: HistoryLevelFile) -> Option<HistoryLevel> {
    match file {
        HistoryLevelFile::None => Some(HistoryLevel::None),
        HistoryLevelFile::Activity => Some(HistoryLevel::Activity),
        HistoryLevelFile::Audit => Some(HistoryLevel::Audit),
        HistoryLevelFile::Full => Some(HistoryLevel::Full),
        HistoryLevelFile::Auto => None,
    }
}

fn removal(file: HistoryRemovalFile) -> HistoryRemoval {
    match file {
        HistoryRemovalFile::End => HistoryRemoval::End,
        HistoryRemovalFile::Start => HistoryRemoval::Start,
        HistoryRemovalFile::None => HistoryRemoval::None,
    }
}

#[cfg(test)]
mod tests {
    use super::time_of_day;

    #[test]
    fn a_window_is_two_different_times_of_a_day() {
        assert_eq!(time_of_day("22:00-05:30"), Some((1320, 330)));
        for wrong in [
            "",
            "22:00",
            "24:00-05:00",
            "22:60-05:00",
            "5:00-5:00",
            "a-b",
        ] {
            assert_eq!(time_of_day(wrong), None, "{wrong}");
        }
    }
}
