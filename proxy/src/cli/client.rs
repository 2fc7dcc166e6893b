//! The client of the admin listener that every verb shares.
//!
//! Owns `--admin`, `--json`, `--timeout` and one exchange on a connection of its own. Must not interpret answers beyond
//! their status.

use super::Exit;
use super::output;
use crate::clock;
use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

/// Where the router is, and how its answers are shown.
#[derive(Args, Clone, Debug)]
pub(super) struct Remote {
    /// Admin listener: `http://HOST:PORT` or `unix:/PATH`.
    #[arg(
        long,
        env = "HOMING_ADMIN",
        default_value = "http://127.0.0.1:8081",
        value_parser = place,
        global = true
    )]
    admin: String,
    /// Machine-readable output, stable, with a `schema` member.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Longest wait for an answer, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..), global = true)]
    timeout: u64,
}

/// An address of an admin listener; anything else is a mistake of whoever types it.
fn place(text: &str) -> Result<String, String> {
    let sound = match (text.strip_prefix("unix:"), text.strip_prefix("http://")) {
        (Some(path), _) => path.starts_with('/'),
        (None, Some(place)) => {
            homing_config::settings::HostPort::parse(place.trim_end_matches('/')).is_ok()
        }
        (None, None) => false,
    };
    match sound {
        true => Ok(text.to_owned()),
        false => Err("write http://HOST:PORT or unix:/PATH".to_owned()),
    }
}

/// What goes on without a command is asked about for so long while nobody answers.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Between two such looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How much of a refusal is read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// A request body.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A whole answer.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) etag: Option<HeaderValue>,
    pub(super) json: Value,
}

/// One call.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Body,
}

impl Call {
    /// A GET.
    pub(super) fn get(path: impl Into<String>) -> Call {
        Call {
            method: Method::GET,
            path: path.into(),
            headers: Vec::new(),
            body: whole(Bytes::new()),
        }
    }

    /// A call with a JSON body.
    pub(super) fn with(method: Method, path: impl Into<String>, body: &Value) -> Call {
        let content_type = (
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        Call {
            method,
            path: path.into(),
            headers: vec![content_type],
            body: whole(body.to_string().into()),
        }
    }

    /// Adds a header; text that cannot stand in one is the caller's mistake.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Result<Call, Exit> {
        let value = HeaderValue::try_from(value).map_err(|_| {
            output::complain(
                Exit::Usage,
                &format!("\"{value}\" cannot stand in the header {name}"),
            )
        })?;
        self.headers.push((name, value));
        Ok(self)
    }
}

/// A body that is in memory.
pub(super) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

impl Remote {
    /// Longest wait for an answer.
    pub(super) fn within(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// The same router, asked with enough patience for an answer that comes after so many seconds.
    pub(super) fn patient(&self, seconds: u64) -> Remote {
        Remote {
            timeout: self.timeout.max(seconds.saturating_add(5)),
            ..self.clone()
        }
    }

    /// Makes the call; an answer that refuses is printed and becomes an exit code.
    pub(super) fn call(&self, call: Call) -> Result<Reply, Exit> {
        self.judge(self.ask(call)?)
    }

    /// Looks at what goes on without this command, again and again while the router, or the store behind it, is away.
    pub(super) fn follow(&self, path: &str, goes_on: &str) -> Result<Value, Exit> {
        let since = clock::now();
        let mut complained = false;
        loop {
            let why = match self.try_to_ask(Call::get(path)) {
                Ok(reply) if reply.status.is_server_error() => told(reply.status, &reply.json),
                Ok(reply) => return self.judge(reply).map(|reply| reply.json),
                Err(why) => why,
            };
            if clock::now().duration_since(since) >= AWAY_MAX {
                let what = format!("{why}; {goes_on} (here, or with --admin of another router)");
                return Err(output::complain(Exit::Unreachable, &what));
            }
            if !complained {
                output::remark(&format!("{why}; asking again for {AWAY_MAX:?}"));
                complained = true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// An answer that is no success is complained of.
    fn judge(&self, reply: Reply) -> Result<Reply, Exit> {
        if reply.status.is_success() {
            return Ok(reply);
        }
        let text = told(reply.status, &reply.json);
        Err(output::complain(exit_of(reply.status), &text))
    }

    /// Makes the call; only an answer that does not come is an error.
    pub(super) fn ask(&self, call: Call) -> Result<Reply, Exit> {
        let asked = self.try_to_ask(call);
        asked.map_err(|why| output::complain(Exit::Unreachable, &why))
    }

    /// The same; nothing is complained of.
    pub(super) fn try_to_ask(&self, call: Call) -> Result<Reply, String> {
        let asking = async { self.in_time(self.whole_answer(call)).await? };
        run(asking).map_err(|why| self.unanswered(&why))
    }

    /// Makes a call with a long body; the answer is waited for anew with each piece of it that was sent.
    pub(super) fn upload(&self, mut call: Call) -> Result<Reply, Exit> {
        let sent = Arc::new(Notify::new());
        let tells = Arc::clone(&sent);
        let pieces = call.body.map_frame(move |piece| {
            tells.notify_one();
            piece
        });
        call.body = pieces.boxed_unsync();
        let asking = async {
            let mut answer = std::pin::pin!(self.whole_answer(call));
            loop {
                let next = async {
                    tokio::select! {
                        biased;
                        answer = answer.as_mut() => Some(answer),
                        () = sent.notified() => None,
                    }
                };
                if let Some(answer) = self.in_time(next).await? {
                    return answer;
                }
            }
        };
        let asked = run(asking).map_err(|why| self.unanswered(&why));
        asked.map_err(|why| output::complain(Exit::Unreachable, &why))
    }

    async fn whole_answer(&self, call: Call) -> Result<Reply, String> {
        let answer = self.send(call).await?;
        let (head, body) = answer.into_parts();
        let bytes = body
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        let json = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Reply {
            status: head.status,
            etag: head.headers.get(http::header::ETAG).cloned(),
            json,
        })
    }

    /// Makes the call and hands the answer's body on piece by piece; each of them is waited for anew.
    pub(super) fn stream(
        &self,
        call: Call,
        mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), Exit> {
        let asking = async {
            let answer = self.in_time(self.send(call)).await??;
            let status = answer.status();
            let mut body = answer.into_body();
            let mut refusal = Vec::new();
            while let Some(frame) = self.in_time(body.frame()).await? {
                let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
                let Some(data) = frame.data_ref() else {
                    continue;
                };
                if status.is_success() {
                    take(data).map_err(|error| error.to_string())?;
                } else if refusal.len() < REFUSAL_BYTES_MAX {
                    refusal.extend_from_slice(data);
                }
            }
            Ok((status, refusal))
        };
        let ran = run(asking).map_err(|why| self.unanswered(&why));
        let (status, refusal) = ran.map_err(|why| output::complain(Exit::Unreachable, &why))?;
        if status.is_success() {
            return Ok(());
        }
        let refusal = serde_json::from_slice(&refusal).unwrap_or(Value::Null);
        Err(output::complain(exit_of(status), &told(status, &refusal)))
    }

    /// What comes within the longest wait.
    async fn in_time<T>(&self, awaited: impl Future<Output = T>) -> Result<T, String> {
        let within = self.within();
        let come = tokio::time::timeout(within, awaited).await;
        come.map_err(|_| format!("no answer within {within:?}"))
    }

    fn unanswered(&self, why: &str) -> String {
        format!("the router at {} cannot be asked: {why}", self.admin)
    }

    async fn send(&self, call: Call) -> Result<http::Response<Incoming>, String> {
        if let Some(path) = self.admin.strip_prefix("unix:") {
            let stream = UnixStream::connect(path)
                .await
                .map_err(|error| error.to_string())?;
            return exchange(stream, "localhost", call).await;
        }
        let Some(place) = self.admin.strip_prefix("http://") else {
            return Err("write http://HOST:PORT or unix:/PATH".into());
        };
        let place = place.trim_end_matches('/');
        let stream = TcpStream::connect(place)
            .await
            .map_err(|error| error.to_string())?;
        exchange(stream, place, call).await
    }
}

/// On a runtime of its own.
fn run<T>(asking: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| error.to_string())?.block_on(asking)
}

/// One exchange on a connection that is there.
pub(super) async fn exchange<S>(
    stream: S,
    host: &str,
    call: Call,
) -> Result<http::Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .header(http::header::HOST, host);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = request.body(call.body).map_err(|error| error.to_string())?;
    sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())
}

/// Why the router refuses, in its words.
pub(super) fn told(status: StatusCode, refusal: &Value) -> String {
    let detail = refusal.get("detail").and_then(Value::as_str);
    detail.map_or_else(|| format!("the router answered {status}"), str::to_owned)
}

pub(super) fn exit_of(status: StatusCode) -> Exit {
    match status.as_u16() {
        400 | 404 | 422 => Exit::Failed,
        403 | 409 => Exit::Refused,
        412 | 428 => Exit::Stale,
        _ => Exit::Failed,
    }
}

/// A key or name as one path segment.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// Seconds, of waits for pieces that come a little sooner.
    const LONGEST: u64 = 2;
    const APART: Duration = Duration::from_millis(900);
    const PIECES: usize = 3;

    #[test]
    fn an_answer_may_take_longer_than_each_of_its_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = Remote {
            admin: format!("http://{}", listener.local_addr().unwrap()),
            json: false,
            timeout: LONGEST,
        };
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let asked = stream.read(&mut [0; 1024]).unwrap();
            assert!(asked > 0);
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head).unwrap();
            for _ in 0..PIECES {
                std::thread::sleep(APART);
                stream.write_all(b"2\r\nhi\r\n").unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        });
        let mut all = Vec::new();
        let take = |piece: &[u8]| {
            all.extend_from_slice(piece);
            Ok(())
        };
        assert!(remote.stream(Call::get("/export"), take).is_ok());
        assert_eq!(all, b"hi".repeat(PIECES));
        server.join().unwrap();
    }

    #[test]
    fn an_answer_may_come_long_after_the_first_piece_of_what_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = Remote {
            admin: format!("http://{}", listener.local_addr().unwrap()),
            json: false,
            timeout: LONGEST,
        };
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = Vec::new();
            while !got.ends_with(b"0\r\n\r\n") {
                let mut some = [0; 1024];
                let length = stream.read(&mut some).unwrap();
                assert!(length > 0, "the client left");
                got.extend_from_slice(&some[..length]);
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            stream.write_all(answer).unwrap();
        });
        let pieces = futures_util::stream::unfold(0, |sent| async move {
            tokio::time::sleep(APART).await;
            let piece = http_body::Frame::data(Bytes::from_static(b"hi"));
            (sent < PIECES).then_some((Ok(piece), sent + 1))
        });
        let call = Call {
            method: Method::POST,
            body: http_body_util::StreamBody::new(pieces).boxed_unsync(),
            ..Call::get("/import")
        };
        assert!(remote.upload(call).is_ok());
        server.join().unwrap();
    }

    #[test]
    fn an_address_that_is_none_is_a_mistake_of_usage() {
        for good in [
            "http://127.0.0.1:8081",
            "http://router.example:8081/",
            "http://[::1]:8081",
            "unix:/run/homing/admin.sock",
        ] {
            assert!(place(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:8081",
            "https://r:1",
            "http://r",
            "unix:admin.sock",
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
