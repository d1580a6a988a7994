//! Binds the ports, before anything else can fail half way.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::TcpListener;

/// Everything the process listens on.
#[derive(Debug)]
pub(super) struct Listeners {
    /// Both loopback families where the pod has both: what `localhost` means is the application's affair.
    pub(super) data: Vec<TcpListener>,
    pub(super) admin: std::net::TcpListener,
    pub(super) bound: Bound,
}

/// The addresses that were had: a setting may leave the choice of a port to the system.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) data: SocketAddr,
    pub(super) admin: SocketAddr,
}

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({variable}){}", hint(source, variable))]
pub struct BindError {
    address: SocketAddr,
    variable: &'static str,
    source: io::Error,
}

fn hint(error: &io::Error, variable: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let annotation = if variable == "SPILLWAY_DATA_ADDR" { "data-port" } else { "admin-port" };
            format!(
                " (hint: another container of the pod has the port; annotate the pod with config.spillway.dev/{annotation})"
            )
        }
        io::ErrorKind::PermissionDenied => " (hint: choose a port above 1023)".to_owned(),
        _ => String::new(),
    }
}

pub(super) async fn bind(data: SocketAddr, admin: SocketAddr) -> Result<Listeners, BindError> {
    let failed = |address, variable| move |source| BindError { address, variable, source };
    let data_failed = failed(data, "SPILLWAY_DATA_ADDR");
    let admin_failed = failed(admin, "SPILLWAY_ADMIN_ADDR");
    let first = TcpListener::bind(data).await.map_err(data_failed)?;
    let data = first.local_addr().map_err(data_failed)?;
    let second = match other_family(data) {
        None => None,
        // A pod with one address family is normal.
        Some(address) => TcpListener::bind(address)
            .await
            .inspect_err(|error| tracing::debug!(%address, %error, "the other loopback family is not served"))
            .ok(),
    };
    let admin = std::net::TcpListener::bind(admin).map_err(admin_failed)?;
    let bound = Bound { data, admin: admin.local_addr().map_err(admin_failed)? };
    Ok(Listeners { data: std::iter::once(first).chain(second).collect(), admin, bound })
}

fn other_family(data: SocketAddr) -> Option<SocketAddr> {
    let ip = match data.ip() {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => return None,
    };
    Some(SocketAddr::new(ip, data.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 0)
    }

    #[tokio::test]
    async fn loopback_is_served_in_every_family_there_is_on_one_port() {
        let Listeners { data, bound, .. } = bind(any("127.0.0.1"), any("127.0.0.1")).await.unwrap();
        let ports: Vec<_> = data.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
        assert_eq!(ports[0], bound.data.port());
        assert_ne!(ports[0], bound.admin.port());
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_its_variable_and_the_way_out() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let rows = [
            (bind(address, any("127.0.0.1")).await, "SPILLWAY_DATA_ADDR", "config.spillway.dev/data-port"),
            (bind(any("127.0.0.1"), address).await, "SPILLWAY_ADMIN_ADDR", "config.spillway.dev/admin-port"),
        ];
        for (bound, variable, annotation) in rows {
            let error = bound.unwrap_err().to_string();
            for part in [&address.to_string(), variable, annotation] {
                assert!(error.contains(part), "{error} has no {part}");
            }
        }
    }
}
