//! How a site is probed, and as whom.
//!
//! Owns `site.health` and `site.service_account`. Must not probe; reads the file of a password.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::File;
use crate::file::site::{ProbeFile, ProbeRequestFile, ServiceAccountFile, SiteFile};
use crate::secret::Secret;
use crate::settings::{DialectName, Probe, ServiceAccount, SiteHealth};
use crate::source::Origin;
use crate::text::At;

impl Validate<'_> {
    pub(super) fn site_health(
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

    pub(super) fn service_account(&mut self, file: &ServiceAccountFile) -> Option<ServiceAccount> {
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
