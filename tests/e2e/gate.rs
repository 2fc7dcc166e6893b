//! The corpus on the wire, through the router, to origins of different make: each sees exactly what was meant, or nothing.

#[expect(unreachable_pub, reason = "the unit tests of the tap use it too")]
#[path = "../corpus/cases.rs"]
mod cases;
mod origins;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use cases::{Case, Expected};
use homing_harness::{
    client::Client,
    outcome::Promise,
    ports::loopback,
    router::{Builder, Router},
};
use origins::{Arrived, Hyper, Nginx, Operaton, Origin, Python};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

const DIALECT: &str = r#"
[[dialect]]
name = "anything"
rules = [{ path = "/**", class = "any" }]
"#;
/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn router(name: &str, origin: &str) -> Result<Router> {
    Builder::new(name)
        .site_with("a", "anything", &[origin], "")
        .tables(DIALECT)
        .start()
        .await
}

/// Status and body of the next answer; `None` at the end of the connection.
pub(crate) async fn answer(
    stream: &mut BufReader<TcpStream>,
    method: &str,
) -> Result<Option<(u16, String)>> {
    loop {
        let mut line = String::new();
        let Ok(read) = stream.read_line(&mut line).await else {
            return Ok(None);
        };
        if read == 0 {
            return Ok(None);
        }
        let status: u16 = line
            .split(' ')
            .nth(1)
            .context("no status")?
            .parse()
            .with_context(|| format!("no status in {line:?}"))?;
        let mut length = 0;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        if status < 200 {
            continue;
        }
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        stream.read_exact(&mut body).await?;
        return Ok(Some((status, String::from_utf8_lossy(&body).into_owned())));
    }
}

/// Sends one case and reads what comes back; says what is not as it should be.
async fn tried(origin: &impl Origin, port: u16, case: &Case) -> Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(loopback(port)).await?);
    // A refusal may close the connection before all is sent.
    let _ = stream.write_all(&case.bytes).await;
    for expected in &case.expected {
        let (method, wanted) = match expected {
            Expected::Passes { method, .. } => (method.as_str(), None),
            Expected::Refused(rule) => ("GET", Some(rule)),
        };
        let got = timeout(PATIENCE, answer(&mut stream, method))
            .await
            .context("no answer")??;
        match (got, wanted) {
            (Some((status, body)), None)
                if origin.answers(status) && !body.contains("urn:homing:problem") => {}
            (Some((status, body)), Some(rule)) if in_head(rule) => {
                if !matches!(status, 400 | 414 | 431) || !body.contains(rule.as_str()) {
                    bail!("{status} {body} does not name {rule}");
                }
            }
            // In the middle of a body, breaking off is an answer too; a success is not.
            (None | Some((400..=599, _)), Some(_)) => {}
            (got, wanted) => bail!("{got:?}, wanted {wanted:?}"),
        }
    }
    if matches!(case.expected.last(), Some(Expected::Refused(_))) {
        let mut rest = Vec::new();
        let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        if end.is_err() || !rest.is_empty() {
            bail!("the connection goes on after a refusal");
        }
    }
    Ok(())
}

fn in_head(rule: &str) -> bool {
    !rule.starts_with("chunk-") && rule != "trailer"
}

/// What the origin must have got of a case, and whether it may have got the begin of one more.
fn wanted(case: &Case, canary: &str) -> (Vec<Arrived>, bool) {
    let mut wanted = Vec::new();
    let mut may_begin = false;
    for expected in &case.expected {
        match expected {
            Expected::Passes {
                method,
                target,
                body,
            } => wanted.push(Arrived::new(method, target, body)),
            Expected::Refused(rule) => may_begin |= !in_head(rule),
        }
    }
    wanted.push(Arrived::new("GET", canary, ""));
    (wanted, may_begin)
}

async fn corpus_against(name: &str, origin: &impl Origin) -> Result<()> {
    let router = router(name, &origin.endpoint()).await?;
    let client: Client = router.client("");
    let mut wrong = Vec::new();
    let mut before = origin.arrived()?.len();
    for (number, case) in cases::all().into_iter().enumerate() {
        if let Err(error) = tried(origin, router.port(), &case).await {
            wrong.push(format!("{}: {error:#}", case.name));
        }
        let canary = origin.canary(number);
        let answered = client.get(&canary).await?;
        let named = answered.text().contains(&format!("canary-{number}"));
        if !named || !origin.answers(answered.status.as_u16()) {
            wrong.push(format!("{}: the canary got {}", case.name, answered.text()));
        }
        let arrived = origin.arrived_with(&canary).await?;
        let got: Vec<Arrived> = arrived[before..].to_vec();
        before = arrived.len();
        let (wanted, may_begin) = wanted(&case, &canary);
        let whole: Vec<Arrived> = got
            .iter()
            .filter(|arrived| !(may_begin && arrived.is_begin_of_a_post()))
            .cloned()
            .collect();
        if !origin.same(&whole, &wanted) {
            wrong.push(format!("{}: {got:?}, wanted {wanted:?}", case.name));
        }
    }
    anyhow::ensure!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hyper_sees_what_was_meant_or_nothing() -> Promise {
    corpus_against("gate-hyper", &Hyper::start().await?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_sees_what_was_meant_or_nothing() -> Promise {
    corpus_against("gate-nginx", &Nginx::start()?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_server_sees_what_was_meant_or_nothing() -> Promise {
    corpus_against("gate-python", &Python::start()?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_engine_sees_what_was_meant_or_nothing() -> Promise {
    corpus_against("gate-operaton", &Operaton::start().await?).await?;
    Ok(())
}
