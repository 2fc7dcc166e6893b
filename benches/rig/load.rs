//! The load: wrk, with every request built before the first one is sent.
//!
//! Owns the script and reading what wrk says. A run with any error is no measurement.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reads the paths once for each thread; threads begin at different places.
const SCRIPT: &str = r#"
local requests, at, threads = {}, 0, 0
function setup(thread) thread:set("number", threads); threads = threads + 1 end
function init(args)
  wrk.headers["Accept"] = "application/json"
  wrk.headers["Authorization"] = "Basic bWFyeTpzZWNyZXQ="
  wrk.headers["User-Agent"] = "bench"
  local body = nil
  if args[2] == "POST" then
    wrk.headers["Content-Type"] = "application/json"
    body = '{"variables":{"amount":{"value":30,"type":"Long"}}}'
  end
  for path in io.lines(args[1]) do requests[#requests + 1] = wrk.format(args[2], path, nil, body) end
  at = number * math.floor(#requests / 7)
end
function request()
  at = at + 1
  if at > #requests then at = 1 end
  return requests[at]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"#;

/// A prepared load.
pub struct Load {
    script: PathBuf,
    paths: PathBuf,
    connections: usize,
    threads: usize,
    method: &'static str,
}

/// What one run gave.
pub struct Loaded {
    pub requests: u64,
    pub seconds: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Load {
    /// Every path with this method, over so many connections and threads.
    pub fn prepare(
        folder: &Path,
        method: &'static str,
        paths: &[String],
        connections: usize,
        threads: usize,
    ) -> Result<Load> {
        let load = Load {
            script: folder.join("load.lua"),
            paths: folder.join(format!("paths-{}.txt", paths.len())),
            connections,
            threads,
            method,
        };
        std::fs::write(&load.script, SCRIPT)?;
        std::fs::write(&load.paths, paths.join("\n"))?;
        Ok(load)
    }

    /// Runs it once.
    pub fn run(&self, port: u16, seconds: u32) -> Result<Loaded> {
        let output = Command::new("wrk")
            .args(["--latency", "-t", &self.threads.to_string()])
            .args(["-c", &self.connections.to_string()])
            .args(["-d", &format!("{seconds}s")])
            .arg("-s")
            .arg(&self.script)
            .arg(format!("http://127.0.0.1:{port}/"))
            .arg("--")
            .arg(&self.paths)
            .arg(self.method)
            .output()
            .context("running wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        read(&text).with_context(|| {
            format!(
                "wrk said: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }
}

fn read(text: &str) -> Result<Loaded> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("RESULT "))
        .context("no result")?;
    let numbers: Vec<u64> = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [requests, micros, errors, p50, p99] = numbers[..] else {
        anyhow::bail!("not five numbers: {line}");
    };
    ensure!(errors == 0, "{errors} of {requests} requests failed");
    ensure!(requests > 0, "no request was answered");
    Ok(Loaded {
        requests,
        seconds: micros as f64 / 1e6,
        p50_ms: p50 as f64 / 1e3,
        p99_ms: p99 as f64 / 1e3,
    })
}
