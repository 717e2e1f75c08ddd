//! What a balancer knows of its servers, for the process that takes its place: it doesn't begin blind.
//!
//! In: the judge's state. Out: JSON, and from it the same state in another process, whose configuration may be another. Never: a start that
//! fails because of it; what isn't understood is left out, and said.

use super::judge::Judge;
use super::view::Admin;
use crate::fleet::Server;
use crate::health::{Health, Saved};
use serde::{Deserialize, Serialize};

/// What is known of all servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Knowledge {
    servers: Vec<Known>,
}

/// What is known of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    pool: String,
    name: String,
    address: String,
    health: Saved,
    /// `ready`, `drain` or `maint`.
    pub(super) admin: String,
    /// By command.
    pub(super) weight: Option<u32>,
    /// What `adaptive` has learned.
    pub(super) factor: Option<f64>,
}

impl Knowledge {
    /// Reads it. Of nothing, nothing is known.
    pub fn read(bytes: &[u8]) -> Knowledge {
        if bytes.is_empty() {
            return Knowledge::default();
        }
        serde_json::from_slice(bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, "what the old process knows of the servers isn't understood: all begin as up");
            Knowledge::default()
        })
    }

    /// As it is passed on.
    pub fn write(&self) -> Vec<u8> {
        // It is made of text and numbers, which JSON has room for.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What is known of this server.
    pub(super) fn of(&self, server: &Server) -> Option<&Known> {
        let address = server.address.to_string();
        let is = |known: &&Known| {
            known.pool == server.pool && known.name == server.name && known.address == address
        };
        self.servers.iter().find(is)
    }
}

impl Known {
    /// Its health, as it goes on.
    pub(super) fn health(&self) -> Health {
        self.health.clone().restore()
    }

    /// What the operator wants of it.
    pub(super) fn admin(&self) -> Admin {
        let all = [Admin::Ready, Admin::Drain, Admin::Maint];
        all.into_iter().find(|admin| admin.name() == self.admin).unwrap_or_default()
    }
}

impl Judge {
    /// Everything that is known now.
    pub(super) fn knowledge(&self) -> Knowledge {
        let mut servers = Vec::new();
        for (pool, judged) in self.fleet.pools.iter().zip(&self.pools) {
            let factors = judged.adapting.as_ref().map(|adapting| adapting.factors());
            for (n, (server, health)) in pool.servers.iter().zip(judged.health.servers()).enumerate() {
                servers.push(Known {
                    pool: server.pool.clone(),
                    name: server.name.clone(),
                    address: server.address.to_string(),
                    health: health.save(),
                    admin: health.admin().name().to_owned(),
                    weight: self.wish(server).weight,
                    factor: factors.and_then(|factors| factors.get(n).copied()),
                });
            }
        }
        Knowledge { servers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_nothing_and_no_reason_to_fail() {
        for bytes in [&b""[..], b"{", b"{}", br#"{"servers":[{"pool":"web"}]}"#, b"\xff"] {
            assert_eq!(Knowledge::read(bytes), Knowledge::default());
        }
        let nothing = Knowledge::default();
        assert_eq!(Knowledge::read(&nothing.write()), nothing);
    }
}
