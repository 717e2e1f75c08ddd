//! What operators see and ask for, through the front door: requests as bytes, answers as they come.

mod api;
mod browser;
mod client;
mod docs;
mod fixture;
mod gates;
mod history;
mod metrics;
mod page;
mod served;
mod status;
