//! One HTTP/1.x connection of a client: its requests one after the other, each answered before the next is read.
//!
//! Owns the order of reading, handling and writing, and when the connection ends. Must not route. Relies on the tap below it
//! for everything that a client may do wrong, and for every deadline.

use super::answering::Answering;
use super::line::{Line, Shared};
use super::request::Asked;
use crate::forward::arriving::Arriving;
use crate::forward::upgrade::Granted;
use crate::listener::prefix::Prefixed;
use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use http_body::Body as HttpBody;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection.
pub(in crate::listener) struct Connection<S> {
    line: Shared<S>,
    headers_max: usize,
    /// Set when no further request is wanted.
    is_last: AtomicBool,
}

/// What a connection keeps for its next answer.
const ROOM_KEPT: usize = 4 * 1024;

/// How a request ended.
enum Next {
    /// Another one may follow.
    Request,
    /// Nothing more is said.
    Close,
    /// The stream belongs to somebody else now.
    Left,
}

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// On a stream on which nothing was said. `headers_max`: headers of a request.
    pub(in crate::listener) fn new(stream: S, headers_max: usize) -> Connection<S> {
        Connection {
            line: Shared::new(Line::new(stream)),
            headers_max,
            is_last: AtomicBool::new(false),
        }
    }

    /// The request that runs is the last one; an idle connection closes.
    pub(in crate::listener) fn end(&self) {
        self.is_last.store(true, Ordering::Relaxed);
    }

    /// Serves until either side ends it. A client that leaves takes its request with it.
    pub(in crate::listener) async fn serve<F, B>(
        &self,
        mut service: impl FnMut(Request<Arriving>) -> F,
    ) -> io::Result<()>
    where
        F: Future<Output = Response<B>>,
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let _over = Over(&self.line);
        let mut out = BytesMut::new();
        loop {
            let asked = poll_fn(|cx| {
                let is_last = self.is_last.load(Ordering::Relaxed);
                self.line.lock().poll_request(cx, self.headers_max, is_last)
            });
            let Some(asked) = asked.await? else {
                break;
            };
            match self.exchange(asked, &mut service, &mut out).await? {
                Next::Request => {}
                Next::Close => break,
                Next::Left => return Ok(()),
            }
        }
        poll_fn(|cx| self.line.lock().poll_shutdown(cx)).await
    }

    async fn exchange<F, B>(
        &self,
        asked: Asked,
        service: &mut impl FnMut(Request<Arriving>) -> F,
        out: &mut BytesMut,
    ) -> io::Result<Next>
    where
        F: Future<Output = Response<B>>,
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let body = if asked.follows.is_end() {
            Arriving::Nothing
        } else {
            Arriving::Http1(Box::pin(self.line.clone()))
        };
        let manner = asked.manner;
        let answer = {
            let mut handling = pin!(service(asked.head.map(|()| body)));
            poll_fn(|cx| match handling.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Ok(answer)),
                Poll::Pending => self.poll_left(cx).map(Err),
            })
            .await?
        };
        out.clear();
        self.line.lock().answers(out);
        let (mut head, body) = answer.into_parts();
        let granted = head.extensions.remove::<Granted>();
        let stays = !self.is_last.load(Ordering::Relaxed);
        let mut answering = Answering::new(&head, body, out, manner, stays);
        poll_fn(|cx| self.poll_answer(cx, &mut answering)).await?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(match granted.zip(self.line.lock().leave()) {
                Some((granted, (first, stream))) => {
                    granted.hand(Box::new(Prefixed::new(first, stream)));
                    Next::Left
                }
                None => Next::Close,
            });
        }
        let stays = answering.stays();
        drop(answering);
        if out.capacity() > ROOM_KEPT {
            *out = BytesMut::new();
        }
        let stays = stays && poll_fn(|cx| self.line.lock().poll_rest(cx)).await;
        Ok(if stays { Next::Request } else { Next::Close })
    }

    /// Hands on what the body has, until the client has taken all of it.
    fn poll_answer<B>(
        &self,
        cx: &mut Context<'_>,
        answering: &mut Answering<'_, B>,
    ) -> Poll<io::Result<()>>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        loop {
            // The body may read the line itself: it must not be locked meanwhile.
            match answering.poll_gather(cx) {
                Poll::Ready(gathered) => gathered?,
                Poll::Pending => return self.poll_left(cx).map(Err),
            }
            ready!(answering.poll_write(cx, &mut self.line.lock()))?;
            if answering.is_taken() && !answering.has_some() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let left = self.line.lock().poll_left(cx);
        left.map(|()| io::ErrorKind::ConnectionAborted.into())
    }
}

/// Lets go of the stream when the connection is over, whoever still holds a part of it.
struct Over<'c, S: AsyncRead + AsyncWrite + Unpin>(&'c Shared<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Over<'_, S> {
    fn drop(&mut self) {
        drop(self.0.lock().leave());
    }
}
