//! Addresses: where to listen, where endpoints are, which networks are meant.
//!
//! Owns their parsing from text; errors are the cure in words. Must not resolve names or open sockets.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use url::{Host, Url};

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// Address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Bind {
    /// Reads `"127.0.0.1:8080"`, `"[::]:8080"` or `"unix:/run/x.sock"`.
    pub fn parse(text: &str) -> Result<Bind, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Bind::Unix(PathBuf::from(path)))
            } else {
                Err(
                    "a Unix socket needs a path from the root: \"unix:/run/homing/admin.sock\""
                        .into(),
                )
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Bind::Tcp(address));
        }
        Err(match text.rsplit_once(':') {
            Some(("localhost", port)) => format!("write the address: \"127.0.0.1:{port}\""),
            Some(("" | "*", port)) => {
                format!("for all addresses write \"0.0.0.0:{port}\" or \"[::]:{port}\"")
            }
            Some((host, port)) if port.parse::<u16>().is_err() => {
                format!("`{port}` is no port; write \"{host}:8080\"")
            }
            Some((host, port)) if host.contains(':') => {
                format!("an IPv6 address needs brackets: \"[{host}]:{port}\"")
            }
            Some((_, port)) => {
                format!("use an address of this host, not a name: \"0.0.0.0:{port}\"")
            }
            None if text.parse::<IpAddr>().is_ok() => format!("add the port: \"{text}:8080\""),
            None if text.parse::<u16>().is_ok() => format!("add the address: \"127.0.0.1:{text}\""),
            None => "write address and port: \"127.0.0.1:8080\"".into(),
        })
    }

    /// Whether both cannot be bound at the same time.
    pub fn clashes(&self, other: &Bind) -> bool {
        match (self, other) {
            (Bind::Tcp(a), Bind::Tcp(b)) => {
                let wide = a.ip().is_unspecified() || b.ip().is_unspecified();
                a.port() == b.port() && a.port() != 0 && (wide || a.ip() == b.ip())
            }
            (Bind::Unix(a), Bind::Unix(b)) => a == b,
            (Bind::Tcp(_), Bind::Unix(_)) | (Bind::Unix(_), Bind::Tcp(_)) => false,
        }
    }

    /// Whether only this host can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Bind::Tcp(address) => address.ip().is_loopback(),
            Bind::Unix(_) => true,
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Tcp(address) => address.fmt(f),
            Bind::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// One address of an installation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Host name or IP address; IPv6 without brackets.
    pub host: String,
    /// Port; that of the scheme when the URL names none.
    pub port: u16,
    /// Path before the dialect's own, without a `/` at its end; empty for the root.
    pub base_path: String,
}

impl Endpoint {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Endpoint, String> {
        let url = Url::parse(text).map_err(|error| {
            if error == url::ParseError::RelativeUrlWithoutBase {
                format!("begin with `http://` or `https://`: \"http://{text}\"")
            } else {
                format!("{error}; write it like \"http://10.0.1.7:8080/engine-rest\"")
            }
        })?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => {
                let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
                return Err(if text.contains("://") {
                    format!(
                        "`{other}` is not spoken here; use \"http://{rest}\" or \"https://{rest}\""
                    )
                } else {
                    format!("begin with `http://` or `https://`: \"http://{text}\"")
                });
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("leave user and password out; the router's own account is `service_account` of the site".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(
                "leave out everything from `?` or `#`: clients bring their own queries".into(),
            );
        }
        // The URL standard would take the first segment of the path for the host.
        if text
            .split_once("://")
            .is_some_and(|(_, rest)| rest.starts_with(['/', '\\']))
        {
            return Err("a host is missing: \"http://10.0.1.7:8080/engine-rest\"".into());
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err("a host is missing: \"http://10.0.1.7:8080/engine-rest\"".into()),
        };
        let port = url
            .port_or_known_default()
            .filter(|port| *port != 0)
            .ok_or("port 0 leads nowhere")?;
        Ok(Endpoint {
            scheme,
            host,
            port,
            base_path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// `HOST:PORT`, as in a `Host` header or to connect to.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The address, if the host is one and no name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.base_path)
    }
}

/// A host and a port that may still need a name lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Host name or IP address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl HostPort {
    /// Reads `"HOST:PORT"`.
    pub fn parse(text: &str) -> Result<HostPort, String> {
        let cure = || "write host and port: \"127.0.0.1:5432\"".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(cure)?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let port = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(cure)?;
        let sound = host.parse::<IpAddr>().is_ok()
            || (!host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')));
        if sound {
            Ok(HostPort {
                host: host.to_owned(),
                port,
            })
        } else {
            Err(cure())
        }
    }
}

/// A network: all addresses that share its first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `"10.0.0.0/8"`, or one address.
    pub fn parse(text: &str) -> Result<Network, String> {
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| "write a network \"10.0.0.0/8\" or an address \"10.0.0.7\"")?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= all)
                .ok_or_else(|| format!("after `/` comes a number from 0 to {all}"))?,
        };
        let network = Network { address, bits };
        let first = network.first();
        if first == address {
            Ok(network)
        } else {
            Err(format!(
                "bits are set behind the mask; did you mean \"{first}/{bits}\"?"
            ))
        }
    }

    /// Whether `address` lies in it. An IPv4 address in IPv6 form counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.address.is_ipv4() == address.is_ipv4()
            && Network {
                address,
                bits: self.bits,
            }
            .first()
                == self.address
    }

    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.bits))
                    .unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let ten = Network::parse("10.0.0.0/8").unwrap();
        assert!(ten.contains("10.255.0.1".parse().unwrap()));
        assert!(ten.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!ten.contains("11.0.0.1".parse().unwrap()));
        assert!(
            Network::parse("0.0.0.0/0")
                .unwrap()
                .contains("8.8.8.8".parse().unwrap())
        );
        assert!(
            Network::parse("fd00::/8")
                .unwrap()
                .contains("fd12::1".parse().unwrap())
        );
        assert!(
            Network::parse("10.0.0.1/8")
                .unwrap_err()
                .contains("10.0.0.0/8")
        );
        assert!(Network::parse("10.0.0.0/33").is_err());
    }

    #[test]
    fn an_endpoint_keeps_all_parts_of_its_url() {
        let endpoint = Endpoint::parse("https://[::1]/engine-rest/").unwrap();
        assert_eq!(
            (endpoint.port, endpoint.base_path.as_str()),
            (443, "/engine-rest")
        );
        assert_eq!(endpoint.to_string(), "https://[::1]:443/engine-rest");
    }

    #[test]
    fn a_wildcard_clashes_with_every_address_of_its_port() {
        let bind = |text| Bind::parse(text).unwrap();
        assert!(bind("0.0.0.0:80").clashes(&bind("127.0.0.1:80")));
        assert!(!bind("10.0.0.1:80").clashes(&bind("127.0.0.1:80")));
        assert!(!bind("127.0.0.1:0").clashes(&bind("127.0.0.1:0")));
    }
}
