//! Ids in JSON text, rewritten while it passes.
//!
//! Owns the walk: which text stands where. Keeps no more than one text and the way down to it. Must not judge the JSON:
//! what is broken passes as it came. Relies on the dialect for what members hold.

use super::{Inside, Own, Way, What};
use crate::dialect::Dialect;
use std::sync::Arc;

/// A text longer than this is no id, no address and no known member's name: it passes as it is.
const TEXT_BYTES_MAX: usize = 2048;
/// What lies deeper is not rewritten; the engines' own answers are less than ten deep, but for activity trees.
const DEPTH_MAX: usize = 256;

/// Rewrites one body, piece by piece.
pub struct Rewriter {
    dialect: Arc<dyn Dialect>,
    own: Arc<Own>,
    way: Way,
    /// What each open object or list holds.
    open: Vec<(Shape, Inside)>,
    /// Open ones below those.
    deeper: usize,
    /// What the value that comes next is.
    next: Inside,
    /// The next text is a member's name.
    names: bool,
    text: Option<Text>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Object,
    List,
}

/// The text that is being read.
struct Text {
    role: Role,
    held: Vec<u8>,
    escaped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Name,
    Value(What),
    /// Of no interest.
    Passing,
}

impl Rewriter {
    /// For one body that holds this at its top. `None`: the dialect knows no ids.
    pub fn new(
        dialect: Arc<dyn Dialect>,
        own: Arc<Own>,
        way: Way,
        top: Inside,
    ) -> Option<Rewriter> {
        dialect.virtual_ids()?;
        Some(Rewriter {
            dialect,
            own,
            way,
            open: Vec::new(),
            deeper: 0,
            next: top,
            names: false,
            text: None,
        })
    }

    /// The next piece; what is certain of it already.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len() + piece.len() / 8);
        for byte in piece {
            match self.text.take() {
                Some(text) => self.within(text, *byte, &mut out),
                None => self.between(*byte, &mut out),
            }
        }
        out
    }

    /// What is held of a body that broke off within a text.
    pub fn end(&mut self) -> Vec<u8> {
        self.text.take().map(|text| text.held).unwrap_or_default()
    }

    fn within(&mut self, mut text: Text, byte: u8, out: &mut Vec<u8>) {
        if byte == b'"' && !text.escaped {
            self.close(text, out);
            out.push(byte);
            return;
        }
        text.escaped = byte == b'\\' && !text.escaped;
        if text.role == Role::Passing {
            out.push(byte);
        } else {
            text.held.push(byte);
            if text.held.len() > TEXT_BYTES_MAX {
                if text.role == Role::Name {
                    self.next = Inside::Content;
                }
                out.append(&mut text.held);
                text.role = Role::Passing;
            }
        }
        self.text = Some(text);
    }

    fn close(&mut self, text: Text, out: &mut Vec<u8>) {
        let is_name = text.role == Role::Name;
        let Ok(read) = std::str::from_utf8(&text.held) else {
            out.extend_from_slice(&text.held);
            self.next = Inside::Content;
            return;
        };
        let inside = self.open.last().map_or(Inside::Content, |open| open.1);
        let Some(ids) = self.dialect.virtual_ids() else {
            return;
        };
        match text.role {
            Role::Name if inside == Inside::Named => {
                out.extend_from_slice(self.own.id(read, What::Id, self.way).as_bytes());
            }
            Role::Name | Role::Passing => out.extend_from_slice(&text.held),
            Role::Value(what) => {
                let text = self.own.text(ids, read, what, self.way);
                out.extend_from_slice(text.as_bytes());
            }
        }
        if is_name {
            self.next = match inside {
                Inside::Named => Inside::Members,
                Inside::Content => Inside::Content,
                Inside::Members | Inside::OthersIds | Inside::Texts(_) => {
                    ids.member(inside, read, self.way)
                }
            };
        }
    }

    fn between(&mut self, byte: u8, out: &mut Vec<u8>) {
        out.push(byte);
        match byte {
            b'"' => {
                let role = match (self.deeper, self.names, self.value()) {
                    (1.., _, _) => Role::Passing,
                    (_, true, _) => Role::Name,
                    (_, false, Inside::Texts(what)) => Role::Value(what),
                    (_, false, _) => Role::Passing,
                };
                self.text = Some(Text {
                    role,
                    held: Vec::new(),
                    escaped: false,
                });
            }
            b'{' => self.enter(Shape::Object),
            b'[' => self.enter(Shape::List),
            b'}' | b']' => self.leave(),
            b',' => self.names = self.is_object(),
            b':' => self.names = false,
            _ => {}
        }
    }

    fn is_object(&self) -> bool {
        self.open.last().is_some_and(|open| open.0 == Shape::Object)
    }

    /// What a value here is: a member's by its name, an element's by its list.
    fn value(&self) -> Inside {
        match self.open.last() {
            Some((Shape::List, inside)) => *inside,
            Some((Shape::Object, _)) | None => self.next,
        }
    }

    fn enter(&mut self, shape: Shape) {
        if self.deeper > 0 || self.open.len() == DEPTH_MAX {
            self.deeper += 1;
            return;
        }
        let inside = match (shape, self.value()) {
            // Where ids were to be expected stands something whole: `"execution": {"id": ...}`.
            (Shape::Object, Inside::Texts(_)) => Inside::Members,
            (_, inside) => inside,
        };
        self.open.push((shape, inside));
        self.names = shape == Shape::Object;
    }

    fn leave(&mut self) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        self.open.pop();
        self.names = false;
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a dialect that cannot be read fails the test"
    )]
    use super::*;
    use crate::dialect::EngineRest;
    use proptest::prelude::*;

    fn rewriter(path: &str, way: Way) -> Rewriter {
        let dialect: Arc<dyn Dialect> = Arc::new(EngineRest::new().unwrap());
        let top = dialect.virtual_ids().unwrap().body(path, way).unwrap();
        let own = Arc::new(Own::of("a", "/engine-rest"));
        Rewriter::new(dialect, own, way, top).unwrap()
    }

    fn rewritten(path: &str, way: Way, body: &str) -> String {
        let mut rewriter = rewriter(path, way);
        let mut out = rewriter.feed(body.as_bytes());
        out.extend(rewriter.end());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn answers_carry_the_site_in_every_id() {
        for (path, native, outside) in [
            (
                "/task",
                r#"[{"id":"8","name":"8","assignee":"8","executionId":"7","processDefinitionId":"order:1:3","taskDefinitionKey":"9","caseInstanceId":null}, {"id":"12"}]"#,
                r#"[{"id":"a.8","name":"8","assignee":"8","executionId":"a.7","processDefinitionId":"a.order:1:3","taskDefinitionKey":"9","caseInstanceId":null}, {"id":"a.12"}]"#,
            ),
            (
                "/process-definition/key/order/start",
                r#"{"links":[{"method":"GET","href":"http://h:1/engine-rest/process-instance/5","rel":"self"}],"id":"5","definitionId":"order:1:3","businessKey":"5"}"#,
                r#"{"links":[{"method":"GET","href":"http://h:1/engine-rest/process-instance/a.5","rel":"self"}],"id":"a.5","definitionId":"a.order:1:3","businessKey":"5"}"#,
            ),
            (
                "/external-task/fetchAndLock",
                r#"[{"id":"5","variables":{"id":{"value":"5"},"o":{"value":{"id":"5","taskId":"5"}}},"processInstanceId":"4"}]"#,
                r#"[{"id":"a.5","variables":{"id":{"value":"5"},"o":{"value":{"id":"5","taskId":"5"}}},"processInstanceId":"a.4"}]"#,
            ),
            (
                "/deployment/create",
                r#"{"id":"1","deployedProcessDefinitions":{"order:1:3":{"id":"order:1:3","deploymentId":"1"}},"deployedCaseDefinitions":null,"source":"2"}"#,
                r#"{"id":"a.1","deployedProcessDefinitions":{"a.order:1:3":{"id":"a.order:1:3","deploymentId":"a.1"}},"deployedCaseDefinitions":null,"source":"2"}"#,
            ),
            (
                "/process-instance/5/activity-instances",
                r#"{"id":"5","childActivityInstances":[{"id":"T:8","executionIds":["7","9"],"activityId":"T"}]}"#,
                r#"{"id":"a.5","childActivityInstances":[{"id":"a.T:8","executionIds":["a.7","a.9"],"activityId":"T"}]}"#,
            ),
            (
                "/process-definition/order:1:3/statistics",
                r#"[{"id":"7","instances":1}]"#,
                r#"[{"id":"7","instances":1}]"#,
            ),
            (
                "/task",
                r#"{"_links":{"self":{"href":"/task/8"}},"_embedded":{"task":[{"id":"8"}],"assignee":[{"id":"8"}]}}"#,
                r#"{"_links":{"self":{"href":"/task/a.8"}},"_embedded":{"task":[{"id":"a.8"}],"assignee":[{"id":"8"}]}}"#,
            ),
        ] {
            assert_eq!(rewritten(path, Way::Out, native), outside, "{path}");
        }
    }

    #[test]
    fn requests_lose_their_own_site_and_nothing_else() {
        for (path, outside, native) in [
            (
                "/task",
                r#"{"processInstanceId":"a.5","nameLike":"a.5","taskIdIn":["a.1","b.2","3"],"orQueries":[{"executionId":"a.1"}]}"#,
                r#"{"processInstanceId":"5","nameLike":"a.5","taskIdIn":["1","b.2","~3"],"orQueries":[{"executionId":"1"}]}"#,
            ),
            (
                "/task/a.5/complete",
                r#"{"variables":{"taskId":{"value":"a.5"}}}"#,
                r#"{"variables":{"taskId":{"value":"a.5"}}}"#,
            ),
            (
                "/process-definition/key/order/start",
                r#"{"businessKey":"a.5","caseInstanceId":"5"}"#,
                r#"{"businessKey":"a.5","caseInstanceId":"5"}"#,
            ),
        ] {
            assert_eq!(rewritten(path, Way::In, outside), native, "{path}");
        }
    }

    #[test]
    fn what_is_no_json_or_breaks_off_passes_as_it_came() {
        for body in [
            "<html>",
            r#"[{"id":"8"#,
            r#"{"id":8,"id""#,
            "]]}}{{",
            "\"\\",
        ] {
            assert_eq!(rewritten("/task", Way::Out, body), body);
        }
        let long = format!(r#"{{"id":"{}"}}"#, "1".repeat(TEXT_BYTES_MAX + 1));
        assert_eq!(rewritten("/task", Way::Out, &long), long);
        let deep = "[".repeat(DEPTH_MAX + 9) + &"]".repeat(DEPTH_MAX + 9);
        let body = format!(r#"{{"x":{deep},"id":"1"}}"#);
        let wanted = format!(r#"{{"x":{deep},"id":"a.1"}}"#);
        assert_eq!(rewritten("/task", Way::Out, &body), wanted);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_body_is_cut(cuts in proptest::collection::vec(1usize..9, 1..60)) {
            let body = r#"[{"id":"order:1:8","executionIds":["1","2\"","\\"],"links":[{"href":"/task/5?x=1"}],"value":{"id":"3"}}]"#;
            let mut rewriter = rewriter("/task", Way::Out);
            let (mut out, mut rest) = (Vec::new(), body.as_bytes());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                out.extend(rewriter.feed(piece));
                rest = behind;
            }
            out.extend(rewriter.end());
            prop_assert_eq!(String::from_utf8(out).unwrap(), rewritten("/task", Way::Out, body));
        }
    }
}
