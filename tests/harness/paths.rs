//! Where things are: the cache of engine jars, the `homing` binary, this process's own run folder.
//!
//! The run folder is removed when the process is gone, however it went. Must not start anything else.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, Result, ensure};

use crate::outcome::shared;

/// Waits for the end of its standard input, which is held by this process alone, then removes the folder.
/// The folder's users are told to stop by the kernel at the same moment, so it tries for a while.
const SWEEPER: &str = r#"trap "" INT TERM HUP; cat >/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 0.3; rm -rf -- "$0" 2>/dev/null && exit; done"#;

#[expect(
    clippy::disallowed_methods,
    reason = "the harness has no configuration file"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What scripts have installed once for all checkouts.
fn cache() -> Result<PathBuf> {
    match variable("HOMING_CACHE") {
        Some(cache) => Ok(PathBuf::from(cache)),
        None => Ok(PathBuf::from(
            variable("HOME").context("neither HOMING_CACHE nor HOME is set")?,
        )
        .join(".cache/homing")),
    }
}

/// Where reports for people are kept, beyond the life of this process.
pub fn reports() -> Result<PathBuf> {
    let folder = cache()?.join("reports");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// The jar that `scripts/engines` built.
pub fn engine_jar(name: &str) -> Result<PathBuf> {
    let jar = cache()?.join("engines").join(format!("{name}.jar"));
    ensure!(
        jar.is_file(),
        "{} is missing: run scripts/engines",
        jar.display()
    );
    Ok(jar)
}

/// The folder into which `scripts/workers` installed a stock worker client.
pub fn worker_client(language: &str) -> Result<PathBuf> {
    let folder = cache()?.join("workers").join(language);
    ensure!(
        folder.is_dir(),
        "{} is missing: run scripts/workers",
        folder.display()
    );
    Ok(folder)
}

/// The checkout that this harness was built from.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or_else(|| Path::new("/"))
}

/// The router's binary: `HOMING_BIN`, else the one that cargo built beside this test binary. A binary older than its
/// sources would test yesterday's code, so it is refused.
pub fn homing_binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    shared(&BINARY, find_binary).map(PathBuf::as_path)
}

fn find_binary() -> Result<PathBuf> {
    if let Some(binary) = variable("HOMING_BIN") {
        return Ok(PathBuf::from(binary));
    }
    let me = std::env::current_exe().context("where is this test binary")?;
    let folder = me
        .ancestors()
        .find(|folder| folder.join("homing").is_file());
    let hint = "run `cargo build --workspace --lib --bins --tests` (make test does)";
    let binary = folder
        .with_context(|| format!("the homing binary is not built: {hint}"))?
        .join("homing");
    let built = binary.metadata()?.modified()?;
    for package in ["config", "mapping-store", "engine", "proxy"] {
        let newest = newest_source(&checkout().join(package).join("src"))?;
        ensure!(
            newest.is_none_or(|source| source <= built),
            "the homing binary is older than {package}: {hint}"
        );
    }
    Ok(binary)
}

/// Another program of this workspace's tests, built with them.
pub fn beside(name: &str) -> Result<PathBuf> {
    let me = std::env::current_exe().context("where is this test binary")?;
    let found = me.ancestors().map(|folder| folder.join(name));
    found
        .skip(1)
        .find(|program| program.is_file())
        .with_context(|| format!("{name} is not built: run `cargo build --workspace --bins`"))
}

fn newest_source(folder: &Path) -> Result<Option<std::time::SystemTime>> {
    let mut newest = None;
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?
    {
        let entry = entry?;
        let found = if entry.file_type()?.is_dir() {
            newest_source(&entry.path())?
        } else {
            Some(entry.metadata()?.modified()?)
        };
        newest = newest.max(found);
    }
    Ok(newest)
}

/// This process's folder for everything that it starts.
pub fn run_folder() -> Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    shared(&FOLDER, make_run_folder).map(PathBuf::as_path)
}

fn make_run_folder() -> Result<PathBuf> {
    let folder = tempfile::Builder::new()
        .prefix("homing-tests-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .context("making the run folder")?
        .keep();
    let sweeper = Command::new("sh")
        .args(["-c", SWEEPER])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the sweeper of the run folder")?;
    // The write end stays open until the kernel closes it with this process.
    std::mem::forget(sweeper.stdin);
    Ok(folder)
}

/// Removes the run folder now; for a program that ends in order and has stopped everything that it started.
pub fn remove_run_folder() -> Result<()> {
    let folder = run_folder()?;
    std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}

/// A new empty folder with a telling name in the run folder.
pub fn new_folder(name: &str) -> Result<PathBuf> {
    tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(run_folder()?)
        .with_context(|| format!("making a folder for {name}"))
        .map(tempfile::TempDir::keep)
}
