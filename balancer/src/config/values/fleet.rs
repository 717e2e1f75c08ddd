//! How servers, their names and networks are written.
//!
//! In: text. Out: a server with all its options, a name, a network; or one line that says what would be right.

use super::{Form, NAME_BYTES_MAX, NONE, Place};
use crate::config::Server;
use ipnet::IpNet;
use net::address::Address;

/// A network: `10.0.0.0/8`; one address is a network too.
pub(crate) struct Network;

impl Form for Network {
    type Value = IpNet;

    fn read(text: &str) -> Result<IpNet, String> {
        if let Ok(address) = text.parse::<std::net::IpAddr>() {
            return Ok(IpNet::from(address));
        }
        let network: IpNet = text.parse().map_err(|_| {
            format!("`{text}` is no network: write it as in 10.0.0.0/8, 192.0.2.7 or fd00::/8")
        })?;
        // Half of such slips mean the one address, the other half all of the network.
        if network.addr() != network.network() {
            let (one, all) = (network.addr(), network.trunc());
            return Err(format!(
                "`{text}` is ambiguous: write {all} for the network, or {one} for the one address"
            ));
        }
        Ok(network)
    }

    fn show(value: &IpNet) -> String {
        value.to_string()
    }
}

/// A server: `127.0.0.1:5000,weight=2,maxconn=100,name=a`.
pub(crate) struct ServerText;

/// Heaviest server. With 1 as the lightest it spans what pools mix in practice, and a smooth round of all weights stays short.
pub(crate) const WEIGHT_MAX: u32 = 256;

/// Most requests at a time that one server can be given as its limit; more is none.
const MAXCONN_MAX: u32 = 1_000_000;

impl Form for ServerText {
    type Value = Server;

    fn read(text: &str) -> Result<Server, String> {
        let mut parts = text.split(',');
        let address: Address = Place::read(parts.next().unwrap_or_default())?;
        if matches!(&address, Address::Tcp(address) if address.port() == 0) {
            return Err(format!("`{address}` has no port to connect to: 0 is for listening"));
        }
        let mut server = Server::at(address);
        let mut seen = Vec::new();
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if seen.contains(&key) {
                return Err(format!("`{key}` is said twice"));
            }
            seen.push(key);
            match key {
                "weight" => server.weight = number(key, value, WEIGHT_MAX)?,
                "maxconn" => server.maxconn = Some(number(key, value, MAXCONN_MAX)?),
                "name" => server.name = name(value)?,
                _ => {
                    return Err(format!(
                        "`{part}` is no option of a server: behind the address may stand weight=N, maxconn=N and name=NAME"
                    ));
                }
            }
        }
        Ok(server)
    }

    fn show(value: &Server) -> String {
        let mut text = value.address.to_string();
        if value.name != text {
            text.push_str(&format!(",name={}", value.name));
        }
        if value.weight != 1 {
            text.push_str(&format!(",weight={}", value.weight));
        }
        if let Some(maxconn) = value.maxconn {
            text.push_str(&format!(",maxconn={maxconn}"));
        }
        text
    }
}

fn number(key: &str, value: &str, max: u32) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| format!("`{key}` must lie between 1 and {max}, not `{value}`"))
}

/// A name of a pool or server.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(is_part) {
        return Err(format!(
            "`{text}` is no name: up to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.` make one"
        ));
    }
    if text == NONE {
        Err("`none` is no name: it stands for nothing".to_owned())
    } else {
        Ok(text.to_owned())
    }
}
