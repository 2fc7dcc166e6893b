//! HTTP/2 frames made by hand, so that they may be wrong.
//!
//! Knows RFC 9113's frame header and the few HPACK forms that an attack needs. Must not use an HTTP/2 library: none
//! would send these.

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

const INITIAL_WINDOW_SIZE: u16 = 4;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The connection's preface with our settings: so much may be sent to us on each stream before we allow more.
pub(super) fn opening(window: u32) -> Vec<u8> {
    let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    setting.extend(window.to_be_bytes());
    [PREFACE, &frame(SETTINGS, 0, 0, &setting)].concat()
}

/// A header block: pseudo headers of a request, with nothing remembered by the decoder.
pub(super) fn head(method: Method, path: &str) -> Vec<u8> {
    let mut block = vec![method as u8, 0x86, 0x04];
    text(&mut block, path);
    block.push(0x01);
    text(&mut block, "h");
    block
}

/// Static table indexes, as indexed fields.
#[derive(Clone, Copy)]
pub(super) enum Method {
    Get = 0x82,
    Post = 0x83,
}

/// A header that the decoder shall remember: the newest entry of its table.
pub(super) fn remembered(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0x40];
    text(&mut block, name);
    text(&mut block, value);
    block
}

/// The newest remembered header, again.
pub(super) const NEWEST: u8 = 0x80 | 62;

/// A string without Huffman coding; its length is an integer with a prefix of seven bits.
fn text(block: &mut Vec<u8>, text: &str) {
    let length = text.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 0x80);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend(text.as_bytes());
}
