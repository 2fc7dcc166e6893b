//! The folder of one demonstration and the engine processes in it.
//!
//! Owns starting, killing and ending them: striking the stage, or dropping it, ends all and removes the folder. Must not
//! speak to them.

use std::fs::{File, TryLockError};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most tries to remove a folder in which somebody was just writing.
const REMOVALS: usize = 100;

/// One site: an engine of its own with a database of its own.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) database: PathBuf,
}

/// The engines that run, by site; `None` once all are to end.
type Engines = Arc<Mutex<Option<Vec<Child>>>>;

/// Who may look after the engines while the stage stands.
#[derive(Clone)]
pub(super) struct Crew {
    folder: PathBuf,
    engines: Engines,
    /// Does the folder stay?
    keep: bool,
}

pub(super) struct Stage {
    crew: Crew,
    pub(super) sites: Vec<Site>,
    /// Held while the folder is ours: what another demonstration wrote here would be read by this one's router.
    lock: Option<File>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.crew.strike();
    }
}

impl Stage {
    /// An empty stage, to be in `folder` or in one that goes with it.
    pub(super) fn new(folder: Option<&Path>) -> Stage {
        let temporary = || std::env::temp_dir().join(format!("homing-demo-{}", std::process::id()));
        let keep = folder.is_some();
        let folder = folder.map_or_else(temporary, Path::to_owned);
        let engines = Arc::new(Mutex::new(Some(Vec::new())));
        let crew = Crew {
            folder,
            engines,
            keep,
        };
        Stage {
            crew,
            sites: Vec::new(),
            lock: None,
        }
    }

    /// Makes the folder and starts so many sites. All of it under the lock: what is there when the stage is struck goes,
    /// and nothing comes after it.
    pub(super) fn set(&mut self, sites: u16) -> Result<(), String> {
        let engines = self.crew.lock();
        if engines.is_some() {
            let folder = self.folder();
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
            self.lock = Some(lock(folder)?);
        }
        drop(engines);
        for number in 0..sites {
            let name = char::from(b'a' + u8::try_from(number).unwrap_or(0)).to_string();
            let site = Site {
                database: self.folder().join(format!("site-{name}.db")),
                port: free_port()?,
                name,
            };
            if let Some(all) = self.crew.lock().as_mut() {
                all.push(start(self.folder(), &site)?);
            }
            self.sites.push(site);
        }
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.crew.folder
    }

    pub(super) fn crew(&self) -> Crew {
        self.crew.clone()
    }
}

impl Crew {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Child>>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the folder stay when all have ended?
    pub(super) fn kept(&self) -> Option<&Path> {
        self.keep.then_some(&*self.folder)
    }

    /// Ends all engines, and removes the folder unless it is to stay.
    pub(super) fn strike(&self) {
        let engines = self.lock().take();
        for mut engine in engines.into_iter().flatten() {
            // It may have ended already.
            let _ = engine.kill();
            let _ = engine.wait();
        }
        // Whoever is just writing there finds no folder the next time.
        let mut looks = if self.keep { 0 } else { REMOVALS };
        while looks > 0 && std::fs::remove_dir_all(&self.folder).is_err() && self.folder.exists() {
            std::thread::yield_now();
            looks -= 1;
        }
    }

    /// The process of a site's engine.
    pub(super) fn pid(&self, site: usize) -> Option<u32> {
        self.lock().as_ref()?.get(site).map(Child::id)
    }

    /// Kills a site's engine, as a crash would.
    pub(super) fn kill(&self, site: usize) {
        if let Some(engine) = self.lock().as_mut().and_then(|all| all.get_mut(site)) {
            // It may have ended already.
            let _ = engine.kill();
        }
    }

    /// How a site's engine ended, if it did and the demonstration goes on.
    pub(super) fn ended(&self, site: usize) -> Option<String> {
        let mut engines = self.lock();
        let engine = engines.as_mut()?.get_mut(site)?;
        engine.try_wait().ok()?.map(|status| status.to_string())
    }

    /// Starts a site's engine again; nothing when the demonstration ends.
    pub(super) fn start_again(&self, number: usize, site: &Site) -> Result<(), String> {
        let mut engines = self.lock();
        if let Some(engine) = engines.as_mut().and_then(|all| all.get_mut(number)) {
            *engine = start(&self.folder, site)?;
        }
        Ok(())
    }
}

/// One engine node as a process of its own, so that it can be killed to see what the router says. It is not in the
/// terminal's group: Ctrl-C is for the demonstration, which ends it; and it ends when the demonstration is gone.
fn start(folder: &Path, site: &Site) -> Result<Child, String> {
    let (name, port) = (&site.name, site.port);
    let file = folder.join(format!("engine-{name}.toml"));
    let text = format!(
        "[router]\nname = \"engine-{name}\"\n[engine]\nbind = \"127.0.0.1:{port}\"\nstore = \"sqlite:{}\"\n",
        site.database.display()
    );
    write(&file, &text)?;
    let log = folder.join(format!("engine-{name}.log"));
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&log)
        .map_err(|error| format!("cannot create {}: {error}", log.display()))?;
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    Command::new(program)
        .args(["engine", "--until-stdin-ends", "-c"])
        .arg(&file)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("cannot start the engine of site {name}: {error}"))
}

/// The folder is one demonstration's at a time, until it ends in whatever way.
fn lock(folder: &Path) -> Result<File, String> {
    let path = folder.join("demo.lock");
    let cannot = |error| format!("cannot lock {}: {error}", path.display());
    let file = File::create(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "a demonstration runs in {} already; end it, or name another folder with --dir",
            folder.display()
        )),
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

pub(super) fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn free_port() -> Result<u16, String> {
    let listener =
        std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}
