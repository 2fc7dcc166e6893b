//! The bytes of an XML resource to its text.
//!
//! Owns how the encoding is found: a byte order mark, the shape of the first bytes, the XML declaration, or else UTF-8, in this
//! order, as XML itself has it. Must not read XML. Nothing is guessed or replaced: what is not of the encoding is refused.

use super::problem::Failure;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// A declaration stands within so many bytes.
const DECLARATION_MAX: usize = 200;

/// The text of a resource, without a byte order mark.
pub fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, Failure> {
    let (encoding, body) = match Encoding::for_bom(bytes) {
        Some((encoding, length)) => (encoding, bytes.get(length..).unwrap_or_default()),
        None => (declared(bytes)?, bytes),
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(body);
    text.ok_or_else(|| Failure::Xml {
        line: line_of_damage(encoding, body),
        column: 1,
        message: format!("the resource is not {} text", encoding.name()),
    })
}

fn declared(bytes: &[u8]) -> Result<&'static Encoding, Failure> {
    match bytes {
        [0, b'<', ..] => return Ok(UTF_16BE),
        [b'<', 0, ..] => return Ok(UTF_16LE),
        _ => {}
    }
    let head = bytes.get(..DECLARATION_MAX).unwrap_or(bytes);
    let head = String::from_utf8_lossy(head);
    let declaration = head
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split_once("?>"));
    let Some(name) = declaration.and_then(|(inside, _)| encoding_in(inside)) else {
        return Ok(UTF_8);
    };
    match Encoding::for_label(name.as_bytes()) {
        // It says so in single bytes, so it cannot be.
        Some(wide) if !wide.is_ascii_compatible() => Ok(UTF_8),
        Some(encoding) => Ok(encoding),
        None => Err(Failure::Xml {
            line: 1,
            column: 1,
            message: format!("the encoding '{name}' is not known; save the model as UTF-8"),
        }),
    }
}

/// `encoding="…"` of a declaration.
fn encoding_in(declaration: &str) -> Option<&str> {
    let (_, rest) = declaration.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest.get(1..)?.split(quote).next()
}

/// The line of the first byte that is not of the encoding.
fn line_of_damage(encoding: &'static Encoding, bytes: &[u8]) -> u32 {
    let mut sound = String::with_capacity(bytes.len());
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut rest = bytes;
    loop {
        let room = decoder.max_utf8_buffer_length_without_replacement(rest.len());
        sound.reserve(room.unwrap_or(rest.len()));
        let (result, read) = decoder.decode_to_string_without_replacement(rest, &mut sound, true);
        rest = rest.get(read..).unwrap_or_default();
        if result != encoding_rs::DecoderResult::OutputFull {
            break;
        }
    }
    let lines = sound.bytes().filter(|byte| *byte == b'\n').count();
    u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<?xml version=\"1.0\" encoding='NAME'?>\n<a name=\"Prüfung\"/>";

    fn said(bytes: &[u8]) -> String {
        match text_of(bytes) {
            Ok(text) => text.into_owned(),
            Err(Failure::Xml { line, message, .. }) => format!("{line}: {message}"),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn wide(text: &str, bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn models_are_read_in_the_encoding_that_they_are_in() {
        let xml = |name: &str| XML.replace("NAME", name);
        let latin = |text: &str| {
            text.chars()
                .map(|c| u32::from(c) as u8)
                .collect::<Vec<u8>>()
        };
        for name in ["ISO-8859-1", "windows-1252"] {
            assert_eq!(said(&latin(&xml(name))), xml(name));
        }
        for text in [
            xml("UTF-8"),
            xml("utf-16"),
            "<a name=\"Prüfung\"/>".to_owned(),
        ] {
            assert_eq!(said(text.as_bytes()), text);
            assert_eq!(said(format!("\u{feff}{text}").as_bytes()), text);
            for mark in ["", "\u{feff}"] {
                let marked = format!("{mark}{text}");
                assert_eq!(said(&wide(&marked, u16::to_le_bytes)), text);
                assert_eq!(said(&wide(&marked, u16::to_be_bytes)), text);
            }
        }
    }

    #[test]
    fn what_is_not_in_its_encoding_is_refused_with_its_name_and_line() {
        let latin = b"<?xml version=\"1.0\"?>\n\n<a name=\"Pr\xfcfung\"/>";
        assert_eq!(said(latin), "3: the resource is not UTF-8 text");
        let unknown = XML.replace("NAME", "EBCDIC-CP-US");
        assert!(said(unknown.as_bytes()).contains("'EBCDIC-CP-US'"));
        let torn = [wide("<a/>\n", u16::to_le_bytes), vec![0, 0xd8]].concat();
        assert_eq!(said(&torn), "2: the resource is not UTF-16LE text");
    }
}
