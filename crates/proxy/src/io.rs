//! Byte streams: a socket or TLS over it, and bytes given back after a look at them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::pipe::Pipe;

/// A stream of bytes that may be nothing but a socket's own.
pub(crate) trait MaybeSocket: AsyncRead + AsyncWrite + Unpin {
    /// The socket, when what is read from it and written to it from here on is what would be read from and written to the
    /// stream; none while anything is in between.
    fn socket(&self) -> Option<&TcpStream>;
}

impl<S: MaybeSocket> MaybeSocket for &mut S {
    fn socket(&self) -> Option<&TcpStream> {
        S::socket(self)
    }
}

/// A stream with some bytes in front of it that were read too early.
#[derive(Debug)]
pub(crate) struct Prefixed<S> {
    early: BytesMut,
    inner: S,
}

impl<S> Prefixed<S> {
    pub(crate) fn new(early: BytesMut, inner: S) -> Self {
        Self { early, inner }
    }

    /// The stream, and what is left of the early bytes.
    pub(crate) fn into_parts(self) -> (BytesMut, S) {
        (self.early, self.inner)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        let length = this.early.len().min(buf.remaining());
        buf.put_slice(&this.early[..length]);
        this.early.advance(length);
        if this.early.is_empty() {
            this.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

macro_rules! write_through {
    ($field:ident) => {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.get_mut().$field).poll_write(cx, bytes)
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.get_mut().$field).poll_write_vectored(cx, slices)
        }

        fn is_write_vectored(&self) -> bool {
            self.$field.is_write_vectored()
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.get_mut().$field).poll_flush(cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.get_mut().$field).poll_shutdown(cx)
        }
    };
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    write_through!(inner);
}

/// What can tell, without a buffer, that there is nothing to read.
pub(crate) trait Source: AsyncRead + Unpin {
    /// Pending when a read would be, and then the task is woken as by one. What is ready may still have nothing.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Moves what there is to read, but no more than `most` bytes, into an empty pipe; tells how much, 0 at the end of the
    /// stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is nothing, or it has to be read; [`io::ErrorKind::Unsupported`] where that is
    /// always so.
    fn fill(&mut self, pipe: &mut Pipe, most: u64) -> io::Result<usize> {
        let _ = (pipe, most);
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl<S: MaybeSocket> MaybeSocket for Prefixed<S> {
    fn socket(&self) -> Option<&TcpStream> {
        self.inner.socket().filter(|_| self.early.is_empty())
    }
}

impl MaybeSocket for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// A connection, in clear text or with TLS ended (downstream) or begun (upstream) by us.
pub(crate) enum Stream {
    /// Clear text.
    Plain(Prefixed<TcpStream>),
    /// TLS, we are the server.
    Server(Box<tokio_rustls::server::TlsStream<Prefixed<TcpStream>>>),
    /// TLS, we are the client.
    Client(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    /// Clear text, nothing read yet.
    pub(crate) fn plain(socket: TcpStream) -> Self {
        Self::Plain(Prefixed::new(BytesMut::new(), socket))
    }
}

impl Stream {
    /// Is there nothing to read, as far as the reactor has told? Of TLS that cannot be known without a look.
    pub(crate) fn is_quiet(&self) -> bool {
        self.socket().is_some_and(|socket| socket.try_io(Interest::READABLE, || Ok(())).is_err())
    }

    /// Whatever is dropped of this connection from now on ends it by RST.
    pub(crate) fn reset_at_end(&self) {
        let socket = match self {
            Self::Plain(plain) => &plain.inner,
            Self::Server(tls) => &tls.get_ref().0.inner,
            Self::Client(tls) => tls.get_ref().0,
        };
        // Fails only for a connection that has ended already.
        let _ = socket.set_zero_linger();
    }
}

impl Source for Stream {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.socket() {
            // An error is for the read to tell.
            Some(socket) => socket.poll_read_ready(cx).map(|_| ()),
            // There may be something that has been read already.
            None => Poll::Ready(()),
        }
    }

    fn fill(&mut self, pipe: &mut Pipe, most: u64) -> io::Result<usize> {
        let Some(socket) = self.socket() else { return Err(io::ErrorKind::Unsupported.into()) };
        socket.try_io(Interest::READABLE, || pipe.fill(socket, most))
    }
}

impl MaybeSocket for Stream {
    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(plain) => plain.socket(),
            Self::Server(_) | Self::Client(_) => None,
        }
    }
}

macro_rules! each_stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Stream::Plain($stream) => $call,
            Stream::Server($stream) => $call,
            Stream::Client($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        each_stream!(this, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        each_stream!(this, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        each_stream!(this, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        each_stream!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        each_stream!(this, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        each_stream!(this, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
impl MaybeSocket for tokio::io::DuplexStream {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}
