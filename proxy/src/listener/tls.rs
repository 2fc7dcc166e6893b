//! TLS of a listener: rustls with aws-lc-rs, certificates exchanged while it runs.
//!
//! Owns the settings of new connections; running ones keep theirs. Must not speak HTTP. When a file cannot be used, the
//! old settings stay.

use super::certificate::{self, Certificates};
use arc_swap::ArcSwap;
use homing_config::settings::{Listen, ServerTls};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::{CipherSuite, ServerConfig};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, or is not PEM.
    #[error("{} cannot be read as PEM", .path.display())]
    Pem {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Its first certificate is not one.
    #[error("{} holds no usable certificate", .path.display())]
    Certificate {
        path: PathBuf,
        #[source]
        source: webpki::Error,
    },
    /// The key is unusable, or that of another certificate.
    #[error("{} is not the key of {}", .key.display(), .certificate.display())]
    Key {
        certificate: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
    /// A certificate among the client authorities is unusable.
    #[error("{} holds an unusable authority", .path.display())]
    Authority {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    /// The authorities do not make a verifier.
    #[error("the client authorities in {} cannot be used", .path.display())]
    Verifier {
        path: PathBuf,
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    /// rustls refuses the whole.
    #[error("the TLS settings do not hold together")]
    Settings(#[source] rustls::Error),
}

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What a listener offers to clients (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/2 and HTTP/1.1.
    Both,
    /// HTTP/1.1.
    Http1,
}

/// A listener's TLS, shared by its connections.
pub struct Tls {
    speaks: Speaks,
    files: ArcSwap<ServerTls>,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    pub fn open(files: &ServerTls, speaks: Speaks) -> Result<Tls, Error> {
        let read = Read::files(files, speaks)?;
        Ok(Tls {
            speaks,
            files: ArcSwap::from_pointee(read.files),
            config: ArcSwap::from_pointee(read.config),
        })
    }

    /// What accepts the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// What was read holds for all connections from now on.
    fn take(&self, read: Read) {
        self.config.store(Arc::new(read.config));
        self.files.store(Arc::new(read.files));
    }

    /// Reloads whenever a file changes, for ever.
    pub async fn watch(self: Arc<Self>) {
        let mut seen = stamps(&self.files.load());
        loop {
            tokio::time::sleep(LOOK).await;
            let files = self.files.load_full();
            let now = stamps(&files);
            if now == seen {
                continue;
            }
            seen = now;
            let certificate = files.certificate.display().to_string();
            match Read::files(&files, self.speaks) {
                Ok(read) => {
                    self.take(read);
                    tracing::info!(certificate, "certificates reloaded");
                }
                Err(error) => tracing::error!(
                    certificate,
                    "the old certificates stay: {}",
                    crate::telemetry::chain(&error)
                ),
            }
        }
    }
}

/// TLS material that was read and found good.
struct Read {
    files: ServerTls,
    config: ServerConfig,
}

impl Read {
    fn files(files: &ServerTls, speaks: Speaks) -> Result<Read, Error> {
        Ok(Read {
            files: files.clone(),
            config: config(files, speaks)?,
        })
    }
}

/// The TLS of all data listeners.
#[derive(Clone, Default)]
pub struct Listeners(Vec<(SocketAddr, Arc<Tls>)>);

impl Listeners {
    /// Reads the files of each listener that speaks TLS.
    pub fn open(listen: &[Listen]) -> Result<Listeners, Error> {
        let opened = listen.iter().filter_map(|listen| {
            let tls = listen.tls.as_ref()?;
            Some(Tls::open(tls, Speaks::Both).map(|tls| (listen.bind, Arc::new(tls))))
        });
        Ok(Listeners(opened.collect::<Result<_, _>>()?))
    }

    /// The TLS of the listener at this address.
    pub fn at(&self, bind: SocketAddr) -> Option<Arc<Tls>> {
        self.0
            .iter()
            .find(|(at, _)| *at == bind)
            .map(|(_, tls)| Arc::clone(tls))
    }

    /// The TLS of every listener.
    pub fn all(&self) -> impl Iterator<Item = Arc<Tls>> {
        self.0.iter().map(|(_, tls)| Arc::clone(tls))
    }

    /// Reads what a new configuration names; if all of it is good, the returned function makes it hold.
    pub fn reload(&self, listen: &[Listen]) -> Result<impl FnOnce() + use<>, Error> {
        let mut read = Vec::new();
        for listen in listen {
            if let (Some(tls), Some(files)) = (self.at(listen.bind), &listen.tls) {
                let new = Read::files(files, tls.speaks)?;
                read.push((tls, new));
            }
        }
        Ok(move || read.into_iter().for_each(|(tls, read)| tls.take(read)))
    }
}

fn paths(files: &ServerTls) -> impl Iterator<Item = &Path> {
    let more = files
        .more
        .iter()
        .flat_map(|(certificate, key)| [certificate, key]);
    [&files.certificate, &files.key]
        .into_iter()
        .chain(more)
        .chain(&files.client_ca)
        .map(PathBuf::as_path)
}

/// When each file was last written, and how long it is.
fn stamps(files: &ServerTls) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |path: &Path| {
        std::fs::metadata(path)
            .ok()
            .and_then(|data| Some((data.modified().ok()?, data.len())))
    };
    paths(files).map(stamp).collect()
}

/// Suites that hash with SHA-384. Most clients name one of them first; where no instruction of the processor computes it, that is a
/// quarter of a handshake. The others are as good.
const LATER: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

/// Suites in this server's order.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let suites = &mut provider.cipher_suites;
    suites.sort_by_key(|suite| LATER.contains(&suite.suite()));
    provider
}

fn config(files: &ServerTls, speaks: Speaks) -> Result<ServerConfig, Error> {
    let provider = Arc::new(provider());
    let pairs = std::iter::once((&files.certificate, &files.key)).chain(
        files
            .more
            .iter()
            .map(|(certificate, key)| (certificate, key)),
    );
    let certificates = Certificates::open(
        pairs.map(|(certificate, key)| (certificate.as_path(), key.as_path())),
        &provider,
    )?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::Settings)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(certificate::authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|source| Error::Verifier {
                path: path.clone(),
                source,
            })?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = match speaks {
        Speaks::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Speaks::Http1 => vec![b"http/1.1".to_vec()],
    };
    config.ignore_client_order = true;
    // A new ticketer for each reading of the files: nobody resumes what other authorities allowed.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Settings)?;
    Ok(config)
}

#[cfg(test)]
mod tests;
