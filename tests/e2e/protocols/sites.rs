//! A site that answers with bytes as they are written here.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use homing_harness::ports::loopback;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

type Answering = dyn Fn(&str) -> String + Send + Sync;

pub(super) struct RawSite {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl RawSite {
    /// The function answers each head; after a 101 everything is echoed, and `bye` said at the end.
    pub(super) async fn start(
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(loopback(0)).await?;
        let port = listener.local_addr()?.port();
        let heads = Arc::default();
        let (answer, seen): (Arc<Answering>, _) = (Arc::new(answer), Arc::clone(&heads));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // How a connection ends is what the tests look at.
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&seen)));
            }
        });
        Ok(Self {
            port,
            heads,
            accepting,
        })
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for RawSite {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<Answering>,
    seen: Arc<Mutex<Vec<String>>>,
) -> Result<()> {
    let mut read = Vec::new();
    loop {
        while !read.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8_lossy(&read).into_owned();
        read.clear();
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(head.clone());
        let answer = answer(&head);
        stream.write_all(answer.as_bytes()).await?;
        if answer.starts_with("HTTP/1.1 101") {
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await?;
            to.write_all(b"bye").await?;
            return Ok(());
        }
    }
}
