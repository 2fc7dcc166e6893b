//! TLS handshakes beside HAProxy: CPU time for each, with the same certificate, in turns.
//!
//! Every connection is new and nothing is resumed. Relies on HAProxy and `openssl s_time`.
#![expect(
    clippy::print_stdout,
    reason = "the table is the product of this program"
)]

use anyhow::{Context, Result, ensure};
use clap::Parser;
use homing_benches::keys::{Key, Keys, site_name};
use homing_benches::rig::contender::Contender;
use homing_benches::rig::cores::Cores;
use homing_benches::rig::homing::{self, AccessLog, Store};
use homing_benches::rig::report::median;
use homing_benches::rig::{sites, store, usage};
use homing_harness::ports::free_port;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// TLS handshakes beside HAProxy.
#[derive(Parser)]
struct Args {
    /// Rounds; each measures both.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Clients that make connections.
    #[arg(long, default_value_t = 3)]
    clients: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Terminator {
    contender: Contender,
    tls: u16,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let folder = homing_harness::paths::new_folder("handshakes")?;
    let cores = Cores::of_this_machine()?;
    let pinned = cores.take_the_load_side(1)?;
    let sites = sites::start()?;
    let keys: Vec<Key> = Keys::begin().take(100).collect();
    let (certificate, key) = certificate(&folder)?;
    let both = [
        haproxy(&folder, &sites, &certificate, &key)?,
        homing(&folder, &sites, &keys, &certificate, &key)?,
    ];
    for terminator in &both {
        cores.put(&terminator.contender, 1)?;
    }
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        rounds.push([measured(&args, &both[0])?, measured(&args, &both[1])?]);
    }
    println!(
        "\nTLS 1.3, ECDSA P-256, {} rounds of {} s, {} clients; {pinned}",
        args.rounds, args.seconds, args.clients
    );
    println!("| terminator | CPU us/handshake | ratio | handshakes/s |");
    println!("|---|---|---|---|");
    for (at, terminator) in both.iter().enumerate() {
        let of = |what: &dyn Fn(&[Measured; 2]) -> f64| median(rounds.iter().map(what).collect());
        println!(
            "| {} | {:.0} | {:.2} | {:.0} |",
            terminator.contender.name,
            of(&|round| round[at].micros)?,
            of(&|round| round[at].micros / round[0].micros)?,
            of(&|round| round[at].per_second)?,
        );
    }
    homing_harness::paths::remove_run_folder()
}

struct Measured {
    micros: f64,
    per_second: f64,
}

fn measured(args: &Args, terminator: &Terminator) -> Result<Measured> {
    let before = usage::cpu(&terminator.contender)?;
    let clients: Vec<Child> = (0..args.clients)
        .map(|_| client(terminator.tls, args.seconds))
        .collect::<Result<_>>()?;
    let mut connections = 0;
    for client in clients {
        connections += made(client)?;
    }
    let spent = usage::cpu(&terminator.contender)?.saturating_sub(before);
    Ok(Measured {
        micros: spent.as_secs_f64() * 1e6 / connections as f64,
        per_second: connections as f64 / f64::from(args.seconds),
    })
}

fn client(port: u16, seconds: u32) -> Result<Child> {
    Command::new("openssl")
        .args(["s_time", "-new", "-connect", &format!("127.0.0.1:{port}")])
        .args(["-time", &seconds.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("running openssl s_time")
}

/// `1234 connections in 3 real seconds, ...`.
fn made(client: Child) -> Result<u64> {
    let output = client.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains("real seconds"));
    let made: u64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("openssl s_time said: {text}"))?;
    ensure!(made > 0, "no handshake was made: {text}");
    Ok(made)
}

fn certificate(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join("c.pem"), folder.join("k.pem"));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec"])
        .args([
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .context("running openssl req")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((certificate, key))
}

fn haproxy(
    folder: &Path,
    sites: &sites::Sites,
    certificate: &Path,
    key: &Path,
) -> Result<Terminator> {
    let both = folder.join("haproxy.pem");
    let pem = [std::fs::read(certificate)?, std::fs::read(key)?].concat();
    std::fs::write(&both, pem)?;
    let (port, tls) = (free_port()?, free_port()?);
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend in\n  bind 127.0.0.1:{port}\n  bind 127.0.0.1:{tls} ssl crt {} alpn h2,http/1.1\n  default_backend all\n\
         backend all\n  server {} 127.0.0.1:{}\n",
        both.display(),
        site_name(0),
        sites.any_ports()[0],
    );
    let config = folder.join("haproxy.cfg");
    std::fs::write(&config, text)?;
    let args = vec!["-db".into(), "-f".into(), config.into()];
    let contender = Contender::start(
        "haproxy",
        folder,
        "haproxy",
        args,
        port,
        &sites.probe_path(),
    )?;
    Ok(Terminator { contender, tls })
}

fn homing(
    folder: &Path,
    sites: &sites::Sites,
    keys: &[Key],
    certificate: &Path,
    key: &Path,
) -> Result<Terminator> {
    let file = store::file(&folder.join("store.db"), keys)?;
    let tls = free_port()?;
    let more = format!(
        "[[listen]]\nbind = \"127.0.0.1:{tls}\"\ntls = {{ certificate = {certificate:?}, key = {key:?} }}"
    );
    let store = Store::CopyOf(&file);
    let router = homing::with(folder, 1, sites, store, AccessLog::Off, &more)?;
    Ok(Terminator {
        contender: router.contender,
        tls,
    })
}
