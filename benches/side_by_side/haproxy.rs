//! HAProxy as its manual would have it for this job: a string map from id to backend, or no look-up at all.
//!
//! Owns its configuration: connections to servers shared as freely as it can, no logging, no header added.

use anyhow::Result;
use homing_benches::keys::{Key, site_name};
use homing_benches::rig::contender::Contender;
use homing_benches::rig::sites::Sites;
use homing_harness::ports::free_port;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

const NAME: &str = "haproxy";

/// A map of all keys.
pub(crate) fn with_map(
    folder: &Path,
    workers: usize,
    sites: &Sites,
    keys: &[Key],
) -> Result<Contender> {
    let map = folder.join("haproxy.map");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&map)?);
    for key in keys {
        writeln!(file, "{} {}", key.id, site_name(key.site))?;
    }
    file.flush()?;
    // "" / engine-rest / process-instance / ID / variables: the fourth field of the path.
    let rule = format!("use_backend %[path,field(4,/),map_str({})]", map.display());
    start(folder, "haproxy map", workers, sites, &rule)
}

/// All requests to one backend with every site in turn; sites cannot check who was meant.
pub(crate) fn plain(folder: &Path, workers: usize, sites: &Sites) -> Result<Contender> {
    start(
        folder,
        "haproxy plain",
        workers,
        sites,
        "default_backend all",
    )
}

fn start(
    folder: &Path,
    name: &str,
    workers: usize,
    sites: &Sites,
    rule: &str,
) -> Result<Contender> {
    let port = free_port()?;
    let mut text = format!(
        "global\n  nbthread {workers}\n  maxconn 4096\n\
         defaults\n  mode http\n  option http-keep-alive\n  http-reuse always\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend in\n  bind 127.0.0.1:{port}\n  {rule}\n"
    );
    for (number, port) in sites.ports().iter().enumerate() {
        writeln!(
            text,
            "backend {0}\n  server {0} 127.0.0.1:{port}",
            site_name(number)
        )?;
    }
    text.push_str("backend all\n  balance roundrobin\n");
    for (number, port) in sites.any_ports().iter().enumerate() {
        writeln!(text, "  server {} 127.0.0.1:{port}", site_name(number))?;
    }
    let config = folder.join(format!("{}-{workers}.cfg", name.replace(' ', "-")));
    std::fs::write(&config, text)?;
    let args = vec!["-db".into(), "-f".into(), config.into()];
    Contender::start(name, folder, NAME, args, port, &sites.probe_path())
}
