//! Text between `${` and `}` to tokens.

use super::Error;

/// A token of the language.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    Int(i64),
    Float(f64),
    Text(String),
    Name(String),
    /// An operator or bracket; word operators come as their sign.
    Sign(&'static str),
}

/// Signs, longest first.
const SIGNS: [&str; 26] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}", "=", ";",
];

const WORDS: [(&str, &str); 11] = [
    ("and", "&&"),
    ("or", "||"),
    ("not", "!"),
    ("eq", "=="),
    ("ne", "!="),
    ("lt", "<"),
    ("gt", ">"),
    ("le", "<="),
    ("ge", ">="),
    ("div", "/"),
    ("mod", "%"),
];

/// Reads tokens from `text[start..]` up to the closing brace; gives them with the position after it.
pub(super) fn tokens(text: &str, start: usize) -> Result<(Vec<(Token, usize)>, usize), Error> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'}' => return Ok((out, at + 1)),
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'\'' | b'"' => {
                let (token, next) = quoted(text, at)?;
                out.push((token, at));
                at = next;
            }
            b'0'..=b'9' => {
                let (token, next) = number(text, at)?;
                out.push((token, at));
                at = next;
            }
            _ if byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' || byte >= 0x80 => {
                let length =
                    text[at..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
                let end = length.map_or(text.len(), |l| at + l);
                if end == at {
                    return Err(syntax("an unexpected character", at));
                }
                let name = &text[at..end];
                let sign = WORDS
                    .iter()
                    .find(|(word, _)| *word == name)
                    .map(|(_, sign)| *sign);
                out.push((
                    sign.map_or_else(|| Token::Name(name.to_owned()), Token::Sign),
                    at,
                ));
                at = end;
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| text[at..].starts_with(**sign));
                let sign = sign.ok_or_else(|| syntax("an unexpected character", at))?;
                out.push((Token::Sign(sign), at));
                at += sign.len();
            }
        }
    }
    Err(syntax("missing '}'", at))
}

fn quoted(text: &str, start: usize) -> Result<(Token, usize), Error> {
    let quote = text.as_bytes()[start];
    let mut out = String::new();
    let mut chars = text[start + 1..].char_indices();
    while let Some((offset, c)) = chars.next() {
        if c == '\\' {
            match chars.next() {
                Some((_, escaped @ ('\\' | '\'' | '"'))) => out.push(escaped),
                _ => return Err(syntax("invalid escape sequence", start + 1 + offset)),
            }
        } else if c as u32 == u32::from(quote) {
            return Ok((Token::Text(out), start + 1 + offset + 1));
        } else {
            out.push(c);
        }
    }
    Err(syntax("unterminated string", start))
}

fn number(text: &str, start: usize) -> Result<(Token, usize), Error> {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = digits(start);
    let mut float = false;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        float = true;
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let after = digits(end + 1 + sign);
        if after > end + 1 + sign {
            float = true;
            end = after;
        }
    }
    let literal = &text[start..end];
    let token = if float {
        Token::Float(
            literal
                .parse()
                .map_err(|_| syntax("a number out of range", start))?,
        )
    } else {
        Token::Int(
            literal
                .parse()
                .map_err(|_| syntax("a number out of range", start))?,
        )
    };
    Ok((token, end))
}

pub(super) fn syntax(reason: impl Into<String>, position: usize) -> Error {
    Error::Syntax {
        text: String::new(),
        reason: reason.into(),
        position,
    }
}
