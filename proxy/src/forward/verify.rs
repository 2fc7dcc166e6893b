//! Before a new connection carries traffic: is it still the same database behind that address?
//!
//! Owns the wait for the prober's word. Must not probe itself. Relies on `observe` calling `Endpoint::prove`.

use crate::observe::Observed;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use crate::topology::Endpoint;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the prober; its own probe has a shorter time.
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
