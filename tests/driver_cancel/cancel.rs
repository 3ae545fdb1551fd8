//! A driver that is dropped after any number of polls, and made again: over the same connection, or over another.

use super::drive::Way;
use super::home::{Device, DeviceLink, Home, begin, reconnect};
use super::wire::Habits;
use longlink::Instant;
use longlink::session::Disconnect;
use std::cell::RefCell;
use std::time::Duration;

/// Without a fault all is done long before a heartbeat, whose wake-up would hide one that was lost.
pub(crate) fn check_at_leisure(
    home: &Home,
    device: &RefCell<Device>,
    link: &DeviceLink,
    polls: usize,
) -> Vec<&'static str> {
    let device = device.borrow();
    let settled = device.settled.unwrap_or(Instant::from_secs(1_000));
    assert!(settled < Instant::from_secs(10), "a wake-up was lost: done at {settled:?} after {polls} polls");
    assert_eq!(device.links, ["online", "closed"]);
    assert_eq!(home.service.borrow().greeted, 1);
    device.check(link)
}

#[test]
fn nothing_but_what_has_changed_needs_to_wake_a_driver() {
    for way in Way::ALL {
        for habits in [Habits::PERFECT, Habits::ROUGH] {
            let (mut home, device, mut link) = begin(habits);
            let (over, polls) = way.finish(&mut home, &device, &mut link);
            assert_eq!(over, Ok(Disconnect::Closed), "{way:?}");
            assert_eq!(check_at_leisure(&home, &device, &link, polls), ["replied"; 3]);
        }
    }
}

#[test]
fn a_task_that_is_dropped_after_each_so_many_polls_and_goes_on_loses_and_repeats_nothing() {
    for way in [Way::Task, Way::Whole] {
        for patience in 1.. {
            // Who is asked once only is not to hesitate.
            let (mut home, device, mut link) = begin(Habits { hesitates: patience > 1, ..Habits::ROUGH });
            let (mut polls, mut futures) = (0, 0);
            let over = loop {
                futures += 1;
                if let Some(over) = way.drive(&mut home, &device, &mut link, (patience, true), &mut polls) {
                    break over;
                }
                assert!(polls < 100_000, "{way:?}, dropped after each {patience} polls: no end of it");
                // The time does not stand still until there is another.
                home.go_on_until(Some(home.wire.now() + Duration::from_millis(5)));
            };
            assert_eq!(over, Ok(Disconnect::Closed), "{way:?}, dropped after each {patience} polls");
            assert_eq!(check_at_leisure(&home, &device, &link, polls), ["replied"; 3]);
            if futures == 1 {
                assert!(patience > 100, "{patience} polls are no test");
                break;
            }
        }
    }
}

#[test]
fn a_task_that_is_dropped_at_any_poll_and_goes_on_over_another_connection_loses_and_repeats_nothing() {
    for way in Way::TASKS {
        for arrives in [true, false] {
            for patience in 1.. {
                let (mut home, device, mut link) = begin(Habits::ROUGH);
                let mut polls = 0;
                let over = way.drive(&mut home, &device, &mut link, (patience, false), &mut polls);
                if over.is_some() {
                    break;
                }
                reconnect(&mut home, &device, &mut link, Habits::ROUGH, arrives);
                let (over, _) = way.finish(&mut home, &device, &mut link);
                assert_eq!(over, Ok(Disconnect::Closed), "{way:?}, dropped after {patience} polls");
                device.borrow().check(&link);
                assert_eq!(device.borrow().links.last().unwrap(), "closed");
            }
        }
    }
}
