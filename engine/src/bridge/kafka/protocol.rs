//! The three questions that are asked of a Kafka broker, in versions that all of 2.1 and later speak.
//!
//! Pure: bytes out, bytes in. Must not know connections, nor what an error means for the bridge.

use super::records::Aborted;
use super::wire::{Reader, Torn, Writer};

/// This end is no broker.
const NO_REPLICA: i32 = -1;
/// Records of transactions that are open are not given, and neither is their place.
const READ_COMMITTED: i8 = 1;
/// No session: each fetch says all that it wants.
const NO_SESSION: (i32, i32) = (0, -1);
/// Whoever leads may answer.
const ANY_EPOCH: i32 = -1;

/// A question: its number, its version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Api(pub(super) i16, pub(super) i16);

/// What is in a partition.
pub(super) const FETCH: Api = Api(1, 10);
/// Where a partition begins and ends.
pub(super) const LIST_OFFSETS: Api = Api(2, 2);
/// Who leads the partitions of a topic.
pub(super) const METADATA: Api = Api(3, 4);

/// What brokers say when they do not do it, by number. 0: they did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Code(pub(super) i16);

impl Code {
    pub(super) const DONE: Code = Code(0);
    pub(super) const OUT_OF_RANGE: Code = Code(1);

    /// Is somebody else the leader, or nobody for now?
    pub(super) fn moved(self) -> bool {
        // Leader not available, not the leader, replica not available, unknown or older epoch, offset not known yet.
        matches!(self.0, 3 | 5 | 6 | 9 | 74 | 75 | 78)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let meaning = match self.0 {
            1 => "the offset is out of range",
            2 => "the broker found the records broken",
            3 => "there is no such topic or partition",
            5 => "the partition has no leader",
            6 => "this broker does not lead the partition",
            9 => "the replica is not there",
            17 => "this is no name of a topic",
            29 => "this user may not read the topic",
            33 => "the broker does not know this way to log in",
            35 => "the broker does not speak this version",
            56 => "the broker cannot read its disk",
            58 => "the login was refused",
            76 => "the broker does not hand out this compression",
            _ => return write!(f, "error {}", self.0),
        };
        write!(f, "{meaning} (error {})", self.0)
    }
}

/// Who leads which partition of a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Metadata {
    /// Brokers by number: host and port.
    pub(super) brokers: Vec<(i32, String, i32)>,
    /// What is said of the topic.
    pub(super) code: Code,
    /// Partitions and their leaders; -1: nobody for now.
    pub(super) leaders: Vec<(i32, i32)>,
}

/// Asks who leads the partitions of a topic, without making it.
pub(super) fn ask_metadata(topic: &str) -> Vec<u8> {
    let mut out = Writer::default();
    out.count(1).text(topic).i8(0);
    out.bytes
}

/// Reads who leads.
pub(super) fn metadata(answer: &[u8]) -> Result<Metadata, Torn> {
    let mut from = Reader::new(answer);
    let _throttle = from.i32()?;
    let brokers = from.list(|from| {
        let (node, host, port) = (from.i32()?, from.text()?, from.i32()?);
        let _rack = from.text()?;
        Ok((node, host.unwrap_or_default(), port))
    })?;
    let (_cluster, _controller) = (from.text()?, from.i32()?);
    let mut topics = from.list(|from| {
        let (code, _name, _internal) = (from.i16()?, from.text()?, from.i8()?);
        let leaders = from.list(|from| {
            let (_code, partition, leader) = (from.i16()?, from.i32()?, from.i32()?);
            let (_replicas, _in_sync) = (from.list(Reader::i32)?, from.list(Reader::i32)?);
            Ok((partition, leader))
        })?;
        Ok((Code(code), leaders))
    })?;
    let (code, leaders) = topics.pop().ok_or(Torn("it lacks the topic"))?;
    Ok(Metadata {
        brokers,
        code,
        leaders,
    })
}

/// An end of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The oldest record that is kept.
    Earliest,
    /// What comes after the last record that may be read.
    Latest,
}

/// Asks where partitions begin or end.
pub(super) fn ask_offsets(topic: &str, partitions: &[i32], end: End) -> Vec<u8> {
    let at = match end {
        End::Earliest => -2,
        End::Latest => -1,
    };
    let mut out = Writer::default();
    out.i32(NO_REPLICA).i8(READ_COMMITTED);
    out.count(1).text(topic).count(partitions.len());
    for partition in partitions {
        out.i32(*partition).i64(at);
    }
    out.bytes
}

/// Reads it: partition, whether it is told, and the offset.
pub(super) fn offsets(answer: &[u8]) -> Result<Vec<(i32, Code, i64)>, Torn> {
    let mut from = Reader::new(answer);
    let _throttle = from.i32()?;
    let topics = from.list(|from| {
        let _name = from.text()?;
        from.list(|from| {
            let (partition, code) = (from.i32()?, Code(from.i16()?));
            let _at = from.i64()?;
            Ok((partition, code, from.i64()?))
        })
    })?;
    Ok(topics.concat())
}

/// How much is wanted at once, and how long the broker may wait for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// Milliseconds until it answers with nothing.
    pub(super) wait_ms: i32,
    /// Bytes in all. A single batch may be more.
    pub(super) bytes: i32,
    /// Bytes of each partition.
    pub(super) bytes_each: i32,
}

/// What there is of a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fetched<'b> {
    /// Which.
    pub(super) partition: i32,
    /// Was it read?
    pub(super) code: Code,
    /// What comes after the last record that may be read.
    pub(super) end: i64,
    /// Transactions that were aborted.
    pub(super) aborted: Vec<Aborted>,
    /// Batches.
    pub(super) records: &'b [u8],
}

/// Asks for the records of partitions, each from an offset on.
pub(super) fn ask_fetch(topic: &str, from: &[(i32, i64)], wish: Wish) -> Vec<u8> {
    let mut out = Writer::default();
    // One byte is enough to answer.
    out.i32(NO_REPLICA).i32(wish.wait_ms).i32(1).i32(wish.bytes);
    out.i8(READ_COMMITTED).i32(NO_SESSION.0).i32(NO_SESSION.1);
    out.count(1).text(topic).count(from.len());
    for (partition, offset) in from {
        out.i32(*partition).i32(ANY_EPOCH).i64(*offset);
        // Only replicas say where their own log begins.
        out.i64(-1).i32(wish.bytes_each);
    }
    // Nothing to forget.
    out.count(0);
    out.bytes
}

/// Reads them.
pub(super) fn fetched(answer: &[u8]) -> Result<(Code, Vec<Fetched<'_>>), Torn> {
    let mut from = Reader::new(answer);
    let _throttle = from.i32()?;
    let (code, _session) = (Code(from.i16()?), from.i32()?);
    let topics = from.list(|from| {
        let _name = from.text()?;
        from.list(|from| {
            let (partition, code) = (from.i32()?, Code(from.i16()?));
            let (_high_watermark, end, _begin) = (from.i64()?, from.i64()?, from.i64()?);
            let aborted = from.list(|from| {
                Ok(Aborted {
                    producer: from.i64()?,
                    first: from.i64()?,
                })
            })?;
            let records = from.bytes()?.unwrap_or_default();
            Ok(Fetched {
                partition,
                code,
                end,
                aborted,
                records,
            })
        })
    })?;
    Ok((code, topics.into_iter().flatten().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leads_is_read_also_where_nobody_does() {
        let mut out = Writer::default();
        out.i32(0).count(1).i32(4).text("kafka-4").i32(9092).i16(-1);
        out.i16(-1).i32(4).count(1).i16(0).text("t").i8(0).count(2);
        out.i16(0).i32(0).i32(4).count(1).i32(4).count(1).i32(4);
        out.i16(5).i32(1).i32(-1).count(0).count(0);
        let read = metadata(&out.bytes).unwrap();
        assert_eq!(read.brokers, [(4, "kafka-4".to_owned(), 9092)]);
        assert_eq!(read.leaders, [(0, 4), (1, -1)]);
        for end in 0..out.bytes.len() {
            assert!(metadata(&out.bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn what_brokers_say_is_told_in_words_and_by_number() {
        let said = Code(29).to_string();
        assert!(said.contains("may not read") && said.contains("29"));
        assert_eq!(Code(1234).to_string(), "error 1234");
        assert!(Code(6).moved() && !Code::OUT_OF_RANGE.moved());
    }
}
