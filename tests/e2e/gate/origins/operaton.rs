//! A real Operaton, which is Tomcat on the wire; its access log has no bodies.

use std::{fs, path::PathBuf};

use anyhow::Result;
use homing_harness::{
    engine::{Builder, Engine, Kind},
    paths::new_folder,
    postgres::Cluster,
};

use super::{Arrived, Origin, lines, same_heads};

pub(in crate::gate) struct Operaton {
    engine: Engine,
    log: PathBuf,
}

/// What Tomcat would refuse and nginx, hyper and Python take; the router passes it, so each must see the same.
const RELAXED: &str = "<,>,[,\\,],^,`,{,|,}";

impl Operaton {
    pub(in crate::gate) async fn start() -> Result<Self> {
        let folder = new_folder("tomcat")?;
        let log = folder.join("access.log");
        let database = Cluster::shared()?.fresh_database("gate")?;
        let engine = [
            "accesslog.enabled=true".to_owned(),
            "accesslog.buffered=false".to_owned(),
            "accesslog.rotate=false".to_owned(),
            "accesslog.pattern=%m %U%q".to_owned(),
            format!("accesslog.directory={}", folder.display()),
            "accesslog.prefix=access".to_owned(),
            format!("relaxed-path-chars={RELAXED}"),
            format!("relaxed-query-chars={RELAXED}"),
        ]
        .into_iter()
        .fold(
            Builder::new("tomcat", Kind::Operaton, &database),
            |engine, flag| engine.flag(format!("--server.tomcat.{flag}")),
        )
        // The router's limit for heads is above Tomcat's usual one.
        .flag("--server.max-http-request-header-size=64KB")
        .start()
        .await?;
        Ok(Self { engine, log })
    }
}

impl Origin for Operaton {
    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.engine.port())
    }

    fn arrived(&self) -> Result<Vec<Arrived>> {
        let text = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        Ok(lines(&text)
            // What the harness itself asks at the start.
            .filter(|line| !line.ends_with("/deployment/count?id=none"))
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

    /// The engine's own answer names the id that it does not know.
    fn canary(&self, number: usize) -> String {
        format!("/engine-rest/process-instance/canary-{number}")
    }

    /// An engine has no `/app`, and says so in many ways.
    fn answers(&self, status: u16) -> bool {
        (200..500).contains(&status)
    }

    fn same(&self, got: &[Arrived], wanted: &[Arrived]) -> bool {
        same_heads(got, wanted)
    }
}
