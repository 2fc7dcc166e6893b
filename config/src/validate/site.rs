//! `[[site]]`: sites, their installations and endpoints.
//!
//! Owns the check that each endpoint belongs to one installation of one site, and that recovery fits what is there.
//! Must not ask endpoints anything.

use super::Validate;
use super::dialect::BUILT_IN;
use crate::diagnostic::Diagnostic;
use crate::file::File;
use crate::file::site::{
    BalanceFile, IdentityFile, InstallationFile, ProbeFile, ProbeRequestFile, RecoveryModeFile,
    ServiceAccountFile, SiteFile,
};
use crate::file::tls::ClientTlsFile;
use crate::secret::Secret;
use crate::settings::{
    Balance, ClientTls, DialectName, Endpoint, Identity, Installation, Probe, Recovery, Scheme,
    ServiceAccount, Site, SiteHealth,
};
use crate::source::{Origin, Span};
use crate::suggest;
use crate::text::At;
use std::collections::HashMap;

/// Where each endpoint was first seen: site, installation, place.
type Seen = HashMap<String, (String, Span)>;

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
        file.site
            .iter()
            .filter_map(|site| self.site(site, file, &mut seen))
            .collect()
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
        let service_account = file
            .service_account
            .as_ref()
            .and_then(|account| self.service_account(account));
        let health = self.site_health(file, root, dialect.as_ref());
        let installations = self.installations(file, seen);
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
            recovery,
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

    fn installations(&mut self, file: &SiteFile, seen: &mut Seen) -> Vec<Installation> {
        let name = file.name.get();
        if let (Some(endpoint), Some(first)) = (file.endpoints.first(), file.installation.first()) {
            self.report(
                Diagnostic::error(
                    "site-forms",
                    format!("site `{name}` is written in short and in long form"),
                )
                .at(&endpoint.span(), "short form: endpoints of the site")
                .at(&first.name.span(), "long form: an installation")
                .help("move the site's `endpoints` into an installation"),
            );
        }
        if file.installation.is_empty() {
            let short = InstallationFile {
                name: file.name.clone(),
                zone: None,
                endpoints: file.endpoints.clone(),
                tls: None,
                balance: None,
            };
            return vec![self.installation(&short, file, seen)];
        }
        file.installation
            .iter()
            .map(|installation| self.installation(installation, file, seen))
            .collect()
    }

    fn installation(
        &mut self,
        file: &InstallationFile,
        site: &SiteFile,
        seen: &mut Seen,
    ) -> Installation {
        let name = file.name.get();
        if file.endpoints.is_empty() {
            let problem = Diagnostic::error("no-endpoint", format!("`{name}` has no endpoint"));
            self.report(
                problem
                    .at(&file.name.span(), "nothing can be asked here")
                    .help("add endpoints = [\"http://10.0.1.7:8080/engine-rest\"]"),
            );
        }
        let mut endpoints: Vec<(Endpoint, Span)> = Vec::new();
        for text in &file.endpoints {
            if let Some(endpoint) =
                self.read("endpoint", text, "an endpoint", Endpoint::parse(text.get()))
            {
                self.first_use(&endpoint, text, site.name.get(), seen);
                self.alike(&endpoint, text, endpoints.first());
                endpoints.push((endpoint, text.span()));
            }
        }
        let tls = self.endpoint_tls(file.tls.as_ref().or(site.tls.as_ref()), &endpoints);
        Installation {
            name: name.clone(),
            zone: file
                .zone
                .as_ref()
                .or(site.zone.as_ref())
                .map(|zone| zone.get().clone()),
            endpoints: endpoints
                .into_iter()
                .map(|(endpoint, _)| endpoint)
                .collect(),
            tls,
            balance: match file.balance.unwrap_or(site.balance) {
                BalanceFile::LeastRequests => Balance::LeastRequests,
                BalanceFile::ActiveBackup => Balance::ActiveBackup,
            },
        }
    }

    /// An address serves one installation of one site only: else one database would be two homes.
    fn first_use(&mut self, endpoint: &Endpoint, text: &At<String>, site: &str, seen: &mut Seen) {
        let key = endpoint.to_string().to_ascii_lowercase();
        let Some((other, first)) = seen.get(&key) else {
            seen.insert(key, (site.to_owned(), text.span()));
            return;
        };
        let message = if other == site {
            format!("site `{site}` has the endpoint {endpoint} twice")
        } else {
            format!("the sites `{other}` and `{site}` have the same endpoint {endpoint}")
        };
        let help = if other == site {
            "leave one out"
        } else {
            "a site is one database: each needs nodes of its own"
        };
        self.report(
            Diagnostic::error("duplicate-endpoint", message)
                .at(&text.span(), "used again here")
                .at(first, "first used here")
                .help(help),
        );
    }

    fn alike(&mut self, endpoint: &Endpoint, text: &At<String>, first: Option<&(Endpoint, Span)>) {
        let Some((other, at)) = first else { return };
        let (what, mine, theirs) = if endpoint.base_path != other.base_path {
            ("base path", &endpoint.base_path, &other.base_path)
        } else if endpoint.scheme != other.scheme {
            (
                "scheme",
                &text.get().split(':').next().unwrap_or_default().to_owned(),
                &scheme(other).to_owned(),
            )
        } else {
            return;
        };
        self.report(
            Diagnostic::error(
                "endpoints-differ",
                format!("endpoints of one installation have different {what}s"),
            )
            .at(&text.span(), format!("`{mine}` here"))
            .at(at, format!("`{theirs}` here"))
            .help(format!(
                "any endpoint may get any request: give all the same {what}"
            )),
        );
    }

    fn endpoint_tls(
        &mut self,
        file: Option<&ClientTlsFile>,
        endpoints: &[(Endpoint, Span)],
    ) -> Option<ClientTls> {
        let secure = endpoints
            .iter()
            .find(|(endpoint, _)| endpoint.scheme == Scheme::Https);
        let tls = file.map(|tls| self.client_tls(tls));
        if secure.is_none() {
            let place = file.and_then(|tls| {
                [&tls.server_name, &tls.ca, &tls.certificate, &tls.key]
                    .into_iter()
                    .flatten()
                    .next()
            });
            if let (Some(value), Some((_, endpoint))) = (place, endpoints.first()) {
                self.report(
                    Diagnostic::error("tls", "these endpoints do not speak TLS")
                        .at(&value.span(), "a TLS setting")
                        .at(endpoint, "begins with `http://`")
                        .help("write `https://`, or leave `tls` out"),
                );
            }
            return None;
        }
        let tls = tls.unwrap_or_default();
        let nameless = endpoints
            .iter()
            .filter(|(endpoint, _)| endpoint.scheme == Scheme::Https && endpoint.ip().is_some());
        if tls.server_name.is_none() {
            for (endpoint, span) in nameless {
                self.report(
                    Diagnostic::error(
                        "server-name",
                        format!(
                            "no name to check the certificate of {} by",
                            endpoint.authority()
                        ),
                    )
                    .at(span, "https to an IP address")
                    .help(
                        "use the host name, or add tls = { server_name = \"engine.example.org\" }",
                    ),
                );
            }
        }
        Some(tls)
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

    fn site_health(
        &mut self,
        file: &SiteFile,
        root: &File,
        dialect: Option<&DialectName>,
    ) -> SiteHealth {
        let interval = root.health.interval.0;
        match &file.health {
            Some(ProbeFile::Word(_)) => SiteHealth {
                probe: Probe::Tcp,
                interval,
            },
            Some(ProbeFile::Request(request)) => {
                let interval = request.interval.map_or(interval, |interval| interval.0);
                SiteHealth {
                    probe: self.request_probe(request, dialect),
                    interval,
                }
            }
            None => {
                let probe = match dialect {
                    Some(DialectName::Rules(_)) => Probe::Tcp,
                    Some(DialectName::EngineRest | DialectName::Flowable) | None => {
                        Probe::Dialect { expect: Vec::new() }
                    }
                };
                SiteHealth { probe, interval }
            }
        }
    }

    fn request_probe(&mut self, file: &ProbeRequestFile, dialect: Option<&DialectName>) -> Probe {
        for status in file
            .expect
            .iter()
            .filter(|status| !(200..600).contains(status.get()))
        {
            let problem = Diagnostic::error(
                "probe",
                format!("`{}` is not a final HTTP status", status.get()),
            );
            self.report(
                problem
                    .at(&status.span(), "from 200 to 599")
                    .help("for example expect = [200, 204]"),
            );
        }
        let expect: Vec<u16> = file.expect.iter().map(|status| *status.get()).collect();
        match (&file.path, dialect) {
            (Some(path), _) => {
                if !path.get().starts_with('/')
                    || path
                        .get()
                        .chars()
                        .any(|c| c.is_whitespace() || c.is_control())
                {
                    let problem =
                        Diagnostic::error("probe", format!("`{}` is not a path", path.get()));
                    self.report(
                        problem
                            .at(&path.span(), "from the root of the host")
                            .help(format!("begin with `/`: \"/{}\"", path.get().trim())),
                    );
                }
                Probe::Get {
                    path: path.get().clone(),
                    expect,
                }
            }
            (None, Some(DialectName::Rules(_))) => Probe::Tcp,
            (None, Some(DialectName::EngineRest | DialectName::Flowable) | None) => {
                Probe::Dialect { expect }
            }
        }
    }

    fn service_account(&mut self, file: &ServiceAccountFile) -> Option<ServiceAccount> {
        let user = file.user.get().clone();
        if user.is_empty() || user.contains(':') {
            let problem = Diagnostic::error("service-account", "this user name cannot be sent");
            self.report(
                problem
                    .at(&file.user.span(), "empty, or with a `:`")
                    .help("basic authentication ends the user name at the first `:`"),
            );
        }
        let password = match (&file.password_file, &file.password) {
            (Some(path), None) => self.secret_of(path)?,
            (None, Some(password)) => {
                self.in_the_open(password);
                Secret::new(password.get().clone())
            }
            (None, None) => {
                let problem = Diagnostic::error("service-account", "the account has no password");
                self.report(
                    problem
                        .at(&file.user.span(), "`password_file` is missing beside it")
                        .help("add password_file = \"FILE\""),
                );
                return None;
            }
            (Some(path), Some(password)) => {
                self.report(
                    Diagnostic::error(
                        "service-account",
                        "`password_file` and `password` contradict each other",
                    )
                    .at(&path.span(), "the password is in this file")
                    .at(&password.span(), "and here")
                    .help("leave one of them out"),
                );
                return None;
            }
        };
        Some(ServiceAccount { user, password })
    }

    fn in_the_open(&mut self, password: &At<String>) {
        let origin = self
            .sources
            .find(&password.span())
            .map(|(source, _)| &source.origin);
        if matches!(origin, Some(Origin::File(_))) {
            let warning = Diagnostic::warning(
                "secret-in-file",
                "a password stands in a configuration file",
            );
            self.report(
                warning
                    .at(&password.span(), "readable to all who may read this file")
                    .help("use `password_file`, or the environment"),
            );
        }
    }
}

fn scheme(endpoint: &Endpoint) -> &'static str {
    match endpoint.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}
