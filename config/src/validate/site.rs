//! `[[site]]`: the sites and how they stand to each other.
//!
//! Owns names, dialects, weights, and that recovery fits the installations. Must not ask sites anything.

use super::Validate;
use super::dialect::BUILT_IN;
use super::installation::Seen;
use crate::diagnostic::Diagnostic;
use crate::file::File;
use crate::file::site::{AutomaticFile, BalanceFile, IdentityFile, RecoveryModeFile, SiteFile};
use crate::settings::{Automatic, DialectName, Identity, Recovery, Site};
use crate::source::Span;
use crate::suggest;
use crate::text::At;
use std::collections::HashMap;

impl Validate<'_> {
    pub(super) fn sites(&mut self, file: &File) -> Vec<Site> {
        self.unique("site", file.site.iter().map(|site| &site.name));
        self.unique(
            "installation",
            file.site
                .iter()
                .flat_map(|site| &site.installation)
                .map(|installation| &installation.name),
        );
        self.weights(file);
        let mut seen = Seen::new();
        let sites: Vec<Site> = file
            .site
            .iter()
            .filter_map(|site| self.site(site, file, &mut seen))
            .collect();
        self.base_paths(file, &sites);
        self.sites_paths(file, &sites);
        sites
    }

    /// A request's dialect is known by its base path: two dialects must not share one.
    fn base_paths(&mut self, file: &File, sites: &[Site]) {
        let mut seen: HashMap<&str, Vec<(&Site, Span)>> = HashMap::new();
        for site in sites {
            let declared = file
                .site
                .iter()
                .find(|declared| *declared.name.get() == site.name);
            let span = declared.map_or(0..0, |declared| declared.dialect.span());
            let endpoints = site
                .installations
                .iter()
                .filter_map(|installation| installation.endpoints.first());
            for endpoint in endpoints {
                let others = seen.entry(&endpoint.base_path).or_default();
                let clash = others.iter().find(|(other, _)| clashes(file, other, site));
                let Some((other, first)) = clash.cloned() else {
                    others.push((site, span.clone()));
                    continue;
                };
                if self.said("needs `dialect`") {
                    continue;
                }
                let path = if endpoint.base_path.is_empty() {
                    "/"
                } else {
                    &endpoint.base_path
                };
                let message = format!(
                    "the sites `{}` and `{}` speak different dialects at the same base path `{path}`",
                    other.name, site.name
                );
                let problem = Diagnostic::error("base-path", message)
                    .at(&span, "another dialect here")
                    .at(&first, "one dialect here");
                self.report(problem.help("a request's dialect is known by its base path: give each dialect its own, or name the hosts of a dialect of yours: hosts = [\"orders.example.com\"]"));
                break;
            }
        }
    }

    /// What is below `/sites/` belongs to web applications, as soon as one is published.
    fn sites_paths(&mut self, file: &File, sites: &[Site]) {
        let Some(web) = sites.iter().find(|site| site.web.is_some()) else {
            return;
        };
        for site in sites {
            let endpoints = site.installations.iter().flat_map(|at| &at.endpoints);
            let is_there = |base: &str| base == "/sites" || base.starts_with("/sites/");
            if !endpoints
                .into_iter()
                .any(|endpoint| is_there(&endpoint.base_path))
            {
                continue;
            }
            let declared = file
                .site
                .iter()
                .find(|declared| *declared.name.get() == site.name);
            let span = declared.map_or(0..0, |declared| declared.name.span());
            let message = format!("the endpoints of `{}` are below /sites", site.name);
            self.report(
                Diagnostic::error("web", message)
                    .at(
                        &span,
                        format!("there are the web applications of `{}`", web.name),
                    )
                    .help("give the endpoints another base path, or leave `web` out"),
            );
        }
    }

    fn weights(&mut self, file: &File) {
        if let Some(first) = file.site.first()
            && file.site.iter().all(|site| *site.weight.get() == 0)
            && file.site.len() == self.sites.len()
        {
            let problem = Diagnostic::error("weight", "all sites have weight 0");
            self.report(
                problem
                    .at(&first.weight.span(), "no site takes new work")
                    .help("give at least one site a weight"),
            );
        }
    }

    fn site(&mut self, file: &SiteFile, root: &File, seen: &mut Seen) -> Option<Site> {
        let dialect = self.dialect_name(&file.dialect);
        let recovery = self.recovery(file, root);
        self.evacuation(file, root, dialect.as_ref());
        let service_account = file
            .service_account
            .as_ref()
            .and_then(|account| self.service_account(account));
        let health = self.site_health(file, root, dialect.as_ref());
        let installations = self.installations(file, seen);
        let virtual_ids = self.virtual_ids(file, dialect.as_ref(), recovery);
        Some(Site {
            name: file.name.get().clone(),
            dialect: dialect?,
            zone: file.zone.as_ref().map(|zone| zone.get().clone()),
            weight: *file.weight.get(),
            identity: match file.identity {
                IdentityFile::Auto => Identity::Auto,
                IdentityFile::Marker => Identity::Marker,
                IdentityFile::Off => Identity::Off,
            },
            health,
            web: self.web(file),
            virtual_ids,
            recovery,
            automatic: self.automatic(file),
            unplanned_drills: self.unplanned_drills(file),
            standby_reads: self.standby_reads(file),
            service_account,
            installations,
        })
    }

    fn dialect_name(&mut self, name: &At<String>) -> Option<DialectName> {
        match name.get().as_str() {
            "engine-rest" => return Some(DialectName::EngineRest),
            "flowable" => return Some(DialectName::Flowable),
            other if other == "generic" || self.dialects.iter().any(|known| known == other) => {
                return Some(DialectName::Rules(other.to_owned()));
            }
            _ => {}
        }
        let known = BUILT_IN
            .into_iter()
            .chain(["generic"])
            .chain(self.dialects.iter().map(String::as_str));
        let problem = Diagnostic::error(
            "unknown-dialect",
            format!("there is no dialect `{}`", name.get()),
        );
        let help = suggest::did_you_mean(name.get(), known);
        self.report(
            problem
                .at(&name.span(), "neither built in nor a `[[dialect]]`")
                .help(help),
        );
        None
    }

    /// A copy of the database that is promoted, or an engine that takes instances over, may have given the same ids.
    fn virtual_ids(
        &mut self,
        file: &SiteFile,
        dialect: Option<&DialectName>,
        recovery: Recovery,
    ) -> bool {
        let Some(at) = file.virtual_ids.as_ref().filter(|at| *at.get()) else {
            return false;
        };
        let problem = |why: &str| Diagnostic::error("virtual-ids", why.to_owned());
        if dialect.is_some_and(|dialect| *dialect != DialectName::EngineRest) {
            self.report(
                problem("`virtual_ids` is known for the dialect `engine-rest` only")
                    .at(&at.span(), "the places of ids are not known here")
                    .help("let the engine make UUIDs, and leave it out"),
            );
        }
        if matches!(recovery, Recovery::Replica { .. } | Recovery::Evacuate) {
            self.report(
                problem("`virtual_ids` does not go with the modes `replica` and `evacuate`")
                    .at(&at.span(), "an id would be given twice")
                    .help("let the engine make UUIDs, or use mode = \"park\" or \"shared-data\""),
            );
        }
        true
    }

    /// Instances are handed over by an engine that can, to another site.
    fn evacuation(&mut self, file: &SiteFile, root: &File, dialect: Option<&DialectName>) {
        let wanted = |at: &&At<RecoveryModeFile>| *at.get() == RecoveryModeFile::Evacuate;
        let Some(at) = file.recovery.mode.as_ref().filter(wanted) else {
            return;
        };
        let problem = |why: &str| Diagnostic::error("recovery", why.to_owned());
        if dialect.is_some_and(|dialect| *dialect != DialectName::EngineRest) {
            self.report(
                problem("only Homing's own engine hands live instances over, and it speaks `engine-rest`")
                    .at(&at.span(), "nothing could leave this site")
                    .help("leave it out, or use mode = \"shared-data\", \"replica\" or \"park\""),
            );
        }
        if root.site.len() == 1 {
            self.report(
                problem("there is no other site that could take the instances")
                    .at(&at.span(), "nobody takes them")
                    .help("add a second `[[site]]`, or use mode = \"park\""),
            );
        }
    }

    fn standby_reads(&mut self, file: &SiteFile) -> bool {
        let Some(at) = file.reads.standby.as_ref().filter(|at| *at.get()) else {
            return false;
        };
        let mode = file.recovery.mode.as_ref().map(|mode| *mode.get());
        let has_data = matches!(
            mode,
            Some(RecoveryModeFile::SharedData | RecoveryModeFile::Replica)
        );
        if !has_data {
            self.report(
                Diagnostic::error(
                    "recovery",
                    "`reads.standby` has a meaning only with the modes `shared-data` and `replica`",
                )
                .at(&at.span(), "no standby has the data here")
                .help("leave it out, or say what the standby has"),
            );
        }
        has_data
    }

    /// Where the web applications are. Their sessions live in the memory of one node.
    fn web(&mut self, file: &SiteFile) -> Option<String> {
        let path = &file.web.as_ref()?.path;
        let text = path.get().trim_end_matches('/');
        let is_sound = |segment: &str| {
            let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
            !segment.is_empty() && segment != "." && segment != ".." && segment.chars().all(is_fit)
        };
        let below = text.strip_prefix('/');
        let parsed = if below.is_some_and(|below| below.split('/').all(is_sound)) {
            Ok(text.to_owned())
        } else {
            Err("the path of the web applications at the site's nodes: \"/operaton\"".into())
        };
        let spread = |balance: Option<BalanceFile>, endpoints: usize| {
            endpoints > 1 && balance.unwrap_or(file.balance) == BalanceFile::LeastRequests
        };
        if spread(None, file.endpoints.len())
            || file
                .installation
                .iter()
                .any(|at| spread(at.balance, at.endpoints.len()))
        {
            let problem = Diagnostic::warning(
                "web",
                format!(
                    "sessions of the web applications of `{}` are lost now and then",
                    file.name.get()
                ),
            );
            self.report(
                problem
                    .at(&path.span(), "requests are spread over several nodes")
                    .help("balance = \"active-backup\", or nodes that share their sessions"),
            );
        }
        self.read("web", path, "a path of web applications", parsed)
    }

    fn unplanned_drills(&mut self, file: &SiteFile) -> bool {
        let wanted = file.recovery.unplanned_drills.as_ref();
        let Some(at) = wanted.filter(|at| *at.get()) else {
            return false;
        };
        self.takes_over(file, "unplanned_drills", &at.span());
        true
    }

    /// Such a key means something only where an installation can take over.
    fn takes_over(&mut self, file: &SiteFile, key: &str, at: &Span) {
        let mode = file.recovery.mode.as_ref().map(|mode| *mode.get());
        if !matches!(
            mode,
            Some(RecoveryModeFile::SharedData | RecoveryModeFile::Replica)
        ) {
            let why =
                format!("`{key}` has a meaning only with the modes `shared-data` and `replica`");
            self.report(
                Diagnostic::error("recovery", why)
                    .at(at, "nothing takes over here")
                    .help("leave it out, or say what the standby has"),
            );
        }
    }

    fn automatic(&mut self, file: &SiteFile) -> Automatic {
        let Some(at) = &file.recovery.automatic else {
            return Automatic::Off;
        };
        if *at.get() != AutomaticFile::Off {
            self.takes_over(file, "automatic", &at.span());
        }
        match at.get() {
            AutomaticFile::Off => Automatic::Off,
            AutomaticFile::Advise => Automatic::Advise,
            AutomaticFile::On => Automatic::On,
        }
    }

    fn recovery(&mut self, file: &SiteFile, root: &File) -> Recovery {
        let mode = file
            .recovery
            .mode
            .as_ref()
            .map(|mode| *mode.get())
            .unwrap_or_default();
        let standby = file.installation.len() > 1;
        let name = file.name.get();
        if let Some(at) = &file.recovery.mode
            && !standby
            && matches!(
                mode,
                RecoveryModeFile::SharedData | RecoveryModeFile::Replica
            )
        {
            self.report(
                Diagnostic::error(
                    "recovery",
                    format!("site `{name}` has no second installation to recover at"),
                )
                .at(&at.span(), "needs a standby")
                .help("add a second [[site.installation]], or use mode = \"park\""),
            );
        }
        if let (true, RecoveryModeFile::Park, Some(second)) =
            (standby, mode, file.installation.get(1))
        {
            self.report(
                Diagnostic::warning("recovery", format!("the standby of site `{name}` is never used"))
                    .at(&second.name.span(), "mode `park` does not fail over")
                    .help("say what it has: recovery = { mode = \"shared-data\" } or { mode = \"replica\" }"),
            );
        }
        if let (Some(lag), false) = (&file.recovery.max_lag, mode == RecoveryModeFile::Replica) {
            let problem = Diagnostic::error(
                "recovery",
                "`max_lag` has a meaning only with mode `replica`",
            );
            self.report(
                problem
                    .at(&lag.span(), "nothing lags here")
                    .help("leave it out, or use mode = \"replica\""),
            );
        }
        let max_lag = file
            .recovery
            .max_lag
            .as_ref()
            .map_or(root.safety.max_lag.0, |lag| lag.get().0);
        match mode {
            RecoveryModeFile::SharedData => Recovery::SharedData,
            RecoveryModeFile::Replica => Recovery::Replica { max_lag },
            RecoveryModeFile::Park => Recovery::Park,
            RecoveryModeFile::Evacuate => Recovery::Evacuate,
        }
    }
}

/// Whether nobody could tell which of the two dialects a request at one base path is meant for.
fn clashes(file: &File, one: &Site, two: &Site) -> bool {
    let (a, b) = (hosts(file, one), hosts(file, two));
    let share = |host: &&At<String>| {
        b.iter()
            .any(|other| other.get().eq_ignore_ascii_case(host.get()))
    };
    one.dialect != two.dialect
        && (a.is_empty() && b.is_empty() || a.iter().any(|host| share(&host)))
}

fn hosts<'f>(file: &'f File, site: &Site) -> &'f [At<String>] {
    let DialectName::Rules(name) = &site.dialect else {
        return &[];
    };
    let declared = file
        .dialect
        .iter()
        .find(|dialect| dialect.name.get() == name);
    declared.map_or(&[], |dialect| &dialect.hosts)
}
