//! Bytes in, bytes out.

use std::fmt;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Stream, Target};

/// How long a read waits before the test is told that nothing came.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that neither adds nor hides a byte.
pub struct Raw {
    stream: Box<dyn Stream>,
    /// Read but not yet taken by [`Raw::until`] or [`Raw::response`].
    pending: Vec<u8>,
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raw").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

impl Raw {
    /// Connects.
    ///
    /// # Errors
    /// As [`Target::connect`].
    pub async fn connect(target: impl Into<Target>) -> Result<Self> {
        Ok(Self { stream: target.into().connect().await?, pending: Vec::new() })
    }

    /// Sends these bytes on a new connection and gives all that comes until the other side closes.
    ///
    /// # Errors
    /// When the connection fails, or is neither used nor closed within ten seconds.
    pub async fn exchange(target: impl Into<Target>, bytes: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        let mut raw = Self::connect(target).await?;
        raw.send(bytes).await?;
        raw.to_end().await
    }

    /// Sends bytes in one write.
    ///
    /// # Errors
    /// When the other side has closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        Ok(self.stream.flush().await?)
    }

    /// Sends each byte in its own segment, letting the other side run in between.
    ///
    /// # Errors
    /// When the other side has closed.
    pub async fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        for byte in bytes.as_ref() {
            self.send([*byte]).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Ends our direction (FIN); theirs stays open.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn finish(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// All bytes until the other side closes. A reset counts as the end when something was received before it.
    ///
    /// # Errors
    /// When nothing more comes for ten seconds, or the connection is reset without an answer.
    pub async fn to_end(&mut self) -> Result<Vec<u8>> {
        while self.fill().await? {}
        Ok(std::mem::take(&mut self.pending))
    }

    /// All bytes up to and with this text.
    ///
    /// # Errors
    /// When the other side closes or is silent for ten seconds before it came.
    pub async fn until(&mut self, text: &str) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.pending, text.as_bytes()) {
                let rest = self.pending.split_off(at + text.len());
                return Ok(std::mem::replace(&mut self.pending, rest));
            }
            if !self.fill().await? {
                bail!("closed before {text:?}; got {:?}", String::from_utf8_lossy(&self.pending));
            }
        }
    }

    /// One HTTP/1 response, head and body as text, leaving the connection usable. The body is what `content-length`
    /// says, or all chunks with their framing; without either, everything until the end.
    ///
    /// # Errors
    /// When it is cut short.
    pub async fn response(&mut self) -> Result<String> {
        let mut response = self.until("\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&response).to_ascii_lowercase();
        let field = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim().to_owned())
        };
        if let Some(length) = field("content-length") {
            response.extend(self.exactly(length.parse().context("content-length")?).await?);
        } else if field("transfer-encoding").is_some() {
            response.extend(self.until("0\r\n\r\n").await?);
        } else if !head.contains(" 204 ") && !head.contains(" 304 ") && !head.starts_with("http/1.1 1") {
            response.extend(self.to_end().await?);
        }
        Ok(String::from_utf8_lossy(&response).into_owned())
    }

    /// So many bytes.
    ///
    /// # Errors
    /// When the other side closes or is silent for ten seconds before they came.
    pub async fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.pending.len() < count {
            if !self.fill().await? {
                bail!("closed after {} of {count} bytes", self.pending.len());
            }
        }
        let rest = self.pending.split_off(count);
        Ok(std::mem::replace(&mut self.pending, rest))
    }

    /// Whether the other side closes (or resets) without sending anything more.
    pub async fn closes(&mut self) -> bool {
        match self.fill().await {
            Ok(more) => !more,
            Err(error) => error.downcast_ref::<io::Error>().is_some(),
        }
    }

    /// Whether nothing comes and nobody closes for this long.
    pub async fn stays_silent(&mut self, duration: Duration) -> bool {
        timeout(duration, self.fill()).await.is_err()
    }

    /// Reads once; false at the end.
    async fn fill(&mut self) -> Result<bool> {
        let mut buffer = vec![0; 64 * 1024];
        let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await;
        match read.with_context(|| format!("silent; so far {:?}", String::from_utf8_lossy(&self.pending)))? {
            Ok(count) => {
                self.pending.extend_from_slice(&buffer[..count]);
                Ok(count > 0)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !self.pending.is_empty() => {
                Ok(false)
            }
            // Closed without close_notify: the end all the same.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
