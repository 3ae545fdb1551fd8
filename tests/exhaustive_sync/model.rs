//! The search for a way on which a rule does not hold.

use super::device::Process;
use super::world::{Action, Bound, Setup, Storage, World};
use stateright::{Checker, Model, Property};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The model of a setup.
#[derive(Clone, Debug)]
pub struct Sync {
    pub setup: &'static Setup,
    pub bound: Bound,
    /// What has happened before.
    pub before: &'static [Action],
}

/// A client cannot be copied, so a state is the way to it, gone anew for each step from it.
#[derive(Clone, Debug)]
pub struct State {
    way: Vec<Action>,
    seen: Arc<Seen>,
}

/// What there is to see at the end of a way.
#[derive(Debug)]
struct Seen {
    fingerprint: u64,
    actions: Vec<Action>,
    broken: Option<&'static str>,
    marks: [bool; MARKS],
}

// What must have been reached for a search to mean something.
pub const RESET: &str = "a device went on in a new epoch";
pub const GAP: &str = "a device was told that something is gone";
pub const COLLECTED: &str = "an item that all have is gone from the mailbox";
pub const LATE: &str = "an answer came after its link was gone";
pub const REPEATED: &str = "an item came twice";
pub const DONE: &str = "all items are on all devices";
const MARKS: usize = 6;

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.seen.fingerprint.hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.seen.fingerprint == other.seen.fingerprint
    }
}

impl Sync {
    fn go(&self, way: Vec<Action>) -> State {
        let count = usize::from(self.bound.devices + self.bound.faults);
        let mut processes: Vec<_> = (0..count).map(|_| Process::new()).collect();
        let mut storage = Storage::new();
        let mut world = World::new(self.setup, self.bound, &mut processes, &mut storage);
        for action in &way {
            world.act(*action);
        }
        let mut text = String::with_capacity(16_384);
        world.fingerprint(&mut text);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let actions = world.actions();
        let marks = marks(&world, self.bound);
        let broken = world.broken().or_else(|| world.ends());
        let seen = Seen { fingerprint: hasher.finish(), actions, broken, marks };
        State { way, seen: Arc::new(seen) }
    }
}

fn marks(world: &World<'_>, bound: Bound) -> [bool; MARKS] {
    let devices = &world.devices;
    [
        world.marks.reset,
        world.marks.gap,
        world.marks.collected,
        world.marks.late_dropped,
        devices.iter().any(|device| device.repeated),
        devices.iter().all(|device| device.stored.items.len() == usize::from(bound.items)),
    ]
}

impl Model for Sync {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.go(self.before.to_vec())]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.seen.broken.is_none() {
            actions.extend(&state.seen.actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let way = state.way.iter().copied().chain([action]).collect();
        Some(self.go(way))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every rule holds", |_, state: &State| state.seen.broken.is_none()),
            Property::sometimes(RESET, |_, state: &State| state.seen.marks[0]),
            Property::sometimes(GAP, |_, state: &State| state.seen.marks[1]),
            Property::sometimes(COLLECTED, |_, state: &State| state.seen.marks[2]),
            Property::sometimes(LATE, |_, state: &State| state.seen.marks[3]),
            Property::sometimes(REPEATED, |_, state: &State| state.seen.marks[4]),
            Property::sometimes(DONE, |_, state: &State| state.seen.marks[5]),
        ]
    }
}

/// Goes every way, the short ones first. All of `reached` must be on one.
pub fn explore(model: Sync, reached: &[&str]) {
    let began = std::time::Instant::now();
    let checker = model.clone().checker().threads(2).spawn_bfs().join();
    let (states, unique, depth) = (checker.state_count(), checker.unique_state_count(), checker.max_depth());
    println!("{:?}: {unique} states, {states} steps, {depth} at most in a row, {:.1?}", model.bound, began.elapsed());
    let mut found = checker.discoveries();
    if let Some(path) = found.remove("every rule holds") {
        let state = path.last_state();
        panic!("{} after {:?}", state.seen.broken.unwrap(), state.way);
    }
    let missing: Vec<_> = reached.iter().filter(|name| !found.contains_key(*name)).collect();
    assert!(missing.is_empty(), "the bound is too narrow for: {missing:?}");
}
