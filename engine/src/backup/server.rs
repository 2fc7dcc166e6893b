//! PostgreSQL: `pg_dump` of an exported snapshot, and `pg_restore` of all but the site's own row.
//!
//! The programs are found in PATH; their version has to be the server's or later. What they need to log in is in their
//! environment, where no other user sees it.

use super::manifest::Manifest;
use super::session::Session;
use super::{Error, Kind, copy, manifest};
use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;
use tokio::process::Command;

/// The copy's name in the folder.
const COPY: &str = "site.dump";
/// The site's row is put in last, by the restore itself: until then no engine can serve what is there.
const SITE: &str = " TABLE DATA ";

/// Sessions of others: an engine keeps some open as long as it runs.
const OTHERS: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
/// One that has just ended is there for a moment still, so this is looked at more than once.
const LOOKS: usize = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// PostgreSQL's code for a database that is not there.
const NO_DATABASE: &str = "3D000";

async fn session(url: &str) -> Result<Session, Error> {
    let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
    let connected = options.connect().await;
    Ok(Session::Server(connected.map_err(|error| {
        match error.as_database_error().and_then(|e| e.code()) {
            Some(code) if code == NO_DATABASE => Error::NotOnServer {
                name: database(&options).to_owned(),
                place: format!("{}:{}", host(&options), options.get_port()),
            },
            _ => error.into(),
        }
    })?))
}

/// A folder if it is reached by a socket.
fn host(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => options.get_host().to_owned(),
    }
}

fn database(options: &PgConnectOptions) -> &str {
    options
        .get_database()
        .unwrap_or_else(|| options.get_username())
}

pub(super) async fn take(url: &str, folder: &Path, kind: Kind) -> Result<Manifest, Error> {
    let mut session = session(url).await?;
    if kind == Kind::Cold {
        stand_still(&mut session).await?;
    }
    session
        .execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let snapshot = session.text("SELECT pg_export_snapshot()").await?;
    let taken_at = session
        .number("SELECT CAST(EXTRACT(EPOCH FROM now()) * 1000 AS BIGINT)")
        .await?;
    let taken_at = manifest::moment(taken_at);
    let mut manifest = Manifest::of(&mut session, taken_at).await?;
    let snapshot = format!("--snapshot={}", snapshot.unwrap_or_default());
    let file = format!("--file={}", folder.join(COPY).display());
    let wanted = ["--format=custom", "--no-owner", "--no-privileges"];
    let mut dump = program("pg_dump", url)?;
    dump.args(wanted).arg(snapshot).arg(file);
    run("pg_dump", dump).await?;
    session.execute("COMMIT").await?;
    session.close().await?;
    manifest.files.push(copy::part(folder, COPY)?);
    Ok(manifest)
}

/// Nobody is connected, and no engine commits anything before this session ends.
async fn stand_still(session: &mut Session) -> Result<(), Error> {
    session.execute("SET lock_timeout = '2s'").await?;
    let alone = session.execute(crate::store::LOCK_SITE_SESSION).await;
    let mut others = 0;
    for _ in 0..LOOKS {
        others = session.number(OTHERS).await?;
        if others == 0 && alone.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let held = format!("{others} other sessions have it open");
    Err(Error::NotCold(held))
}

/// Puts the copy into an empty database, in quarantine before an engine can serve it.
pub(super) async fn put(
    url: &str,
    folder: &Path,
    manifest: &Manifest,
    site: &str,
) -> Result<(), Error> {
    let mut session = session(url).await?;
    let held = session
        .number(
            "SELECT COUNT(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') \
             AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'",
        )
        .await?;
    let name = session.text("SELECT current_database()").await?;
    let name = name.unwrap_or_default();
    if held > 0 {
        return Err(Error::Occupied(format!("database {name}")));
    }
    for part in &manifest.files {
        copy::unchanged(folder, part)?;
        let dump = folder.join(&part.name);
        let mut list = program("pg_restore", url)?;
        list.arg("--list").arg(&dump);
        let list = run("pg_restore", list).await?;
        let without = list.lines().filter(|line| !is_site(line));
        let wanted = folder.join("restore.list");
        let text: Vec<&str> = without.collect();
        copy::at(&wanted, std::fs::write(&wanted, text.join("\n")))?;
        let mut put = program("pg_restore", url)?;
        put.args(["--exit-on-error", "--single-transaction"]);
        put.args(["--no-owner", "--no-privileges"]);
        put.arg(format!("--use-list={}", wanted.display()));
        put.arg(format!("--dbname={name}")).arg(&dump);
        let done = run("pg_restore", put).await;
        copy::at(&wanted, std::fs::remove_file(&wanted))?;
        done?;
    }
    manifest.holds(&session.counts().await?, &["site", "engine"])?;
    session.execute(site).await?;
    session.close().await
}

/// Is this line of a dump's contents the one of the site's row?
fn is_site(line: &str) -> bool {
    let Some((_, entry)) = line.split_once(SITE) else {
        return false;
    };
    // `SCHEMA NAME OWNER`
    entry.split_whitespace().nth(1) == Some("site")
}

/// One of PostgreSQL's programs, told where to log in.
fn program(name: &str, url: &str) -> Result<Command, Error> {
    let options = PgConnectOptions::from_str(url)?;
    let mut command = Command::new(name);
    command
        .env("PGHOST", host(&options))
        .env("PGPORT", options.get_port().to_string())
        .env("PGUSER", options.get_username())
        .env("PGDATABASE", database(&options))
        .env("PGSSLMODE", ssl_mode(options.get_ssl_mode()));
    if let Ok(url) = url::Url::parse(url) {
        if let Some(password) = url.password() {
            let password = percent_decode_str(password).decode_utf8_lossy();
            command.env("PGPASSWORD", password.as_ref());
        }
        for (name, value) in url.query_pairs() {
            let variable = match name.as_ref() {
                "sslrootcert" | "ssl-root-cert" | "ssl-ca" => "PGSSLROOTCERT",
                "sslcert" | "ssl-cert" => "PGSSLCERT",
                "sslkey" | "ssl-key" => "PGSSLKEY",
                _ => continue,
            };
            command.env(variable, value.as_ref());
        }
    }
    Ok(command)
}

fn ssl_mode(mode: PgSslMode) -> &'static str {
    match mode {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    }
}

async fn run(program: &'static str, mut command: Command) -> Result<String, Error> {
    let ran = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let failed = |said: String| Error::Program { program, said };
    let output = ran.map_err(|error| failed(format!("it cannot be started ({error})")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_row_of_the_site_is_left_out_of_a_dump() {
        assert!(is_site("3431; 0 16391 TABLE DATA public site homing"));
        assert!(!is_site("215; 1259 16391 TABLE public site homing"));
        assert!(!is_site("3431; 0 16391 TABLE DATA public inst site"));
    }
}
