//! Network namespaces on one bridge: real processes whose lines to each other are cut one by one, also in one direction only.
//!
//! Owns the namespaces, the bridge and their end. Must not know what runs in them. Relies on root and on `ip` (iproute2). A
//! direction is cut by an address resolution that leads to nobody: the sender notices nothing, as with a broken cable.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{io::copy_bidirectional, task::JoinHandle};

use crate::ports::loopback;

/// Nobody has it.
const NOBODY: &str = "02:00:00:00:00:fe";
/// What each namespace calls its end of the line.
const LINE: &str = "line";

/// Hosts on one bridge; all gone when the last one is dropped.
pub struct Net {
    tag: String,
}

/// One of them.
#[derive(Clone)]
pub struct Host {
    _net: Arc<Net>,
    name: String,
    address: Ipv4Addr,
}

/// A port of a host's loopback that is reached at the same port of this process's; closed on drop.
pub struct Door(JoinHandle<()>);

fn ip(words: &str) -> Result<()> {
    let done = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .context("running ip (iproute2)")?;
    let complaint = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "ip {words}: {complaint}");
    Ok(())
}

impl Net {
    /// That many hosts, or nothing, with a word why, where this process may not make any.
    #[expect(
        clippy::print_stderr,
        reason = "whoever reads the log must know that nothing was tested"
    )]
    pub fn of<const N: usize>() -> Result<Option<[Host; N]>> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Of all processes that test at a time.
        let id = std::process::id();
        let tag = format!("h{id}n{number}");
        if let Err(why) = ip(&format!("link add {tag} type bridge")) {
            eprintln!("SKIPPED: no network namespaces here: {why:#}");
            return Ok(None);
        }
        let net = Arc::new(Net { tag });
        ip(&format!("link set {} up", net.tag))?;
        let mut hosts = Vec::new();
        for at in 0..N {
            hosts.push(Host::add(&net, u8::try_from(at + 1)?)?);
        }
        let hosts = hosts.try_into();
        hosts
            .map(Some)
            .map_err(|_| anyhow::anyhow!("another number of hosts"))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.tag));
        for at in 1..=16 {
            let _ = ip(&format!("netns del {}-{at}", self.tag));
        }
    }
}

impl Host {
    fn add(net: &Arc<Net>, at: u8) -> Result<Host> {
        let (tag, name) = (&net.tag, format!("{}-{at}", net.tag));
        let address = Ipv4Addr::new(10, 231, 0, at);
        let outer = format!("{tag}v{at}");
        ip(&format!("netns add {name}"))?;
        ip(&format!(
            "link add {outer} type veth peer name {LINE} netns {name}"
        ))?;
        ip(&format!("link set {outer} master {tag} up"))?;
        ip(&format!("-n {name} addr add {address}/24 dev {LINE}"))?;
        ip(&format!("-n {name} link set {LINE} up"))?;
        ip(&format!("-n {name} link set lo up"))?;
        Ok(Host {
            _net: Arc::clone(net),
            name,
            address,
        })
    }

    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// What this host sends to the other one is lost; what comes from there is not.
    pub fn cut(&self, to: &Host) -> Result<()> {
        let (name, to) = (&self.name, to.address);
        ip(&format!(
            "-n {name} neigh replace {to} lladdr {NOBODY} dev {LINE} nud permanent"
        ))
    }

    /// It arrives again.
    pub fn mend(&self, to: &Host) -> Result<()> {
        ip(&format!(
            "-n {} neigh del {} dev {LINE}",
            self.name, to.address
        ))
    }

    /// Both directions.
    pub fn part(&self, other: &Host) -> Result<()> {
        self.cut(other)?;
        other.cut(self)
    }

    /// Both directions.
    pub fn join(&self, other: &Host) -> Result<()> {
        self.mend(other)?;
        other.mend(self)
    }

    /// Does it on a thread that is in this namespace; sockets made there stay there.
    fn inside<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = format!("/run/netns/{}", self.name);
        let done = std::thread::spawn(move || {
            let space = std::fs::File::open(path)?;
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
            act()
        });
        let done = done.join().map_err(|_| anyhow::anyhow!("a thread broke"))?;
        Ok(done?)
    }

    /// A listener of this process at the host's address.
    pub fn listen(&self) -> Result<(SocketAddr, tokio::net::TcpListener)> {
        let address = self.address;
        let listener = self.inside(move || TcpListener::bind((address, 0)))?;
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        Ok((at, tokio::net::TcpListener::from_std(listener)?))
    }

    /// Makes a port of the host's loopback reachable from here.
    pub async fn door(&self, port: u16) -> Result<Door> {
        let listener = tokio::net::TcpListener::bind(loopback(port)).await?;
        let host = self.clone();
        Ok(Door(tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let host = host.clone();
                tokio::spawn(async move {
                    let far = host.inside(move || {
                        let stream = TcpStream::connect(loopback(port))?;
                        stream.set_nonblocking(true)?;
                        Ok(stream)
                    });
                    // Nobody listens there: the near side sees its connection end.
                    if let Ok(Ok(mut far)) = far.map(tokio::net::TcpStream::from_std) {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        })))
    }
}

/// What to run, and with which first words, so that it runs at the host.
pub fn program(program: &Path, host: Option<&Host>) -> (PathBuf, Vec<OsString>) {
    match host {
        None => (program.to_owned(), Vec::new()),
        Some(host) => {
            let words = ["netns", "exec", &host.name].map(Into::into);
            let mut words = Vec::from(words);
            words.push(program.into());
            ("ip".into(), words)
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}
