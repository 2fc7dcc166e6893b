//! Before a new connection carries traffic: is it still the same database behind that address?
//!
//! Owns the wait for the prober's word, and the proof on the connection itself. Must not judge the site: that is the
//! prober's. Relies on `observe` calling `Endpoint::prove` and keeping the identity in the site's view.

use super::pool::Connection;
use super::question::{ANSWER_BYTES_MAX, Asker, Silence};
use crate::observe::Observed;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use crate::topology::{Endpoint, IdentityProbe};
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the prober, whose own probe has a shorter time.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// Waits until the endpoint has proven its identity since its last unexpected close.
pub async fn before_use(target: &Target, endpoint: &Arc<Endpoint>) -> Result<(), Problem> {
    let proven = target
        .site
        .live
        .verify(|| endpoint.is_proven(), WAIT_MAX)
        .await;
    if proven {
        return Ok(());
    }
    let site = target.site.id;
    let observed = target.site.live.observed();
    let detail = match observed {
        Observed::Down(why) => format!("site {site} is down ({})", why.as_str()),
        Observed::Healthy | Observed::Suspect(_) | Observed::Unknown => {
            format!(
                "site {site} has not proven within {WAIT_MAX:?} that the right database answers at {}:{}",
                endpoint.host, endpoint.port
            )
        }
    };
    Err(Problem::new(Reason::SiteUnreachable, detail)
        .at(site)
        .retry_after(Duration::from_secs(2))
        .proxy_error("destination_unavailable"))
}

/// Why a new connection must not carry traffic. Nothing was sent on it but the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    /// It ended before it had answered.
    #[error("a new connection to it ended before it told its identity")]
    Ended,
    /// It said something else.
    #[error("it did not tell its identity")]
    Untold,
    /// It took too long.
    #[error("it did not tell its identity within {0:?}")]
    Late(Duration),
    /// Another database answers.
    #[error("another database answers there")]
    Stranger,
}

/// Asks on the connection itself. The breaks of other connections are no proof: an address that moves to another host
/// breaks none, and one thread connects anew before another has seen its connections end. `within`: the time that the
/// request itself would have, because a site under load answers both late.
pub(super) async fn on(
    connection: &mut Connection,
    target: &Target,
    endpoint: &Endpoint,
    via: Option<&HeaderValue>,
    within: Duration,
) -> Result<(), Unproven> {
    let site = &target.site;
    let question = match site.probe.identity {
        IdentityProbe::Dialect => site.dialect.identity(),
        IdentityProbe::Off => None,
    };
    let Some(question) = question else {
        return Ok(());
    };
    let path = format!("{}{}", site.base_path, question.path);
    let mut asker = Asker {
        site,
        endpoint,
        via,
        connection,
        bytes_max: ANSWER_BYTES_MAX,
    };
    let told = tokio::time::timeout(within, asker.get(&path)).await;
    let (status, body) =
        told.map_err(|_| Unproven::Late(within))?
            .map_err(|silence| match silence {
                Silence::Broke => Unproven::Ended,
                Silence::Unreadable => Unproven::Untold,
            })?;
    let shown = site.dialect.read_identity(status, &body);
    let shown = shown.ok_or(Unproven::Untold)?;
    // A site whose identity nobody has seen yet is not proven either: the prober takes the first sight.
    if site
        .live
        .read(|view| view.identity.as_ref() == Some(&shown))
    {
        Ok(())
    } else {
        Err(Unproven::Stranger)
    }
}
