//! `homing engine backup` and `homing engine restore`: the words around the engine's own copying.
//!
//! Owns what is printed, and how lines of `homing map export` are read. Needs no router.

use super::{loaded, options};
use crate::cli::Exit;
use crate::cli::input::ConfigArgs;
use crate::cli::output::{complain, say};
use crate::telemetry::chain;
use homing_engine::backup::{self, Error, Kind, Moved};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Copies of the engine's database.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// Copy the database of a site into a new folder.
    Backup(Backup),
    /// Make a database of a backup, in an empty place; nothing happens in it until it is released.
    Restore(Restore),
}

#[derive(clap::Args)]
pub(super) struct Backup {
    #[command(flatten)]
    config: ConfigArgs,
    /// The folder; made, or empty.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Beside running engines: what is committed when it begins (this is what is done if nothing is said).
    #[arg(long, conflicts_with = "cold")]
    hot: bool,
    /// With every engine stopped, which is made sure of.
    #[arg(long)]
    cold: bool,
}

#[derive(clap::Args)]
pub(super) struct Restore {
    #[command(flatten)]
    config: ConfigArgs,
    /// The folder of the backup.
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// What `homing map export` gave (`-`: standard input): instances that live at other sites by now stay there.
    #[arg(long, value_name = "FILE", requires = "site")]
    mappings: Option<PathBuf>,
    /// The site's name in it.
    #[arg(long, value_name = "SITE", requires = "mappings")]
    site: Option<String>,
}

impl Verb {
    pub(super) fn run(self) -> Exit {
        let runtime = match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return complain(Exit::Failed, &format!("cannot start: {error}")),
        };
        match self {
            Verb::Backup(verb) => runtime.block_on(verb.run()),
            Verb::Restore(verb) => runtime.block_on(verb.run()),
        }
    }
}

fn store(config: &ConfigArgs) -> Option<String> {
    Some(options(&loaded(config)?.config)?.store_url)
}

fn failed(error: &Error) -> Exit {
    let exit = match error {
        Error::Folder(_) | Error::NotCold(_) | Error::Occupied(_) | Error::NoBackup(..) => {
            Exit::Refused
        }
        Error::File(..)
        | Error::NoDatabase(_)
        | Error::NotOnServer { .. }
        | Error::Database(_)
        | Error::Program { .. }
        | Error::Differs(_) => Exit::Failed,
    };
    complain(exit, &chain(error))
}

impl Backup {
    async fn run(self) -> Exit {
        let Some(url) = store(&self.config) else {
            return Exit::Config;
        };
        let kind = if self.cold { Kind::Cold } else { Kind::Hot };
        let made = match backup::take(&url, &self.to, kind).await {
            Ok(made) => made,
            Err(error) => return failed(&error),
        };
        let live = made.counts.get("inst").copied().unwrap_or(0);
        say(&format!(
            "{}: {} as of {}, {live} live instances, generation {}, schema {}",
            self.to.display(),
            made.database,
            made.taken_at,
            made.site.generation,
            made.schema
        ));
        Exit::Ok
    }
}

impl Restore {
    async fn run(self) -> Exit {
        let moved = match (&self.mappings, &self.site) {
            (Some(file), Some(site)) => match moved(file, site) {
                Ok(moved) => moved,
                Err(why) => return complain(Exit::Usage, &why),
            },
            (_, _) => Vec::new(),
        };
        let Some(url) = store(&self.config) else {
            return Exit::Config;
        };
        let restored = match backup::restore(&url, &self.from, &moved).await {
            Ok(restored) => restored,
            Err(error) => return failed(&error),
        };
        let made = &restored.manifest;
        say(&format!(
            "restored as of {}: {} live instances, of which {} had moved to other sites and stay there",
            made.taken_at,
            made.counts.get("inst").copied().unwrap_or(0),
            restored.buried
        ));
        say(&format!(
            "the site is in quarantine and its executor off; then: homing site restored SITE --taken-at {} --reason TEXT",
            made.taken_at
        ));
        for broken in &restored.broken {
            let (what, count, first) = (&broken.what, broken.count, &broken.first);
            complain(
                Exit::Partly,
                &format!("{what}: {count}, the first is {first}"),
            );
        }
        if restored.broken.is_empty() {
            say("every reference resolves");
            Exit::Ok
        } else {
            Exit::Partly
        }
    }
}

/// Of the lines of an export, the process instances that live at other sites.
fn moved(file: &Path, site: &str) -> Result<Vec<Moved>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    let from: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(told)?)
    };
    let mut out = Vec::new();
    for (number, line) in BufReader::new(from).lines().enumerate() {
        let line = line.map_err(told)?;
        let unfit = || format!("{}: line {} is no mapping", file.display(), number + 1);
        let mapping: serde_json::Value = serde_json::from_str(&line).map_err(|_| unfit())?;
        let text = |name: &str| mapping.get(name).and_then(serde_json::Value::as_str);
        let (Some(key), Some(home)) = (text("key"), text("home")) else {
            return Err(unfit());
        };
        let generation = mapping
            .get("generation")
            .and_then(serde_json::Value::as_i64);
        let generation = generation.ok_or_else(unfit)?;
        if let Some(instance) = key
            .strip_prefix("process-instance:")
            .filter(|_| home != site)
        {
            out.push(Moved {
                instance: instance.to_owned(),
                site: home.to_owned(),
                generation,
            });
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_instances_at_other_sites_are_taken_from_an_export() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for (key, home) in [
            ("process-instance:1", "a"),
            ("process-instance:2", "b"),
            ("task:3", "b"),
        ] {
            let line = serde_json::json!({ "key": key, "home": home, "generation": 4 });
            writeln!(file, "{line}").unwrap();
        }
        let of = Moved {
            instance: "2".to_owned(),
            site: "b".to_owned(),
            generation: 4,
        };
        assert_eq!(moved(file.path(), "a"), Ok(vec![of]));
        writeln!(file, "no mapping").unwrap();
        let said = moved(file.path(), "a").unwrap_err();
        assert!(said.ends_with("line 4 is no mapping"), "{said}");
    }
}
