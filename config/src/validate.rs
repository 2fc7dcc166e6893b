//! From the file's structs to settings: everything that one value alone cannot show to be wrong.
//!
//! Owns the order of the checks and what they share. Each part reports all problems it finds and goes on; the result
//! counts only if nobody reported an error. May read files that settings name (certificates, passwords); must not open
//! sockets or read time.

mod account;
mod agent;
mod bridge;
mod delegate;
mod dialect;
mod engine;
mod installation;
mod listen;
mod placement;
mod site;
mod store;
mod telemetry;
mod tls;

use crate::diagnostic::Diagnostic;
use crate::file::File;
use crate::load::Purpose;
use crate::settings::{Config, Dialect, DialectName, Router};
use crate::source::{Sources, Span};
use crate::text::At;
use std::collections::HashMap;

/// What all checks share.
pub(crate) struct Validate<'a> {
    /// What the configuration is for.
    pub(crate) purpose: Purpose,
    /// Name of this host, for the router's name.
    pub(crate) host_name: &'a str,
    /// Names of all sites that were declared, also of those that are unsound.
    pub(crate) sites: &'a [String],
    /// Names of all dialects that were declared, also of those that are unsound.
    pub(crate) dialects: &'a [String],
    /// All texts.
    pub(crate) sources: &'a Sources,
    /// What was found.
    pub(crate) problems: Vec<Diagnostic>,
}

impl Validate<'_> {
    /// Checks `file` and makes settings of it.
    pub(crate) fn run(&mut self, file: &File) -> Config {
        self.something_to_do(file);
        let router = self.router(file);
        let dialects = self.dialects(&file.dialect);
        let sites = self.sites(file);
        let store = self.store(&file.store, &router.name);
        self.leases(file);
        Config {
            listen: self.listeners(file),
            admin: self.admin(file),
            placement: self.placement(file, &sites),
            dialects: with_generic(dialects, &sites),
            engine: file.engine.as_ref().and_then(|engine| self.engine(engine)),
            agent: file
                .agent
                .as_ref()
                .and_then(|agent| self.agent(agent, file.engine.as_ref(), &sites)),
            attest: file.attest.as_ref().and_then(|attest| self.attest(attest)),
            lease: (&file.lease).into(),
            health: (&file.health).into(),
            gather: (&file.gather).into(),
            reconcile: (&file.reconcile).into(),
            safety: (&file.safety).into(),
            limits: (&file.limits).into(),
            timeouts: (&file.timeouts).into(),
            telemetry: self.telemetry(&file.telemetry),
            router,
            store,
            sites,
        }
    }

    pub(crate) fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// Whether a problem with this in its message was found before: what is missing has then been taken out.
    pub(crate) fn said(&self, text: &str) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.message.contains(text))
    }

    /// The value, or its problem at its place.
    pub(crate) fn read<T>(
        &mut self,
        code: &'static str,
        text: &At<String>,
        what: &str,
        parsed: Result<T, String>,
    ) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(cure) => {
                let shown = crate::secret::redact_urls(text.get());
                self.report(
                    Diagnostic::error(code, format!("`{shown}` is not {what}"))
                        .at(&text.span(), "not understood")
                        .help(cure),
                );
                None
            }
        }
    }

    /// Reports each name that was given before.
    pub(crate) fn unique<'n>(
        &mut self,
        what: &str,
        names: impl IntoIterator<Item = &'n At<String>>,
    ) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for name in names {
            match seen.get(name.get().as_str()) {
                Some(first) => self.report(
                    Diagnostic::error(
                        "duplicate-name",
                        format!("two {what}s have the name `{}`", name.get()),
                    )
                    .at(&name.span(), "used again here")
                    .at(first, "first used here")
                    .help(format!("give each {what} a name of its own")),
                ),
                None => {
                    seen.insert(name.get(), name.span());
                }
            }
        }
    }

    fn something_to_do(&mut self, file: &File) {
        let (what, help) = match self.purpose {
            Purpose::Serve if self.sites.is_empty() && file.site.is_empty() => (
                "no site",
                "add a `[[site]]` with name, dialect and endpoints; `homing config init` prints an example",
            ),
            Purpose::Engine if file.engine.is_none() => (
                "no `[engine]`",
                "add `[engine]`; every key in it has a built-in value",
            ),
            Purpose::Agent if file.agent.is_none() => (
                "no `[agent]`",
                "add `[agent]` with site, installation, store and mode",
            ),
            Purpose::Check
                if self.sites.is_empty() && file.engine.is_none() && file.agent.is_none() =>
            {
                (
                    "no site, no `[engine]` and no `[agent]`",
                    "add what this process should be; `homing config init` prints an example",
                )
            }
            Purpose::Serve | Purpose::Engine | Purpose::Agent | Purpose::Check => return,
        };
        let mut problem = Diagnostic::error("nothing-to-do", format!("there is {what}")).help(help);
        if let Some(source) = self.sources.get(0) {
            problem = problem.at(&(source.base..source.base), "not in here");
        }
        self.report(problem);
    }

    fn router(&mut self, file: &File) -> Router {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let name = file.router.name.as_ref().map(|name| name.get().clone());
        let host = || match crate::name::near(self.host_name) {
            name if name.is_empty() => "homing".to_owned(),
            name => name,
        };
        Router {
            zone: file.router.zone.as_ref().map(|zone| zone.get().clone()),
            name: name.unwrap_or_else(host),
            threads: file.router.threads.unwrap_or_else(cores),
        }
    }

    /// A lease must outlive several tries to renew it, else one lost packet ends it.
    fn leases(&mut self, file: &File) {
        let lease = &file.lease;
        let shorter = if lease.router.get() <= lease.site.get() {
            &lease.router
        } else {
            &lease.site
        };
        if lease.renew_every.get().0 * 3 > shorter.get().0 {
            let text = format!(
                "a lease of {} is renewed only every {}",
                shorter.get(),
                lease.renew_every.get()
            );
            let mut problem = Diagnostic::error("lease-renewal", text);
            for value in [&lease.renew_every, shorter] {
                if value.span() != (0..0) {
                    problem = problem.at(&value.span(), "at most a third of the shorter lease");
                }
            }
            self.report(
                problem.help("make `lease.renew_every` a third of the shorter lease, or less"),
            );
        }
    }
}

/// The built-in dialect `generic` is one rule: whoever is not kept at a site may go to any.
fn with_generic(mut dialects: Vec<Dialect>, sites: &[crate::settings::Site]) -> Vec<Dialect> {
    let generic = DialectName::Rules("generic".into());
    let used = sites.iter().any(|site| site.dialect == generic);
    if used && dialects.iter().all(|dialect| dialect.name != "generic") {
        dialects.push(Dialect::generic());
    }
    dialects
}
