//! Endpoints: parsed once, so that what is compared with a Secret's list of hosts is what sidecars connect to.

use std::fmt;
use std::net::IpAddr;

use spillway_wire::METADATA;

use crate::quote::quote;

/// A checked endpoint: scheme, host, port and path, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) https: bool,
    /// Lower case, without a trailing dot; IPv6 addresses in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Starts with a slash, or is empty; does not end in one.
    path: String,
}

/// Host and port, as a Secret lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    host: String,
    port: u16,
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads `https://host[:port][/path]`. The error says what is wrong with it, and repeats no key that stands in it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("{} {why}", quote(text)));
        let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return refuse("does not start with https:// or http://"),
        };
        if text.len() > 512 {
            return Err(format!("has {} bytes, an endpoint takes at most 512", text.len()));
        }
        if text.bytes().any(|byte| !byte.is_ascii_graphic() || b"\\\"<>^`{|}".contains(&byte)) {
            return refuse("contains a character that no URL has");
        }
        if rest.contains('@') {
            return refuse("contains '@': credentials belong into a Secret, never into a URL");
        }
        if rest.contains(['?', '#']) {
            return refuse("contains a query or a fragment");
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if path.split('/').any(|part| part == "." || part == "..") {
            return refuse("contains a relative path");
        }
        let default_port = if https { 443 } else { 80 };
        match HostPort::parse(authority, default_port) {
            Some(HostPort { host, .. }) if is_number(&host) => {
                refuse("has a number for a host, which different readers take for different addresses")
            }
            Some(HostPort { host, .. }) if literal(&host).is_some_and(never_dialled) => {
                refuse("is an address no sidecar connects to: link-local, metadata and multicast ones never are")
            }
            Some(HostPort { host, port }) => {
                Ok(Self { https, host, port, path: path.trim_end_matches('/').to_owned() })
            }
            None => refuse("has no valid host and port"),
        }
    }

    pub(crate) fn host_port(&self) -> HostPort {
        HostPort { host: self.host.clone(), port: self.port }
    }

    /// Whether it is a host and nothing behind it.
    pub(crate) const fn is_bare(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether this is the end of its path.
    pub(crate) fn ends_in(&self, path: &str) -> bool {
        self.path.ends_with(path)
    }

    /// A place below it. `path` starts with a slash.
    pub(crate) fn below(mut self, path: &str) -> Self {
        self.path.push_str(path);
        self
    }

    /// The port a URL with this scheme leaves out.
    pub(crate) const fn default_port(&self) -> u16 {
        if self.https { 443 } else { 80 }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != self.default_port() {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)
    }
}

// === impl HostPort ===

impl HostPort {
    /// Reads `host` or `host:port`.
    pub(crate) fn parse(text: &str, default_port: u16) -> Option<Self> {
        let after_bracket = text.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match text[after_bracket..].find(':') {
            Some(colon) => {
                let digits = &text[after_bracket + colon + 1..];
                let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                let port = digits.parse().ok().filter(|port| plain && *port != 0)?;
                (&text[..after_bracket + colon], port)
            }
            None => (text, default_port),
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        is_host(&host).then_some(Self { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == 443 { f.write_str(&self.host) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// The address, if the host is one.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// `2852039166` or `0xa9fea9fe` or `127.1`: names no resolver is asked for, and no plain address either.
fn is_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let number = hex || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()));
    number && literal(host).is_none()
}

/// What sidecars refuse whatever ranges are allowed, as far as it can be told without a resolver. They check again, on the
/// address they connect to.
fn never_dialled(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if METADATA.contains(&address) {
        return true;
    }
    match address {
        IpAddr::V4(four) => four.is_link_local() || four.is_multicast() || four.is_broadcast() || four.is_unspecified(),
        IpAddr::V6(six) => six.is_unicast_link_local() || six.is_multicast() || six.is_unspecified(),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_normalised() {
        let rows = [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("https://api.openai.com:443/v1/", "https://api.openai.com/v1"),
            ("https://API.OpenAI.com./v1", "https://api.openai.com/v1"),
            ("http://llm.models.svc:8000/v1", "http://llm.models.svc:8000/v1"),
            ("http://llm:80", "http://llm"),
            ("https://llm:80", "https://llm:80"),
            ("https://[::1]:8443/x", "https://[::1]:8443/x"),
            ("https://10.0.0.1/v1", "https://10.0.0.1/v1"),
            ("https://a.example//", "https://a.example"),
        ];
        for (text, want) in rows {
            assert_eq!(Endpoint::parse(text).map(|endpoint| endpoint.to_string()), Ok(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn endpoints_that_hide_something_are_refused() {
        let rows = [
            ("ftp://a.example", "does not start with"),
            ("HTTPS://a.example", "does not start with"),
            ("a.example/v1", "does not start with"),
            ("", "does not start with"),
            ("https://", "no valid host"),
            ("https:///v1", "no valid host"),
            ("https://user:key@a.example", "credentials belong into a Secret"),
            ("https://a.example@b.example", "credentials belong into a Secret"),
            ("https://a.example/v1@x", "credentials belong into a Secret"),
            ("https://a.example?key=1", "\"https://a.example?…\" contains a query or a fragment"),
            ("https://a.example/#x", "query or a fragment"),
            ("https://a.example\\@b.example", "no URL has"),
            ("https://a.example /v1", "no URL has"),
            ("https://ä.example", "no URL has"),
            ("https://a.example/../admin", "relative path"),
            ("https://a.example:", "no valid host"),
            ("https://a.example:0", "no valid host"),
            ("https://a.example:65536", "no valid host"),
            ("https://a.example:+80", "no valid host"),
            ("https://a..example", "no valid host"),
            ("https://-a.example", "no valid host"),
            ("https://[::1", "no valid host"),
            ("https://[a.example]", "no valid host"),
            ("https://::1", "no valid host"),
            ("http://169.254.169.254", "link-local, metadata and multicast"),
            ("https://[fe80::1]", "link-local, metadata and multicast"),
            ("https://[::ffff:169.254.169.254]", "link-local, metadata and multicast"),
            ("https://[fd00:ec2::254]", "link-local, metadata and multicast"),
            ("https://[fd00:ec2::23]", "link-local, metadata and multicast"),
            ("https://[fd20:ce::254]", "link-local, metadata and multicast"),
            ("https://168.63.129.16", "link-local, metadata and multicast"),
            ("https://[::ffff:168.63.129.16]", "link-local, metadata and multicast"),
            ("https://100.100.100.200/v1", "link-local, metadata and multicast"),
            ("https://0.0.0.0", "link-local, metadata and multicast"),
            ("https://2852039166", "a number for a host"),
            ("https://0xa9fea9fe", "a number for a host"),
            ("https://127.1", "a number for a host"),
            ("https://169.254.43518", "a number for a host"),
        ];
        for (text, want) in rows {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(error.contains(want) && !error.contains("key"), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_accepted_is_a_url_and_reads_back_the_same(text in "https?://[a-zA-Z0-9.:@\\[\\]/?#%_-]{1,24}") {
            if let Ok(endpoint) = Endpoint::parse(&text) {
                let shown = endpoint.to_string();
                proptest::prop_assert_eq!(Endpoint::parse(&shown), Ok(endpoint.clone()));
                let url: http::Uri = shown.parse().unwrap();
                proptest::prop_assert_eq!(url.host(), Some(endpoint.host.as_str()));
                proptest::prop_assert_eq!(url.port_u16().unwrap_or_else(|| endpoint.default_port()), endpoint.port);
            }
        }
    }
}
