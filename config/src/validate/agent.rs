//! `[agent]`.
//!
//! Owns the check that the agent can fence what it stands beside. Must not connect anywhere.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::agent::{AgentFile, AgentModeFile, PromoteFile};
use crate::secret::Secret;
use crate::settings::{Agent, Endpoint, Fence, HostPort, Promotion, Site};
use crate::suggest;
use crate::text::At;
use std::path::PathBuf;

impl Validate<'_> {
    pub(super) fn agent(&mut self, file: &AgentFile, sites: &[Site]) -> Option<Agent> {
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
        let fence = self.fence(file);
        let promote = file
            .promote
            .as_ref()
            .and_then(|promote| self.promotion(promote, &file.mode));
        let start = file
            .start
            .as_ref()
            .and_then(|command| self.command("start", command, &file.mode));
        let stop = file
            .stop
            .as_ref()
            .and_then(|command| self.command("stop", command, &file.mode));
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
            stop,
            lag: file.lag.as_ref().map(|lag| Secret::new(lag.get().clone())),
        })
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

    fn fence(&mut self, file: &AgentFile) -> Option<Fence> {
        let mode = &file.mode;
        if let Some(relay) = file
            .relay
            .as_ref()
            .filter(|_| *mode.get() != AgentModeFile::Relay)
        {
            let problem =
                Diagnostic::error("agent-mode", "`relay` has a meaning only with mode `relay`");
            self.report(
                problem
                    .at(&relay.listen.span(), "never opened")
                    .help("use mode = \"relay\", or leave `relay` out"),
            );
        }
        match mode.get() {
            AgentModeFile::Relay => {
                let Some(relay) = &file.relay else {
                    let problem = Diagnostic::error("agent-mode", "mode `relay` needs `relay`");
                    self.report(problem.at(&mode.span(), "`relay` is missing beside it").help("add relay = { listen = \"127.0.0.1:6432\", database = \"127.0.0.1:5432\" }"));
                    return None;
                };
                let listen = self.tcp(&relay.listen);
                let database = self.read(
                    "agent-mode",
                    &relay.database,
                    "host and port of a database",
                    HostPort::parse(relay.database.get()),
                );
                Some(Fence::Relay {
                    listen: listen?,
                    database: database?,
                })
            }
            AgentModeFile::Postgres => Some(Fence::Postgres),
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
            AgentModeFile::Engine => Some(Fence::Engine),
        }
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
