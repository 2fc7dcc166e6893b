//! nginx with a `map` of all keys.
//!
//! Owns its configuration: kept connections to every site, no logging.

use anyhow::Result;
use homing_benches::keys::{Key, site_name};
use homing_benches::rig::contender::Contender;
use homing_benches::rig::sites::Sites;
use homing_harness::ports::free_port;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

const NAME: &str = "nginx";

pub(crate) fn with_map(
    folder: &Path,
    workers: usize,
    sites: &Sites,
    keys: &[Key],
) -> Result<Contender> {
    let map = folder.join("nginx.map");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&map)?);
    for key in keys {
        writeln!(file, "{} {};", key.id, site_name(key.site))?;
    }
    file.flush()?;
    let port = free_port()?;
    let home = folder.join(format!("nginx-{workers}"));
    std::fs::create_dir_all(&home)?;
    let mut upstreams = String::new();
    for (number, port) in sites.ports().iter().enumerate() {
        writeln!(
            upstreams,
            "  upstream {} {{ server 127.0.0.1:{port}; keepalive 64; }}",
            site_name(number)
        )?;
    }
    let (home_text, map, first) = (home.display(), map.display(), site_name(0));
    // The main process stays root where it was started as root; its workers need to read the folder only.
    let text = format!(
        "daemon off;\nmaster_process on;\nworker_processes {workers};\npid {home_text}/pid;\nerror_log {home_text}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  map_hash_max_size 4194304;\n  map_hash_bucket_size 128;\n\
         client_body_temp_path {home_text}/b;\n  proxy_temp_path {home_text}/p;\n  fastcgi_temp_path {home_text}/f;\n  uwsgi_temp_path {home_text}/u;\n  scgi_temp_path {home_text}/s;\n\
         {upstreams}  map $key $site {{ default {first}; include {map}; }}\n\
         server {{\n    listen 127.0.0.1:{port};\n    location ~ ^/engine-rest/process-instance/(?<key>[^/]+)/ {{\n\
         proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      proxy_pass http://$site;\n    }}\n  }}\n}}\n"
    );
    let config = home.join("nginx.conf");
    std::fs::write(&config, text)?;
    let args = vec!["-p".into(), home.into(), "-c".into(), config.into()];
    Contender::start("nginx map", folder, NAME, args, port, &sites.probe_path())
}
