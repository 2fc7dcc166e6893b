//! `homing demo`: two sites with engines and databases of their own, a router in front, one sample process.
//!
//! Owns the folder, the engine processes and the story that it prints. Must not do anything that a user could not do:
//! it writes configuration files, starts `homing engine` and `homing serve`, and speaks HTTP to the router.

mod story;

use super::Exit;
use super::input;
use super::serve;
use homing_config::{Input, Inputs, Purpose, Style, load};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Run two engine sites, a router and its admin listener, with nothing else installed.
#[derive(clap::Args)]
pub(super) struct Demo {
    /// Port of the data listener.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the admin listener.
    #[arg(long, default_value_t = 8081)]
    admin_port: u16,
    /// Keep everything in this folder; default: a temporary one that Ctrl-C removes.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How many sites.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    sites: u16,
    /// Start this many orders a second, for as long as it runs.
    #[arg(long, default_value_t = 0)]
    load: u32,
}

/// The folder of one demonstration and what runs in it; dropping it ends both.
struct Stage {
    folder: PathBuf,
    keep: bool,
    engines: Vec<Child>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        for engine in &mut self.engines {
            // It may have ended already.
            let _ = engine.kill();
            let _ = engine.wait();
        }
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

impl Demo {
    pub(super) fn run(self) -> Exit {
        match self.perform() {
            Ok(()) => Exit::Ok,
            Err(why) => {
                let _ = writeln!(std::io::stderr(), "homing demo: {why}");
                Exit::Failed
            }
        }
    }

    fn perform(&self) -> Result<(), String> {
        let mut stage = self.stage()?;
        let mut sites = Vec::new();
        for number in 0..self.sites {
            let name = char::from(b'a' + u8::try_from(number).unwrap_or(0)).to_string();
            let port = free_port()?;
            stage.engines.push(engine(&stage.folder, &name, port)?);
            sites.push((name, port));
        }
        let file = stage.folder.join("homing.toml");
        write(&file, &self.router(&stage.folder, &sites))?;
        let inputs = Inputs {
            files: vec![Input::File(file)],
            ..input::inputs(&[], &[])
        };
        let loaded = load(&inputs, Purpose::Serve).map_err(|report| report.render(Style::Plain))?;
        serve::logging(&loaded.config);
        let (data, admin, load) = (self.port, self.admin_port, self.load);
        std::thread::Builder::new()
            .name("story".into())
            .spawn(move || story::tell(data, admin, load))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        serve::alone(inputs, loaded).map_err(|error| crate::telemetry::chain(&error))
    }

    fn stage(&self) -> Result<Stage, String> {
        let temporary = || std::env::temp_dir().join(format!("homing-demo-{}", std::process::id()));
        let folder = self.dir.clone().unwrap_or_else(temporary);
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        Ok(Stage {
            folder,
            keep: self.dir.is_some(),
            engines: Vec::new(),
        })
    }

    fn router(&self, folder: &Path, sites: &[(String, u16)]) -> String {
        let folder = folder.display();
        let mut text = format!(
            "[router]\nname = \"demo\"\n[[listen]]\nbind = \"127.0.0.1:{}\"\n[admin]\nbind = \"127.0.0.1:{}\"\n\
             [store]\nurl = \"sqlite:{folder}/homing.db\"\njournal = \"{folder}/journal\"\n\
             [telemetry]\nlog = \"warn\"\naccess_log = \"{folder}/access.log\"\n[timeouts]\ndrain = \"1s\"\n",
            self.port, self.admin_port
        );
        for (name, port) in sites {
            text.push_str(&format!(
                "[[site]]\nname = \"{name}\"\ndialect = \"engine-rest\"\nendpoints = [\"http://127.0.0.1:{port}/engine-rest\"]\n"
            ));
        }
        text
    }
}

/// One engine node as a process of its own, so that it can be killed to see what the router says.
fn engine(folder: &Path, name: &str, port: u16) -> Result<Child, String> {
    let file = folder.join(format!("engine-{name}.toml"));
    let database = folder.join(format!("site-{name}.db"));
    let text = format!(
        "[router]\nname = \"engine-{name}\"\n[engine]\nbind = \"127.0.0.1:{port}\"\nstore = \"sqlite:{}\"\n",
        database.display()
    );
    write(&file, &text)?;
    let log = folder.join(format!("engine-{name}.log"));
    let log = std::fs::File::create(&log)
        .map_err(|error| format!("cannot create {}: {error}", log.display()))?;
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    Command::new(program)
        .args(["engine", "-c"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("cannot start the engine of site {name}: {error}"))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn free_port() -> Result<u16, String> {
    let listener =
        std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}
