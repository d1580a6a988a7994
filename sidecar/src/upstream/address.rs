//! Which addresses may be connected to. Decided on the address itself, after the name was resolved: a name can say
//! anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use spillway_wire::METADATA;

/// Public addresses, and the private ranges somebody allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRule {
    allowed: Vec<IpNet>,
    /// Only what tells a pod who it is to a cloud, and nothing else.
    metadata: bool,
}

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0} is link-local or a metadata service, which is never allowed")]
    LinkLocal(IpAddr),
    #[error("{0} is no unicast address")]
    NotUnicast(IpAddr),
    #[error("{0} is not public (hint: the operator's --allow-private-range allows a range)")]
    Private(IpAddr),
    #[error("{0} is no metadata service")]
    NoMetadata(IpAddr),
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

/// Not reachable through the public internet, by the IANA special-purpose registries.
const PRIVATE_V4: [Ipv4Net; 11] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
];

const PRIVATE_V6: [Ipv6Net; 6] = [
    v6(0, 0, 8),          // loopback, unspecified and other reserved ones
    v6(0x64, 0xff9b, 32), // NAT64: what is behind it was checked as IPv4 or is private
    v6(0x100, 0, 64),
    v6(0x2001, 0xdb8, 32),
    v6(0xfc00, 0, 7),
    v6(0xfec0, 0, 10),
];

/// What answers a pod's question who it is: on Google and Azure, of ECS, of EKS Pod Identity.
const IDENTITY: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

// === impl AddressRule ===

impl AddressRule {
    #[must_use]
    pub const fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed, metadata: false }
    }

    /// For questions about the pod's own identity, and never for an address that a resource names: the clouds' metadata
    /// services, and agents on loopback.
    #[must_use]
    pub(crate) const fn metadata() -> Self {
        Self { allowed: Vec::new(), metadata: true }
    }

    /// May this address be connected to?
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let address = unwrapped(address);
        if self.metadata {
            let is_one = IDENTITY.contains(&address) || address.is_loopback();
            return if is_one { Ok(()) } else { Err(Refused::NoMetadata(address)) };
        }
        if is_link_local(address) || METADATA.contains(&address) {
            return Err(Refused::LinkLocal(address));
        }
        if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) || reserved(address) {
            return Err(Refused::NotUnicast(address));
        }
        if is_private(address) && !self.allowed.iter().any(|range| range.contains(&address)) {
            return Err(Refused::Private(address));
        }
        Ok(())
    }
}

/// An IPv4 address in IPv6 clothes (mapped, compatible, NAT64, 6to4) reaches the IPv4 address.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    if let Some(four) = six.to_ipv4_mapped() {
        return IpAddr::V4(four);
    }
    let [a, b, c, d, e, f, g, h] = six.segments();
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        (0, 0) if [c, d, e, f] == [0; 4] && (g, h) > (0, 1) => four(g, h),
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => four(g, h),
        (0x2002, _) => four(b, c),
        _ => address,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}

/// 240.0.0.0/4: no host has such an address.
fn reserved(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(four) if four.octets()[0] >= 240)
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => PRIVATE_V4.iter().any(|range| range.contains(&four)),
        IpAddr::V6(six) => PRIVATE_V6.iter().any(|range| range.contains(&six)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &AddressRule, address: &str) -> &'static str {
        match rule.check(address.parse().unwrap()) {
            Ok(()) => "ok",
            Err(Refused::LinkLocal(_)) => "link-local",
            Err(Refused::NotUnicast(_)) => "not unicast",
            Err(Refused::Private(_)) => "private",
            Err(Refused::NoMetadata(_)) => "no metadata",
        }
    }

    #[test]
    fn only_public_addresses_unless_a_range_is_allowed() {
        let strict = AddressRule::default();
        let rows = [
            ("1.1.1.1", "ok"),
            ("2606:4700:4700::1111", "ok"),
            ("::ffff:1.1.1.1", "ok"),
            ("64:ff9b::101:101", "ok"),
            ("10.0.0.1", "private"),
            ("127.0.0.1", "private"),
            ("::1", "private"),
            ("::", "private"),
            ("0.0.0.0", "private"),
            ("100.64.0.1", "private"),
            ("172.31.255.255", "private"),
            ("172.32.0.1", "ok"),
            ("192.168.0.1", "private"),
            ("fd00::1", "private"),
            ("::ffff:10.0.0.1", "private"),
            ("::10.0.0.1", "private"),
            ("64:ff9b::a00:1", "private"),
            ("2002:a00:1::", "private"),
            ("169.254.169.254", "link-local"),
            ("::ffff:169.254.169.254", "link-local"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("fe80::1", "link-local"),
            ("fd00:ec2::254", "link-local"),
            ("100.100.100.200", "link-local"),
            ("224.0.0.1", "not unicast"),
            ("255.255.255.255", "not unicast"),
            ("240.0.0.1", "not unicast"),
            ("ff02::1", "not unicast"),
        ];
        for (address, want) in rows {
            assert_eq!(check(&strict, address), want, "{address}");
        }
    }

    #[test]
    fn no_range_however_wide_allows_link_local_and_metadata() {
        let wide = AddressRule::new(vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]);
        for (address, want) in [
            ("10.0.0.1", "ok"),
            ("::1", "ok"),
            ("169.254.169.254", "link-local"),
            ("fe80::1", "link-local"),
            ("fd00:ec2::254", "link-local"),
            ("fd00:ec2::23", "link-local"),
            ("fd20:ce::254", "link-local"),
            ("168.63.129.16", "link-local"),
            ("::ffff:168.63.129.16", "link-local"),
            ("192.0.0.192", "link-local"),
            ("224.0.0.1", "not unicast"),
        ] {
            assert_eq!(check(&wide, address), want, "{address}");
        }
    }

    #[test]
    fn the_rule_for_metadata_services_lets_nothing_else_through() {
        let rule = AddressRule::metadata();
        let rows = [
            ("169.254.169.254", "ok"),
            ("169.254.170.2", "ok"),
            ("169.254.170.23", "ok"),
            ("fd00:ec2::23", "ok"),
            ("127.0.0.1", "ok"),
            ("::1", "ok"),
            ("169.254.1.1", "no metadata"),
            ("10.0.0.1", "no metadata"),
            ("1.1.1.1", "no metadata"),
        ];
        for (address, want) in rows {
            assert_eq!(check(&rule, address), want, "{address}");
        }
    }
}
