//! The commands that ask a balancer that runs.
//!
//! In: `drain web/a`. Out: what to ask, and where its admin API is. Never: asks it itself.

use super::{Ask, Run};
use crate::config::values::{Form, OrNone, Place, WEIGHT_MAX};
use crate::control::Admin;
use clap::{Args, Subcommand};
use net::address::Address;

#[derive(Subcommand, Clone, Debug)]
pub(super) enum AskOptions {
    /// Lists servers with their state
    Servers(List),
    /// Gives a server nothing new, and lets it finish
    Drain(OneServer),
    /// Gives it work again
    #[command(visible_alias = "enable")]
    Ready(OneServer),
    /// As drain, and stops its checks
    Disable(OneServer),
    /// Sets its weight, 0 to 256, or as configured
    Weigh(Weight),
    /// Reads the file again, without losing a connection
    Reload(Where),
}

#[derive(Args, Clone, Debug)]
pub(super) struct Where {
    /// Where its admin API is
    #[arg(long, value_name = "ADDR", env = "CORELANE_BALANCER_ADMIN", default_value = "127.0.0.1:9090")]
    #[arg(value_parser = AdminText::read)]
    admin: AdminText,
}

#[derive(Args, Clone, Debug)]
pub(super) struct List {
    /// As the balancer sends it, and not as a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

#[derive(Args, Clone, Debug)]
pub(super) struct OneServer {
    /// POOL/NAME, or NAME if only one pool has it
    #[arg(value_name = "SERVER", value_parser = not_empty)]
    server: String,
    #[command(flatten)]
    at: Where,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Weight {
    #[command(flatten)]
    one: OneServer,
    /// 0 to 256, or configured
    #[arg(value_name = "WEIGHT", value_parser = weight)]
    weight: WeightText,
}

/// Where the admin API is, or that there is none.
#[derive(Clone, Debug)]
pub(super) struct AdminText(pub(super) Option<Address>);

impl AdminText {
    pub(super) fn read(text: &str) -> Result<AdminText, String> {
        OrNone::<Place>::read(text).map(AdminText)
    }
}

#[derive(Clone, Debug)]
enum WeightText {
    Configured,
    Fixed(u32),
}

fn weight(text: &str) -> Result<WeightText, String> {
    if text == "configured" {
        return Ok(WeightText::Configured);
    }
    let weight = text.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
    weight
        .map(WeightText::Fixed)
        .ok_or_else(|| format!("write a number from 0 to {WEIGHT_MAX}, or configured"))
}

fn not_empty(text: &str) -> Result<String, String> {
    match text {
        "" => Err("write POOL/NAME, or the NAME of a server that only one pool has".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

impl AskOptions {
    pub(super) fn run(self) -> Result<Run, String> {
        let set = |one: OneServer, admin: Admin| (one.at, Ask::Set { server: one.server, admin });
        let (at, ask) = match self {
            AskOptions::Servers(List { json, at }) => (at, Ask::List { json }),
            AskOptions::Reload(at) => (at, Ask::Reload),
            AskOptions::Drain(one) => set(one, Admin::Drain),
            AskOptions::Ready(one) => set(one, Admin::Ready),
            AskOptions::Disable(one) => set(one, Admin::Maint),
            AskOptions::Weigh(Weight { one, weight }) => {
                let weight = match weight {
                    WeightText::Configured => None,
                    WeightText::Fixed(weight) => Some(weight),
                };
                (one.at, Ask::Weigh { server: one.server, weight })
            }
        };
        match at.admin.0 {
            Some(admin) => Ok(Run::Ask { admin, ask }),
            None => Err("--admin none: a balancer without an admin address can't be asked".to_owned()),
        }
    }
}
