//! An engine that nobody but its agent starts and stops: the operator's scripts, and the lines that name them.
//!
//! Owns the scripts, and the end of what they started. Must not start anything itself. Relies on `sh`, `setsid` and `curl`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};

use crate::{engine::Engine, paths};

/// Scripts for an engine that was prepared and not started. What they started is killed when this is dropped.
pub struct Hooks {
    pid: PathBuf,
    lines: String,
}

impl Hooks {
    pub fn of(installation: &str, engine: &Engine) -> Result<Hooks> {
        let folder = paths::new_folder(installation)?;
        let (pid, log) = (folder.join("pid"), folder.join("log"));
        let quoted = |text: &String| format!("'{text}'");
        let args: Vec<String> = engine.args().iter().map(quoted).collect();
        let alive = format!("curl -fs -o /dev/null {}", engine.warm_up_url());
        let start = format!(
            "#!/bin/sh\n{alive} && exit 0\nsetsid java {} >{} 2>&1 </dev/null &\necho $! >{}\nuntil {alive}; do sleep 0.2; done\n",
            args.join(" "),
            log.display(),
            pid.display()
        );
        let gone = format!(
            "! test -e {p} || ! kill -0 -- -$(cat {p}) 2>/dev/null",
            p = pid.display()
        );
        let stop = format!(
            "#!/bin/sh\ntest -e {p} && kill -s KILL -- -$(cat {p})\nexit 0\n",
            p = pid.display()
        );
        let lines = format!(
            "command_timeout = \"3m\"\nstart = {}\nstop = {}\nverify_start = {}\nverify_stop = {}",
            script(&folder.join("start.sh"), &start)?,
            script(&folder.join("stop.sh"), &stop)?,
            script(&folder.join("verify-start.sh"), &alive)?,
            script(&folder.join("verify-stop.sh"), &gone)?
        );
        Ok(Hooks { pid, lines })
    }

    /// For an agent's configuration.
    pub fn lines(&self) -> &str {
        &self.lines
    }

    /// Whether the agent has ever started it.
    pub fn has_run(&self) -> bool {
        self.pid.exists()
    }

    /// SIGKILL for the engine and everything that it started.
    pub fn kill(&self) -> Result<()> {
        let pid = std::fs::read_to_string(&self.pid)?;
        let kill = Command::new("kill")
            .args(["-s", "KILL", "--", &format!("-{}", pid.trim())])
            .stderr(Stdio::null())
            .status()?;
        ensure!(kill.success(), "kill of {pid} failed");
        Ok(())
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// Writes it; the words that run it, as an agent's configuration has them.
fn script(path: &Path, text: &str) -> Result<String> {
    std::fs::write(path, text)?;
    Ok(format!("[\"sh\", {:?}]", path.display().to_string()))
}
