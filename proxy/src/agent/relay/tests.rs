//! The relay against plain sockets: bytes, half-closes, cuts, limits.

use super::*;
use crate::clock;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const LONG: Duration = Duration::from_secs(60);

struct World {
    gate: Arc<Gate>,
    relay: Arc<Relay>,
    address: SocketAddr,
    database: TcpListener,
}

async fn world(connections_max: usize) -> World {
    let database = TcpListener::bind(LOOPBACK).await.unwrap();
    let gate = Arc::new(Gate::default());
    let target = HostPort {
        host: "127.0.0.1".into(),
        port: database.local_addr().unwrap().port(),
    };
    let bound = Relay::bind(LOOPBACK, target, connections_max, Arc::clone(&gate));
    let (relay, listener) = bound.await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Arc::clone(&relay).run(listener));
    World {
        gate,
        relay,
        address,
        database,
    }
}

impl World {
    fn open(&self) {
        self.gate.open(clock::moment().plus(LONG));
    }

    /// One connection from end to end.
    async fn pair(&self) -> (TcpStream, TcpStream) {
        let engine = TcpStream::connect(self.address).await.unwrap();
        let (database, _) = self.database.accept().await.unwrap();
        (engine, database)
    }
}

/// What a reader finds who expects nothing more: an end or a reset.
async fn is_over(socket: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read = tokio::time::timeout(LONG, socket.read(&mut byte))
        .await
        .unwrap();
    matches!(read, Err(error) if error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_half_closes_pass_unchanged() {
    let world = world(10).await;
    world.open();
    let (mut engine, mut database) = world.pair().await;
    let question: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let expected = question.clone();
    let asking = tokio::spawn(async move {
        engine.write_all(&question).await.unwrap();
        engine.shutdown().await.unwrap();
        let mut answer = Vec::new();
        engine.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let mut heard = Vec::new();
    database.read_to_end(&mut heard).await.unwrap();
    assert!(heard == expected, "the question was changed");
    // The engine has said everything; the answer still gets through.
    heard.reverse();
    database.write_all(&heard).await.unwrap();
    database.shutdown().await.unwrap();
    assert!(asking.await.unwrap() == heard, "the answer was changed");
    world.relay.emptied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_while_it_is_shut_reaches_nothing() {
    let world = world(10).await;
    // The reset may be there before the connection is.
    if let Ok(mut engine) = TcpStream::connect(world.address).await {
        assert!(is_over(&mut engine).await);
    }
    let reached = tokio::time::timeout(Duration::from_millis(50), world.database.accept()).await;
    assert!(reached.is_err(), "the database was reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_resets_both_sides_at_once() {
    let world = world(10).await;
    world.open();
    let (mut engine, mut database) = world.pair().await;
    engine.write_all(b"x").await.unwrap();
    let mut byte = [0];
    database.read_exact(&mut byte).await.unwrap();
    world.gate.shut();
    world.relay.emptied().await;
    assert!(is_over(&mut engine).await && is_over(&mut database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leave_that_ran_out_passes_nothing_although_nobody_cut() {
    let world = world(10).await;
    world.open();
    let (mut engine, mut database) = world.pair().await;
    world.gate.open(clock::moment());
    engine.write_all(b"COMMIT").await.unwrap();
    assert!(is_over(&mut database).await, "bytes passed after the leave");
    assert!(is_over(&mut engine).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_reset_and_the_others_live() {
    let world = world(1).await;
    world.open();
    let (mut engine, mut database) = world.pair().await;
    if let Ok(mut second) = TcpStream::connect(world.address).await {
        assert!(is_over(&mut second).await);
    }
    engine.write_all(b"x").await.unwrap();
    let mut byte = [0];
    database.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"x");
}
