//! The sites: one small server with a port for each, answering like an engine as fast as it can.
//!
//! Owns their answers. A request about a key of another site is answered 421, which fails the run: a proxy that is fast
//! because it routes wrongly is no contender. The ports of `any_ports` answer for every key.

use crate::keys::{SITES, version_1};
use anyhow::Result;
use homing_harness::ports::{free_port, loopback};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A site's list of variables: about 300 bytes.
const VARIABLES: &str = r#"{"amount":{"type":"Long","value":30,"valueInfo":{}},"customer":{"type":"String","value":"mary","valueInfo":{}},"approved":{"type":"Boolean","value":true,"valueInfo":{}},"comment":{"type":"String","value":"a comment of a usual length that somebody has typed into a form","valueInfo":{}},"n":1}"#;
/// The longest head that is expected from a proxy.
const HEAD_MAX: usize = 16 * 1024;

/// The running sites; they end with this process.
pub struct Sites {
    own: Vec<u16>,
    any: Vec<u16>,
}

#[derive(Clone, Copy)]
enum Checks {
    OwnKeys,
    Nothing,
}

pub fn start() -> Result<Sites> {
    let own = ports()?;
    let any = ports()?;
    let mut listeners = Vec::new();
    for (ports, checks) in [(&own, Checks::OwnKeys), (&any, Checks::Nothing)] {
        for (site, port) in ports.iter().enumerate() {
            let listener = std::net::TcpListener::bind(loopback(*port))?;
            listener.set_nonblocking(true)?;
            listeners.push((listener, site, checks));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("sites".into())
        .spawn(move || {
            runtime.block_on(async {
                for (listener, site, checks) in listeners {
                    if let Ok(listener) = TcpListener::from_std(listener) {
                        tokio::spawn(accept(listener, site, checks));
                    }
                }
                std::future::pending::<()>().await;
            });
        })?;
    Ok(Sites { own, any })
}

fn ports() -> Result<Vec<u16>> {
    (0..SITES).map(|_| free_port()).collect()
}

impl Sites {
    /// Each answers for its own keys only.
    pub fn ports(&self) -> &[u16] {
        &self.own
    }

    /// Each answers for all keys.
    pub fn any_ports(&self) -> &[u16] {
        &self.any
    }

    /// A path that tells that a proxy works; its key is the first of all keys.
    pub fn probe_path(&self) -> String {
        let first = crate::keys::Keys::begin()
            .next()
            .map(|key| key.id)
            .unwrap_or_default();
        format!("/engine-rest/process-instance/{first}/variables")
    }
}

async fn accept(listener: TcpListener, site: usize, checks: Checks) {
    let answers = Arc::new(Answers::new(site, checks));
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            // A proxy that leaves is no error.
            let _ = serve(stream, &answers).await;
        });
    }
}

async fn serve(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    let mut buffer = vec![0; HEAD_MAX];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let Some(end) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") else {
            continue;
        };
        let whole = end + 4 + body_length(&buffer[..end]);
        if filled < whole {
            continue;
        }
        let line = buffer[..end]
            .split(|byte| *byte == b'\r')
            .next()
            .unwrap_or_default();
        stream.write_all(&answers.to(line)).await?;
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

fn body_length(head: &[u8]) -> usize {
    if head.starts_with(b"GET ") {
        return 0;
    }
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

struct Answers {
    site: usize,
    checks: Checks,
    variables: bytes::Bytes,
    count: bytes::Bytes,
    identity: bytes::Bytes,
    elsewhere: bytes::Bytes,
    ticks: AtomicU64,
}

fn answer(status: &str, body: &str) -> bytes::Bytes {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n{body}",
        body.len()
    )
    .into()
}

impl Answers {
    fn new(site: usize, checks: Checks) -> Answers {
        let identity = format!(r#"{{"installation":"{}"}}"#, version_1(1, site));
        Answers {
            site,
            checks,
            variables: answer("200 OK", VARIABLES),
            count: answer("200 OK", r#"{"count":0}"#),
            identity: answer("200 OK", &identity),
            elsewhere: answer(
                "421 Misdirected Request",
                r#"{"type":"bench","message":"not this site's key"}"#,
            ),
            // Above every key of the tables, and another range for each site.
            ticks: AtomicU64::new(0x01f2_0000_0000_0000),
        }
    }

    fn to(&self, line: &[u8]) -> bytes::Bytes {
        if memchr::memmem::find(line, b"/deployment/count").is_some() {
            return self.count.clone();
        }
        if memchr::memmem::find(line, b"/telemetry/data").is_some() {
            return self.identity.clone();
        }
        if line.starts_with(b"POST ") && memchr::memmem::find(line, b"/start ").is_some() {
            let id = version_1(self.ticks.fetch_add(1, Ordering::Relaxed), self.site);
            return answer(
                "200 OK",
                &format!(
                    r#"{{"links":[],"id":"{id}","definitionId":"order:1:{id}","businessKey":null,"caseInstanceId":null,"ended":false,"suspended":false,"tenantId":null}}"#
                ),
            );
        }
        if matches!(self.checks, Checks::OwnKeys) && !self.is_own(line) {
            return self.elsewhere.clone();
        }
        self.variables.clone()
    }

    /// The last digit of the id in the path is the number of its site.
    fn is_own(&self, line: &[u8]) -> bool {
        let Some(at) = memchr::memmem::find(line, b"/process-instance/") else {
            return true;
        };
        let digit = line.get(at + "/process-instance/".len() + 35);
        digit.is_some_and(|digit| (*digit as char).to_digit(16) == u32::try_from(self.site).ok())
    }
}
