//! `homing demo`: two sites with engines and databases of their own, a router in front, one sample process.
//!
//! Owns the router's configuration and who takes part. Must not do anything that a user could not do: it writes
//! configuration files, starts `homing engine` and a router, and speaks HTTP to the router.

mod curtain;
mod http;
mod people;
mod stage;
mod story;

use super::Exit;
use super::input;
use super::serve;
use crate::clock;
use curtain::Curtain;
use homing_config::{Input, Inputs, Purpose, Style, load};
use people::Scene;
use stage::Stage;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
    /// Start this many small orders a second, for as long as it runs.
    #[arg(long, default_value_t = 0)]
    load: u32,
    /// Kill the engine of the last site after this many seconds; it is started again 10 s later.
    #[arg(long)]
    kill_after: Option<u64>,
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
        let begin = clock::now();
        self.free_ports()?;
        let mut stage = Stage::new(self.dir.as_deref());
        let curtain = Curtain::hang(stage.crew())?;
        let done = self.play(&mut stage, &curtain, begin);
        curtain.leave();
        done
    }

    fn play(&self, stage: &mut Stage, curtain: &Curtain, begin: Instant) -> Result<(), String> {
        stage.set(self.sites)?;
        let file = stage.folder().join("homing.toml");
        stage::write(&file, &self.router(stage))?;
        let inputs = Inputs {
            files: vec![Input::File(file)],
            ..input::inputs(&[], &[])
        };
        let loaded = load(&inputs, Purpose::Serve).map_err(|report| report.render(Style::Plain))?;
        serve::logging(&loaded.config);
        self.begin(stage, begin);
        curtain.router_runs();
        serve::alone(inputs, loaded).map_err(|error| crate::telemetry::chain(&error))
    }

    /// Everyone takes part as soon as the story is told.
    fn begin(&self, stage: &Stage, begin: Instant) {
        let scene = Scene {
            data: self.port,
            admin: self.admin_port,
            load: self.load,
        };
        let (crew, sites) = (stage.crew(), stage.sites.clone());
        let kill_after = self.kill_after.map(Duration::from_secs);
        people::hire("story", move || {
            let pids: Vec<u32> = (0..sites.len()).filter_map(|site| crew.pid(site)).collect();
            let told = story::tell(scene, (&sites, &pids), crew.kept(), begin);
            if let Err(why) = told {
                story::say(&format!("the demonstration could not go on: {why}"));
                return;
            }
            people::hire("worker", move || people::worker(scene));
            people::hire("customers", move || people::customers(scene));
            if let Some(after) = kill_after {
                let (crew, sites) = (crew.clone(), sites.clone());
                people::hire("saboteur", move || people::saboteur(&crew, &sites, after));
            }
            people::caretaker(scene, &crew, &sites);
        });
    }

    /// A port that is taken is said before anything runs.
    fn free_ports(&self) -> Result<(), String> {
        for port in [self.port, self.admin_port] {
            std::net::TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
                format!("port {port}: {error}; choose others with --port and --admin-port (make demo PORT=9000 ADMIN_PORT=9001)")
            })?;
        }
        Ok(())
    }

    fn router(&self, stage: &Stage) -> String {
        let folder = stage.folder().display();
        let mut text = format!(
            "[router]\nname = \"demo\"\n[[listen]]\nbind = \"127.0.0.1:{}\"\n[admin]\nbind = \"127.0.0.1:{}\"\n\
             [store]\nurl = \"sqlite:{folder}/homing.db\"\njournal = \"{folder}/journal\"\n\
             [telemetry]\nlog = \"error\"\naccess_log = \"{folder}/access.log\"\n[timeouts]\ndrain = \"1s\"\n",
            self.port, self.admin_port
        );
        for site in &stage.sites {
            text.push_str(&format!(
                "[[site]]\nname = \"{}\"\ndialect = \"engine-rest\"\nendpoints = [\"http://127.0.0.1:{}/engine-rest\"]\n",
                site.name, site.port
            ));
        }
        text
    }
}
