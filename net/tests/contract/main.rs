//! The contract between programs and engines (docs/engines.md), as one suite that runs on every engine.
//!
//! Each case is a program that plays both sides of its connections through the seam, so that it needs one
//! lane and runs anywhere: on epoll, on io_uring, and in worlds of many seeds.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
#![cfg_attr(
    not(feature = "os"),
    allow(dead_code, unused_variables, irrefutable_let_patterns, reason = "without the real engines")
)]

mod accepting;
#[cfg(feature = "uring")]
mod burst;
mod chaos;
mod checked;
mod drive;
mod ends;
mod giving_up;
mod halves;
mod lane;
#[cfg(feature = "os")]
mod outsiders;
mod pressure;
#[cfg(feature = "os")]
mod raw;
mod relay;
mod streams;

/// Each case as one test per engine, and per number of worlds.
macro_rules! contract {
    ($($worlds:literal $module:ident::$case:ident;)*) => {
        mod sim {
            use super::drive::On;
            use net::engine::sim::Faults;
            $(
                #[test]
                fn $case() {
                    super::$module::$case(&On::Sim(0, Faults::calm()));
                    for seed in 1..=$worlds {
                        super::$module::$case(&On::Sim(seed, Faults::rough()));
                    }
                }
            )*
        }
        #[cfg(feature = "epoll")]
        mod epoll {
            $(
                #[test]
                fn $case() {
                    super::drive::kernel(net::engine::Engine::Epoll).iter().for_each(super::$module::$case);
                }
            )*
        }
        #[cfg(feature = "uring")]
        mod uring {
            $(
                #[test]
                fn $case() {
                    super::drive::kernel(net::engine::Engine::Uring).iter().for_each(super::$module::$case);
                }
            )*
        }
        #[cfg(feature = "monoio")]
        mod monoio {
            $(
                #[test]
                fn $case() {
                    super::drive::kernel(net::engine::Engine::Monoio).iter().for_each(super::$module::$case);
                }
            )*
        }
        #[cfg(feature = "monoio")]
        mod monoio_epoll {
            $(
                #[test]
                fn $case() {
                    let on = super::drive::kernel(net::engine::Engine::MonoioEpoll);
                    on.iter().for_each(super::$module::$case);
                }
            )*
        }
        #[cfg(feature = "glommio")]
        mod glommio {
            $(
                #[test]
                fn $case() {
                    super::drive::kernel(net::engine::Engine::Glommio).iter().for_each(super::$module::$case);
                }
            )*
        }
    };
}

contract! {
    100 streams::an_echo_returns_everything_in_order;
    100 streams::output_that_waits_for_room_arrives_in_order;
    200 streams::what_one_call_appended_arrives_in_order;
    20 streams::hundreds_of_connections_live_side_by_side;
    50 streams::small_receive_buffers_lose_nothing;
    100 ends::a_close_after_flush_delivers_everything_although_the_peer_still_sends;
    200 ends::a_half_close_still_lets_output_through;
    200 giving_up::a_close_at_once_ends_both_sides;
    100 giving_up::a_reset_is_seen_as_one_and_not_as_an_end;
    50 giving_up::late_completions_reach_nobody;
    20 giving_up::lanes_of_one_process_do_not_meet;
    200 ends::a_reset_is_told_once;
    100 halves::a_finished_side_is_ended_and_still_read;
    200 halves::a_finished_side_is_closed_like_any_other;
    200 ends::a_refused_connect_ends_without_having_opened;
    200 ends::a_connect_that_is_closed_at_once_never_opens;
    200 ends::a_connect_asked_for_in_the_last_call_of_a_turn_is_made;
    50 pressure::a_peer_that_does_not_read_is_not_read;
    20 relay::a_relay_passes_on_more_than_everybody_holds;
    50 pressure::a_pause_delivers_nothing_and_loses_nothing;
    200 lane::deadlines_fire_in_time_order_and_never_early;
    200 lane::mail_arrives_in_order_and_a_full_box_refuses;
    100 lane::an_idle_lane_is_not_called;
    200 lane::a_flooding_peer_does_not_hold_the_lane;
    200 accepting::paused_leaves_peers_waiting_and_off_serves_them_and_then_refuses;
    200 accepting::a_peers_address_is_known_where_it_is_asked_for;
    200 accepting::a_full_lane_leaves_peers_waiting;
    200 chaos::whatever_programs_do_the_contract_holds;
}
