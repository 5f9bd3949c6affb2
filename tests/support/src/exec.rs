//! Commands inside a machine: as whom, with what input, for how long at most.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::machine::Machine;
use crate::patience::stretched;

/// How long a command may take unless it says otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

/// A command to be run inside a machine. Made by [`Machine::command`].
#[derive(Debug)]
#[must_use]
pub struct Exec<'machine> {
    machine: &'machine Machine,
    words: Vec<String>,
    user: Option<String>,
    environment: Vec<String>,
    stdin: Vec<u8>,
    deadline: Duration,
}

impl<'machine> Exec<'machine> {
    pub(crate) fn new(machine: &'machine Machine, words: Vec<String>) -> Self {
        Self {
            machine,
            words,
            user: None,
            environment: Vec::new(),
            stdin: Vec::new(),
            deadline: DEADLINE,
        }
    }

    /// Runs it as this user, in the home directory, with the groups and environment of a fresh login but without a
    /// login session (no PAM).
    pub fn user(mut self, name: &str) -> Self {
        self.user = Some(name.to_owned());
        self
    }

    /// Adds a word to the command.
    pub fn arg(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    /// Adds words to the command.
    pub fn args<I, A>(mut self, words: I) -> Self
    where
        I: IntoIterator<Item = A>,
        A: Into<String>,
    {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// What it reads from standard input; then end of file.
    pub fn stdin(mut self, content: &[u8]) -> Self {
        self.stdin = content.to_vec();
        self
    }

    /// How long it may take, one minute unless said otherwise. Counted from the start of the command.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it to its end. A command that is killed at its deadline is an error, any exit status is not: see
    /// [`Output::success`].
    pub fn run(self) -> Result<Output> {
        let deadline = self.deadline;
        let content = self.stdin.clone();
        let mut running = self.spawn()?;
        let pipe = running.stdin.take();
        let writer = std::thread::spawn(move || {
            if let Some(mut pipe) = pipe {
                // A command that does not read its input is not in error.
                pipe.write_all(&content).ok();
            }
        });
        let output = running.finish(deadline);
        writer.join().ok();
        output
    }

    /// Starts it and returns. Its standard input is a pipe that stays open until [`Running::close_stdin`]; content set
    /// by [`Exec::stdin`] is not written.
    pub fn spawn(self) -> Result<Running> {
        let shown = self.words.join(" ");
        let mut command = self.enter()?;
        let mut child = command
            // Its own process group, by which it can be killed with all its children.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("nsenter")?;
        let stdout = Collector::start(child.stdout.take());
        let stderr = Collector::start(child.stderr.take());
        Ok(Running {
            shown,
            began: Instant::now(),
            stdin: child.stdin.take(),
            child,
            stdout,
            stderr,
        })
    }

    /// Runs it on the caller's terminal, without a deadline: for a developer's hands.
    pub fn interactive(self) -> Result<ExitStatus> {
        self.enter()?.status().context("nsenter")
    }

    fn enter(&self) -> Result<Command> {
        let leader = self.machine.leader();
        ensure!(leader.alive(), "machine {} is not up", self.machine.name());
        let mut command = Command::new("nsenter");
        command
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .env(
                "TERM",
                std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned()),
            )
            .args(["--all", "--target", &leader.pid.to_string(), "--"]);
        if let Some(user) = &self.user {
            command
                .args([
                    "setpriv",
                    "--reuid",
                    user,
                    "--regid",
                    user,
                    "--init-groups",
                    "--reset-env",
                ])
                .args(["sh", "-c", "cd && exec \"$@\"", "as-user"]);
        }
        command.arg("env").args(&self.environment).args(&self.words);
        Ok(command)
    }
}

/// A command under way inside a machine. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    shown: String,
    began: Instant,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Collector,
    stderr: Collector,
}

impl Running {
    /// Writes to its standard input.
    pub fn write(&mut self, content: &[u8]) -> Result<()> {
        let stdin = self.stdin.as_mut().context("standard input was closed")?;
        stdin.write_all(content)?;
        stdin.flush()?;
        Ok(())
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The process on the host that stands for the command: `nsenter`, whose child the command is.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output up to now.
    pub fn stdout_so_far(&self) -> Vec<u8> {
        self.stdout.so_far()
    }

    /// Waits until standard output holds `text`, and returns all of standard output up to then.
    ///
    /// # Errors
    ///
    /// The command ended, or the deadline passed, without the text.
    pub fn wait_for(&self, text: &str, deadline: Duration) -> Result<String> {
        self.stdout
            .wait_for(text.as_bytes(), stretched(deadline))
            .with_context(|| {
                format!(
                    "`{}` did not say {text:?}; standard error: {}",
                    self.shown,
                    String::from_utf8_lossy(&self.stderr.so_far())
                )
            })
    }

    /// Whether it is still under way.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends a signal to the command and its children.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(self.process_group()?, signal).context("kill")
    }

    /// Waits for its end and collects what it said. `deadline` counts from the start of the command.
    pub fn finish(mut self, deadline: Duration) -> Result<Output> {
        let deadline = stretched(deadline);
        let left = deadline.saturating_sub(self.began.elapsed());
        let ended = wait_for_end(&self.child, left)?;
        if !ended {
            self.kill()?;
            bail!(
                "`{}` had not ended after {deadline:?} and was killed\nstandard output: {}\nstandard error: {}",
                self.shown,
                excerpt(&self.stdout.so_far()),
                excerpt(&self.stderr.so_far())
            );
        }
        let status = self.child.wait()?;
        // A child in the background may hold the pipes open for good: what came within a second after the end counts.
        let patience = Instant::now() + Duration::from_secs(1);
        Ok(Output {
            command: std::mem::take(&mut self.shown),
            status,
            stdout: self.stdout.finish(patience),
            stderr: self.stderr.finish(patience),
            took: self.began.elapsed(),
        })
    }

    /// Kills it with its children and waits for its end.
    pub fn kill(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            kill_process_group(self.process_group()?, Signal::KILL).ok();
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }

    fn process_group(&self) -> Result<Pid> {
        i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("not a process number")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill().ok();
    }
}

/// What a command said.
#[derive(Debug, Clone)]
pub struct Output {
    command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Wall time from start to end.
    pub took: Duration,
}

impl Output {
    /// This output, or an error with all that was said if the exit status is not 0.
    pub fn success(self) -> Result<Self> {
        ensure!(
            self.status.success(),
            "`{}` failed ({})\nstandard output: {}\nstandard error: {}",
            self.command,
            self.status,
            excerpt(&self.stdout),
            excerpt(&self.stderr)
        );
        Ok(self)
    }

    /// The exit status as a number; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Reads one pipe to its end in a thread, so that a full pipe never stops the command.
#[derive(Debug)]
struct Collector {
    shared: Arc<(Mutex<Collected>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    ended: bool,
}

impl Collector {
    fn start(pipe: Option<impl Read + Send + 'static>) -> Self {
        let shared = Arc::new((Mutex::new(Collected::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let (collected, changed) = &*theirs;
            let mut chunk = vec![0; 65536];
            let mut pipe = pipe;
            loop {
                let count = pipe
                    .as_mut()
                    .map_or(0, |pipe| pipe.read(&mut chunk).unwrap_or(0));
                let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
                match chunk.get(..count) {
                    Some(read) if count > 0 => collected.bytes.extend_from_slice(read),
                    _ => collected.ended = true,
                }
                changed.notify_all();
                if collected.ended {
                    return;
                }
            }
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    fn so_far(&self) -> Vec<u8> {
        let (collected, _) = &*self.shared;
        collected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
            .clone()
    }

    fn wait_for(&self, text: &[u8], deadline: Duration) -> Result<String> {
        let (collected, changed) = &*self.shared;
        let end = Instant::now() + deadline;
        let mut guard = collected.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if guard.bytes.windows(text.len()).any(|window| window == text) {
                return Ok(String::from_utf8_lossy(&guard.bytes).into_owned());
            }
            let left = end.saturating_duration_since(Instant::now());
            ensure!(
                !guard.ended && !left.is_zero(),
                "standard output: {}",
                excerpt(&guard.bytes)
            );
            guard = changed
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn finish(&mut self, patience: Instant) -> Vec<u8> {
        let (collected, changed) = &*self.shared;
        let mut guard = collected.lock().unwrap_or_else(PoisonError::into_inner);
        while !guard.ended {
            let left = patience.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return std::mem::take(&mut guard.bytes);
            }
            guard = changed
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let bytes = std::mem::take(&mut guard.bytes);
        drop(guard);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        bytes
    }
}

/// Waits until the process has ended, without reaping it. False: it has not within `patience`.
fn wait_for_end(child: &Child, patience: Duration) -> Result<bool> {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .context("not a process number")?;
    let process = pidfd_open(pid, PidfdFlags::empty()).context("pidfd_open")?;
    let end = Instant::now() + patience;
    loop {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now()))?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("poll"),
        }
    }
}

/// The end of a long text: the last words are the ones that explain a failure.
fn excerpt(bytes: &[u8]) -> String {
    const LONGEST: usize = 8192;
    let tail = bytes
        .get(bytes.len().saturating_sub(LONGEST)..)
        .unwrap_or(bytes);
    String::from_utf8_lossy(tail).into_owned()
}
