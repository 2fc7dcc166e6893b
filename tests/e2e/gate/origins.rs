//! Origins of different make that remember what arrived.

mod operaton;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Result;
use homing_harness::{
    clock::{eventually, eventually_blocking},
    fake_site::{FakeSite, Reply},
    nursery::{self, Process, Spec},
    paths::new_folder,
    ports::{free_port, loopback},
};
use rustix::process::Signal;

/// A request as an origin saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    method: String,
    target: String,
    /// `None`: it did not arrive whole, or this origin does not say.
    body: Option<String>,
}

impl Arrived {
    pub(super) fn new(method: &str, target: &str, body: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            body: Some(body.to_owned()),
        }
    }

    /// The head of a request whose body the gate broke off.
    pub(super) fn is_begin_of_a_post(&self) -> bool {
        self.method == "POST" && self.target == "/app/a" && self.body.is_none()
    }
}

const SOON: Duration = Duration::from_secs(10);

pub(super) trait Origin {
    fn endpoint(&self) -> String;

    fn arrived(&self) -> Result<Vec<Arrived>>;

    /// What the canary of this number asks for; the answer must name it.
    fn canary(&self, number: usize) -> String {
        format!("/app/canary-{number}")
    }

    /// What the origin says to requests that it takes.
    fn answers(&self, status: u16) -> bool {
        status == 200
    }

    /// Whether both are the same, as far as this origin says.
    fn same(&self, got: &[Arrived], wanted: &[Arrived]) -> bool {
        got == wanted
    }

    /// All that arrived, when this request has.
    async fn arrived_with(&self, target: &str) -> Result<Vec<Arrived>> {
        eventually("the origin says what arrived", SOON, async || {
            let arrived = self.arrived()?;
            let there = arrived.iter().any(|arrived| arrived.target == target);
            Ok(there.then_some(arrived))
        })
        .await
    }
}

pub(super) use operaton::Operaton;

/// hyper, in this process.
pub(super) struct Hyper(FakeSite);

impl Hyper {
    pub(super) async fn start() -> Result<Self> {
        Ok(Self(
            FakeSite::start(|seen| Reply::text(200, "text/plain", &seen.target)).await?,
        ))
    }
}

impl Origin for Hyper {
    fn endpoint(&self) -> String {
        self.0.endpoint("")
    }

    fn arrived(&self) -> Result<Vec<Arrived>> {
        let seen = self.0.seen().into_iter();
        Ok(seen
            .map(|seen| Arrived {
                method: seen.method.to_string(),
                target: seen.target,
                body: seen
                    .whole
                    .then(|| String::from_utf8_lossy(&seen.body).into_owned()),
            })
            .collect())
    }
}

/// nginx; its log has no bodies.
pub(super) struct Nginx {
    port: u16,
    log: PathBuf,
    _process: Process,
}

impl Nginx {
    pub(super) fn start() -> Result<Self> {
        let folder = new_folder("nginx")?;
        let (port, log) = (free_port()?, folder.join("access.log"));
        let (place, file) = (folder.display(), log.display());
        let text = format!(
            "daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/error.log;\nevents {{}}\nhttp {{\n\
             log_format seen escape=none '$request_method $request_uri';\naccess_log {file} seen;\n\
             large_client_header_buffers 8 64k;\nclient_body_temp_path {place};\nproxy_temp_path {place};\n\
             fastcgi_temp_path {place};\nuwsgi_temp_path {place};\nscgi_temp_path {place};\n\
             server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"$request_uri\"; }} }}\n}}\n"
        );
        let config = folder.join("nginx.conf");
        fs::write(&config, text)?;
        let args = ["-c".into(), config.display().to_string()];
        let process = started("nginx", "nginx", &args, &folder, port)?;
        Ok(Self {
            port,
            log,
            _process: process,
        })
    }
}

impl Origin for Nginx {
    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn arrived(&self) -> Result<Vec<Arrived>> {
        let text = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        Ok(lines(&text)
            // A connection that ended without a request.
            .filter(|line| *line != "- -" && !line.starts_with(' '))
            .map(|line| {
                let (method, target) = line.split_once(' ').unwrap_or((line, ""));
                Arrived {
                    method: method.to_owned(),
                    target: target.to_owned(),
                    body: None,
                }
            })
            .collect())
    }

    fn same(&self, got: &[Arrived], wanted: &[Arrived]) -> bool {
        same_heads(got, wanted)
    }
}

fn same_heads(got: &[Arrived], wanted: &[Arrived]) -> bool {
    let heads = |all: &[Arrived]| -> Vec<(String, String)> {
        all.iter()
            .map(|arrived| (arrived.method.clone(), arrived.target.clone()))
            .collect()
    };
    heads(got) == heads(wanted)
}

/// Python's own HTTP server.
pub(super) struct Python {
    port: u16,
    log: PathBuf,
    _process: Process,
}

const SERVER: &str = r#"
import http.client, http.server, json, sys
http.client._MAXHEADERS = 1000
log = open(sys.argv[2], "a", buffering=1)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            whole = b""
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                whole += self.rfile.read(size)
                if size == 0:
                    while self.rfile.readline().strip():
                        pass
                    return whole
                self.rfile.readline()
        length = int(self.headers.get("Content-Length", 0))
        whole = self.rfile.read(length)
        if len(whole) != length:
            raise ValueError("cut")
        return whole
    def answer(self):
        try:
            body = self.body()
        except ValueError:
            self.close_connection = True
            return
        log.write(json.dumps([self.command, self.path, body.decode("latin-1")]) + "\n")
        text = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

impl Python {
    pub(super) fn start() -> Result<Self> {
        let folder = new_folder("python")?;
        let (port, log) = (free_port()?, folder.join("seen.log"));
        let args = [
            "-c".into(),
            SERVER.into(),
            port.to_string(),
            log.display().to_string(),
        ];
        let process = started("python", "python3", &args, &folder, port)?;
        Ok(Self {
            port,
            log,
            _process: process,
        })
    }
}

impl Origin for Python {
    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn arrived(&self) -> Result<Vec<Arrived>> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        lines(&text)
            .map(|line| {
                let [method, target, body]: [String; 3] = serde_json::from_str(line)?;
                Ok(Arrived::new(&method, &target, &body))
            })
            .collect()
    }
}

/// Whole lines; the last one may still be being written.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
}

fn started(
    name: &str,
    program: &str,
    args: &[String],
    folder: &std::path::Path,
    port: u16,
) -> Result<Process> {
    let process = nursery::start(Spec {
        name: name.to_owned(),
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        user: None,
        log: folder.join("log"),
        stop_signal: Signal::TERM,
    })?;
    eventually_blocking(&format!("{name} listens"), SOON, || {
        Ok(std::net::TcpStream::connect(loopback(port))
            .is_ok()
            .then_some(()))
    })?;
    Ok(process)
}
