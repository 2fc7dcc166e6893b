//! The corpus of requests on the wire: what passes, and what the gate refuses by which rule.
//!
//! Owns the form of the files in `http1/`: one case a line, `EXPECTED | NAME | BYTES`. Expected is the name of a rule, or
//! `=METHOD TARGET BODY` for a request that passes as that, or several of them joined by ` + `. Bytes have the escapes
//! `\r \n \t \\ \xNN` and `{COUNT*TEXT}`. Shared by the unit tests of the tap and the end-to-end tests.

/// What must become of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The site sees exactly this.
    Passes {
        method: String,
        target: String,
        body: String,
    },
    /// The gate answers with this rule and closes.
    Refused(String),
}

/// One line of the corpus.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub expected: Vec<Expected>,
    pub bytes: Vec<u8>,
}

const FILES: &[(&str, &str)] = &[
    ("chunks", include_str!("http1/chunks.txt")),
    ("encodings", include_str!("http1/encodings.txt")),
    ("header-names", include_str!("http1/header-names.txt")),
    ("host", include_str!("http1/host.txt")),
    ("lengths", include_str!("http1/lengths.txt")),
    ("line-ends", include_str!("http1/line-ends.txt")),
    ("options", include_str!("http1/options.txt")),
    ("pipelines", include_str!("http1/pipelines.txt")),
    ("request-line", include_str!("http1/request-line.txt")),
    ("targets", include_str!("http1/targets.txt")),
];

/// Every case.
pub fn all() -> Vec<Case> {
    FILES
        .iter()
        .flat_map(|(file, text)| text.lines().map(move |line| case(file, line)))
        .collect()
}

fn case(file: &str, line: &str) -> Case {
    let mut parts = line.splitn(3, " | ");
    let mut part = || {
        parts
            .next()
            .unwrap_or_else(|| panic!("{file}: `{line}` has no three parts"))
    };
    let (expected, name, bytes) = (part(), part(), part());
    Case {
        name: format!("{file}: {name}"),
        expected: expected.split(" + ").map(expect).collect(),
        bytes: unescape(bytes),
    }
}

fn expect(text: &str) -> Expected {
    let Some(request) = text.strip_prefix('=') else {
        return Expected::Refused(text.to_owned());
    };
    let request = String::from_utf8_lossy(&unescape(request)).into_owned();
    let mut words = request.splitn(3, ' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    Expected::Passes {
        method: word(),
        target: word(),
        body: word(),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let repeated = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('*'))
            .and_then(|(count, rest)| Some((count.parse::<usize>().ok()?, rest.split_once('}')?)));
        if let Some((count, (piece, after))) = repeated {
            bytes.extend(unescape(piece).repeat(count));
            rest = after;
        } else if let Some(escape) = rest.strip_prefix('\\') {
            let (byte, length) = match escape.as_bytes() {
                [b'r', ..] => (b'\r', 1),
                [b'n', ..] => (b'\n', 1),
                [b't', ..] => (b'\t', 1),
                [b'x', ..] => {
                    let digits = escape.get(1..3).unwrap_or_default();
                    let byte = u8::from_str_radix(digits, 16);
                    (
                        byte.unwrap_or_else(|_| panic!("`{text}` has an odd escape")),
                        3,
                    )
                }
                _ => (b'\\', 1),
            };
            bytes.push(byte);
            rest = &escape[length..];
        } else {
            bytes.extend(first.to_string().as_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    bytes
}
