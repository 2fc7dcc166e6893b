//! Bridges of the engine: URLs of brokers, names of queues, where keys are.
//!
//! Must not connect to anything.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::bridge::BridgeFile;
use crate::secret::Secret;
use crate::settings::{Bridge, BridgeKey};
use url::Url;

/// Longest name of a broker's queue, in bytes.
const FROM_MAX: usize = 255;
/// Longest name of a work queue.
const QUEUE_MAX: usize = 128;

impl Validate<'_> {
    pub(super) fn bridges(&mut self, files: &[BridgeFile]) -> Option<Vec<Bridge>> {
        self.unique("bridge", files.iter().map(|file| &file.name));
        let bridges: Vec<Option<Bridge>> = files.iter().map(|file| self.bridge(file)).collect();
        bridges.into_iter().collect()
    }

    fn bridge(&mut self, file: &BridgeFile) -> Option<Bridge> {
        let url = self.broker(file);
        let from = self.read(
            "bridge",
            &file.from,
            "the name of a broker's queue",
            from(file.from.get()),
        );
        let queue = self.read(
            "bridge",
            &file.queue,
            "the name of a work queue",
            queue(file.queue.get()),
        );
        let key = self.read("bridge", &file.key, "where a key is", key(file.key.get()));
        Some(Bridge {
            name: file.name.get().clone(),
            url: url?,
            from: from?,
            queue: queue?,
            key: key?,
            prefetch: file.prefetch,
        })
    }

    fn broker(&mut self, file: &BridgeFile) -> Option<Secret> {
        let (at, url) = match (&file.url, &file.url_file) {
            (Some(url), None) => (url, Secret::new(url.get().clone())),
            (None, Some(path)) => (path, self.secret_of(path)?),
            (both, _) => {
                let message = match both {
                    Some(_) => "`url` and `url_file` contradict each other",
                    None => "a bridge needs the URL of its broker",
                };
                let problem = Diagnostic::error("bridge", message);
                self.report(problem.at(&file.name.span(), "in this bridge").help(
                    "name it once: url = \"amqp://USER@HOST:5672/%2f\", or url_file for a URL with a password",
                ));
                return None;
            }
        };
        let parsed = Url::parse(url.expose()).ok();
        let fits = parsed.is_some_and(|url| url.scheme() == "amqp" && url.has_host());
        if fits {
            return Some(url);
        }
        let problem = Diagnostic::error("bridge", "this is not the URL of a broker");
        self.report(
            problem
                .at(&at.span(), "not understood")
                .help("write \"amqp://USER@HOST:5672/VHOST\"; the vhost `/` is written %2f. TLS (amqps) is not built: put a tunnel between"),
        );
        None
    }
}

fn from(name: &str) -> Result<String, String> {
    if (1..=FROM_MAX).contains(&name.len()) {
        return Ok(name.to_owned());
    }
    Err(format!("it has 1 to {FROM_MAX} bytes"))
}

fn queue(name: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=QUEUE_MAX).contains(&name.len()) && name.chars().all(fits) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "it has 1 to {QUEUE_MAX} of a-z, A-Z, 0-9, '.', '_' and '-'"
    ))
}

fn key(text: &str) -> Result<BridgeKey, String> {
    match text.split_once(':') {
        None if text == "message-id" => Ok(BridgeKey::MessageId),
        Some(("header", name)) if !name.is_empty() => Ok(BridgeKey::Header(name.to_owned())),
        Some(("body", at)) if at.starts_with('/') => Ok(BridgeKey::Body(at.to_owned())),
        _ => Err("write \"message-id\", \"header:NAME\" or \"body:/POINTER\"".to_owned()),
    }
}
