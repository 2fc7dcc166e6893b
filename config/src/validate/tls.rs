//! TLS settings, and files that settings name.
//!
//! Owns the check that a named file is there and looks like what it should be. Must not use what it read.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::tls::{ClientTlsFile, ServerTlsFile};
use crate::secret::Secret;
use crate::settings::{ClientTls, ServerTls};
use crate::text::At;
use std::path::PathBuf;

impl Validate<'_> {
    pub(super) fn server_tls(&mut self, tls: &ServerTlsFile) -> ServerTls {
        ServerTls {
            certificate: self.pem(&tls.certificate, "CERTIFICATE"),
            key: self.pem(&tls.key, "PRIVATE KEY"),
            more: tls
                .more
                .iter()
                .map(|pair| {
                    (
                        self.pem(&pair.certificate, "CERTIFICATE"),
                        self.pem(&pair.key, "PRIVATE KEY"),
                    )
                })
                .collect(),
            client_ca: tls.client_ca.as_ref().map(|ca| self.pem(ca, "CERTIFICATE")),
        }
    }

    pub(super) fn client_tls(&mut self, tls: &ClientTlsFile) -> ClientTls {
        let identity = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => Some((
                self.pem(certificate, "CERTIFICATE"),
                self.pem(key, "PRIVATE KEY"),
            )),
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => {
                let other = if tls.key.is_none() {
                    "key"
                } else {
                    "certificate"
                };
                self.report(
                    Diagnostic::error("tls", "a certificate and its key belong together")
                        .at(&one.span(), format!("`{other}` is missing beside it"))
                        .help(format!("add `{other} = \"FILE.pem\"`")),
                );
                None
            }
        };
        if let Some(name) = &tls.server_name
            && !is_server_name(name.get())
        {
            self.report(
                Diagnostic::error("tls", format!("`{}` is not a server name", name.get()))
                    .at(&name.span(), "a host name or an IP address, without port")
                    .help("give the name that the endpoint's certificate bears"),
            );
        }
        ClientTls {
            server_name: tls.server_name.as_ref().map(|name| name.get().clone()),
            ca: tls.ca.as_ref().map(|ca| self.pem(ca, "CERTIFICATE")),
            identity,
        }
    }

    /// A PEM file that holds at least one block of the kind.
    pub(super) fn pem(&mut self, path: &At<String>, kind: &str) -> PathBuf {
        if let Some(text) = self.text_of(path) {
            let begins = |line: &str| {
                line.starts_with("-----BEGIN ")
                    && line.trim_end().ends_with(&format!("{kind}-----"))
            };
            if !text.lines().any(begins) {
                self.report(
                    Diagnostic::error(
                        "tls",
                        format!("`{}` holds no {}", path.get(), kind.to_ascii_lowercase()),
                    )
                    .at(
                        &path.span(),
                        format!("no `-----BEGIN {kind}-----` in this file"),
                    )
                    .help("name a PEM file; certificate and key are often two files"),
                );
            }
        }
        PathBuf::from(path.get())
    }

    /// The text of a secret's file, without the line end at its end.
    pub(super) fn secret_of(&mut self, path: &At<String>) -> Option<Secret> {
        let text = self.text_of(path)?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            let problem = Diagnostic::error("file", format!("`{}` is empty", path.get()));
            self.report(
                problem
                    .at(&path.span(), "nothing in this file")
                    .help("write the secret into it"),
            );
            return None;
        }
        Some(Secret::new(text))
    }

    fn text_of(&mut self, path: &At<String>) -> Option<String> {
        match std::fs::read_to_string(path.get()) {
            Ok(text) => Some(text),
            Err(error) => {
                self.report(
                    Diagnostic::error("file", format!("cannot read `{}`", path.get()))
                        .at(&path.span(), error.to_string())
                        .help("paths are taken from the working folder of the process; it needs the right to read the file"),
                );
                None
            }
        }
    }
}

fn is_server_name(name: &str) -> bool {
    name.parse::<std::net::IpAddr>().is_ok()
        || (!name.is_empty()
            && name.len() <= 253
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
}
