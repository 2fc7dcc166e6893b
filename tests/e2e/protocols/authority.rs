//! An authority of this test's own, and the files and connections that it vouches for.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Result;
use homing_harness::{paths::new_folder, ports::loopback};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

pub(super) struct Authority {
    pub(super) folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Files of a certificate and its key.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// When a certificate is good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Valid {
    Now,
    LongAgo,
}

impl Authority {
    pub(super) fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let folder = new_folder("authority")?;
        fs::write(folder.join("ca.pem"), issuer.pem())?;
        Ok(Self { folder, issuer })
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    pub(super) fn issue(&self, name: &str, valid: Valid) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        if valid == Valid::LongAgo {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer)?;
        let file = match valid {
            Valid::Now => name.to_owned(),
            Valid::LongAgo => format!("{name}-expired"),
        };
        self.write(&file, &certificate.pem(), &key)
    }

    /// Nobody vouches for this one but itself.
    pub(super) fn self_signed(&self, name: &str) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.self_signed(&key)?;
        self.write(&format!("{name}-self"), &certificate.pem(), &key)
    }

    fn write(&self, file: &str, certificate: &str, key: &KeyPair) -> Result<Identity> {
        let identity = Identity {
            certificate: self.folder.join(format!("{file}.pem")),
            key: self.folder.join(format!("{file}.key")),
        };
        fs::write(&identity.certificate, certificate)?;
        fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }

    /// A connection that trusts this authority, perhaps with an identity of its own.
    pub(super) async fn connect(
        &self,
        port: u16,
        name: &str,
        identity: Option<&Identity>,
    ) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                builder.with_client_auth_cert(identity.chain()?, identity.private_key()?)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TcpStream::connect(loopback(port)).await?;
        let name = ServerName::try_from(name.to_owned())?;
        Ok(TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?)
    }
}

impl Identity {
    fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        Ok(vec![CertificateDer::from_pem_file(&self.certificate)?])
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>> {
        Ok(PrivateKeyDer::from_pem_file(&self.key)?)
    }
}

/// TLS in front of a site that has none; ends with this value.
pub(super) struct Front {
    pub(super) port: u16,
    accepting: JoinHandle<()>,
}

impl Front {
    pub(super) async fn start(identity: &Identity, site: SocketAddr) -> Result<Self> {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(identity.chain()?, identity.private_key()?)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(loopback(0)).await?;
        let port = listener.local_addr()?.port();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut client = acceptor.accept(stream).await?;
                    let mut site = TcpStream::connect(site).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut site).await
                });
            }
        });
        Ok(Self { port, accepting })
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
