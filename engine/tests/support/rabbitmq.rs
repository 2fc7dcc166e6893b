//! A RabbitMQ node of a test's own: real, small, gone with the test.
//!
//! It has its own name service, on a port of its own: Erlang would start one for the whole machine and leave it behind.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

pub(crate) struct Broker {
    pub(crate) port: u16,
    folder: tempfile::TempDir,
    /// The node, then its names.
    processes: Vec<Child>,
}

/// A port that nobody has, from below those that the kernel gives to clients.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 14_000).unwrap();
    (0..14_000)
        .map(|_| 18_000 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % 14_000)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .unwrap()
}

/// Ends with the thread that starts it, however that ends.
fn start(folder: &Path, log: &str, words: &[String]) -> Child {
    let log = std::fs::File::create(folder.join(log)).unwrap();
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .args(words)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Broker {
    /// Starts a node and waits until it takes connections. To be called from a thread that lives as long as the test.
    pub(crate) fn start() -> Broker {
        assert!(
            Path::new(SERVER).exists(),
            "this test needs RabbitMQ: apt-get install rabbitmq-server"
        );
        let folder = tempfile::Builder::new().prefix("engine-mq").tempdir();
        let folder = folder.unwrap();
        let (port, names, peers) = (free_port(), free_port(), free_port());
        let conf = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\nlog.file = false\n\
             vm_memory_high_watermark.absolute = 256MB\ndisk_free_limit.absolute = 1MB\n"
        );
        std::fs::write(folder.path().join("rabbitmq.conf"), conf).unwrap();
        std::fs::write(folder.path().join("plugins"), "[].\n").unwrap();
        let below = |file: &str| folder.path().join(file).display().to_string();
        let words = format!("epmd -port {names} -address 127.0.0.1");
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let service = start(folder.path(), "names.log", &words);
        let settings = [
            format!("HOME={}", below("")),
            format!("ERL_EPMD_PORT={names}"),
            "ERL_EPMD_ADDRESS=127.0.0.1".to_owned(),
            format!("RABBITMQ_NODENAME=test{port}@localhost"),
            format!("RABBITMQ_CONFIG_FILE={}", below("rabbitmq")),
            "RABBITMQ_CONF_ENV_FILE=/dev/null".to_owned(),
            format!("RABBITMQ_MNESIA_BASE={}", below("data")),
            format!("RABBITMQ_LOG_BASE={}", below("log")),
            format!("RABBITMQ_PID_FILE={}", below("pid")),
            format!("RABBITMQ_ENABLED_PLUGINS_FILE={}", below("plugins")),
            format!("RABBITMQ_DIST_PORT={peers}"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +A 4 -kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
            // The shell then gives its process to the node, so that the node is who is ended.
            "RUNNING_UNDER_SYSTEMD=true".to_owned(),
        ];
        let mut words = vec!["env".to_owned()];
        words.extend(settings);
        words.push(SERVER.to_owned());
        let node = start(folder.path(), "node.log", &words);
        let mut broker = Broker {
            port,
            folder,
            processes: vec![node, service],
        };
        broker.wait();
        broker
    }

    fn wait(&mut self) {
        let begun = homing_engine::clock::monotonic();
        loop {
            let log = std::fs::read_to_string(self.folder.path().join("node.log")).unwrap();
            if log.contains("Server startup complete") {
                return;
            }
            let ended = self.processes[0].try_wait().unwrap();
            let late = begun.elapsed() > Duration::from_secs(180);
            assert!(ended.is_none() && !late, "{ended:?}: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// For a client, through any port.
    pub(crate) fn url_through(port: u16) -> String {
        format!("amqp://guest:guest@127.0.0.1:{port}/%2f")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself.
            drop(process.kill());
            drop(process.wait());
        }
    }
}
