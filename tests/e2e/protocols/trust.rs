//! Whom the router trusts: sites by their certificates, clients and operators by theirs.

use std::{fs, time::Duration};

use anyhow::Result;
use homing_harness::{clock::eventually, outcome::Promise, ports::free_port, router::Router};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    SOON,
    authority::{Authority, Front, Identity, Valid},
    builder, echo, until,
};
use homing_harness::router::Builder;

const RELOADED: Duration = Duration::from_secs(20);

/// A router whose site is at this endpoint and must show a certificate for `site.test` of the authority.
fn towards(name: &str, authority: &Authority, port: u16) -> Builder {
    let tls = format!(
        "tls = {{ ca = \"{}\", server_name = \"site.test\" }}",
        authority.ca().display()
    );
    Builder::new(name)
        .site_with(
            "a",
            "anything",
            &[&format!("https://127.0.0.1:{port}")],
            &tls,
        )
        .tables(super::DIALECT)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_is_trusted_for_its_name_its_authority_and_its_time_only() -> Promise {
    let (ours, theirs) = (Authority::new()?, Authority::new()?);
    let site = echo().await?;
    let cases = [
        ("good", ours.issue("site.test", Valid::Now)?, None),
        (
            "name",
            ours.issue("other.test", Valid::Now)?,
            Some("not valid for name"),
        ),
        (
            "expired",
            ours.issue("site.test", Valid::LongAgo)?,
            Some("expired"),
        ),
        (
            "self",
            ours.self_signed("site.test")?,
            Some("invalid peer certificate"),
        ),
        (
            "authority",
            theirs.issue("site.test", Valid::Now)?,
            Some("invalid peer certificate"),
        ),
    ];
    for (name, identity, refusal) in cases {
        let front = Front::start(&identity, site.address()).await?;
        let router = towards(&format!("towards-{name}"), &ours, front.port)
            .start()
            .await?;
        let before = site.seen().len();
        let client = router.client("");
        let Some(refusal) = refusal else {
            client.get("/app/a").await?.expect(200)?;
            continue;
        };
        let answer = client.get("/app/a").await?.expect(503)?;
        let shown = router.admin().get("/v1/sites/a").await?.text();
        let told = format!("{} {shown} {}", answer.text(), router.log()?);
        assert!(told.contains(refusal), "{name}: {told}");
        assert_eq!(site.seen().len(), before, "{name}: something was sent");
    }
    Ok(())
}

async fn refused(router: &Router, words: &[&str]) -> Result<()> {
    router.hang_up()?;
    eventually(&format!("the log says {words:?}"), RELOADED, async || {
        let log = router.log()?;
        let told = log
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)));
        Ok(told.then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_certificate_key_or_authority_refuses_a_reload_with_file_and_reason() -> Promise
{
    let authority = Authority::new()?;
    let identity = authority.issue("router.test", Valid::Now)?;
    let site = echo().await?;
    let folder = authority.folder.display();
    let router = builder("malformed", &site.endpoint(""))
        .listener(&format!(
            "tls = {{ certificate = \"{folder}/router.test.pem\", key = \"{folder}/router.test.key\", client_ca = \"{folder}/ca.pem\" }}"
        ))
        .start()
        .await?;
    let client = authority.issue("client.test", Valid::Now)?;
    let torn = "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    let ca = authority.ca();
    for (file, content, words) in [
        (
            &identity.certificate,
            torn,
            ["router.test.pem", "no usable certificate"],
        ),
        (
            &identity.certificate,
            "",
            ["router.test.pem", "cannot be read as PEM"],
        ),
        (
            &identity.key,
            "nonsense",
            ["router.test.key", "cannot be read as PEM"],
        ),
        (&ca, torn, ["ca.pem", "unusable authority"]),
    ] {
        let good = fs::read(file)?;
        fs::write(file, content)?;
        refused(&router, &words).await?;
        // Its listener goes on with what it has.
        let mut stream = authority
            .connect(router.port(), "router.test", Some(&client))
            .await?;
        stream
            .write_all(b"GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n")
            .await?;
        until(&mut stream, "\"/app/a\"").await?;
        fs::write(file, good)?;
    }
    Ok(())
}

/// Whether a client with this identity is answered.
async fn is_let_in(server: &Authority, router: &Router, identity: &Identity) -> Result<bool> {
    let Ok(mut stream) = server
        .connect(router.port(), "router.test", Some(identity))
        .await
    else {
        return Ok(false);
    };
    // With TLS 1.3 the refusal may come after the client's side of the handshake.
    let _ = stream
        .write_all(b"GET /app/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await;
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_client_authority_is_taken_by_a_reload() -> Promise {
    let (server, old, new) = (Authority::new()?, Authority::new()?, Authority::new()?);
    server.issue("router.test", Valid::Now)?;
    let (before, after) = (
        old.issue("client.test", Valid::Now)?,
        new.issue("client.test", Valid::Now)?,
    );
    let folder = server.folder.display();
    let client_ca = server.folder.join("clients.pem");
    fs::copy(old.ca(), &client_ca)?;
    let site = echo().await?;
    let router = builder("client-ca", &site.endpoint(""))
        .listener(&format!(
            "tls = {{ certificate = \"{folder}/router.test.pem\", key = \"{folder}/router.test.key\", client_ca = \"{folder}/clients.pem\" }}"
        ))
        .start()
        .await?;
    assert!(is_let_in(&server, &router, &before).await?);
    assert!(!is_let_in(&server, &router, &after).await?);
    fs::copy(new.ca(), &client_ca)?;
    router.hang_up()?;
    eventually(
        "the new authority's clients are let in",
        RELOADED,
        async || Ok(is_let_in(&server, &router, &after).await?.then_some(())),
    )
    .await?;
    assert!(!is_let_in(&server, &router, &before).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_listener_speaks_tls_with_operators_only() -> Promise {
    let authority = Authority::new()?;
    authority.issue("router.test", Valid::Now)?;
    let operator = authority.issue("operator.test", Valid::Now)?;
    let site = echo().await?;
    let folder = authority.folder.display();
    let port = free_port()?;
    let router = builder("admin-tls", &site.endpoint("")).start().await?;
    // The harness asks /readyz in plain HTTP, so this router is started by hand with the same file and TLS added.
    let text = fs::read_to_string(router.config())?;
    router.kill()?;
    let plain = format!(
        "bind = \"{}\"",
        router.admin_url().trim_start_matches("http://")
    );
    let with_tls = format!(
        "bind = \"127.0.0.1:{port}\"\ntls = {{ certificate = \"{folder}/router.test.pem\", key = \"{folder}/router.test.key\", client_ca = \"{folder}/ca.pem\" }}"
    );
    assert!(text.contains(&plain), "{text}");
    fs::write(router.config(), text.replace(&plain, &with_tls))?;
    router.launch()?;
    let ask = b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n";
    eventually("an operator is answered", RELOADED, async || {
        let mut stream = authority
            .connect(port, "router.test", Some(&operator))
            .await?;
        stream.write_all(ask).await?;
        Ok(until(&mut stream, "HTTP/1.1 200 ").await.ok())
    })
    .await?;
    let mut stranger = authority.connect(port, "router.test", None).await?;
    let _ = stranger.write_all(ask).await;
    let mut answer = Vec::new();
    let _ = timeout(SOON, stranger.read_to_end(&mut answer)).await?;
    assert_eq!(answer, b"");
    Ok(())
}
