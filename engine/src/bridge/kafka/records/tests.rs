//! Batches made by hand: packed, aborted, cleared away, cut off, broken.

use super::*;
use crate::bridge::kafka::wire::Writer;

fn varlong(value: i64) -> Vec<u8> {
    let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut out = Vec::new();
    while raw >= 0x80 {
        out.push(u8::try_from(raw & 0x7f).unwrap() | 0x80);
        raw >>= 7;
    }
    out.push(u8::try_from(raw).unwrap());
    out
}

fn varbytes(bytes: Option<&[u8]>) -> Vec<u8> {
    match bytes {
        None => varlong(-1),
        Some(bytes) => [varlong(i64::try_from(bytes.len()).unwrap()), bytes.to_vec()].concat(),
    }
}

/// A record with one header.
fn one(delta: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
    let parts = [
        vec![0],
        varlong(delta * 10),
        varlong(delta),
        varbytes(key),
        varbytes(value),
        varlong(1),
        varbytes(Some(b"h")),
        varbytes(Some(b"1")),
    ];
    varbytes(Some(&parts.concat()))
}

/// A batch whose last offset is `last`, of producer 7.
fn batch(base: i64, last: i64, attributes: i16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut summed = Writer::default();
    summed
        .i16(attributes)
        .i32(i32::try_from(last - base).unwrap())
        .i64(1_000)
        .i64(2_000)
        .i64(7)
        .i16(0)
        .i32(0)
        .count(records.len());
    summed.bytes.extend(records.concat());
    let mut out = Writer::default();
    out.i64(base).count(summed.bytes.len() + 9).i32(0).i8(MAGIC);
    out.bytes.extend(crc32c(&summed.bytes).to_be_bytes());
    out.bytes.extend(summed.bytes);
    out.bytes
}

fn two(base: i64, attributes: i16) -> Vec<u8> {
    let records = [one(0, Some(b"k"), Some(b"v")), one(1, None, None)];
    batch(base, base + 1, attributes, &records)
}

fn mark(base: i64, kind: u8) -> Vec<u8> {
    let key = [0, 0, 0, kind];
    let record = one(0, Some(&key), Some(&[0; 6]));
    batch(base, base, CONTROL | TRANSACTIONAL, &[record])
}

fn offsets(read: &Read) -> Vec<i64> {
    read.records.iter().map(|one| one.offset).collect()
}

#[test]
fn the_checksum_is_the_one_of_the_standard() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn records_have_what_their_producer_gave_them() {
    let read = read(&two(5, 0), 5, &[]).unwrap();
    assert_eq!(read.next, 7);
    let first = Record {
        offset: 5,
        at: 1_000,
        key: Some(b"k".to_vec()),
        value: Some(b"v".to_vec()),
        headers: vec![("h".to_owned(), Some(b"1".to_vec()))],
    };
    assert_eq!(read.records[0], first);
    assert_eq!((read.records[1].at, &read.records[1].value), (1_010, &None));
}

#[test]
fn the_log_may_be_what_tells_the_time() {
    let read = read(&two(0, TIME_OF_LOG), 0, &[]).unwrap();
    assert!(read.records.iter().all(|one| one.at == 2_000));
}

#[test]
fn what_stands_before_the_wanted_offset_was_read_already() {
    assert_eq!(offsets(&read(&two(5, 0), 6, &[]).unwrap()), [6]);
}

#[test]
fn a_batch_that_was_cleared_out_moves_the_position_to_its_end() {
    let left = batch(5, 9, 0, &[one(1, None, Some(b"v"))]);
    let found = read(&left, 5, &[]).unwrap();
    assert_eq!((offsets(&found), found.next), (vec![6], 10));
    let empty = read(&batch(5, 9, 0, &[]), 7, &[]).unwrap();
    assert_eq!((empty.records.len(), empty.next), (0, 10));
}

#[test]
fn what_a_transaction_took_back_is_not_read_and_what_it_kept_is() {
    let log = [
        two(0, TRANSACTIONAL),
        two(2, 0),
        mark(4, 0),
        two(5, TRANSACTIONAL),
        mark(7, 1),
    ];
    let aborted = [Aborted {
        producer: 7,
        first: 0,
    }];
    let found = read(&log.concat(), 0, &aborted).unwrap();
    assert_eq!((offsets(&found), found.next), (vec![2, 3, 5, 6], 8));
    assert_eq!(read(&log[2], 4, &aborted).unwrap().next, 5);
}

#[test]
fn a_batch_that_is_cut_off_is_asked_for_again() {
    let log = [two(0, 0), two(2, 0)].concat();
    let whole = two(0, 0).len();
    for end in whole..log.len() {
        assert_eq!(read(&log[..end], 0, &[]).unwrap().next, 2, "{end}");
    }
    assert_eq!(read(&log[..whole - 1], 0, &[]).unwrap().next, 0);
}

#[test]
fn what_cannot_be_read_is_told_when_its_turn_comes() {
    let log = [two(0, 0), two(2, 6)].concat();
    assert_eq!(read(&log, 0, &[]).unwrap().next, 2);
    let said = read(&two(2, 6), 2, &[]).unwrap_err();
    assert_eq!(said, Unreadable::Sealed(Sealed::Codec(6)));
    let mut changed = two(0, 0);
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(read(&changed, 0, &[]), Err(Unreadable::Checksum));
    let mut old = two(0, 0);
    old[16] = 1;
    assert_eq!(read(&old, 0, &[]), Err(Unreadable::Format(1)));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, at in 0_usize..80, change: u8) {
        drop(read(&bytes, 0, &[]));
        let mut log = two(0, 0);
        let place = at % log.len();
        log[place] = change;
        drop(read(&log, 0, &[]));
        // Behind the checksum, too.
        let records = [bytes];
        drop(read(&batch(0, 1, 0, &records), 0, &[]));
    }
}
