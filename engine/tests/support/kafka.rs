//! A node of Kafka of a test's own: real, small, gone with the test. Its own clients fill it.

use super::rabbitmq::free_port;
use homing_engine::{Bridge, Broker, Kafka, KeyAt, StartAt};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Node {
    pub(crate) address: String,
    folder: tempfile::TempDir,
    child: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

/// The jar that `scripts/engines` built.
fn jar() -> PathBuf {
    let cache = std::env::var_os("HOMING_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").unwrap();
        PathBuf::from(home).join(".cache/homing")
    });
    let jar = cache.join("engines/kafka.jar");
    assert!(
        jar.is_file(),
        "{} is missing: run scripts/engines",
        jar.display()
    );
    jar
}

fn java(folder: &tempfile::TempDir, address: &str) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let mut log = std::fs::OpenOptions::new();
    let log = log.create(true).append(true);
    let log = log.open(folder.path().join("node.log")).unwrap();
    let mut child = Command::new("java")
        .args([
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-jar",
        ])
        .arg(jar())
        .arg(folder.path())
        .arg(address)
        // It ends with its standard input, and that with this process.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let (say, hear) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (child, say, BufReader::new(hear))
}

impl Node {
    /// Starts a node. What it is told first waits until it is up.
    pub(crate) fn start() -> Node {
        let folder = tempfile::Builder::new().prefix("engine-kafka").tempdir();
        let folder = folder.unwrap();
        let (port, control) = (free_port(), free_port());
        let address = format!("127.0.0.1:{port}");
        let data = folder.path().join("data");
        let settings = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             listeners=PLAIN://{address},CONTROL://127.0.0.1:{control}\nadvertised.listeners=PLAIN://{address}\n\
             listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROL:PLAINTEXT\n\
             inter.broker.listener.name=PLAIN\ncontroller.listener.names=CONTROL\n\
             controller.quorum.voters=1@127.0.0.1:{control}\nlog.dirs={}\nauto.create.topics.enable=false\n\
             message.max.bytes=4194304\nnum.partitions=1\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=1\n",
            data.display()
        );
        std::fs::write(folder.path().join("server.properties"), settings).unwrap();
        let (child, say, hear) = java(&folder, &address);
        Node {
            address,
            folder,
            child,
            say,
            hear,
        }
    }

    /// Tells its clients what to do, words parted by tabs, and gives their answer.
    pub(crate) fn tell(&mut self, line: &str) -> String {
        writeln!(self.say, "{line}").unwrap();
        let mut answer = String::new();
        self.hear.read_line(&mut answer).unwrap();
        let log = || std::fs::read_to_string(self.folder.path().join("node.log"));
        let done = answer.strip_prefix("ok ");
        let done = done.unwrap_or_else(|| panic!("{line}: {answer}{}", log().unwrap()));
        done.trim_end().to_owned()
    }

    /// One record; `-` is null.
    pub(crate) fn send(&mut self, verb: &str, topic: &str, partition: i32, key: &str, value: &str) {
        self.tell(&format!(
            "{verb}\t{topic}\t{partition}\t{key}\t{value}\tnone"
        ));
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on what it has on its disk.
    pub(crate) fn again(&mut self) {
        (self.child, self.say, self.hear) = java(&self.folder, &self.address);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A bridge from the topic `in` to the work queue of its own name.
pub(crate) fn bridge(name: &str, broker: &str, key: KeyAt) -> Bridge {
    Bridge {
        name: name.to_owned(),
        broker: Broker::Kafka(Kafka {
            brokers: vec![broker.to_owned()],
            start: StartAt::Earliest,
        }),
        from: "in".to_owned(),
        queue: name.to_owned(),
        key,
    }
}
