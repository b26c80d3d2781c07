//! A write timeout for connections: one whose peer reads nothing for too long is closed.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream whose writes fail once the peer has read no byte for `within` although there was one to read.
pub(super) struct WriteTimeout<T> {
    stream: T,
    within: Duration,
    /// Runs while the peer reads nothing.
    deadline: Pin<Box<Sleep>>,
    is_stalled: bool,
}

impl<T> WriteTimeout<T> {
    pub(super) fn new(stream: T, within: Duration) -> Self {
        Self { stream, within, deadline: Box::pin(sleep(within)), is_stalled: false }
    }

    fn written<R>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.is_stalled = false;
            return written;
        }
        if !std::mem::replace(&mut self.is_stalled, true) {
            self.deadline.as_mut().reset(Instant::now() + self.within);
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WriteTimeout<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::timeout;

    const WITHIN: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_for_too_long_is_cut_off_and_one_that_reads_a_little_is_not() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = WriteTimeout::new(ours, WITHIN);
        let mut read = [0; 1];
        ours.write_all(b"1234").await.unwrap();
        let before = Instant::now();
        for _ in 0..3 {
            let (written, ()) = tokio::join!(ours.write_all(b"5"), async {
                sleep(WITHIN - Duration::from_secs(1)).await;
                theirs.read_exact(&mut read).await.unwrap();
            });
            written.unwrap();
        }
        assert!(before.elapsed() > 2 * WITHIN, "it is progress that counts");
        let cut = ours.write_all(b"6").await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
        // A peer that has nothing to read is not cut off.
        assert!(timeout(10 * WITHIN, ours.read_exact(&mut read)).await.is_err());
    }
}
