//! A byte stream to a host and port: the system's, or a simulated network's.
//!
//! Owns the choice between them. Must not know what is said on the stream.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What any other stream than the system's must be able to do.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Bytes for S {}

/// A simulated stream, or why there is none.
pub type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn Bytes>>> + Send>>;

/// Opens streams of a simulated network, by host and port.
pub type Network = fn(String, u16) -> Opening;

static SIMULATED: OnceLock<Network> = OnceLock::new();

/// From now on this process opens no stream of the system's to a site, but this network's. The first one stays.
pub fn simulate(network: Network) {
    SIMULATED.get_or_init(|| network);
}

/// An open stream.
pub enum Stream {
    /// The system's.
    Tcp(TcpStream),
    /// A simulated network's, or one with TLS on it.
    Other(Box<dyn Bytes>),
}

/// Opens a stream.
pub async fn open(host: &str, port: u16) -> io::Result<Stream> {
    if let Some(network) = SIMULATED.get() {
        return network(host.to_owned(), port).await.map(Stream::Other);
    }
    let stream = TcpStream::connect((host, port)).await?;
    // Small requests must not wait for acknowledgements; a failure here costs latency only.
    let _ = stream.set_nodelay(true);
    Ok(Stream::Tcp(stream))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, into),
            Stream::Other(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Other(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Other(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Other(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Stream::Other(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Other(stream) => stream.is_write_vectored(),
        }
    }
}
