//! Plain HTTP to one address of this machine.
//!
//! Owns one exchange: a connection, a request, an answer. Must not know what is asked.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (held, value) = line.split_once(':')?;
            held.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub(super) fn get(port: u16, path: &str) -> std::io::Result<Answer> {
    exchange(port, "GET", path, "text/plain", b"")
}

/// An answer that is no success is an error that says what it was.
pub(super) fn post(
    port: u16,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> Result<Answer, String> {
    let answer =
        exchange(port, "POST", path, content_type, body).map_err(|error| error.to_string())?;
    if (200..300).contains(&answer.status) {
        Ok(answer)
    } else {
        Err(format!(
            "{path} answered {}: {}",
            answer.status, answer.body
        ))
    }
}

pub(super) fn post_json(port: u16, path: &str, body: &Value) -> Result<Answer, String> {
    post(port, path, "application/json", body.to_string().as_bytes())
}

/// One exchange on a connection of its own, HTTP/1.0, so that the answer ends with the connection.
fn exchange(
    port: u16,
    method: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Ok(Answer {
        status,
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    })
}
