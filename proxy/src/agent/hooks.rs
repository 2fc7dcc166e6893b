//! The operator's commands: `start`, `stop`, `promote` and their verifications, each with a time limit.
//!
//! Owns running them and keeping what they wrote, in files of the agent's folder. Must not decide when. A command that
//! hangs is killed with its whole process group and has failed; one that says it is done has done nothing until its
//! verification says so too.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// How much of a command's output goes into records and logs; all of it stays in its file.
const TAIL_BYTES: u64 = 1_500;
/// Pause before a verification that said no is asked again.
const VERIFY_EVERY: Duration = Duration::from_millis(200);

/// Why a command counts as not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be run at all.
    #[error("the command `{name}` cannot be run: {program}")]
    Run {
        name: &'static str,
        program: String,
        #[source]
        source: io::Error,
    },
    /// It did not end within the limit.
    #[error("the command `{name}` did not end within {limit:?} and was killed; it wrote: {output}")]
    Hangs {
        name: &'static str,
        limit: Duration,
        output: String,
    },
    /// It said that it failed.
    #[error("the command `{name}` ended with {status}; it wrote: {output}")]
    Status {
        name: &'static str,
        status: ExitStatus,
        output: String,
    },
    /// It said that it was done, and its verification never agreed.
    #[error(
        "`{name}` said it was done, but within {limit:?} `{verification}` did not agree: {last}"
    )]
    Lies {
        name: &'static str,
        verification: &'static str,
        limit: Duration,
        last: String,
    },
    /// None is configured.
    #[error("there is no command `{0}` in `[agent]`")]
    None(&'static str),
}

/// The commands.
#[derive(Clone, Debug)]
pub struct Hooks {
    pub start: Option<Vec<String>>,
    pub stop: Option<Vec<String>>,
    pub verify_start: Option<Vec<String>>,
    pub verify_stop: Option<Vec<String>>,
    /// For a command together with its verification.
    pub limit: Duration,
    /// Where the output of the last run of each is kept.
    pub folder: PathBuf,
    /// Held while the engine is being started or stopped: one after the other.
    pub at_it: Arc<Mutex<()>>,
}

impl Hooks {
    /// Makes the engine serve, proven if it can be.
    pub async fn start(&self) -> Result<String, Error> {
        self.proven("start", &self.start, "verify_start", &self.verify_start)
            .await
    }

    /// Begins to start the engine before it may serve: whether it does is not asked.
    pub async fn start_ahead(&self) -> Result<String, Error> {
        let command = self.start.as_ref().ok_or(Error::None("start"))?;
        let _alone = self.at_it.lock().await;
        self.run_within("start", command).await
    }

    /// Stops the engine, proven if it can be.
    pub async fn stop(&self) -> Result<String, Error> {
        self.proven("stop", &self.stop, "verify_stop", &self.verify_stop)
            .await
    }

    /// Whether the engine is still stopped: by its verification, or by stopping it again.
    pub async fn still_stopped(&self) -> Result<String, Error> {
        match &self.verify_stop {
            Some(command) => match self.run("verify_stop", command).await {
                Ok(said) => Ok(said),
                Err(_) => self.stop().await,
            },
            None => self.stop().await,
        }
    }

    /// Whether the engine serves, by its verification; nothing if there is none.
    pub async fn serves(&self) -> Option<Result<String, Error>> {
        let command = self.verify_start.as_ref()?;
        let asked = self.until_it_agrees("start", "verify_start", command);
        Some(self.within("verify_start", asked).await)
    }

    async fn proven(
        &self,
        name: &'static str,
        command: &Option<Vec<String>>,
        verification: &'static str,
        verify: &Option<Vec<String>>,
    ) -> Result<String, Error> {
        let command = command.as_ref().ok_or(Error::None(name))?;
        let _alone = self.at_it.lock().await;
        let both = async {
            let said = self.run(name, command).await?;
            match verify {
                Some(verify) => self.until_it_agrees(name, verification, verify).await,
                None => Ok(format!("by the exit status of `{name}` alone: {said}")),
            }
        };
        self.within(name, both).await
    }

    async fn within(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<String, Error>>,
    ) -> Result<String, Error> {
        match tokio::time::timeout(self.limit, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::Hangs {
                name,
                limit: self.limit,
                output: tail(&self.output(name)),
            }),
        }
    }

    async fn until_it_agrees(
        &self,
        name: &'static str,
        verification: &'static str,
        command: &[String],
    ) -> Result<String, Error> {
        let mut last = String::new();
        // A little before the limit of all, so that the last answer is told instead of the limit.
        let asking = async {
            loop {
                match self.run(verification, command).await {
                    Ok(said) => return format!("by `{verification}`: {said}"),
                    Err(error) => last = error.to_string(),
                }
                tokio::time::sleep(VERIFY_EVERY).await;
            }
        };
        let limit = self.limit * 4 / 5;
        match tokio::time::timeout(limit, asking).await {
            Ok(said) => Ok(said),
            Err(_) => Err(Error::Lies {
                name,
                verification,
                limit,
                last,
            }),
        }
    }

    /// Runs one command, within the limit.
    pub async fn run_within(&self, name: &'static str, words: &[String]) -> Result<String, Error> {
        self.within(name, self.run(name, words)).await
    }

    /// Runs one command to its end. When this future is dropped, everything that it started is killed.
    pub async fn run(&self, name: &'static str, words: &[String]) -> Result<String, Error> {
        let (program, arguments) = words.split_first().ok_or(Error::None(name))?;
        let failed = |source| Error::Run {
            name,
            program: program.clone(),
            source,
        };
        let path = self.output(name);
        // A new file each time: a process that a former run left behind writes on into the old one.
        let _ = std::fs::remove_file(&path);
        let output = File::create(&path).map_err(failed)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut group = Group(child);
        let status = group.0.wait().await.map_err(failed)?;
        let output = tail(&path);
        if status.success() {
            Ok(output)
        } else {
            Err(Error::Status {
                name,
                status,
                output,
            })
        }
    }

    fn output(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

/// A running command: killed with its group unless it has ended. What it started and left running on purpose stays.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // An id is there only until the child was waited for.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// The end of a file, as text.
fn tail(path: &Path) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        io::Result::Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    match read() {
        Ok(text) if text.is_empty() => "(nothing)".into(),
        Ok(text) => text,
        Err(error) => format!("(cannot be read: {error})"),
    }
}

#[cfg(test)]
mod tests;
