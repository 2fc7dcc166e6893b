//! What the machine promises, whatever the model and the order of events.

use super::*;
use crate::model::{Delegates, parse};
use crate::value::Value;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A block of a structured process.
#[derive(Clone, Debug)]
enum Block {
    Task(&'static str),
    Sequence(Vec<Block>),
    Gateway(&'static str, Vec<Block>),
    Sub(Box<Block>, &'static str),
}

fn blocks() -> impl Strategy<Value = Block> {
    let attributes = prop::sample::select(vec![
        "",
        "camunda:asyncBefore=\"true\"",
        "camunda:asyncAfter=\"true\"",
        "camunda:asyncBefore=\"true\" camunda:asyncAfter=\"true\"",
    ]);
    let leaf = attributes.prop_map(Block::Task);
    leaf.prop_recursive(3, 12, 3, |inner| {
        let gateway = prop::sample::select(vec!["parallelGateway", "inclusiveGateway"]);
        let many = || prop::collection::vec(inner.clone(), 1..4);
        let round = prop::sample::select(vec![
            "",
            "<multiInstanceLoopCharacteristics><loopCardinality>2</loopCardinality></multiInstanceLoopCharacteristics>",
            "<multiInstanceLoopCharacteristics isSequential=\"true\"><loopCardinality>2</loopCardinality></multiInstanceLoopCharacteristics>",
        ]);
        prop_oneof![
            many().prop_map(Block::Sequence),
            (gateway, many()).prop_map(|(kind, blocks)| Block::Gateway(kind, blocks)),
            (inner.clone(), round).prop_map(|(block, round)| Block::Sub(Box::new(block), round)),
        ]
    })
}

/// Writes a model; gives fresh ids to its elements.
#[derive(Default)]
struct Writer {
    text: String,
    next: usize,
}

impl Writer {
    fn id(&mut self) -> String {
        self.next += 1;
        format!("n{}", self.next)
    }

    fn flow(&mut self, from: &str, to: &str) {
        let id = self.id();
        self.text.push_str(&format!(
            "<sequenceFlow id=\"{id}\" sourceRef=\"{from}\" targetRef=\"{to}\"/>"
        ));
    }

    /// Writes a block; gives its first and last element.
    fn block(&mut self, block: &Block) -> (String, String) {
        match block {
            Block::Task(attributes) => {
                let id = self.id();
                self.text
                    .push_str(&format!("<userTask id=\"{id}\" {attributes}/>"));
                (id.clone(), id)
            }
            Block::Sequence(blocks) => {
                let ends: Vec<_> = blocks.iter().map(|b| self.block(b)).collect();
                for pair in ends.windows(2) {
                    self.flow(&pair[0].1, &pair[1].0);
                }
                (ends[0].0.clone(), ends[ends.len() - 1].1.clone())
            }
            Block::Gateway(kind, blocks) => {
                let (fork, join) = (self.id(), self.id());
                self.text
                    .push_str(&format!("<{kind} id=\"{fork}\"/><{kind} id=\"{join}\"/>"));
                for block in blocks {
                    let (first, last) = self.block(block);
                    self.flow(&fork, &first);
                    self.flow(&last, &join);
                }
                (fork, join)
            }
            Block::Sub(block, round) => {
                let (id, start, end) = (self.id(), self.id(), self.id());
                self.text.push_str(&format!(
                    "<subProcess id=\"{id}\">{round}<startEvent id=\"{start}\"/><endEvent id=\"{end}\"/>"
                ));
                let (first, last) = self.block(block);
                self.flow(&start, &first);
                self.flow(&last, &end);
                self.text.push_str("</subProcess>");
                (id, id_of(&self.text))
            }
        }
    }
}

/// The sub-process that was closed last: the one whose border flows leave from.
fn id_of(text: &str) -> String {
    let mut open = Vec::new();
    let mut last = String::new();
    for piece in text.split('<').filter(|p| p.contains("subProcess")) {
        if piece.starts_with('/') {
            last = open.pop().unwrap_or_default();
        } else {
            open.push(piece.split('"').nth(1).unwrap().to_owned());
        }
    }
    last
}

fn definition(block: &Block) -> Definition {
    let mut writer = Writer::default();
    let (first, last) = writer.block(block);
    writer.flow("s", &first);
    writer.flow(&last, "e");
    let text = format!(
        "<definitions xmlns=\"http://www.omg.org/spec/BPMN/20100524/MODEL\" xmlns:camunda=\"http://camunda.org/schema/1.0/bpmn\">\
         <process id=\"p\" isExecutable=\"true\"><startEvent id=\"s\"/><endEvent id=\"e\"/>{}</process></definitions>",
        writer.text
    );
    let process = parse(&text, &Delegates::default()).unwrap().remove(0);
    Definition {
        id: "p:1:x".into(),
        key: "p".into(),
        version: 1,
        process: Arc::new(process),
    }
}

struct Counter(u32);

impl IdSource for Counter {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("id{}", self.0)
    }
}

struct NoScripts;

impl Scripts for NoScripts {
    fn run(
        &self,
        _source: &str,
        _variables: &[(String, Value)],
        _execution: &[(&'static str, String)],
    ) -> Result<(Value, Vec<Change>), String> {
        Err("there are no scripts here".to_owned())
    }
}

/// What has been made and not yet been removed.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Rows(BTreeSet<String>, BTreeSet<String>, BTreeSet<String>);

impl Rows {
    fn apply(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::CreateJob(job) => assert!(self.0.insert(job.id.clone())),
                Effect::RemoveJob(id) => assert!(self.0.remove(id), "no job {id}"),
                Effect::CreateTask(task) => assert!(self.1.insert(task.id.clone())),
                Effect::RemoveTask { task, .. } => assert!(self.1.remove(task), "no task {task}"),
                Effect::Record(Record::Entered(entered)) => {
                    assert!(self.2.insert(entered.activity.clone()));
                }
                Effect::Record(Record::Left { activity, .. }) => {
                    assert!(self.2.remove(activity), "{activity} was not open");
                }
                _ => {}
            }
        }
    }
}

fn play(definition: &Definition, choices: &[usize], delete_at: Option<usize>) -> (Document, Rows) {
    let mut ids = Counter(0);
    let mut rows = Rows::default();
    let mut doc = Document::new("inst", &definition.id);
    let mut vars = Variables::default();
    let start = Command::Start {
        at: None,
        variables: Vec::new(),
        instructions: Vec::new(),
    };
    let mut command = start;
    for turn in 0.. {
        assert!(turn < 2_000, "the process does not end");
        let context = Context {
            definition,
            now: 0,
            ids: &mut ids,
            scripts: &NoScripts,
        };
        let stepped = step(doc, vars, command, context).unwrap();
        (doc, vars) = (stepped.document, stepped.variables);
        rows.apply(&stepped.effects);
        let open: Vec<(bool, &String)> = rows
            .0
            .iter()
            .map(|j| (true, j))
            .chain(rows.1.iter().map(|t| (false, t)))
            .collect();
        if doc.ended {
            break;
        }
        assert!(
            !open.is_empty(),
            "nothing left to do, but not ended: {doc:?}"
        );
        let (is_job, id) = open[choices[turn % choices.len()] % open.len()];
        command = match (delete_at == Some(turn), is_job) {
            (true, _) => Command::Delete(Outcome::Cancelled),
            (_, true) => Command::RunJob { job: id.clone() },
            (_, false) => Command::CompleteTask {
                task: id.clone(),
                variables: Vec::new(),
            },
        };
        // A step that was computed and then lost with its engine leaves nothing: it is computed again.
        let context = Context {
            definition,
            now: 0,
            ids: &mut ids,
            scripts: &NoScripts,
        };
        drop(step(doc.clone(), vars.clone(), command.clone(), context));
    }
    assert!(
        vars.iter().next().is_none(),
        "variables outlive their scopes: {vars:?}"
    );
    (doc, rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn in_any_order_a_structured_process_ends_and_leaves_nothing(
        block in blocks(),
        choices in prop::collection::vec(0_usize..100, 1..40),
    ) {
        let (doc, rows) = play(&definition(&block), &choices, None);
        prop_assert_eq!(rows, Rows::default());
        prop_assert_eq!(doc.nodes.len(), 1);
    }

    #[test]
    fn deleted_at_any_moment_an_instance_leaves_nothing(
        block in blocks(),
        choices in prop::collection::vec(0_usize..100, 1..40),
        at in 0_usize..8,
    ) {
        let (doc, rows) = play(&definition(&block), &choices, Some(at));
        prop_assert_eq!(rows, Rows::default());
        prop_assert_eq!(doc.nodes.len(), 1);
    }
}
