//! Which writes of an engine leave a trace that a GET finds.
//!
//! Owns the table of those. Must not send. What is not in it cannot be told: a variable may have had its value before.

use crate::dialect::trace::{Question, Trace};
use http::{Method, StatusCode};

/// The questions about one write, in order. `prefix`: what names the engine in the path; `id`: as it stands there.
pub(super) fn questions(
    method: &Method,
    pattern: &str,
    (prefix, id): (&str, &str),
) -> Vec<Question> {
    let ask = |path: &str, read| Question {
        path: format!("{prefix}{}", path.replace('#', id)),
        read,
    };
    match (method, pattern) {
        (&Method::POST, "/task/{id}/complete" | "/task/{id}/submit-form") => vec![
            ask("/task/#", open_task),
            ask("/history/task?taskId=#&finished=true", ended),
            ask("/history/task?maxResults=1", unknown_task),
        ],
        (&Method::POST, "/external-task/{id}/complete") => vec![
            ask("/external-task/#", open_task),
            ask(
                "/history/external-task-log?externalTaskId=#&successLog=true",
                ended,
            ),
        ],
        (&Method::DELETE, "/process-instance/{id}") => vec![
            ask("/process-instance/#", running),
            ask("/history/process-instance/#", remembered),
        ],
        _ => Vec::new(),
    }
}

fn open_task(status: StatusCode, _body: &[u8]) -> Option<Trace> {
    (status == StatusCode::OK).then_some(Trace::Lost("the task is open"))
}

fn running(status: StatusCode, _body: &[u8]) -> Option<Trace> {
    (status == StatusCode::OK).then_some(Trace::Lost("the instance is running"))
}

fn remembered(status: StatusCode, _body: &[u8]) -> Option<Trace> {
    (status == StatusCode::OK).then_some(Trace::Held)
}

fn ended(status: StatusCode, body: &[u8]) -> Option<Trace> {
    (rows(status, body)? > 0).then_some(Trace::Held)
}

/// It is neither open nor in a history that has tasks.
fn unknown_task(status: StatusCode, body: &[u8]) -> Option<Trace> {
    (rows(status, body)? > 0).then_some(Trace::Lost("the task has never been there"))
}

fn rows(status: StatusCode, body: &[u8]) -> Option<usize> {
    if status != StatusCode::OK {
        return None;
    }
    let rows: Vec<serde_json::Value> = serde_json::from_slice(body).ok()?;
    Some(rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(answers: &[(u16, &str)], pattern: &str) -> Option<Trace> {
        let questions = questions(&Method::POST, pattern, ("", "1"));
        let read = |(question, (status, body)): (&Question, &(u16, &str))| {
            (question.read)(StatusCode::from_u16(*status).unwrap(), body.as_bytes())
        };
        questions.iter().zip(answers).find_map(read)
    }

    #[test]
    fn a_completion_is_lost_where_its_task_is_open_or_was_never_there() {
        let complete = "/task/{id}/complete";
        let open = Some(Trace::Lost("the task is open"));
        assert_eq!(asked(&[(200, "{}")], complete), open);
        let held = [(404, "{}"), (200, "[{}]")];
        assert_eq!(asked(&held, complete), Some(Trace::Held));
        let never = [(404, "{}"), (200, "[]"), (200, "[{}]")];
        let unknown = Some(Trace::Lost("the task has never been there"));
        assert_eq!(asked(&never, complete), unknown);
        // An engine that keeps no history cannot tell.
        let silent = [(404, "{}"), (200, "[]"), (200, "[]")];
        assert_eq!(asked(&silent, complete), None);
        let refused = [(401, ""), (401, ""), (401, "")];
        assert_eq!(asked(&refused, complete), None);
        assert!(questions(&Method::PUT, "/task/{id}/variables/{varId}", ("", "1")).is_empty());
    }
}
