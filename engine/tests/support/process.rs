//! An engine in a process of its own, so that it can be killed: this very test program, told to serve.

use super::kafka::bridge;
use super::{Answer, try_request};
use homing_engine::{Delegate, HttpCall, KeyAt, Node, Options};
use http::Method;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use url::Url;

const URL: &str = "HOMING_ENGINE_TEST_URL";
const NAME: &str = "HOMING_ENGINE_TEST_NAME";
const ADDRESS: &str = "HOMING_ENGINE_TEST_ADDRESS";
const KAFKA: &str = "HOMING_ENGINE_TEST_KAFKA";
const CALLED: &str = "HOMING_ENGINE_TEST_CALLED";
/// The name that stands for a call, and how long it may take: its lock lasts a little longer.
const NAMED: &str = "com.example.Charge";
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Who is silent for so long is dead.
pub(crate) const WINDOW: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(120);

/// A running engine, or one that was killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) async fn start(url: &str, name: &str) -> Process {
        Process::bridged(url, name, "").await
    }

    /// With bridges from a broker of Kafka, where one is named.
    pub(crate) async fn bridged(url: &str, name: &str, broker: &str) -> Process {
        Process::told(url, name, (KAFKA, broker)).await
    }

    /// With a name that stands for a call to a server.
    pub(crate) async fn calling(url: &str, name: &str, called: &Url) -> Process {
        Process::told(url, name, (CALLED, called.as_str())).await
    }

    async fn told(url: &str, name: &str, (what, more): (&str, &str)) -> Process {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("address");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "serve"])
            .env(URL, url)
            .env(NAME, name)
            .env(ADDRESS, &told)
            .env(KAFKA, "")
            .env(CALLED, "")
            .env(what, more)
            // It ends with its standard input, and that with this process.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let address = loop {
            assert!(tokio::time::Instant::now() < deadline, "{name} is not up");
            assert!(child.try_wait().unwrap().is_none(), "{name} ended");
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            match text.parse() {
                Ok(address) => break address,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        Process {
            child,
            name: name.to_owned(),
            address,
        }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Json) -> Option<Answer> {
        send(self.address, method, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Json {
        let answer = self.send(Method::GET, path, &Json::Null).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
        answer.json()
    }

    pub(crate) async fn post(&self, path: &str, body: Json) -> Json {
        let answer = self.send(Method::POST, path, &body).await.unwrap();
        assert!(answer.status < 300, "{path}: {}", answer.json());
        answer.json()
    }

    pub(crate) async fn deploy(&self, xml: &str) {
        let body = format!(
            "--zzz\r\nContent-Disposition: form-data; name=\"m\"; filename=\"m.bpmn\"\r\n\r\n{xml}\r\n--zzz--\r\n"
        );
        let body = Some(("multipart/form-data; boundary=zzz", body.into_bytes()));
        let path = "/engine-rest/deployment/create";
        let answer = try_request(self.address, Method::POST, path, body).await;
        assert_eq!(answer.unwrap().status, 200);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One request; `None`: no answer.
pub(crate) async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: &Json,
) -> Option<Answer> {
    let with = (method != Method::GET).then(|| ("application/json", body.to_string().into_bytes()));
    try_request(address, method, path, with).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "how a test tells its own program what to do"
)]
fn told(what: &str) -> String {
    std::env::var(what).unwrap()
}

/// What the program does that is told to serve.
pub(crate) async fn serve() {
    let node = Node::start(Options {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        store_url: told(URL),
        name: told(NAME),
        failover_window: WINDOW,
        connections: 3,
        bridges: match told(KAFKA) {
            broker if broker.is_empty() => Vec::new(),
            broker => vec![
                bridge("orders", &broker, KeyAt::RecordKey),
                bridge("all", &broker, KeyAt::Place),
            ],
        },
        delegates: match Url::parse(&told(CALLED)) {
            Ok(url) => {
                let mut call = HttpCall::to(&url, "/held");
                call.timeout = CALL_TIMEOUT;
                BTreeMap::from([(NAMED.to_owned(), Delegate::Http(Box::new(call)))])
            }
            Err(_) => BTreeMap::new(),
        },
        ..Options::default()
    })
    .await
    .unwrap();
    let file = PathBuf::from(told(ADDRESS));
    let draft = file.with_extension("draft");
    std::fs::write(&draft, node.address().to_string()).unwrap();
    std::fs::rename(&draft, &file).unwrap();
    let wait = || drop(std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::task::spawn_blocking(wait).await.unwrap();
}
