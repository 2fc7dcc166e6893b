//! A host's line to the store: a datagram there and back before each transaction, and after each commit.
//!
//! Owns nothing of what is said. What the network does to the datagrams happens to the transaction.

use super::truth::Truth;
use async_trait::async_trait;
use homing_mapping_store::Timestamp;
use homing_mapping_store::simulated::Line;
use homing_mapping_store::store::{Error, Handle};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use turmoil::net::UdpSocket;

/// The host at which datagrams are answered.
pub(crate) const STORE: &str = "store";
const PORT: u16 = 5432;
/// A store that does not answer within this is away.
const WITHIN: Duration = Duration::from_millis(700);
/// How soon somebody who waits for a change looks again.
const LOOK: Duration = Duration::from_millis(150);

/// Answers every datagram.
pub(crate) async fn answer() -> turmoil::Result {
    let socket = UdpSocket::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT)).await?;
    let mut buffer = [0; 8];
    loop {
        let (bytes, from) = socket.recv_from(&mut buffer).await?;
        socket.send_to(&buffer[..bytes], from).await?;
    }
}

/// One host's line.
pub(crate) struct Way {
    pub(crate) truth: Arc<Truth>,
    /// The store without any way, for who judges.
    pub(crate) near: Arc<OnceLock<Handle>>,
}

impl Way {
    async fn there_and_back(&self) -> Result<(), Error> {
        let turn = async {
            let socket = UdpSocket::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), 0)).await?;
            socket.send_to(b"ask", (STORE, PORT)).await?;
            socket.recv_from(&mut [0; 8]).await.map(drop)
        };
        let silent = |source: Box<dyn std::error::Error + Send + Sync>| Error::Unavailable {
            doing: "reach the store",
            source,
        };
        match tokio::time::timeout(WITHIN, turn).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(silent(Box::new(error))),
            Err(late) => Err(silent(Box::new(late))),
        }
    }
}

#[async_trait]
impl Line for Way {
    async fn ask(&self) -> Result<(), Error> {
        self.there_and_back().await
    }

    async fn committed(&self, statements: &[&'static str]) -> Result<(), Error> {
        let changes = |sql: &&str| sql.contains("assignments") && !sql.starts_with("SELECT");
        if let Some(near) = self.near.get()
            && statements.iter().any(changes)
        {
            for assignment in near.assignments().await? {
                self.truth.committed(&assignment);
            }
        }
        Ok(())
    }

    async fn answer(&self) -> Result<(), Error> {
        self.there_and_back().await
    }

    async fn changed(&self) {
        tokio::time::sleep(LOOK).await;
    }

    fn now(&self) -> Timestamp {
        stamp(&self.truth)
    }
}

/// No way at all: for who judges.
pub(crate) struct Near(pub Arc<Truth>);

#[async_trait]
impl Line for Near {
    async fn ask(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn committed(&self, _: &[&'static str]) -> Result<(), Error> {
        Ok(())
    }

    async fn answer(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn changed(&self) {
        tokio::time::sleep(LOOK).await;
    }

    fn now(&self) -> Timestamp {
        stamp(&self.0)
    }
}

fn stamp(truth: &Truth) -> Timestamp {
    Timestamp(i64::try_from(truth.shown().as_millis()).unwrap_or(i64::MAX))
}
