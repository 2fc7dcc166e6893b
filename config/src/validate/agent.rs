//! `[agent]`.
//!
//! Owns the check that the agent can fence what it stands beside. Must not connect anywhere.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::agent::{
    AgentFile, AgentModeFile, PostgresFile, PromoteFile, RelayFile, ReplicaFile,
};
use crate::file::engine::EngineFile;
use crate::secret::Secret;
use crate::settings::{Agent, Bind, Endpoint, Fence, HostPort, Promotion, Replica, Site};
use crate::suggest;
use crate::text::At;
use std::path::PathBuf;

impl Validate<'_> {
    pub(super) fn agent(
        &mut self,
        file: &AgentFile,
        engine: Option<&EngineFile>,
        sites: &[Site],
    ) -> Option<Agent> {
        if !self.sites.is_empty() {
            self.stands_beside(file, sites);
        }
        if file.store.is_none() && file.store_file.is_none() {
            let problem = Diagnostic::error("missing-key", "`agent` needs `store`");
            self.report(problem.at(&file.site.span(), "`store` is missing beside it").help("name the routers' store: store = \"postgres://USER@HOST/DATABASE\", or `store_file`"));
        }
        let store = self.store_url(
            file.store.as_ref(),
            file.store_file.as_ref(),
            ["store", "store_file"],
        );
        let fence = self.fence(file, engine);
        let promote = file
            .promote
            .as_ref()
            .and_then(|promote| self.promotion(promote, &file.mode));
        let [start, stop, verify_start, verify_stop] = [
            ("start", &file.start),
            ("stop", &file.stop),
            ("verify_start", &file.verify_start),
            ("verify_stop", &file.verify_stop),
        ]
        .map(|(name, command)| {
            command
                .as_ref()
                .and_then(|command| self.command(name, command, &file.mode))
        });
        self.ahead(file);
        let bind = file.bind.as_ref().and_then(|bind| self.own_bind(bind));
        if let Some(lag) = &file.lag
            && !lag.get().starts_with("postgres")
        {
            let problem =
                Diagnostic::error("lag", "the position of a replica is read from PostgreSQL");
            self.report(
                problem
                    .at(&lag.span(), "not a PostgreSQL URL")
                    .help("write \"postgres://127.0.0.1:5432/postgres\""),
            );
        }
        Some(Agent {
            site: file.site.get().clone(),
            installation: file.installation.get().clone(),
            store: store?,
            state: PathBuf::from(file.state.get()),
            fence: fence?,
            promote,
            start,
            start_ahead: *file.start_ahead.get(),
            stop,
            verify_start,
            verify_stop,
            command_timeout: file.command_timeout.0,
            bind,
            lag: file.lag.as_ref().map(|lag| Secret::new(lag.get().clone())),
        })
    }

    /// Before the fence is proven, nothing but a replica keeps the engine from writing.
    fn ahead(&mut self, file: &AgentFile) {
        if !*file.start_ahead.get() {
            return;
        }
        let relay = file.relay.as_ref();
        let reads = relay.is_some_and(|relay| relay.replica == ReplicaFile::ReadOnly);
        let (why, help) = match (&file.start, reads) {
            (None, _) => (
                "`start_ahead` needs `start`",
                "add start = [\"systemctl\", \"start\", \"engine\"], or leave `start_ahead` out",
            ),
            (Some(_), false) => (
                "`start_ahead` needs a relay that lets the engine read a replica",
                "add relay = { ..., replica = \"read-only\" }, or leave `start_ahead` out",
            ),
            (Some(_), true) => return,
        };
        let problem = Diagnostic::error("start-ahead", why);
        let place = file.start_ahead.span();
        self.report(
            problem
                .at(&place, "nothing could be started ahead")
                .help(help),
        );
    }

    /// The agent tells about itself without asking who asks: to this host alone.
    fn own_bind(&mut self, bind: &At<String>) -> Option<Bind> {
        let read = self.read(
            "agent-bind",
            bind,
            "an address to listen on",
            Bind::parse(bind.get()),
        )?;
        if !read.is_local() {
            let problem = Diagnostic::error(
                "agent-bind",
                "the agent's own listener must not be reachable from other hosts",
            );
            self.report(
                problem
                    .at(&bind.span(), "not an address of this host alone")
                    .help("write \"127.0.0.1:8082\" or \"unix:/run/homing/agent.sock\""),
            );
        }
        Some(read)
    }

    fn role(&mut self, file: &PostgresFile) -> Option<Fence> {
        if file.url.is_none() && file.url_file.is_none() {
            let problem = Diagnostic::error("missing-key", "`agent.postgres` needs `url`");
            self.report(problem.at(&file.role.span(), "`url` is missing beside it").help(
                "name the database of the engine, as a role that may change roles: url = \"postgres://ADMIN@127.0.0.1:5432/postgres\", or `url_file`",
            ));
            return None;
        }
        let url = match &file.url_file {
            Some(path) => self.secret_of(path)?,
            None => Secret::new(file.url.as_ref()?.get().clone()),
        };
        let place = file.url_file.as_ref().or(file.url.as_ref())?;
        if !url.expose().starts_with("postgres") {
            let problem = Diagnostic::error("agent-mode", "mode `postgres` fences PostgreSQL only");
            self.report(
                problem
                    .at(&place.span(), "not a PostgreSQL URL")
                    .help("for other databases use mode = \"relay\""),
            );
        }
        Some(Fence::Postgres {
            url,
            role: file.role.get().clone(),
        })
    }

    /// Its own table names the database, or the engine's in the same file does.
    fn own_engine(&mut self, file: &AgentFile, engine: Option<&EngineFile>) -> Option<Fence> {
        let own = file.engine.as_ref();
        let url = own.and_then(|own| own.store.as_ref());
        let in_file = own.and_then(|own| own.store_file.as_ref());
        let (url, in_file) = match (url.or(in_file), engine) {
            (None, Some(engine)) => {
                self.same_installation(file, engine);
                (Some(&engine.store), engine.store_file.as_ref())
            }
            _ => (url, in_file),
        };
        let Some(place) = in_file.or(url) else {
            let problem =
                Diagnostic::error("agent-mode", "mode `engine` needs the engine's database");
            self.report(problem.at(&file.mode.span(), "neither `engine` nor `[engine]` names it").help(
                "add engine = { store = \"postgres://USER@127.0.0.1:5432/DATABASE\" }, the `[engine] store` of the engines here, or `store_file`",
            ));
            return None;
        };
        let store = match in_file {
            Some(path) => self.secret_of(path)?,
            None => Secret::new(url?.get().clone()),
        };
        if !store.expose().starts_with("postgres") {
            let problem =
                Diagnostic::error("agent-mode", "mode `engine` needs engines on PostgreSQL");
            self.report(
                problem
                    .at(&place.span(), "not a PostgreSQL URL")
                    .help("an engine on a file has it for itself: use mode = \"command\""),
            );
        }
        Some(Fence::Engine { store })
    }

    fn same_installation(&mut self, file: &AgentFile, engine: &EngineFile) {
        let said = engine.installation.as_ref();
        if said.is_some_and(|said| said.get() == file.installation.get()) {
            return;
        }
        let problem = Diagnostic::error(
            "agent-mode",
            "the engine must belong to the installation that its agent stands beside",
        );
        let place = said.unwrap_or(&file.installation);
        self.report(problem.at(&place.span(), "not the other's").help(format!(
            "write installation = {:?} into `[engine]`",
            file.installation.get()
        )));
    }

    fn stands_beside(&mut self, file: &AgentFile, sites: &[Site]) {
        self.known_site(&file.site);
        let Some(site) = sites.iter().find(|site| site.name == *file.site.get()) else {
            return;
        };
        let known = site
            .installations
            .iter()
            .map(|installation| installation.name.as_str());
        if known.clone().all(|name| name != file.installation.get()) {
            let problem = Diagnostic::error(
                "unknown-installation",
                format!(
                    "site `{}` has no installation `{}`",
                    site.name,
                    file.installation.get()
                ),
            );
            let help = suggest::did_you_mean(file.installation.get(), known);
            self.report(
                problem
                    .at(&file.installation.span(), "no installation has this name")
                    .help(help),
            );
        }
    }

    fn fence(&mut self, file: &AgentFile, engine: Option<&EngineFile>) -> Option<Fence> {
        let mode = &file.mode;
        self.only_with(file);
        match mode.get() {
            AgentModeFile::Relay => {
                let Some(relay) = &file.relay else {
                    let problem = Diagnostic::error("agent-mode", "mode `relay` needs `relay`");
                    self.report(problem.at(&mode.span(), "`relay` is missing beside it").help("add relay = { listen = \"127.0.0.1:6432\", database = \"127.0.0.1:5432\" }"));
                    return None;
                };
                self.relay(relay, file)
            }
            AgentModeFile::Postgres => {
                let Some(postgres) = &file.postgres else {
                    let problem =
                        Diagnostic::error("agent-mode", "mode `postgres` needs `postgres`");
                    self.report(problem.at(&mode.span(), "`postgres` is missing beside it").help("add postgres = { url = \"postgres://ADMIN@127.0.0.1:5432/postgres\", role = \"site_b\" }"));
                    return None;
                };
                self.role(postgres)
            }
            AgentModeFile::Command => {
                if file.stop.is_none() {
                    let problem = Diagnostic::error("agent-mode", "mode `command` needs `stop`");
                    self.report(
                        problem
                            .at(&mode.span(), "nothing would fence the installation")
                            .help("add stop = [\"systemctl\", \"stop\", \"engine\"]"),
                    );
                }
                Some(Fence::Command)
            }
            AgentModeFile::Engine => self.own_engine(file, engine),
        }
    }

    /// Each mode has a table of its own, and reads no other's.
    fn only_with(&mut self, file: &AgentFile) {
        let mode = &file.mode;
        let engine = file.engine.as_ref().map(|engine| {
            let place = engine.store.as_ref().or(engine.store_file.as_ref());
            place.map_or_else(|| mode.span(), At::span)
        });
        let relay = file.relay.as_ref().map(|relay| relay.listen.span());
        let postgres = file.postgres.as_ref().map(|role| role.role.span());
        for (of, name, place, unused) in [
            (AgentModeFile::Relay, "relay", relay, "never opened"),
            (
                AgentModeFile::Postgres,
                "postgres",
                postgres,
                "never changed",
            ),
            (AgentModeFile::Engine, "engine", engine, "never asked"),
        ] {
            if let Some(place) = place.filter(|_| *mode.get() != of) {
                let why = format!("`{name}` has a meaning only with mode `{name}`");
                let help = format!("use mode = \"{name}\", or leave `{name}` out");
                let problem = Diagnostic::error("agent-mode", why);
                self.report(problem.at(&place, unused).help(help));
            }
        }
    }

    fn relay(&mut self, relay: &RelayFile, file: &AgentFile) -> Option<Fence> {
        let listen = self.tcp(&relay.listen);
        let database = self.read(
            "agent-mode",
            &relay.database,
            "host and port of a database",
            HostPort::parse(relay.database.get()),
        );
        let replica = match relay.replica {
            ReplicaFile::Closed => Replica::Closed,
            ReplicaFile::ReadOnly => Replica::ReadOnly,
        };
        if replica == Replica::ReadOnly && file.lag.is_none() {
            let problem = Diagnostic::error("agent-mode", "`replica = \"read-only\"` needs `lag`");
            self.report(
                problem
                    .at(
                        &relay.listen.span(),
                        "nothing shows whether the database is a replica",
                    )
                    .help(
                        "add lag = \"postgres://USER@127.0.0.1:5432/postgres\", the same database",
                    ),
            );
        }
        Some(Fence::Relay {
            listen: listen?,
            database: database?,
            connections: relay.connections,
            replica,
        })
    }

    fn promotion(&mut self, file: &PromoteFile, mode: &At<AgentModeFile>) -> Option<Promotion> {
        match file {
            PromoteFile::Command(command) if command.is_empty() => {
                let problem = Diagnostic::error("command", "the command `promote` is empty");
                let problem = problem.at(&mode.span(), "no program is named");
                self.report(problem.help("name a program and its arguments: promote = [\"pg_ctl\", \"promote\", \"-D\", \"/data\"]"));
                None
            }
            PromoteFile::Command(command) => Some(Promotion::Command(
                command.iter().map(|word| word.get().clone()).collect(),
            )),
            PromoteFile::Patroni(patroni) => {
                let url = &patroni.patroni;
                self.read(
                    "patroni",
                    url,
                    "the address of Patroni",
                    Endpoint::parse(url.get()),
                )
                .map(Promotion::Patroni)
            }
        }
    }

    fn command(
        &mut self,
        name: &str,
        words: &[At<String>],
        mode: &At<AgentModeFile>,
    ) -> Option<Vec<String>> {
        if words.first().is_none_or(|program| program.get().is_empty()) {
            let problem = Diagnostic::error("command", format!("the command `{name}` is empty"));
            let span = words.first().map_or_else(|| mode.span(), At::span);
            self.report(problem.at(&span, "no program is named").help(format!(
                "name a program and its arguments: {name} = [\"systemctl\", \"{name}\", \"engine\"]"
            )));
            return None;
        }
        Some(words.iter().map(|word| word.get().clone()).collect())
    }
}
