//! Listeners: addresses, who is trusted, and that no two want the same port.
//!
//! Owns `[[listen]]`, `[admin]`, `[attest]`, and the engine's address where they meet. Must not bind anything.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::File;
use crate::file::attest::AttestFile;
use crate::file::listen::ListenFile;
use crate::settings::{Admin, Attest, Bind, Endpoint, HostPort, Listen, Network};
use crate::source::Span;
use crate::text::At;
use std::net::{Ipv4Addr, SocketAddr};

/// Where the data listener is when none is configured.
const DEFAULT_BIND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

impl Validate<'_> {
    pub(super) fn listeners(&mut self, file: &File) -> Vec<Listen> {
        self.clashes(file);
        self.loops(file);
        let listen: Vec<Listen> = file
            .listen
            .iter()
            .filter_map(|listen| self.listener(listen))
            .collect();
        if file.listen.is_empty() {
            return vec![Listen {
                bind: DEFAULT_BIND,
                tls: None,
                trusted_proxies: Vec::new(),
                proxy_protocol: false,
            }];
        }
        listen
    }

    fn listener(&mut self, file: &ListenFile) -> Option<Listen> {
        let trusted_proxies: Vec<Network> = file
            .trusted_proxies
            .iter()
            .filter_map(|network| {
                self.read(
                    "network",
                    network,
                    "a network",
                    Network::parse(network.get()),
                )
            })
            .collect();
        if *file.proxy_protocol.get() && file.trusted_proxies.is_empty() {
            self.report(
                Diagnostic::error("proxy-protocol", "nobody is trusted to send a PROXY header")
                    .at(
                        &file.proxy_protocol.span(),
                        "`trusted_proxies` is missing beside it",
                    )
                    .help("name the proxies in front: trusted_proxies = [\"10.0.0.0/8\"]"),
            );
        }
        let tls = file.tls.as_ref().map(|tls| self.server_tls(tls));
        let bind = self.tcp(&file.bind)?;
        Some(Listen {
            bind,
            tls,
            trusted_proxies,
            proxy_protocol: *file.proxy_protocol.get(),
        })
    }

    pub(super) fn admin(&mut self, file: &File) -> Admin {
        let text = &file.admin.bind;
        let bind = self.read(
            "bind",
            text,
            "an address to listen on",
            Bind::parse(text.get()),
        );
        let guarded = file
            .admin
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_ca.is_some());
        if let Some(bind) = &bind
            && !bind.is_local()
            && !guarded
        {
            self.report(
                Diagnostic::error("admin-exposed", format!("other hosts would reach the admin listener at {bind}"))
                    .at(&text.span(), "neither loopback nor a Unix socket")
                    .help("use \"127.0.0.1:8081\" or \"unix:/run/homing/admin.sock\", or demand client certificates: tls = { certificate = \"...\", key = \"...\", client_ca = \"...\" }"),
            );
        }
        let tls = file.admin.tls.as_ref().map(|tls| self.server_tls(tls));
        // A placeholder after a reported error: the settings are not handed out then.
        Admin {
            bind: bind.unwrap_or(Bind::Tcp(DEFAULT_BIND)),
            tls,
        }
    }

    pub(super) fn attest(&mut self, file: &AttestFile) -> Option<Attest> {
        let bind = self.tcp(&file.bind)?;
        let address = match &file.address {
            Some(text) => self.read(
                "address",
                text,
                "a host and a port",
                HostPort::parse(text.get()),
            )?,
            None if bind.ip().is_unspecified() => {
                self.report(
                    Diagnostic::error("attest-address", "the others do not know where to ask")
                        .at(&file.bind.span(), "all addresses of this host")
                        .help("name the one that they reach: address = \"10.0.1.4:8083\""),
                );
                return None;
            }
            None => HostPort {
                host: bind.ip().to_string(),
                port: bind.port(),
            },
        };
        Some(Attest { bind, address })
    }

    /// An address that must be one of TCP.
    pub(super) fn tcp(&mut self, text: &At<String>) -> Option<SocketAddr> {
        match self.read(
            "bind",
            text,
            "an address to listen on",
            Bind::parse(text.get()),
        )? {
            Bind::Tcp(address) => Some(address),
            Bind::Unix(_) => {
                self.report(
                    Diagnostic::error("bind", "only the admin listener can be a Unix socket")
                        .at(&text.span(), "clients connect over TCP here")
                        .help("write address and port: \"127.0.0.1:8080\""),
                );
                None
            }
        }
    }

    fn clashes(&mut self, file: &File) {
        let parse =
            |text: &At<String>| Bind::parse(text.get()).ok().map(|bind| (bind, text.span()));
        let mut binds: Vec<(&str, Bind, Span)> = Vec::new();
        let serves = !self.sites.is_empty();
        let listen = file
            .listen
            .iter()
            .filter_map(|listen| parse(&listen.bind))
            .map(|(bind, at)| ("a data listener", bind, at));
        binds.extend(listen);
        if file.listen.is_empty() && serves {
            binds.push(("the data listener", Bind::Tcp(DEFAULT_BIND), 0..0));
        }
        if let Some((bind, at)) =
            parse(&file.admin.bind).filter(|_| serves || !file.listen.is_empty())
        {
            binds.push(("the admin listener", bind, at));
        }
        if let Some((bind, at)) = file.attest.as_ref().and_then(|attest| parse(&attest.bind)) {
            binds.push(("attestation", bind, at));
        }
        if let Some((bind, at)) = file.engine.as_ref().and_then(|engine| parse(&engine.bind)) {
            binds.push(("the engine", bind, at));
        }
        for (index, (what, bind, at)) in binds.iter().enumerate() {
            let Some((other, _, first)) = binds
                .iter()
                .take(index)
                .find(|(_, earlier, _)| earlier.clashes(bind))
            else {
                continue;
            };
            let mut problem =
                Diagnostic::error("bind-clash", format!("{what} and {other} both want {bind}"));
            for (span, text) in [(at, what), (first, other)] {
                if *span != (0..0) {
                    problem = problem.at(span, format!("{text} is here"));
                }
            }
            let wide = if problem.labels.len() < 2 {
                "; one of them is built in"
            } else {
                ""
            };
            self.report(problem.help(format!("give each a port of its own; `0.0.0.0` and `[::]` take the port on all addresses{wide}")));
        }
    }

    /// An endpoint that is a listener of this router itself: each request would go round until all limits are reached.
    fn loops(&mut self, file: &File) {
        let mut own: Vec<Bind> = file
            .listen
            .iter()
            .filter_map(|one| Bind::parse(one.bind.get()).ok())
            .collect();
        if file.listen.is_empty() {
            own.push(Bind::Tcp(DEFAULT_BIND));
        }
        own.extend(Bind::parse(file.admin.bind.get()).ok());
        let long = file.site.iter().flat_map(|site| &site.installation);
        let endpoints = file.site.iter().flat_map(|site| &site.endpoints);
        for text in endpoints.chain(long.flat_map(|one| &one.endpoints)) {
            let Some(at) = Endpoint::parse(text.get()).ok().and_then(|one| here(&one)) else {
                continue;
            };
            if let Some(bind) = own.iter().find(|bind| answers(bind, at)) {
                let message = format!("`{}` is this router's own listener at {bind}", text.get());
                let problem = Diagnostic::error("endpoint", message);
                self.report(
                    problem
                        .at(&text.span(), "requests would come back for ever")
                        .help("name a node of the engine here, or another port for the listener"),
                );
            }
        }
    }
}

/// Where the endpoint is, if it is told as an address.
fn here(endpoint: &Endpoint) -> Option<SocketAddr> {
    let local = endpoint.host.eq_ignore_ascii_case("localhost");
    let ip = if local {
        DEFAULT_BIND.ip()
    } else {
        endpoint.host.parse().ok()?
    };
    Some(SocketAddr::new(ip, endpoint.port))
}

/// Whether this listener is what answers there. Of the addresses of a listener on all of them, one is known: this host's own.
fn answers(bind: &Bind, at: SocketAddr) -> bool {
    let Bind::Tcp(bind) = bind else { return false };
    let same = bind.ip() == at.ip() || bind.ip().is_unspecified() && at.ip().is_loopback();
    same && bind.port() == at.port()
}
