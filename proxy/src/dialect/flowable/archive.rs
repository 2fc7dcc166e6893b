//! The files of an archive, as an engine takes them out of it.
//!
//! Owns reading it: names and bytes, in its own order. Must not guess: an archive in which anything is unusual (encrypted, cut, another
//! way to compress, a file in a folder, whose content sites do not hand out) is not read, and left to the engines.

use flate2::{Crc, read::DeflateDecoder};
use homing_mapping_store::deployment::DEPLOYMENT_BYTES_MAX;
use std::io::Read as _;

/// Most files of one archive.
const FILES_MAX: usize = 1_000;
const END: [u8; 4] = *b"PK\x05\x06";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// Bytes of the end's record without its comment.
const END_BYTES: usize = 22;

/// One file.
pub(super) struct File {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// `None`: it is not read.
pub(super) fn files(archive: &[u8]) -> Option<Vec<File>> {
    let end = archive.len().checked_sub(END_BYTES)?;
    // A comment may follow; what looks like the record within one is not gone into.
    let end = (0..=end)
        .rev()
        .find(|at| archive[*at..].starts_with(&END))?;
    let count = usize::from(short(archive, end + 10)?);
    let mut at = long(archive, end + 16)?;
    let mut left = DEPLOYMENT_BYTES_MAX;
    let mut files: Vec<File> = Vec::new();
    for _ in 0..count {
        let (file, next) = entry(archive, at, left)?;
        at = next;
        let Some(file) = file else { continue };
        left = left.checked_sub(file.bytes.len())?;
        if files.len() >= FILES_MAX || files.iter().any(|known| known.name == file.name) {
            return None;
        }
        files.push(file);
    }
    Some(files)
}

/// A file, or nothing for a folder, and where the next entry is.
fn entry(archive: &[u8], at: usize, most: usize) -> Option<(Option<File>, usize)> {
    archive.get(at..)?.starts_with(&ENTRY).then_some(())?;
    let (flags, method) = (short(archive, at + 8)?, short(archive, at + 10)?);
    let checksum = word(archive, at + 16)?;
    let (packed, whole) = (long(archive, at + 20)?, long(archive, at + 24)?);
    let lengths = [28, 30, 32].map(|place| short(archive, at + place).map(usize::from));
    let [name, extra, comment] = lengths;
    let (name, tail) = (name?, extra?.checked_add(comment?)?);
    let local = long(archive, at + 42)?;
    let next = at + 46 + name + tail;
    let name = archive.get(at + 46..at + 46 + name)?;
    let name = std::str::from_utf8(name).ok()?;
    if name.ends_with('/') {
        return Some((None, next));
    }
    let is_encrypted = flags & 1 == 1;
    if is_encrypted || whole > most || name.is_empty() || name.contains(['/', '\\']) {
        return None;
    }
    archive.get(local..)?.starts_with(&LOCAL).then_some(())?;
    let (own, extra) = (short(archive, local + 26)?, short(archive, local + 28)?);
    let data = local + 30 + usize::from(own) + usize::from(extra);
    let data = archive.get(data..data.checked_add(packed)?)?;
    let bytes = match method {
        0 => data.to_vec(),
        8 => inflated(data, whole)?,
        _ => return None,
    };
    let mut crc = Crc::new();
    crc.update(&bytes);
    let is_whole = bytes.len() == whole && crc.sum() == checksum;
    let file = File {
        name: name.to_owned(),
        bytes,
    };
    is_whole.then_some((Some(file), next))
}

fn inflated(data: &[u8], whole: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more byte than there should be shows that there are more.
    let limit = u64::try_from(whole).ok()?.checked_add(1)?;
    let mut from = DeflateDecoder::new(data).take(limit);
    from.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(word(bytes, at)?).ok()
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "an archive that cannot be read fails the test"
    )]
    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use std::io::Write as _;

    /// An archive as any tool makes it: what is longer than a few bytes is compressed.
    pub(in crate::dialect::flowable) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let (mut all, mut index) = (Vec::new(), Vec::new());
        for (name, text) in files {
            let mut crc = Crc::new();
            crc.update(text.as_bytes());
            let method: u16 = if text.len() > 20 { 8 } else { 0 };
            let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
            packed.write_all(text.as_bytes()).unwrap();
            let packed = packed.finish().unwrap();
            let data = if method == 8 {
                packed.as_slice()
            } else {
                text.as_bytes()
            };
            let mut head = Vec::new();
            head.extend([20, 0, 0, 0]);
            head.extend(method.to_le_bytes());
            head.extend([0; 4]);
            for number in [crc.sum(), data.len() as u32, text.len() as u32] {
                head.extend(number.to_le_bytes());
            }
            head.extend((name.len() as u16).to_le_bytes());
            head.extend([0; 2]);
            index.extend(ENTRY);
            index.extend([20, 0]);
            index.extend(&head);
            index.extend([0; 10]);
            index.extend((all.len() as u32).to_le_bytes());
            index.extend(name.as_bytes());
            all.extend(LOCAL);
            all.extend(head);
            all.extend(name.as_bytes());
            all.extend(data);
        }
        let at = all.len() as u32;
        all.extend(&index);
        all.extend(END);
        all.extend([0; 4]);
        all.extend((files.len() as u16).to_le_bytes());
        all.extend((files.len() as u16).to_le_bytes());
        all.extend((index.len() as u32).to_le_bytes());
        all.extend(at.to_le_bytes());
        all.extend([0; 2]);
        all
    }

    #[test]
    fn files_come_out_as_they_went_in() {
        let long = "a long text ".repeat(50);
        let archive = archive(&[("one.bpmn", &long), ("two.txt", "short"), ("none", "")]);
        let read = files(&archive).unwrap();
        let read: Vec<(&str, &[u8])> = read
            .iter()
            .map(|file| (file.name.as_str(), file.bytes.as_slice()))
            .collect();
        let wanted: [(&str, &[u8]); 3] = [
            ("one.bpmn", long.as_bytes()),
            ("two.txt", b"short"),
            ("none", b""),
        ];
        assert_eq!(read, wanted);
    }

    #[test]
    fn what_is_unusual_is_not_read() {
        let long = "a long text ".repeat(50);
        let good = archive(&[("one.bpmn", &long)]);
        for cut in 0..good.len() {
            assert!(files(&good[..cut]).is_none(), "cut at {cut}");
        }
        let mut broken = good.clone();
        let at = good.len() / 3;
        broken[at] ^= 1;
        assert!(files(&broken).is_none());
        assert!(files(&archive(&[("folder/one.bpmn", &long)])).is_none());
        assert!(files(&archive(&[("one", "1"), ("one", "2")])).is_none());
        assert!(files(b"no archive at all, but long enough for one").is_none());
    }
}
