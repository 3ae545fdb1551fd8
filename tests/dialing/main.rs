//! The client that comes by its links itself, in virtual time, with real servers at the other end.
//!
//! What has gone wrong in links of this kind, and where it is shown that it does not here:
//!
//! | accident | tests |
//! |---|---|
//! | a link on which bytes crawl is taken for dead | `heartbeat::a_link_over_which_bytes_crawl_is_never_closed`, `heartbeat::a_heartbeat_behind_a_long_push_on_a_thin_link_is_waited_for` |
//! | pushes keep a network awake, and the search takes that for its limit | `heartbeat::pushes_that_keep_a_network_awake_prove_nothing_of_its_limit` |
//! | a server's idle time-out is learned as the network's | `heartbeat::a_server_that_ends_silent_links_is_not_taken_for_a_network_that_forgets_them` |
//! | after ten minutes without a network all addresses are banned | `again::a_network_that_was_down_for_ten_minutes_leaves_no_bans_and_costs_one_attempt` |
//! | where nothing is answered before the greeting nobody ever wins | all of `greeting` |
//! | a night's sleep is taken for failures, or a dead link for a fresh one | all of `sleep`, `resets` |
//! | messages of a dormant device never end | `background::a_dormant_device_says_how_much_is_unsettled_and_each_message_ends_by_its_lifetime` |
//! | a server that sends clients away is overrun when they come back | `again::nothing_but_force_and_new_addresses_beats_the_delay_of_a_goaway`; the crowd itself in `tests/reconnect.rs` |
//! | a server that greets and ends is met at the speed of the network | `again::a_server_that_greets_and_ends_is_met_ever_more_seldom` |
//! | two devices of one name throw each other out | `again::two_devices_of_one_name_greet_a_few_times_an_hour` |
//! | a store that stalls costs links that live | `heartbeat::messages_that_are_not_answered_do_not_end_a_link_whose_heartbeat_is` |
//! | two peers answer each other's heartbeats for ever | `heartbeat::two_that_are_happy_to_send_heartbeats_do_not_ring_for_ever` |
//! | of three addresses two are dead | `rounds::one_living_address_of_three_is_enough_for_three_seconds` |
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod again;
mod background;
mod bustle;
mod greeting;
mod heartbeat;
mod life;
mod moving;
mod networks;
mod races;
mod resets;
mod rounds;
mod sleep;
#[path = "../support/mod.rs"]
mod support;
mod timers;
