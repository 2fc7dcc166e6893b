//! A request's body as it arrives from a client, whatever the client speaks.
//!
//! Owns the choice between the two sources. Must not decide what becomes of it.

use super::body::Error;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body of an HTTP/1.x request.
pub type Http1 = Pin<Box<dyn HttpBody<Data = Bytes, Error = io::Error> + Send + Sync>>;

/// A request's body.
pub enum Arriving {
    /// There is none.
    Nothing,
    /// From a connection that carries one request at a time.
    Http1(Http1),
    /// From a stream of HTTP/2.
    Http2(Incoming),
}

impl From<Incoming> for Arriving {
    fn from(body: Incoming) -> Arriving {
        Arriving::Http2(body)
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Arriving::Nothing => Poll::Ready(None),
            Arriving::Http1(body) => body
                .as_mut()
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Error::ByClient))),
            Arriving::Http2(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Error::Cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Arriving::Nothing => true,
            Arriving::Http1(body) => body.is_end_stream(),
            Arriving::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Arriving::Nothing => SizeHint::with_exact(0),
            Arriving::Http1(body) => body.size_hint(),
            Arriving::Http2(body) => body.size_hint(),
        }
    }
}
