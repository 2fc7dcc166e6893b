//! Connections that attack at full speed, and the account of what each byte of theirs cost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use homing_harness::{clock::Stopwatch, ports::loopback};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Until every connection was closed once, an attack goes on for this many times its length.
const PATIENCE: u32 = 4;

/// What is sent: first once, then batch by batch, each with the number of its round.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) opening: Vec<u8>,
    pub(super) batch: fn(u32) -> Vec<u8>,
    pub(super) end: End,
    /// Long enough for that, where the attack is not repeated more often.
    pub(super) lasting: Duration,
}

/// What the router must do about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Close the connection.
    Closed,
    /// Go on, at a bounded cost.
    Bounded,
}

#[derive(Default)]
pub(super) struct Account {
    sent: AtomicU64,
    received: AtomicU64,
    closed: AtomicU64,
}

impl Account {
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How often the router has closed a connection.
    pub(super) fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }
}

/// Attacks for this long; a connection that the router closes is opened again.
pub(super) async fn run(
    port: u16,
    attack: &'static Attack,
    connections: usize,
    lasting: Duration,
) -> Result<Arc<Account>> {
    let account = Arc::new(Account::default());
    let attacked = Arc::clone(&account);
    // On a thread of their own: honest clients must wait for the router, not for the attackers' own work.
    let attackers = move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let again = async || {
                let watch = Stopwatch::start();
                let until = || match attack.end {
                    // On a busy machine deadlines are noticed late.
                    End::Closed if attacked.closed() < connections as u64 => lasting * PATIENCE,
                    End::Closed | End::Bounded => lasting,
                };
                while !watch.is_past(until()) {
                    let left = until().saturating_sub(watch.elapsed());
                    // Running out of time is the usual end.
                    let _ = timeout(left, once(port, attack, &attacked)).await;
                }
            };
            futures_util::future::join_all((0..connections).map(|_| again())).await;
        });
        Ok(())
    };
    tokio::task::spawn_blocking(attackers).await??;
    Ok(account)
}

/// One connection, until the router closes it.
async fn once(port: u16, attack: &Attack, account: &Account) {
    let Ok(stream) = TcpStream::connect(loopback(port)).await else {
        return;
    };
    let (mut from, mut to) = stream.into_split();
    let sending = async {
        let mut bytes = attack.opening.clone();
        for round in 0_u32.. {
            if to.write_all(&bytes).await.is_err() {
                break;
            }
            account
                .sent
                .fetch_add(bytes.len() as u64, Ordering::Relaxed);
            bytes = (attack.batch)(round);
            if bytes.is_empty() {
                break;
            }
        }
        // Whether it was closed is the reader's to say.
        std::future::pending::<()>().await;
    };
    let receiving = async {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut piece).await {
            account.received.fetch_add(count as u64, Ordering::Relaxed);
        }
    };
    tokio::select! {
        () = sending => {}
        () = receiving => {
            account.closed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
