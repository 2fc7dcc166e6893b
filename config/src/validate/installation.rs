//! Installations of a site, and their endpoints.
//!
//! Owns the check that an endpoint belongs to one installation of one site, and that any endpoint of an installation can
//! get any request. Must not ask endpoints anything.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::site::{BalanceFile, InstallationFile, SiteFile};
use crate::file::tls::ClientTlsFile;
use crate::settings::{Balance, ClientTls, Endpoint, Installation, Scheme};
use crate::source::Span;
use crate::text::At;
use std::collections::HashMap;

/// Where each endpoint was first seen: its site and its place.
pub(super) type Seen = HashMap<String, (String, Span)>;

impl Validate<'_> {
    pub(super) fn installations(&mut self, file: &SiteFile, seen: &mut Seen) -> Vec<Installation> {
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
        if file.endpoints.is_empty() && !self.said("endpoints`") {
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
}

fn scheme(endpoint: &Endpoint) -> &'static str {
    match endpoint.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}
