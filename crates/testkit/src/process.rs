//! Programs run by a test: output captured, killed when dropped.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use crate::wait::eventually;

/// A running program. Its standard output and error are collected line by line into one text.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Process {
    /// Starts the program; standard input is closed unless `command` says otherwise before.
    ///
    /// # Errors
    /// When it cannot be started; the message names the program, so that a missing tool says which.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{name}`: is it installed?"))?;
        let output = Arc::new(Mutex::new(String::new()));
        if let Some(stdout) = child.stdout.take() {
            collect(stdout, Arc::clone(&output));
        }
        if let Some(stderr) = child.stderr.take() {
            collect(stderr, Arc::clone(&output));
        }
        Ok(Self { child, output })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        lock(&self.output).clone()
    }

    /// Waits until a line with this text was printed, and gives that line.
    ///
    /// # Panics
    /// As [`eventually`].
    pub async fn line_with(&self, text: &str) -> String {
        let found = || async { self.output().lines().find(|line| line.contains(text)).map(str::to_owned) };
        eventually(&format!("a line with {text:?}"), found).await
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        eventually("the end of the process", || std::future::ready(self.child.try_wait().transpose()))
            .await
            .map_err(Into::into)
    }

    /// Sends a signal by its name, such as `TERM`.
    ///
    /// # Errors
    /// When `kill` cannot be run or refuses.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status()?;
        anyhow::ensure!(status.success(), "kill -{name} {} failed", self.id());
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill and nothing to say.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let mut output = lock(&output);
            output.push_str(&String::from_utf8_lossy(&line));
            output.push('\n');
        }
    });
}

fn lock(output: &Mutex<String>) -> MutexGuard<'_, String> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::Process;

    #[tokio::test]
    async fn output_is_collected_and_the_end_seen() -> anyhow::Result<()> {
        let mut process = Process::start(
            Command::new("sh").args(["-c", "echo out; echo err >&2; exec cat /dev/zero > /dev/null"]),
        )?;
        process.line_with("out").await;
        process.line_with("err").await;
        assert!(process.ended()?.is_none());
        process.signal("TERM")?;
        assert!(!process.wait().await?.success());
        Ok(())
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Process::start(&mut Command::new("no-such-program")).expect_err("there is none");
        assert!(error.to_string().contains("no-such-program"));
    }
}
