//! The Host header and a target's authority: one name or address, one optional port.
//!
//! Owns the spelling. Must not look at what it names.

use super::rule::Rule;

/// Judges a Host value or an authority.
pub fn inspect(host: &[u8]) -> Result<(), Rule> {
    let (name, port) = if host.first() == Some(&b'[') {
        let end = memchr::memchr(b']', host).ok_or(Rule::HostOdd)?;
        let (name, rest) = (&host[1..end], &host[end + 1..]);
        if !std::str::from_utf8(name).is_ok_and(|name| name.parse::<std::net::Ipv6Addr>().is_ok()) {
            return Err(Rule::HostOdd);
        }
        match rest {
            [] => return Ok(()),
            [b':', port @ ..] => (b"v6".as_slice(), Some(port)),
            _ => return Err(Rule::HostOdd),
        }
    } else {
        match memchr::memchr(b':', host) {
            Some(colon) => (&host[..colon], Some(&host[colon + 1..])),
            None => (host, None),
        }
    };
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.iter().all(is_name) {
        return Err(Rule::HostOdd);
    }
    match port {
        None => Ok(()),
        Some(port) if is_port(port) => Ok(()),
        Some(_) => Err(Rule::HostOdd),
    }
}

/// RFC 1035: a name's longest form.
const NAME_BYTES_MAX: usize = 253;

fn is_port(port: &[u8]) -> bool {
    (1..=5).contains(&port.len())
        && port.iter().all(u8::is_ascii_digit)
        && std::str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_name_with_an_optional_port() {
        for host in [
            "h",
            "h:80",
            "a.b-c.d_e",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "h:0",
        ] {
            assert_eq!(inspect(host.as_bytes()), Ok(()), "{host}");
        }
        for host in [
            "", "a, b", "a,b", "a/b", "u@h", "h:", "h:x", "h:70000", "h:80:80", "::1", "[::1",
            "[x]", "[::1]x", "h ", "a%62", ":80", "h\u{e9}", "h:+80",
        ] {
            assert_eq!(inspect(host.as_bytes()), Err(Rule::HostOdd), "{host}");
        }
        assert!(inspect("a".repeat(254).as_bytes()).is_err());
    }
}
