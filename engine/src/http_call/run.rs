//! The loop that makes the calls of this engine.
//!
//! Owns its pauses, how many calls it makes at once, and how a call's external task ends. Makes calls only where jobs run: the
//! executor's switches count here too. A lock outlives the longest call, so that two engines never make one call at once; what
//! is locked by an engine that died is called again when its lock has run out.

use super::answer::{Failed, Outcome, read};
use super::connect::{Trouble, send};
use super::{Calls, Ready};
use crate::clock::{Millis, monotonic};
use crate::error::Error;
use crate::ids::At;
use crate::machine::{Context, Raised, texts_at};
use crate::runtime::Handle;
use crate::store::{Executor, Fetch, Topic, Wanted, WorkRow};
use crate::time::retry::Retry;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Calls that one engine makes at once.
const AT_ONCE: usize = 32;
/// Longest pause between two looks: what another engine made is seen no later.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A lock lasts so much longer than the call, for what is to be done before and after it.
const MARGIN: Duration = Duration::from_secs(5);
/// Pause before an outcome is brought once more to a database that was away.
const AGAIN: Duration = Duration::from_millis(200);

/// Runs until `stop` says so.
pub(crate) async fn run(handle: Handle, calls: Calls, mut stop: watch::Receiver<bool>) {
    // Another process of this name is another worker: it must not end what this one has begun.
    let id = handle.new_id();
    let worker = format!("{} http {id}", handle.identity().name);
    let mut running = JoinSet::new();
    let mut bell = handle.work_bell();
    let mut view = handle.inner.place.view.subscribe();
    let mut local = handle.inner.place.local.subscribe();
    while !*stop.borrow() {
        bell.mark_unchanged();
        view.mark_unchanged();
        local.mark_unchanged();
        let free = AT_ONCE.saturating_sub(running.len());
        if free > 0 && handle.executor() == Executor::Enabled {
            match handle.fetch_and_lock(&fetch(&calls, &worker, free)).await {
                Ok(ids) => {
                    for id in ids {
                        let (handle, calls) = (handle.clone(), Arc::clone(&calls));
                        let worker = worker.clone();
                        running
                            .spawn(async move { carry_out(&handle, &calls, &worker, &id).await });
                    }
                }
                Err(failure) => tracing::warn!(%failure, "calls could not be claimed"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE_MAX) => {}
            _ = bell.changed() => {}
            _ = stop.changed() => {}
            _ = view.changed() => {}
            _ = local.changed() => {}
            Some(done) = running.join_next() => {
                if let Err(failure) = done {
                    tracing::error!(%failure, "a call's task ended by itself");
                }
            }
        }
    }
    while running.join_next().await.is_some() {}
}

fn fetch(calls: &Calls, worker: &str, free: usize) -> Fetch {
    let topic = |(name, ready): (&String, &Ready)| Topic {
        name: name.clone(),
        lock_ms: millis(ready.call.timeout.saturating_add(MARGIN)),
        ..Topic::default()
    };
    Fetch {
        worker: worker.to_owned(),
        max: i64::try_from(free).unwrap_or(0),
        wanted: Wanted {
            by_priority: true,
            by_age: Some(false),
            topics: calls.iter().map(topic).collect(),
        },
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// One call, and the end of its external task.
async fn carry_out(handle: &Handle, calls: &Calls, worker: &str, id: &str) {
    let begun = monotonic();
    let row = match handle.store().work(id).await {
        Ok(Some(row)) => row,
        Ok(None) => return,
        Err(failure) => {
            // Its lock runs out.
            tracing::warn!(task = id, %failure, "a call could not be read");
            return;
        }
    };
    let Some(ready) = calls.get(&row.topic) else {
        return;
    };
    let counters = &handle.inner.counters;
    counters.http_calls.fetch_add(1, Ordering::Relaxed);
    let outcome = call(handle, ready, &row).await;
    if matches!(outcome, Outcome::Failed(_)) {
        counters.http_calls_failed.fetch_add(1, Ordering::Relaxed);
    }
    loop {
        let ended = end(handle, ready, &row, worker, &outcome).await;
        let lasts = begun.elapsed() < ready.call.timeout.saturating_add(MARGIN);
        match ended {
            // While the lock lasts, nobody else makes this call: what it came to is not thrown away.
            Err(Error::Store(_)) if lasts => tokio::time::sleep(AGAIN).await,
            Err(error) => {
                tracing::info!(task = id, %error, "a call was made for nothing");
                return;
            }
            Ok(()) => return,
        }
    }
}

/// Brings home what a call came to; what follows in the process may fail, and then this try has.
async fn end(
    handle: &Handle,
    ready: &Ready,
    row: &WorkRow,
    worker: &str,
    outcome: &Outcome,
) -> Result<(), Error> {
    let done = match outcome.clone() {
        Outcome::Done(values) => {
            let none = Vec::new();
            handle.complete_work(&row.id, worker, values, none).await
        }
        Outcome::Error(code, message, values) => {
            let raised = Raised::Error { code, message };
            handle.error_at_work(&row.id, worker, raised, values).await
        }
        Outcome::Failed(failed) => return fail(handle, ready, row, worker, failed).await,
    };
    match done {
        Err(error) if !matches!(error, Error::Store(_)) => {
            let failed = Failed::because(error.to_string());
            fail(handle, ready, row, worker, failed).await
        }
        other => other,
    }
}

/// One try less, later again, or an incident.
async fn fail(
    handle: &Handle,
    ready: &Ready,
    row: &WorkRow,
    worker: &str,
    failed: Failed,
) -> Result<(), Error> {
    let at = (row.instance.as_str(), row.execution.as_str());
    let text = handle.retry_text(&row.definition, &row.element, Some(at));
    let said = text.await.as_deref().and_then(Retry::parse);
    let retry = said.as_ref().unwrap_or(&ready.retry);
    let had = row.retries.unwrap_or(retry.times);
    let now = handle.clock().now();
    let pause = retry
        .pause(had)
        .and_then(|span| crate::time::add(now, span));
    let pause = pause.map_or(0, |until| until.saturating_sub(now).max(0));
    let after = pause.max(failed.wait_ms.unwrap_or(0));
    let spot = handle.spot(&row.definition, &row.element).await;
    let message = spot.map_or_else(
        || failed.message.clone(),
        |spot| spot.add_to(failed.message.clone()),
    );
    let told = failed.details.unwrap_or_else(|| message.clone());
    let none = (Vec::new(), Vec::new());
    let tries = ((had - 1).max(0), after);
    handle
        .fail_work(&row.id, worker, (Some(message), Some(told)), tries, none)
        .await
}

/// Makes the call.
async fn call(handle: &Handle, ready: &Ready, row: &WorkRow) -> Outcome {
    let method = &ready.call.method;
    let failed = |why: String| Outcome::Failed(Failed::because(why));
    let request = match request(handle, ready, row).await {
        Ok(request) => request,
        Err(why) => return failed(format!("{method} {}: {why}", ready.call.origin)),
    };
    // A query may hold what is nobody's business.
    let called = format!("{method} {}{}", ready.call.origin, request.uri().path());
    let most = handle.inner.limits.http_answer_bytes;
    let answer = send(&ready.trust, request, most);
    match tokio::time::timeout(ready.call.timeout, answer).await {
        Ok(Ok(raw)) => read(&ready.call, &called, &raw),
        Ok(Err(trouble)) => {
            if matches!(trouble, Trouble::Large(_)) {
                let hits = &handle.inner.counters.limit_hits;
                hits.fetch_add(1, Ordering::Relaxed);
            }
            failed(format!("{called}: {trouble}"))
        }
        Err(_) => {
            let within = ready.call.timeout.as_millis();
            failed(format!("{called}: no whole answer within {within} ms"))
        }
    }
}

/// The request of a call, from what the element sees.
async fn request(handle: &Handle, ready: &Ready, row: &WorkRow) -> Result<Request<Bytes>, String> {
    let call = &ready.call;
    let loaded = handle.store().load(&row.instance).await;
    let loaded = loaded.map_err(|failure| failure.to_string())?;
    let loaded = loaded.ok_or("the instance is gone")?;
    let mut body = Bytes::new();
    if ![Method::GET, Method::DELETE].contains(&call.method) {
        let seen = loaded.seen(&row.execution, false);
        let json = super::body::body(seen.into_iter(), call.send.as_deref());
        body = Bytes::from(json.to_string());
    }
    let definition = handle.definition(&row.definition).await;
    let definition = definition.map_err(|error| error.to_string())?;
    let now = handle.clock().now();
    let context = Context {
        definition: &definition,
        now,
        ids: &mut At(&handle.inner.ids, now),
        scripts: &*handle.inner.scripts,
    };
    let (document, variables) = (loaded.document, loaded.variables);
    let values = texts_at(document, variables, &row.execution, &ready.pieces, context);
    let values = values.map_err(|refusal| refusal.to_string())?;
    let target = call.target(&ready.pieces, &values)?;
    let mut request = Request::builder().method(&call.method).uri(&target);
    if let Some(headers) = request.headers_mut() {
        if !body.is_empty() {
            let json = HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
        }
        let agent = concat!("homing-engine/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.extend(ready.headers.clone());
        for (name, value) in [
            // The same for each try of this piece of work, whoever makes it.
            ("idempotency-key", &row.id),
            ("homing-process-instance", &row.instance),
        ] {
            headers.insert(
                name,
                HeaderValue::try_from(value).map_err(|e| e.to_string())?,
            );
        }
    }
    request.body(body).map_err(|error| error.to_string())
}
