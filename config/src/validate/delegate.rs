//! `[[engine.delegate]]`: what Java names stand for.
//!
//! Owns the check that each name stands for one thing. Must not read models.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::delegate::DelegateFile;
use crate::settings::{Delegate, Does};

impl Validate<'_> {
    pub(super) fn delegates(&mut self, files: &[DelegateFile]) -> Option<Vec<Delegate>> {
        self.unique("delegate", files.iter().map(|file| &file.name));
        let all: Vec<_> = files.iter().map(|file| self.delegate(file)).collect();
        all.into_iter().collect()
    }

    fn delegate(&mut self, file: &DelegateFile) -> Option<Delegate> {
        let name = file.name.get().trim();
        let does = match (&file.topic, &file.script, file.nothing) {
            (Some(topic), None, false) => Does::Topic(topic.get().clone()),
            (None, Some(script), false) => Does::Script(script.get().clone()),
            (None, None, true) => Does::Nothing,
            _ => {
                let problem = Diagnostic::error(
                    "delegate",
                    "a delegate has exactly one of `topic`, `script` and `nothing`",
                );
                self.report(
                    problem
                        .at(&file.name.span(), "none or several beside this name")
                        .help("write topic = \"charge\", script = \"...\" or nothing = true"),
                );
                return None;
            }
        };
        let empty = match &does {
            Does::Topic(text) | Does::Script(text) => text.trim().is_empty(),
            Does::Nothing => false,
        };
        if name.is_empty() || empty {
            let problem = Diagnostic::error("delegate", "an empty text stands for nothing");
            self.report(
                problem
                    .at(
                        &file.name.span(),
                        "this name, or what it stands for, is empty",
                    )
                    .help("write the name as it stands in the model, and a topic or a script"),
            );
            return None;
        }
        Some(Delegate {
            name: name.to_owned(),
            does,
        })
    }
}
