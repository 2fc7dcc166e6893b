//! Bridges of the engine: URLs of brokers, names of queues, where keys are.
//!
//! Must not connect to anything.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::bridge::{BridgeFile, StartFile};
use crate::secret::Secret;
use crate::settings::{Bridge, BridgeBroker, BridgeKey, BridgeStart};
use crate::source::Span;
use url::Url;

/// Longest name of a broker's queue, in bytes.
const FROM_MAX: usize = 255;
/// Longest name of a work queue.
const QUEUE_MAX: usize = 128;
/// Messages that RabbitMQ sends ahead.
const PREFETCH: u16 = 200;
/// Where Kafka listens.
const KAFKA_PORT: u16 = 9092;

/// The kinds of brokers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    RabbitMq,
    Kafka,
}

impl Validate<'_> {
    pub(super) fn bridges(&mut self, files: &[BridgeFile]) -> Option<Vec<Bridge>> {
        self.unique("bridge", files.iter().map(|file| &file.name));
        let bridges: Vec<Option<Bridge>> = files.iter().map(|file| self.bridge(file)).collect();
        bridges.into_iter().collect()
    }

    fn bridge(&mut self, file: &BridgeFile) -> Option<Bridge> {
        let broker = self.broker(file);
        let from = self.read(
            "bridge",
            &file.from,
            "the name of a broker's queue or topic",
            from(file.from.get()),
        );
        let queue = self.read(
            "bridge",
            &file.queue,
            "the name of a work queue",
            queue(file.queue.get()),
        );
        let key = self.bridge_key(file, broker.as_ref().map(kind));
        Some(Bridge {
            name: file.name.get().clone(),
            broker: broker?,
            from: from?,
            queue: queue?,
            key: key?,
        })
    }

    /// Where a key is; a broker that is not known may have any.
    fn bridge_key(&mut self, file: &BridgeFile, of: Option<Kind>) -> Option<BridgeKey> {
        let Some(text) = &file.key else {
            return Some(match of? {
                Kind::RabbitMq => BridgeKey::MessageId,
                Kind::Kafka => BridgeKey::Offset,
            });
        };
        self.read("bridge", text, "where a key is", key(text.get(), of))
    }

    fn broker(&mut self, file: &BridgeFile) -> Option<BridgeBroker> {
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
                    "name it once: url = \"amqp://USER@HOST:5672/%2f\" or \"kafka://HOST:9092\", or url_file for a URL with a password",
                ));
                return None;
            }
        };
        if let Some(brokers) = url.expose().strip_prefix("kafka://") {
            return self.kafka(file, at.span(), brokers);
        }
        if let Some(start) = &file.start {
            let cure = "RabbitMQ hands out what is in its queue: leave it out";
            self.foreign("start", &start.span(), cure);
        }
        let parsed = Url::parse(url.expose()).ok();
        if parsed.is_some_and(|url| url.scheme() == "amqp" && url.has_host()) {
            let prefetch = file.prefetch.as_ref().map_or(PREFETCH, |at| *at.get());
            return Some(BridgeBroker::RabbitMq { url, prefetch });
        }
        let problem = Diagnostic::error("bridge", "this is not the URL of a broker");
        self.report(
            problem
                .at(&at.span(), "not understood")
                .help("write \"amqp://USER@HOST:5672/VHOST\" (the vhost `/` is written %2f) or \"kafka://HOST:9092\". TLS is not built: put a tunnel between"),
        );
        None
    }

    fn kafka(&mut self, file: &BridgeFile, at: Span, brokers: &str) -> Option<BridgeBroker> {
        if let Some(prefetch) = &file.prefetch {
            let cure = "Kafka sends nothing ahead: leave it out";
            self.foreign("prefetch", &prefetch.span(), cure);
        }
        let brokers: Option<Vec<String>> = brokers.split(',').map(address).collect();
        if brokers.is_none() {
            let problem = Diagnostic::error("bridge", "this does not name brokers of Kafka");
            self.report(
                problem
                    .at(&at, "not understood")
                    .help("write \"kafka://HOST:9092,HOST2:9092\": hosts and ports alone. TLS and logins are not built: put a tunnel between"),
            );
        }
        let start = file.start.as_ref().map(|at| *at.get());
        Some(BridgeBroker::Kafka {
            brokers: brokers?,
            start: match start {
                None | Some(StartFile::Earliest) => BridgeStart::Earliest,
                Some(StartFile::Latest) => BridgeStart::Latest,
            },
        })
    }

    fn foreign(&mut self, key: &str, at: &Span, cure: &str) {
        let message = format!("`{key}` means nothing for this broker");
        let problem = Diagnostic::error("bridge", message);
        self.report(problem.at(at, "not used").help(cure));
    }
}

fn kind(broker: &BridgeBroker) -> Kind {
    match broker {
        BridgeBroker::RabbitMq { .. } => Kind::RabbitMq,
        BridgeBroker::Kafka { .. } => Kind::Kafka,
    }
}

/// `HOST:PORT` of a broker of Kafka.
fn address(text: &str) -> Option<String> {
    let url = Url::parse(&format!("kafka://{text}")).ok()?;
    let bare = url.username().is_empty() && url.password().is_none() && url.path().is_empty();
    let host = url.host_str().filter(|host| bare && !host.is_empty())?;
    Some(format!("{host}:{}", url.port().unwrap_or(KAFKA_PORT)))
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

fn key(text: &str, of: Option<Kind>) -> Result<BridgeKey, String> {
    let own = match text {
        "message-id" => Some((Kind::RabbitMq, BridgeKey::MessageId)),
        "record-key" => Some((Kind::Kafka, BridgeKey::RecordKey)),
        "offset" => Some((Kind::Kafka, BridgeKey::Offset)),
        _ => None,
    };
    match (own, text.split_once(':')) {
        (Some((kind, key)), _) if of.is_none_or(|of| of == kind) => Ok(key),
        (None, Some(("header", name))) if !name.is_empty() => {
            Ok(BridgeKey::Header(name.to_owned()))
        }
        (None, Some(("body", at))) if at.starts_with('/') => Ok(BridgeKey::Body(at.to_owned())),
        _ => {
            let own = match of {
                Some(Kind::RabbitMq) => "\"message-id\"",
                Some(Kind::Kafka) => "\"offset\", \"record-key\"",
                None => "\"message-id\" (RabbitMQ), \"offset\", \"record-key\" (Kafka)",
            };
            Err(format!("write {own}, \"header:NAME\" or \"body:/POINTER\""))
        }
    }
}
