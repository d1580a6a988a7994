//! Addresses that both sides refuse: the operator where a resource names one, sidecars where a name leads to one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services of clouds that do not live on a link-local address. They are never connected to on behalf of a
/// resource, whatever ranges are allowed.
pub const METADATA: [IpAddr; 6] = [
    // AWS over IPv6: the node's, and the one of EKS Pod Identity.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    // Google over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Azure's WireServer, which gives out a node's secrets, Alibaba, and Oracle's older one.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];
