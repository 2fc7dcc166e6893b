//! A TCP proxy with programmable faults, deterministic from a seed.
//!
//! Owns sockets on both sides and counts what passed. Must not know the protocol above. Delays and
//! held answers reach running connections; the other faults are fixed when a connection is made.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use crate::ports::loopback;

const CHUNK_BYTES: usize = 16 * 1024;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes pass.
    None,
    /// Reset right after accepting, before anything reaches the target.
    Refuse,
    /// Accepted and read, nothing passes and nothing comes back.
    BlackHole,
    /// Both sides are reset once this many bytes went towards the target.
    CutRequestAfter(u64),
    /// Both sides are reset once this many bytes came back.
    CutAnswerAfter(u64),
    /// Each connection is cut at a place drawn from the seed, in either direction, within about this many bytes.
    CutSomewhere { within: u64 },
    /// Every piece of the answer comes this much later.
    DelayAnswer(Duration),
    /// The request passes; the answer waits until `release`.
    HoldAnswer,
}

/// What passed so far, over all connections.
#[derive(Debug, Default)]
pub struct Counts {
    pub connections: AtomicU64,
    pub cut: AtomicU64,
    pub bytes_up: AtomicU64,
    pub bytes_down: AtomicU64,
}

struct Shared {
    target: Mutex<SocketAddr>,
    fault: Mutex<Fault>,
    random: Mutex<fastrand::Rng>,
    counts: Counts,
    /// Grows with every release of held answers.
    releases: watch::Sender<u64>,
    /// Grows with every cut of all connections.
    cuts: watch::Sender<u64>,
}

/// A listening fault proxy; closed on drop.
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// Where one connection ends: bytes that may pass in each direction.
#[derive(Clone, Copy)]
struct Allowance {
    up: u64,
    down: u64,
}

impl FaultProxy {
    /// Listens on a free port and forwards to the target.
    pub async fn start(target: SocketAddr, seed: u64) -> Result<Self> {
        Self::over(TcpListener::bind(loopback(0)).await?, target, seed)
    }

    /// The same behind a listener that is there already.
    pub fn over(listener: TcpListener, target: SocketAddr, seed: u64) -> Result<Self> {
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            fault: Mutex::new(Fault::None),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            counts: Counts::default(),
            releases: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            port,
            shared,
            accepting,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    pub fn set(&self, fault: Fault) {
        *lock(&self.shared.fault) = fault;
    }

    /// Forwards new connections elsewhere.
    pub fn retarget(&self, target: SocketAddr) {
        *lock(&self.shared.target) = target;
    }

    /// Lets every held answer go.
    pub fn release(&self) {
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    /// Ends every running connection.
    pub fn cut_all(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        shared.counts.connections.fetch_add(1, Ordering::Relaxed);
        let fault = *lock(&shared.fault);
        let shared = shared.clone();
        // Here, not in the task: a cut before its first turn counts too.
        let mut cuts = shared.cuts.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                // Both sides end by themselves or by their fault ...
                () = serve(client, fault, &shared) => {}
                // ... or are dropped here by `cut_all`.
                _ = cuts.changed() => {}
            }
        });
    }
}

async fn serve(client: TcpStream, fault: Fault, shared: &Shared) {
    let allowance = match fault {
        Fault::Refuse => {
            // Nothing to do about a socket that is gone already.
            let _ = client.set_zero_linger();
            return;
        }
        Fault::BlackHole => return swallow(client).await,
        Fault::CutRequestAfter(up) => Allowance { up, down: u64::MAX },
        Fault::CutAnswerAfter(down) => Allowance { up: u64::MAX, down },
        Fault::CutSomewhere { within } => draw(&mut lock(&shared.random), within),
        Fault::None | Fault::DelayAnswer(_) | Fault::HoldAnswer => Allowance {
            up: u64::MAX,
            down: u64::MAX,
        },
    };
    let target = *lock(&shared.target);
    let Ok(upstream) = TcpStream::connect(target).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let (client_read, client_write) = client.into_split();
    let (upstream_read, upstream_write) = upstream.into_split();
    // A cut in one direction drops the other; an orderly end of one direction leaves the other running.
    let _ = tokio::try_join!(
        pump(
            client_read,
            upstream_write,
            Direction::Up,
            allowance.up,
            shared
        ),
        pump(
            upstream_read,
            client_write,
            Direction::Down,
            allowance.down,
            shared
        ),
    );
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// The connection was cut on purpose.
struct Cut;

/// Passes bytes until the source ends or the allowance is used up.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut allowed: u64,
    shared: &Shared,
) -> Result<(), Cut> {
    let counted = match direction {
        Direction::Up => &shared.counts.bytes_up,
        Direction::Down => &shared.counts.bytes_down,
    };
    let _ = to.as_ref().set_nodelay(true);
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        if direction == Direction::Down {
            wait_for_leave(shared).await;
        }
        let passing = read.min(usize::try_from(allowed).unwrap_or(usize::MAX));
        counted.fetch_add(passing as u64, Ordering::Relaxed);
        if to.write_all(&chunk[..passing]).await.is_err() {
            break;
        }
        allowed -= passing as u64;
        if allowed == 0 {
            shared.counts.cut.fetch_add(1, Ordering::Relaxed);
            // Both sockets end with a reset, as when a host or a middle box goes away.
            let _ = from.as_ref().set_zero_linger();
            let _ = to.as_ref().set_zero_linger();
            return Err(Cut);
        }
    }
    // The other side learns of the end; it may already be gone.
    let _ = to.shutdown().await;
    Ok(())
}

/// Holds a piece of an answer for as long as the fault of this moment says.
async fn wait_for_leave(shared: &Shared) {
    let mut releases = shared.releases.subscribe();
    let fault = *lock(&shared.fault);
    match fault {
        Fault::DelayAnswer(delay) => tokio::time::sleep(delay).await,
        // An error means that the proxy is gone; then there is nobody to wait for.
        Fault::HoldAnswer => drop(releases.changed().await),
        Fault::None
        | Fault::Refuse
        | Fault::BlackHole
        | Fault::CutRequestAfter(_)
        | Fault::CutAnswerAfter(_)
        | Fault::CutSomewhere { .. } => {}
    }
}

/// Half of the connections are cut on the way up, half on the way down; answers are shorter than requests.
fn draw(random: &mut fastrand::Rng, within: u64) -> Allowance {
    const ANSWERS_SHORTER: u64 = 4;
    match random.bool() {
        true => Allowance {
            up: random.u64(0..=within),
            down: u64::MAX,
        },
        false => Allowance {
            up: u64::MAX,
            down: random.u64(0..=within / ANSWERS_SHORTER),
        },
    }
}

async fn swallow(mut client: TcpStream) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while client.read(&mut chunk).await.is_ok_and(|read| read > 0) {}
}
