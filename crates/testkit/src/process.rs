//! Programs run by a test: output captured, killed when dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use crate::wait::eventually;

/// A running program. Its standard output and error are collected line by line into one text.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    /// Of a guarded program: what its guard listens to.
    guard: Option<ChildStdin>,
}

/// Becomes the program; a guard beside it waits for a line. The end of the file instead means that we died without
/// stopping the program, so the guard does: nothing outlives a test that was killed.
const GUARD: &str = r#"
remains=$1
shift
exec 3<&0 </dev/null
{ read -r _ <&3 || { kill -9 $$; rm -rf "$remains"; }; } >/dev/null 2>&1 &
exec "$@" 3<&-
"#;

impl Process {
    /// Starts the program; standard input is closed unless `command` says otherwise before.
    ///
    /// # Errors
    /// When it cannot be started; the message names the program, so that a missing tool says which.
    pub fn start(command: &mut Command) -> Result<Self> {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// As [`Process::start`], and the program does not outlive this process, however that ends; the folder `remains` is
    /// removed then.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_guarded(command: &Command, remains: &Path) -> Result<Self> {
        let mut guarded = Command::new("sh");
        guarded.args(["-c", GUARD, "sh"]).arg(remains).arg(command.get_program()).args(command.get_args());
        let environment = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        guarded.envs(environment).stdin(Stdio::piped());
        let mut process = Self::spawn(&mut guarded)?;
        process.guard = process.child.stdin.take();
        Ok(process)
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
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
        Ok(Self { child, output, guard: None })
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
        if let Some(guard) = &mut self.guard {
            // The guard may be gone too, if somebody killed it.
            let _ = guard.write_all(b"\n");
        }
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

    use super::{Process, eventually};

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

    #[tokio::test]
    async fn a_guarded_program_does_not_outlive_us() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let remains = folder.path().join("remains");
        std::fs::create_dir(&remains)?;
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; exec sleep 1000"]);
        let mut process = Process::start_guarded(&command, &remains)?;
        process.line_with("begun").await;
        // What happens when we are killed: our end of the pipe closes, and nothing was written to it.
        drop(process.guard.take());
        assert!(!process.wait().await?.success());
        eventually("the remains to be gone", || std::future::ready(!remains.exists())).await;
        Ok(())
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Process::start(&mut Command::new("no-such-program")).expect_err("there is none");
        assert!(error.to_string().contains("no-such-program"));
    }
}
