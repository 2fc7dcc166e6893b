//! The PROXY protocol, versions 1 and 2: a proxy in front says who the client is.
//!
//! Owns the form of that header. Must not decide who may send one. Bytes in, verdict out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the bytes so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// More bytes are needed.
    More,
    /// A header of so many bytes, and the client that it names, if it names one.
    Whole {
        bytes: usize,
        client: Option<IpAddr>,
    },
}

/// Not a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection does not begin with a PROXY header")]
pub(super) struct Malformed;

/// The longest header that is read; version 2 may add values that nobody here reads.
pub(super) const BYTES_MAX: usize = 16 + 4096;

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V1_BEGIN: &[u8] = b"PROXY ";
/// The longest line of version 1, its end counted.
const V1_BYTES_MAX: usize = 107;

/// Reads as much of a header as is there.
pub(super) fn read(bytes: &[u8]) -> Result<Read, Malformed> {
    if begins_like(bytes, V2_SIGNATURE) {
        return if bytes.len() < 16 {
            Ok(Read::More)
        } else {
            version2(bytes)
        };
    }
    if begins_like(bytes, V1_BEGIN) {
        let line = &bytes[..bytes.len().min(V1_BYTES_MAX)];
        return match memchr::memchr(b'\n', line) {
            Some(end) => version1(&line[..=end]),
            None if line.len() < V1_BYTES_MAX => Ok(Read::More),
            None => Err(Malformed),
        };
    }
    Err(Malformed)
}

fn begins_like(bytes: &[u8], signature: &[u8]) -> bool {
    let common = bytes.len().min(signature.len());
    bytes[..common] == signature[..common]
}

fn version1(line: &[u8]) -> Result<Read, Malformed> {
    let bytes = line.len();
    let text = line
        .strip_suffix(b"\r\n")
        .and_then(|line| std::str::from_utf8(line).ok())
        .ok_or(Malformed)?;
    let mut words = text.split(' ').skip(1);
    let mut word = || words.next().ok_or(Malformed);
    let client: IpAddr = match word()? {
        "UNKNOWN" => {
            return Ok(Read::Whole {
                bytes,
                client: None,
            });
        }
        "TCP4" => IpAddr::V4(word()?.parse().map_err(|_| Malformed)?),
        "TCP6" => IpAddr::V6(word()?.parse().map_err(|_| Malformed)?),
        _ => return Err(Malformed),
    };
    let server: IpAddr = word()?.parse().map_err(|_| Malformed)?;
    for _ in 0..2 {
        let _: u16 = word()?.parse().map_err(|_| Malformed)?;
    }
    if server.is_ipv4() != client.is_ipv4() || word().is_ok() {
        return Err(Malformed);
    }
    Ok(Read::Whole {
        bytes,
        client: Some(client),
    })
}

fn version2(bytes: &[u8]) -> Result<Read, Malformed> {
    let (command, family) = (bytes[12], bytes[13]);
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if length + 16 > BYTES_MAX {
        return Err(Malformed);
    }
    let Some(values) = bytes.get(16..16 + length) else {
        return Ok(Read::More);
    };
    let client = match (command, family) {
        // LOCAL: the proxy's own connection, as for its health checks. An unspecified family says nothing.
        (0x20, _) | (0x21, 0x00) => None,
        (0x21, 0x11) if length >= 12 => Some(IpAddr::V4(Ipv4Addr::from(array::<4>(values)?))),
        (0x21, 0x21) if length >= 36 => Some(IpAddr::V6(Ipv6Addr::from(array::<16>(values)?))),
        _ => return Err(Malformed),
    };
    Ok(Read::Whole {
        bytes: 16 + length,
        client,
    })
}

fn array<const N: usize>(values: &[u8]) -> Result<[u8; N], Malformed> {
    values
        .get(..N)
        .and_then(|values| values.try_into().ok())
        .ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, values: &[u8]) -> Vec<u8> {
        [
            V2_SIGNATURE.as_slice(),
            &[command, family],
            &(values.len() as u16).to_be_bytes(),
            values,
        ]
        .concat()
    }

    #[test]
    fn both_versions_name_the_client() {
        let line = b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\nGET /";
        assert_eq!(
            read(line),
            Ok(Read::Whole {
                bytes: 41,
                client: "192.0.2.7".parse().ok()
            })
        );
        assert_eq!(
            read(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n"),
            Ok(Read::Whole {
                bytes: 32,
                client: "2001:db8::1".parse().ok()
            })
        );
        assert_eq!(
            read(b"PROXY UNKNOWN\r\n"),
            Ok(Read::Whole {
                bytes: 15,
                client: None
            })
        );
        let four = v2(
            0x21,
            0x11,
            &[192, 0, 2, 7, 10, 0, 0, 1, 1, 2, 3, 4, 9, 9, 9],
        );
        assert_eq!(
            read(&four),
            Ok(Read::Whole {
                bytes: four.len(),
                client: "192.0.2.7".parse().ok()
            })
        );
        let six = v2(0x21, 0x21, &[1; 36]);
        assert_eq!(
            read(&six),
            Ok(Read::Whole {
                bytes: 52,
                client: Some(IpAddr::V6(Ipv6Addr::from([1; 16])))
            })
        );
        assert_eq!(
            read(&v2(0x20, 0, &[])),
            Ok(Read::Whole {
                bytes: 16,
                client: None
            })
        );
    }

    #[test]
    fn a_piece_of_a_header_asks_for_more() {
        for whole in [
            b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n".to_vec(),
            v2(0x21, 0x11, &[1; 12]),
        ] {
            for length in 0..whole.len() {
                assert_eq!(read(&whole[..length]), Ok(Read::More), "{length}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 40000\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 70000\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            "PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
            "PROXY UNIX\r\n",
            "PROXX",
        ] {
            assert_eq!(read(text.as_bytes()), Err(Malformed), "{text}");
        }
        assert_eq!(
            read(&[b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat()),
            Err(Malformed)
        );
        for (command, family, length) in [
            (0x11, 0x11, 12),
            (0x22, 0x11, 12),
            (0x21, 0x11, 11),
            (0x21, 0x21, 35),
            (0x21, 0x31, 216),
        ] {
            assert_eq!(read(&v2(command, family, &vec![0; length])), Err(Malformed));
        }
        assert_eq!(read(&v2(0x21, 0x11, &vec![0; 5000])), Err(Malformed));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_count_wrong(
            begin in proptest::sample::select(vec![V1_BEGIN.to_vec(), V2_SIGNATURE.to_vec(), vec![]]),
            rest in proptest::collection::vec(0_u8.., 0..300),
        ) {
            let bytes = [begin, rest].concat();
            if let Ok(Read::Whole { bytes: count, .. }) = read(&bytes) {
                proptest::prop_assert!(count <= bytes.len());
                proptest::prop_assert_eq!(read(&bytes[..count]), read(&bytes));
            }
        }
    }
}
