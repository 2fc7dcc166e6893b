//! A connection to one Kafka broker: one question at a time, each answered within its time.
//!
//! Owns the socket and the frames on it. A connection on which anything went wrong is not used again. Must not know what
//! the questions are about.

use super::protocol::Api;
use super::wire::{Torn, Writer};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for a connection, and for an answer beyond the time that the broker was given.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Longest answer, in bytes: a batch of records comes as a whole, however long it is.
const FRAME_MAX: usize = 128 * 1024 * 1024;
/// What this end is called in the broker's log.
const CLIENT: &str = "homing-engine";

/// Why a broker could not be asked.
#[derive(thiserror::Error, Debug)]
pub(crate) enum Trouble {
    /// It is not there.
    #[error("no connection to {0}: {1}")]
    Away(String, std::io::Error),
    /// It was there.
    #[error("the connection to {0} broke: {1}")]
    Lost(String, std::io::Error),
    /// It says nothing.
    #[error("{0} did not answer within {n} s", n = .1.as_secs())]
    Late(String, Duration),
    /// It says something else.
    #[error("{0} is no Kafka broker of 2.1 or later: {1}")]
    Torn(String, &'static str),
    /// It says too much.
    #[error("{0} answers with {1} bytes; at most {FRAME_MAX} are read")]
    Long(String, usize),
    /// It refuses, or the topic is not as it has to be.
    #[error("{0}")]
    Said(String),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    address: String,
    stream: TcpStream,
    asked: i32,
}

impl Connection {
    /// Opens one to `HOST:PORT`.
    pub(super) async fn open(address: &str) -> Result<Connection, Trouble> {
        let away = |e| Trouble::Away(address.to_owned(), e);
        let stream = tokio::time::timeout(ANSWER_MAX, TcpStream::connect(address));
        let stream = stream
            .await
            .map_err(|_| Trouble::Late(address.to_owned(), ANSWER_MAX))?
            .map_err(away)?;
        stream.set_nodelay(true).map_err(away)?;
        Ok(Connection {
            address: address.to_owned(),
            stream,
            asked: 0,
        })
    }

    /// Asks, and reads the answer with `read`. `wait`: how long the broker itself may take over it.
    pub(super) async fn ask<T>(
        &mut self,
        api: Api,
        question: &[u8],
        wait: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, Torn>,
    ) -> Result<T, Trouble> {
        let answer = self.answer(api, question, wait).await?;
        read(&answer).map_err(|torn| self.torn(torn.0))
    }

    /// Asks, and leaves the answer unread.
    pub(super) async fn answer(
        &mut self,
        api: Api,
        question: &[u8],
        wait: Duration,
    ) -> Result<Vec<u8>, Trouble> {
        let most = ANSWER_MAX + wait;
        let answer = tokio::time::timeout(most, self.exchange(api, question)).await;
        answer.map_err(|_| Trouble::Late(self.address.clone(), most))?
    }

    /// What is said of an answer that cannot be read.
    pub(super) fn torn(&self, why: &'static str) -> Trouble {
        Trouble::Torn(self.address.clone(), why)
    }

    async fn exchange(&mut self, api: Api, question: &[u8]) -> Result<Vec<u8>, Trouble> {
        self.asked = self.asked.wrapping_add(1);
        let mut head = Writer::default();
        head.i16(api.0).i16(api.1).i32(self.asked).text(CLIENT);
        let mut frame = Writer::default();
        frame.count(head.bytes.len() + question.len());
        frame.bytes.extend(head.bytes);
        frame.bytes.extend_from_slice(question);
        let address = &self.address;
        let lost = |e| Trouble::Lost(address.clone(), e);
        self.stream.write_all(&frame.bytes).await.map_err(lost)?;
        self.stream.flush().await.map_err(lost)?;
        let length = self.stream.read_i32().await.map_err(lost)?;
        let length = match usize::try_from(length) {
            Ok(length @ 4..=FRAME_MAX) => length,
            Ok(length) if length > FRAME_MAX => return Err(Trouble::Long(address.clone(), length)),
            _ => return Err(self.torn("an answer has no length")),
        };
        if self.stream.read_i32().await.map_err(lost)? != self.asked {
            return Err(self.torn("it answers another question"));
        }
        let mut answer = Vec::new();
        let rest = u64::try_from(length - 4).unwrap_or(0);
        // It grows as it is read: the length alone reserves nothing.
        let mut whole = (&mut self.stream).take(rest);
        let read = whole.read_to_end(&mut answer).await.map_err(lost)?;
        if read < length - 4 {
            let end = std::io::ErrorKind::UnexpectedEof.into();
            return Err(Trouble::Lost(address.clone(), end));
        }
        Ok(answer)
    }
}
