//! Batches of records as they lie in a partition's log, and which of their records are to be read.
//!
//! Pure. A record of a transaction that was aborted, and the marks that end transactions, are passed over; so is what
//! stands before the wanted offset, because a broker gives whole batches.

use super::unpack::{Sealed, unpack};
use super::wire::{Reader, Torn};
use std::collections::HashSet;

/// What follows a batch's first two fields, its offset and its length, up to its records.
const HEAD_MIN: usize = 49;
/// The only form of batches since Kafka 0.11.
const MAGIC: i8 = 2;
/// The bits of a batch's attributes: the codec, and three flags.
const CODEC: i16 = 0b111;
const TIME_OF_LOG: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// The mark that ends an aborted transaction.
const ABORT: i16 = 0;

/// A record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    /// Its place in the partition.
    pub(crate) offset: i64,
    /// When it was made, or put into the log; milliseconds since 1970. It never changes.
    pub(crate) at: i64,
    /// Its key.
    pub(crate) key: Option<Vec<u8>>,
    /// Its value; `None`: a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    /// Its headers in order.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What was read of a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Read {
    /// Records in order.
    pub(super) records: Vec<Record>,
    /// The offset to go on with; more than that of the last record, where others were passed over.
    pub(super) next: i64,
}

/// A transaction that was aborted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Aborted {
    /// Whose.
    pub(super) producer: i64,
    /// Its first record in this partition.
    pub(super) first: i64,
}

/// Why a batch cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// It is broken.
    #[error("it is broken: {}", .0.0)]
    Torn(#[from] Torn),
    /// It was changed on its way or on the broker's disk.
    #[error("its checksum is wrong")]
    Checksum,
    /// It was written by a producer older than Kafka 0.11.
    #[error("it has the format {0} from before Kafka 0.11")]
    Format(i8),
    /// It is packed.
    #[error(transparent)]
    Sealed(#[from] Sealed),
}

struct Batch<'b> {
    base: i64,
    last: i64,
    attributes: i16,
    first_at: i64,
    last_at: i64,
    producer: i64,
    count: i32,
    records: &'b [u8],
}

/// Reads the batches of an answer from an offset on. A batch that is cut off ends it, and so does one that cannot be
/// read, unless it is the first: then it is told.
pub(super) fn read(bytes: &[u8], from: i64, aborted: &[Aborted]) -> Result<Read, Unreadable> {
    let mut aborted = aborted.to_vec();
    aborted.sort_by_key(|one| std::cmp::Reverse(one.first));
    let mut running = HashSet::new();
    let mut rest = Reader::new(bytes);
    let mut out = Read {
        records: Vec::new(),
        next: from,
    };
    while !rest.is_empty() {
        let batch = match next(&mut rest) {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(_) if out.next > from => break,
            Err(why) => return Err(why),
        };
        while let Some(one) = aborted.pop_if(|one| one.first <= batch.last) {
            running.insert(one.producer);
        }
        let opened = match batch.attributes & CONTROL {
            0 if batch.attributes & TRANSACTIONAL != 0 && running.contains(&batch.producer) => {
                Ok(Vec::new())
            }
            0 => open(&batch),
            _ => {
                if ends_aborted(&batch)? {
                    running.remove(&batch.producer);
                }
                Ok(Vec::new())
            }
        };
        match opened {
            Ok(records) => out
                .records
                .extend(records.into_iter().filter(|one| one.offset >= from)),
            Err(_) if out.next > from => break,
            Err(why) => return Err(why),
        }
        out.next = out.next.max(batch.last.saturating_add(1));
    }
    Ok(out)
}

/// The next batch; `None`: it is cut off.
fn next<'b>(rest: &mut Reader<'b>) -> Result<Option<Batch<'b>>, Unreadable> {
    let mut look = rest.clone();
    let (Ok(base), Ok(length)) = (look.i64(), look.i32()) else {
        return Ok(None);
    };
    let length = usize::try_from(length).map_err(|_| Torn("a batch has no length"))?;
    if length > look.len() {
        return Ok(None);
    }
    let mut batch = Reader::new(look.take(length)?);
    *rest = look;
    let _leader_epoch = batch.i32()?;
    let magic = batch.i8()?;
    if magic != MAGIC {
        return Err(Unreadable::Format(magic));
    }
    if length < HEAD_MIN {
        return Err(Torn("a batch has no head").into());
    }
    let sum = batch.u32()?;
    let mut checked = batch.clone();
    if crc32c(checked.take(checked.len())?) != sum {
        return Err(Unreadable::Checksum);
    }
    let attributes = batch.i16()?;
    let last = base.saturating_add(i64::from(batch.i32()?));
    let (first_at, last_at, producer) = (batch.i64()?, batch.i64()?, batch.i64()?);
    let (_producer_epoch, _sequence) = (batch.i16()?, batch.i32()?);
    let count = batch.i32()?;
    let records = batch.take(batch.len())?;
    Ok(Some(Batch {
        base,
        last,
        attributes,
        first_at,
        last_at,
        producer,
        count,
        records,
    }))
}

fn open(batch: &Batch<'_>) -> Result<Vec<Record>, Unreadable> {
    let unpacked = unpack(batch.attributes & CODEC, batch.records)?;
    let mut rest = Reader::new(&unpacked);
    let mut out = Vec::new();
    for _ in 0..batch.count {
        let whole = rest.varbytes()?.ok_or(Torn("a record has no length"))?;
        out.push(record(batch, &mut Reader::new(whole))?);
    }
    Ok(out)
}

fn record(batch: &Batch<'_>, from: &mut Reader<'_>) -> Result<Record, Torn> {
    let _attributes = from.i8()?;
    let made = batch.first_at.saturating_add(from.varlong()?);
    let offset = batch.base.saturating_add(from.varlong()?);
    let key = from.varbytes()?.map(<[u8]>::to_vec);
    let value = from.varbytes()?.map(<[u8]>::to_vec);
    let mut headers = Vec::new();
    for _ in 0..from.varlong()? {
        let name = from.varbytes()?.unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        headers.push((name, from.varbytes()?.map(<[u8]>::to_vec)));
    }
    let at = match batch.attributes & TIME_OF_LOG {
        0 => made,
        _ => batch.last_at,
    };
    Ok(Record {
        offset,
        at,
        key,
        value,
        headers,
    })
}

/// Does a batch of marks end a transaction that was aborted?
fn ends_aborted(batch: &Batch<'_>) -> Result<bool, Unreadable> {
    let marks = open(batch)?;
    let kind = |mark: &Record| {
        let mut key = Reader::new(mark.key.as_deref().unwrap_or_default());
        let _version = key.i16()?;
        key.i16()
    };
    match marks.first() {
        Some(mark) => Ok(kind(mark)? == ABORT),
        // It was cleared away, and its transaction's records with it.
        None => Ok(false),
    }
}

/// CRC-32C, as Kafka sums up its batches.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let step = |sum: u32, byte: &u8| {
        let [low, ..] = sum.to_le_bytes();
        (sum >> 8) ^ TABLE[usize::from(low ^ byte)]
    };
    !bytes.iter().fold(u32::MAX, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0_u32;
    while at < 256 {
        let (mut sum, mut bit) = (at, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 {
                (sum >> 1) ^ 0x82f6_3b78
            } else {
                sum >> 1
            };
            bit += 1;
        }
        table[at as usize] = sum;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests;
