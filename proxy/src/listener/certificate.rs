//! Certificates of a listener: read from files, chosen by the name that the client asks for.
//!
//! Owns reading and choosing. Must not accept connections. Relies on rustls for checking that a key fits.

use super::tls::Error;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::Arc;
use webpki::EndEntityCert;

/// The certificates of one listener; the first serves clients that name no host.
#[derive(Debug)]
pub(super) struct Certificates(Vec<Arc<CertifiedKey>>);

impl Certificates {
    /// Reads pairs of a chain's file and its key's file.
    pub(super) fn open<'p>(
        pairs: impl Iterator<Item = (&'p Path, &'p Path)>,
        provider: &CryptoProvider,
    ) -> Result<Certificates, Error> {
        let read = pairs.map(|(certificate, key)| pair(certificate, key, provider).map(Arc::new));
        Ok(Certificates(read.collect::<Result<_, _>>()?))
    }

    fn for_name(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let fitting = name.and_then(|name| self.0.iter().find(|pair| bears(pair, &name)));
        fitting.or_else(|| self.0.first())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if self.0.len() == 1 {
            return self.0.first().cloned();
        }
        self.for_name(hello.server_name()).cloned()
    }
}

fn bears(pair: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Some(certificate) = pair.cert.first() else {
        return false;
    };
    EndEntityCert::try_from(certificate)
        .is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(name).is_ok())
}

fn pair(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
    let chain = chain(certificate)?;
    if let Some(Err(source)) = chain.first().map(EndEntityCert::try_from) {
        return Err(Error::Certificate {
            path: certificate.to_owned(),
            source,
        });
    }
    let der = PrivateKeyDer::from_pem_file(key).map_err(|source| Error::Pem {
        path: key.to_owned(),
        source,
    })?;
    CertifiedKey::from_der(chain, der, provider).map_err(|source| Error::Key {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = |source| Error::Pem {
        path: path.to_owned(),
        source,
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(pem)?
        .collect::<Result<_, _>>()
        .map_err(pem)?;
    if chain.is_empty() {
        return Err(pem(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(chain)
}

/// The authorities of client certificates.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate).map_err(|source| Error::Authority {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(roots)
}
