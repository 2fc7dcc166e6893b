//! Facts: what an answer proves about the site that gave it.
//!
//! Owns which ids become durable rows and which stay in caches. Must not write anything.

use super::pointers::{Pointers, Seen};
use homing_mapping_store::key::ID_LENGTH_MAX;
use homing_mapping_store::{Engine, Kind, RoutingKey};

/// Most facts taken from one answer; what comes after is left to be located when it is asked for.
pub const FACTS_MAX: usize = 10_000;

/// How many of the last facts are compared, so that a list of one instance's tasks does not repeat the instance.
const REPEATS_SEEN: usize = 8;

/// One thing that an answer proves: this key lives at the site that answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The key.
    pub key: RoutingKey,
    /// Whether it is kept for good.
    pub durability: Durability,
}

/// How long a fact is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A row in the mapping store.
    Row,
    /// A row that is in the store before the answer is released: another router would give the key a home of its own.
    Shared,
    /// A bounded cache; it can be located again.
    Cached,
}

/// What an id in an answer teaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lesson {
    /// A key of this kind, kept as its kind is kept.
    Key(Kind),
    /// A key of this kind that always gets a row: nothing else could find it again.
    Row(Kind),
    /// A task: a row if it stands alone.
    Task,
    /// Shows that the task beside it does not stand alone.
    Belongs,
}

/// The pointers of one operation's answers.
pub(super) type Teaching = Pointers<Lesson>;

/// Reads the facts out of a body. A body that is cut or no JSON teaches nothing.
pub(super) fn read(teaching: &Teaching, engine: &Engine, body: &[u8]) -> Vec<Fact> {
    if teaching.is_empty() || body.is_empty() {
        return Vec::new();
    }
    let mut notes = Notes {
        engine,
        facts: Vec::new(),
        task: None,
        belongs: false,
    };
    match teaching.walk(body, |seen| notes.take(seen)) {
        Ok(()) => notes.facts,
        Err(_) => Vec::new(),
    }
}

struct Notes<'e> {
    engine: &'e Engine,
    facts: Vec<Fact>,
    /// Where the task of the object at hand stands in `facts`.
    task: Option<usize>,
    belongs: bool,
}

impl Notes<'_> {
    fn take(&mut self, seen: Seen<'_, Lesson>) {
        match seen {
            Seen::Scalar(Lesson::Belongs, _) => self.belongs = true,
            Seen::Scalar(Lesson::Key(kind), id) => {
                self.belongs |= matches!(
                    kind,
                    Kind::PROCESS_INSTANCE | Kind::CASE_INSTANCE | Kind::CASE_EXECUTION
                );
                self.add(kind, id, durability(kind));
            }
            Seen::Scalar(Lesson::Row(kind), id) => self.add(kind, id, Durability::Row),
            Seen::Scalar(Lesson::Task, id) => {
                let before = self.facts.len();
                self.add(Kind::TASK, id, Durability::Cached);
                self.task = (self.facts.len() > before).then_some(before);
            }
            Seen::Compound(_) => {}
            Seen::Close => {
                if let (Some(at), false) = (self.task.take(), self.belongs) {
                    self.facts[at].durability = Durability::Row;
                }
                self.belongs = false;
            }
        }
    }

    fn add(&mut self, kind: Kind, id: &str, durability: Durability) {
        if id.is_empty() || id.len() > ID_LENGTH_MAX || self.facts.len() >= FACTS_MAX {
            return;
        }
        let key = RoutingKey::of(self.engine.clone(), kind, id);
        if !self
            .facts
            .iter()
            .rev()
            .take(REPEATS_SEEN)
            .any(|fact| fact.key == key)
        {
            self.facts.push(Fact { key, durability });
        }
    }
}

/// Rows are kept for what everything else hangs on.
pub(super) fn durability(kind: Kind) -> Durability {
    match kind {
        Kind::PROCESS_INSTANCE | Kind::CASE_INSTANCE | Kind::BATCH => Durability::Row,
        kind if kind.is_placed() => Durability::Row,
        _ => Durability::Cached,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> Teaching {
        let mut teaching = Teaching::new();
        teaching.add("/[]/id", Lesson::Task);
        teaching.add("/[]/processInstanceId", Lesson::Key(Kind::PROCESS_INSTANCE));
        teaching.add("/[]/caseInstanceId", Lesson::Belongs);
        teaching
    }

    fn told(body: &str) -> Vec<String> {
        let facts = read(&tasks(), &Engine::DEFAULT, body.as_bytes());
        facts
            .iter()
            .map(|fact| format!("{} {:?}", fact.key, fact.durability))
            .collect()
    }

    #[test]
    fn only_a_task_that_stands_alone_gets_a_row() {
        assert_eq!(
            told(r#"[{"id":"t","processInstanceId":null}]"#),
            ["task:t Row"]
        );
        assert_eq!(
            told(
                r#"[{"processInstanceId":"p","id":"t"},{"id":"u","processInstanceId":"p"},{"id":"v","caseInstanceId":"c"}]"#
            ),
            [
                "process-instance:p Row",
                "task:t Cached",
                "task:u Cached",
                "task:v Cached"
            ]
        );
    }

    #[test]
    fn a_broken_or_strange_body_teaches_nothing() {
        for body in [
            "",
            "[{\"id\":\"t\"}",
            "<html>",
            "[[[]]]",
            "[{\"id\":{}}]",
            "[{\"id\":\"\"}]",
            "null",
        ] {
            assert_eq!(told(body), Vec::<String>::new(), "{body}");
        }
    }

    #[test]
    fn an_answer_teaches_no_more_than_the_limit() {
        let rows: Vec<String> = (0..FACTS_MAX + 5)
            .map(|n| format!("{{\"id\":\"{n}\"}}"))
            .collect();
        assert_eq!(told(&format!("[{}]", rows.join(","))).len(), FACTS_MAX);
    }
}
