//! TLS towards endpoints.
//!
//! Owns verification settings: names and certificates are always checked. Must not open connections.

use crate::topology::UpstreamTls;
use homing_config::settings::{ClientTls, Endpoint, Scheme};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why TLS material cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A PEM file cannot be read.
    #[error("{} cannot be read as PEM", .path.display())]
    Pem {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// rustls refuses it.
    #[error("the TLS settings do not hold together")]
    Settings(#[from] rustls::Error),
    /// Neither the endpoint's host nor `tls.server_name` is a name.
    #[error("\"{0}\" is no name that a certificate could carry")]
    Name(String),
}

/// Client settings of one installation.
pub struct Client {
    config: Option<Arc<ClientConfig>>,
    server_name: Option<String>,
}

/// The settings of an installation's `tls` table, or of the platform.
pub fn client(tls: Option<&ClientTls>) -> Result<Client, Error> {
    let Some(tls) = tls else {
        return Ok(Client {
            config: None,
            server_name: None,
        });
    };
    let builder = ClientConfig::builder();
    let verified = match &tls.ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.with_platform_verifier()?,
    };
    let config = match &tls.identity {
        Some((certificate, key)) => {
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|source| Error::Pem {
                path: key.clone(),
                source,
            })?;
            verified.with_client_auth_cert(certificates(certificate)?, key_der)?
        }
        None => verified.with_no_client_auth(),
    };
    Ok(Client {
        config: Some(Arc::new(config)),
        server_name: tls.server_name.clone(),
    })
}

impl Client {
    /// What a connection to this endpoint needs; `None` for `http`.
    pub fn upstream(&self, endpoint: &Endpoint) -> Result<Option<Arc<UpstreamTls>>, Error> {
        if endpoint.scheme == Scheme::Http {
            return Ok(None);
        }
        let config = match &self.config {
            Some(config) => Arc::clone(config),
            None => Arc::new(
                ClientConfig::builder()
                    .with_platform_verifier()?
                    .with_no_client_auth(),
            ),
        };
        let name = self.server_name.as_deref().unwrap_or(&endpoint.host);
        let server_name =
            ServerName::try_from(name.to_owned()).map_err(|_| Error::Name(name.to_owned()))?;
        Ok(Some(Arc::new(UpstreamTls {
            config,
            server_name,
        })))
    }
}

/// All certificates of a PEM file.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = |source| Error::Pem {
        path: path.to_owned(),
        source,
    };
    CertificateDer::pem_file_iter(path)
        .map_err(pem)?
        .collect::<Result<_, _>>()
        .map_err(pem)
}
