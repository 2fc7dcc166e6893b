//! What the module above promises.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// An authority, and a folder for what it issues.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { folder, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Files of a certificate for these names.
    fn issue(&self, file: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        let (certificate_path, key_path) = (
            self.path(&format!("{file}.pem")),
            self.path(&format!("{file}.key")),
        );
        fs::write(&certificate_path, certificate.pem()).unwrap();
        fs::write(&key_path, key.serialize_pem()).unwrap();
        (certificate_path, key_path)
    }

    fn files(&self, names: &[&str]) -> ServerTls {
        let (certificate, key) = self.issue("server", names);
        ServerTls {
            certificate,
            key,
            more: Vec::new(),
            client_ca: None,
        }
    }

    fn client(&self, identity: Option<(PathBuf, PathBuf)>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

/// The certificate that a client sees, after one byte both ways; or why not.
async fn shake(
    tls: &Tls,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<Vec<u8>, std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tls.acceptor();
    let server = tokio::spawn(async move {
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.shutdown().await
    });
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::clone(client))
        .connect(name, TcpStream::connect(address).await?)
        .await?;
    stream.write_u8(7).await?;
    assert_eq!(stream.read_u8().await?, 7);
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    server.await.unwrap()?;
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
}

fn der(pem: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(pem).unwrap().to_vec()
}

#[tokio::test]
async fn the_asked_name_chooses_the_certificate() {
    let authority = Authority::new();
    let mut files = authority.files(&["a.test"]);
    let other = authority.issue("other", &["b.test", "*.c.test"]);
    files.more = vec![other.clone()];
    let tls = Tls::open(&files, Speaks::Both).unwrap();
    let client = authority.client(None);
    assert_eq!(
        shake(&tls, &client, "a.test").await.unwrap(),
        der(&files.certificate)
    );
    assert_eq!(shake(&tls, &client, "b.test").await.unwrap(), der(&other.0));
    assert_eq!(
        shake(&tls, &client, "x.c.test").await.unwrap(),
        der(&other.0)
    );
    assert!(
        shake(&tls, &client, "d.test").await.is_err(),
        "the first one serves, and the client sees that it is another"
    );
}

#[tokio::test]
async fn without_a_certificate_of_the_authority_a_client_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let mut files = authority.files(&["a.test"]);
    files.client_ca = Some(authority.path("ca.pem"));
    let tls = Tls::open(&files, Speaks::Both).unwrap();
    let known = authority.client(Some(authority.issue("client", &["me"])));
    assert!(shake(&tls, &known, "a.test").await.is_ok());
    assert!(
        shake(&tls, &authority.client(None), "a.test")
            .await
            .is_err()
    );
    let unknown = authority.client(Some(stranger.issue("client", &["me"])));
    assert!(shake(&tls, &unknown, "a.test").await.is_err());
}

#[tokio::test]
async fn a_changed_file_is_taken_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let files = authority.files(&["a.test"]);
    let tls = Arc::new(Tls::open(&files, Speaks::Both).unwrap());
    let watching = tokio::spawn(Arc::clone(&tls).watch());
    let client = authority.client(None);
    let first = shake(&tls, &client, "a.test").await.unwrap();
    fs::write(
        &files.key,
        "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    tokio::time::sleep(LOOK + Duration::from_millis(500)).await;
    assert_eq!(
        shake(&tls, &client, "a.test").await.unwrap(),
        first,
        "the old one stays"
    );
    authority.files(&["a.test"]);
    let second = der(&files.certificate);
    let deadline = crate::clock::now() + Duration::from_secs(10);
    while shake(&tls, &client, "a.test").await.unwrap() != second {
        assert!(
            crate::clock::now() < deadline,
            "the new certificate was never taken"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    watching.abort();
}

#[test]
fn what_cannot_be_used_is_refused_with_its_file() {
    let authority = Authority::new();
    let good = authority.files(&["a.test"]);
    let other = authority.issue("other", &["a.test"]);
    let with_certificate = |certificate: PathBuf| ServerTls {
        certificate,
        ..good.clone()
    };
    let with_key = |key: PathBuf| ServerTls {
        key,
        ..good.clone()
    };
    let with_authority = |path: PathBuf| ServerTls {
        client_ca: Some(path),
        ..good.clone()
    };
    let file = |name: &str, text: &str| {
        fs::write(authority.path(name), text).unwrap();
        authority.path(name)
    };
    let garbage = file(
        "garbage.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let half = file("half.pem", "-----BEGIN CERTIFICATE-----\nAAAA");
    let empty = file("empty.pem", "");
    let more = ServerTls {
        more: vec![(other.0, good.key.clone())],
        ..good.clone()
    };
    for (files, at) in [
        (
            with_certificate(authority.path("none")),
            authority.path("none"),
        ),
        (with_certificate(empty.clone()), empty.clone()),
        (with_certificate(half.clone()), half),
        (with_certificate(garbage.clone()), garbage.clone()),
        (with_key(other.1.clone()), other.1),
        (with_key(good.certificate.clone()), good.certificate.clone()),
        (with_authority(empty.clone()), empty),
        (with_authority(garbage.clone()), garbage),
        (more, good.key),
    ] {
        let error = Tls::open(&files, Speaks::Both).map(|_| ()).unwrap_err();
        let text = crate::telemetry::chain(&error);
        assert!(text.contains(&at.display().to_string()), "{text}");
    }
}
