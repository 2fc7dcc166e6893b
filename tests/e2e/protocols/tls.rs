//! TLS on the data listener of a real router.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use super::{SOON, builder, echo, speak_http2, until};
use anyhow::{Context as _, Result};
use homing_harness::{
    clock::eventually, outcome::Promise, paths::new_folder, ports::loopback, router::Router,
};
use http::Request;
use http_body_util::Full;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

struct Files {
    folder: PathBuf,
}

impl Files {
    fn new() -> Result<Self> {
        let files = Self {
            folder: new_folder("certificates")?,
        };
        files.renew()?;
        Ok(files)
    }

    /// Writes a new certificate and its key.
    fn renew(&self) -> Result<()> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["router.test".to_owned()])?;
        fs::write(self.folder.join("key.pem"), signing_key.serialize_pem())?;
        fs::write(self.folder.join("certificate.pem"), cert.pem())?;
        Ok(())
    }

    fn listener(&self) -> String {
        let folder = self.folder.display();
        format!(
            "tls = {{ certificate = \"{folder}/certificate.pem\", key = \"{folder}/key.pem\" }}"
        )
    }

    fn certificate(&self) -> Result<CertificateDer<'static>> {
        Ok(CertificateDer::from_pem_file(
            self.folder.join("certificate.pem"),
        )?)
    }
}

async fn connect(
    router: &Router,
    trusted: CertificateDer<'static>,
    protocol: &str,
) -> Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(loopback(router.port())).await?;
    let name = ServerName::try_from("router.test")?;
    Ok(TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_are_spoken_over_tls() -> Promise {
    let (site, files) = (echo().await?, Files::new()?);
    let router = builder("tls", &site.endpoint(""))
        .listener(&files.listener())
        .start()
        .await?;
    let mut sender = speak_http2(connect(&router, files.certificate()?, "h2").await?).await?;
    let request = Request::get("https://router.test/app/two").body(Full::default())?;
    assert_eq!(super::ask(&mut sender, request).await?.status(), 200);
    let mut client = connect(&router, files.certificate()?, "http/1.1").await?;
    client
        .write_all(b"GET /app/one HTTP/1.1\r\nHost: router.test\r\n\r\n")
        .await?;
    until(&mut client, "\"/app/one\"").await?;
    for seen in site.seen() {
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
        assert_eq!(seen.header("host"), Some("router.test"));
    }
    assert_eq!(site.seen().len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_taken_while_connections_go_on() -> Promise {
    let (site, files) = (echo().await?, Files::new()?);
    let router = builder("tls-reload", &site.endpoint(""))
        .listener(&files.listener())
        .start()
        .await?;
    let old = files.certificate()?;
    let mut before = connect(&router, old.clone(), "http/1.1").await?;

    let key = files.folder.join("key.pem");
    let good = fs::read(&key)?;
    let other = generate_simple_self_signed(vec!["other.test".to_owned()])?;
    fs::write(&key, other.signing_key.serialize_pem())?;
    router.hang_up()?;
    eventually(
        "the log names the key that does not fit",
        SOON,
        async || {
            Ok(router
                .log()?
                .contains("key.pem is not the key of")
                .then_some(()))
        },
    )
    .await?;
    connect(&router, old.clone(), "http/1.1")
        .await
        .context("the old certificate stays")?;
    fs::write(&key, good)?;

    files.renew()?;
    let new = files.certificate()?;
    eventually(
        "the new certificate is shown",
        Duration::from_secs(20),
        async || Ok(connect(&router, new.clone(), "http/1.1").await.ok()),
    )
    .await?;
    assert!(connect(&router, old, "http/1.1").await.is_err());
    before
        .write_all(b"GET /app/kept HTTP/1.1\r\nHost: router.test\r\n\r\n")
        .await?;
    until(&mut before, "\"/app/kept\"").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_certificate_is_refused_at_start() -> Promise {
    let (site, files) = (echo().await?, Files::new()?);
    let other = generate_simple_self_signed(vec!["other.test".to_owned()])?;
    fs::write(
        files.folder.join("key.pem"),
        other.signing_key.serialize_pem(),
    )?;
    let started = builder("tls-broken", &site.endpoint(""))
        .listener(&files.listener())
        .start()
        .await;
    let refused = format!("{:#}", started.err().context("it started")?);
    assert!(refused.contains("key.pem is not the key of"), "{refused}");
    Ok(())
}
