//! A router wired in this process, without listeners, on a store in a folder that is removed at the end.
//!
//! Owns its configuration. Nothing runs in it: no probes, no feed, no shipping.

use anyhow::{Context, Result, bail};
use homing_config::{Inputs, Purpose, Style, load};
use homing_proxy::app::Router;
use homing_proxy::app::handover::Beginning;
use std::fmt::Write as _;
use std::ops::Deref;

/// A router and what it stands on.
pub struct Wired {
    router: Router,
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Deref for Wired {
    type Target = Router;

    fn deref(&self) -> &Router {
        &self.router
    }
}

/// A router that fronts this many sites.
pub fn router(sites: usize) -> Result<Wired> {
    let folder = tempfile::tempdir()?;
    let here = folder.path().display();
    let mut text = format!(
        "[router]\nname = \"bench\"\n[store]\nurl = \"sqlite:{here}/store.db\"\njournal = \"{here}/journal\"\n"
    );
    for site in 0..sites {
        writeln!(
            text,
            "[[site]]\nname = {:?}\ndialect = \"engine-rest\"\nendpoints = [\"http://127.0.0.1:{}/engine-rest\"]",
            crate::keys::site_name(site),
            // Never connected to.
            9_001 + site
        )?;
    }
    let inputs = Inputs::text("bench.toml", text);
    let loaded = match load(&inputs, Purpose::Serve) {
        Ok(loaded) => loaded,
        Err(report) => bail!("{}", report.render(Style::Plain)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let router = runtime
        .block_on(Router::open(inputs, loaded, Beginning::Alone))
        .context("opening a router")?;
    Ok(Wired {
        router,
        _runtime: runtime,
        _folder: folder,
    })
}
