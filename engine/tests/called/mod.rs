//! A server that is called, in a process of its own: this very test program, told to answer.
//!
//! It writes down what it was asked, one line of JSON each, and answers as the path says.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use url::Url;

const FOLDER: &str = "HOMING_ENGINE_TEST_CALLED_FOLDER";
const PATIENCE: Duration = Duration::from_secs(60);
/// What is more than any engine takes here.
pub(crate) const LARGE: usize = 100 * 1024 * 1024;

pub(crate) struct Called {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) url: Url,
}

impl Called {
    pub(crate) async fn start() -> Called {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "answer"])
            .env(FOLDER, folder.path())
            // It ends with its standard input, and that with this process.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let told = folder.path().join("address");
        let address = loop {
            assert!(tokio::time::Instant::now() < deadline, "no server is up");
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            match text.parse::<SocketAddr>() {
                Ok(address) => break address,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        Called {
            child,
            folder,
            url: Url::parse(&format!("http://{address}")).unwrap(),
        }
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Json> {
        let text = std::fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default();
        let lines = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// From now on `/held` answers.
    pub(crate) fn open(&self) {
        std::fs::write(self.folder.path().join("open"), "").unwrap();
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn told(headers: &HeaderMap) -> Json {
    let one = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (
            name.to_string(),
            Json::from(value.to_str().unwrap_or_default()),
        )
    };
    Json::Object(headers.iter().map(one).collect())
}

async fn respond(State(folder): State<PathBuf>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let sent: Json = serde_json::from_slice(&body).unwrap_or(Json::Null);
    let line = json!({
        "method": head.method.as_str(), "target": head.uri.to_string(), "headers": told(&head.headers), "body": sent,
    });
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.join("asked"))
        .unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
    let amount = sent["amount"].as_i64().unwrap_or(0);
    match head.uri.path() {
        "/held" => {
            wait_for(&folder.join("open")).await;
            axum::Json(json!({ "charged": amount + 1 })).into_response()
        }
        "/large" => Body::from(vec![b'x'; LARGE]).into_response(),
        "/stuck" => std::future::pending().await,
        "/missing" => {
            let body = json!({ "message": "no such order" });
            (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
        }
        "/sold" => [("homing-bpmn-error", "SOLD")].into_response(),
        "/busy" => (StatusCode::SERVICE_UNAVAILABLE, "come back").into_response(),
        "/moved" => {
            let to = [("location", "/charge")];
            (StatusCode::FOUND, to).into_response()
        }
        "/text" => "plain words".into_response(),
        _ => axum::Json(json!({ "charged": amount + 1, "lines": [1, 2] })).into_response(),
    }
}

async fn wait_for(file: &Path) {
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What the program does that is told to answer.
#[expect(
    clippy::disallowed_methods,
    reason = "how a test tells its own program what to do"
)]
pub(crate) async fn answer_here() {
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let draft = folder.join("draft");
    std::fs::write(&draft, address.to_string()).unwrap();
    std::fs::rename(&draft, folder.join("address")).unwrap();
    let app = Router::new().fallback(respond).with_state(folder);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let wait = || drop(std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::task::spawn_blocking(wait).await.unwrap();
}
