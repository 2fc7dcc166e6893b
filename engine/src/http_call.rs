//! Calls over HTTP that stand for Java names in models.
//!
//! Each call is an external task of a topic of its own, which the engines of the site work on themselves, under a lock as any
//! worker has it. Owns how a call is made and what its answer means. Must not decide about processes, nor touch tables: a call
//! ends as a worker's task does. A call is made at least once: whoever is called tells a repetition by its key.

mod answer;
mod body;
mod connect;
pub(crate) mod run;

use crate::expr::Template;
use crate::model::{Delegate, Delegates, HttpCall, topic};
use crate::time::retry::Retry;
use connect::Trust;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A call that was found to be sound.
#[derive(Debug)]
pub(crate) struct Ready {
    call: HttpCall,
    pieces: Vec<Template>,
    headers: HeaderMap,
    retry: Retry,
    trust: Trust,
}

/// All calls of an engine, by their topics.
pub(crate) type Calls = Arc<BTreeMap<String, Ready>>;

/// Makes calls ready; a name with the reason why it cannot be called.
pub(crate) fn ready(delegates: &Delegates) -> Result<Calls, (String, String)> {
    let calls = delegates.iter().filter_map(|(name, does)| match does {
        Delegate::Http(call) => Some((name, call.as_ref())),
        Delegate::Topic(_) | Delegate::Script(_) | Delegate::Nothing => None,
    });
    let ready = |(name, call): (&String, &HttpCall)| match one(call) {
        Ok(ready) => Ok((topic(name), ready)),
        Err(why) => Err((name.clone(), why)),
    };
    Ok(Arc::new(calls.map(ready).collect::<Result<_, _>>()?))
}

fn one(call: &HttpCall) -> Result<Ready, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        let name = HeaderName::try_from(name).map_err(|_| format!("'{name}' is no header"))?;
        let said = HeaderValue::try_from(value);
        headers.append(
            &name,
            said.map_err(|_| format!("the value of the header '{name}' cannot be sent"))?,
        );
    }
    if let Some(authorization) = &call.authorization {
        let mut value = HeaderValue::try_from(authorization)
            .map_err(|_| "what it authorises itself with cannot be sent in a header".to_owned())?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    let retry = Retry::parse(&call.retry);
    Ok(Ready {
        pieces: call.pieces().map_err(|error| error.to_string())?,
        headers,
        retry: retry.ok_or_else(|| format!("'{}' is no retry cycle", call.retry))?,
        trust: Trust::of(call)?,
        call: call.clone(),
    })
}
