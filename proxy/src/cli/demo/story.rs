//! What the demonstration does through the router, and what it prints to try.
//!
//! Owns the words. Speaks plain HTTP to the router only.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The sample process: a user task, an external task, and an end.
const ORDER: &str = include_str!("order.bpmn");

/// Longest wait for the router.
const READY_WITHIN_MS: u64 = 30_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) fn tell(data: u16, admin: u16, load: u32) {
    let told = story(data, admin);
    let mut out = std::io::stdout().lock();
    let _ = match told {
        Ok(text) => out.write_all(text.as_bytes()),
        Err(why) => writeln!(out, "the demonstration could not go on: {why}"),
    };
    drop(out);
    if load > 0 {
        loop {
            std::thread::sleep(Duration::from_secs(1) / load);
            // What fails shows in the access log and the metrics, as with any client.
            let _ = post(
                data,
                "/engine-rest/process-definition/key/order/start",
                "application/json",
                b"{}",
            );
        }
    }
}

fn story(data: u16, admin: u16) -> Result<String, String> {
    ready(admin)?;
    deploy(data)?;
    let mut text = format!(
        "\nHoming is ready: sites with engines and databases of their own behind http://127.0.0.1:{data}\n\n"
    );
    let mut first = None;
    for number in 1..=4 {
        let body = json!({"businessKey": format!("order-{number}")}).to_string();
        let started = post(
            data,
            "/engine-rest/process-definition/key/order/start",
            "application/json",
            body.as_bytes(),
        )?;
        let id = started
            .body
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_owned();
        let site = started.header("homing-site").unwrap_or("?");
        text.push_str(&format!(
            "  order-{number}: instance {id} started at site {site}\n"
        ));
        first.get_or_insert(id);
    }
    let id = first.unwrap_or_default();
    text.push_str(&format!(
        "\nTry:\n\
         \x20 curl -i http://127.0.0.1:{data}/engine-rest/process-instance/{id}      # goes home; see Homing-Site\n\
         \x20 curl -s http://127.0.0.1:{data}/engine-rest/task                       # one list over all sites\n\
         \x20 curl -s http://127.0.0.1:{admin}/v1/mappings/process-instance:{id}     # the durable row\n\
         \x20 curl -s http://127.0.0.1:{admin}/v1/sites                              # what is seen and wanted of each site\n\
         \x20 curl -s http://127.0.0.1:{admin}/metrics | grep homing_requests_total\n\n\
         Ctrl-C ends it.\n"
    ));
    Ok(text)
}

fn ready(admin: u16) -> Result<(), String> {
    for _ in 0..READY_WITHIN_MS / 50 {
        if exchange(admin, "GET", "/readyz", "text/plain", b"")
            .is_ok_and(|answer| answer.status == 200)
        {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Err("the router did not become ready".into())
}

/// A site may still be starting when the router is ready.
fn deploy(data: u16) -> Result<(), String> {
    let boundary = "homing-demo";
    let part = |name: &str, file: &str, content: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n"
        )
    };
    let mut body = part("deployment-name", "", "order");
    body.push_str(&part("enable-duplicate-filtering", "", "true"));
    body.push_str(&part("order.bpmn", "; filename=\"order.bpmn\"", ORDER));
    body.push_str(&format!("--{boundary}--\r\n"));
    let content_type = format!("multipart/form-data; boundary={boundary}");
    let mut last = String::new();
    for _ in 0..READY_WITHIN_MS / 50 {
        match post(
            data,
            "/engine-rest/deployment/create",
            &content_type,
            body.as_bytes(),
        ) {
            Ok(_) => return Ok(()),
            Err(why) => last = why,
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Err(format!("the sample process cannot be deployed: {last}"))
}

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (held, value) = line.split_once(':')?;
            held.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn post(port: u16, path: &str, content_type: &str, body: &[u8]) -> Result<Answer, String> {
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

/// One exchange on a connection of its own, HTTP/1.0, so that the answer ends with the connection.
fn exchange(
    port: u16,
    method: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
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
