//! What must hold, and the search for where it does not.

use super::device::{End, Memory};
use super::world::{Action, Bound, Setup, World};
use stateright::{Checker, Model, Property};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The model of a setup.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub setup: &'static Setup,
    pub bound: Bound,
    /// What has happened before. Its faults are not counted.
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
pub const FENCED: &str = "a link that was replaced delivered a message";
pub const RESUMED: &str = "a greeting said that a message was stored before";
pub const NOTICED: &str = "a device went on in a new epoch";
pub const REJECTED: &str = "a message was rejected";
pub const REPEATED: &str = "a message was stored twice from a state that was not the newest";
pub const DONE: &str = "all was stored and told";
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

impl Delivery {
    fn go(&self, way: Vec<Action>) -> State {
        let faults = self.bound.faults + self.before.iter().map(|action| action.cost()).sum::<u8>();
        let bound = Bound { faults, ..self.bound };
        let processes = usize::from(faults) + 1;
        let mut memory: Vec<Memory> = (0..processes).map(|_| Memory::new()).collect();
        let config = World::config(self.setup);
        let mut world = World::new(self.setup, bound, &config, &mut memory);
        for action in &way {
            world.act(*action);
        }
        let mut text = String::with_capacity(16_384);
        world.fingerprint(&mut text);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let actions = world.actions();
        let marks = marks(&world, self.bound);
        let mut broken = broken(self.setup, &world);
        if broken.is_none() && !world.ends_well() {
            broken = Some("a message does not end");
        }
        broken = broken.or_else(|| self::broken(self.setup, &world));
        let seen = Seen { fingerprint: hasher.finish(), actions, broken, marks };
        State { way, seen: Arc::new(seen) }
    }
}

fn marks(world: &World<'_>, bound: Bound) -> [bool; MARKS] {
    let (device, store) = (&world.device, &world.store);
    let all = 0..bound.messages;
    [
        store.fenced,
        store.resumed,
        device.epoch_lost,
        device.told().any(|(_, end)| end == End::Rejected),
        all.clone().any(|message| store.count(message) > 1),
        all.clone()
            .all(|message| store.count(message) == 1 && device.told().any(|told| told == (message, End::Delivered))),
    ]
}

/// The rule that does not hold, if there is one.
fn broken(setup: &Setup, world: &World<'_>) -> Option<&'static str> {
    let (device, store) = (&world.device, &world.store);
    let stored = |message| store.count(message) > 0;
    for (at, (process, message, end, _)) in device.ended.iter().enumerate() {
        let last = !device.ended[at + 1..].iter().any(|(_, other, ..)| other == message) && *process == device.process;
        let final_word = last && !device.waiting.iter().any(|(waiting, _)| waiting == message);
        match end {
            End::Delivered if !stored(*message) => {
                return Some("a message that was told to be delivered is not stored");
            }
            End::Rejected if final_word && stored(*message) && !device.repeats => {
                return Some("a message that was told to be rejected is stored");
            }
            End::Failed { written: false } | End::Cancelled { written: false }
                if final_word && stored(*message) && !device.repeats =>
            {
                return Some("a message that was told not to be written is stored");
            }
            _ => {}
        }
    }
    let all = &store.stored;
    for (at, (epoch, sequence, message)) in all.iter().enumerate() {
        let before = &all[..at];
        if !device.repeats && before.iter().any(|(_, _, other)| other == message) {
            return Some("a message is stored twice");
        }
        if before.iter().any(|(e, s, _)| (e, s) == (epoch, sequence)) {
            return Some("two messages are stored under one sequence");
        }
        if setup.ordered && before.iter().any(|(e, s, _)| e > epoch || (e == epoch && s > sequence)) {
            return Some("messages are not stored in their order");
        }
    }
    device.broken
}

impl Model for Delivery {
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
            Property::sometimes(FENCED, |_, state: &State| state.seen.marks[0]),
            Property::sometimes(RESUMED, |_, state: &State| state.seen.marks[1]),
            Property::sometimes(NOTICED, |_, state: &State| state.seen.marks[2]),
            Property::sometimes(REJECTED, |_, state: &State| state.seen.marks[3]),
            Property::sometimes(REPEATED, |_, state: &State| state.seen.marks[4]),
            Property::sometimes(DONE, |_, state: &State| state.seen.marks[5]),
        ]
    }
}

/// Goes every way, the short ones first. All of `reached` must be on one.
pub fn explore(model: Delivery, reached: &[&str]) {
    let began = std::time::Instant::now();
    let checker = model.clone().checker().threads(2).spawn_bfs().join();
    let (states, unique, depth) = (checker.state_count(), checker.unique_state_count(), checker.max_depth());
    println!("{model:?}: {unique} states, {states} steps, {depth} at most in a row, {:.1?}", began.elapsed());
    let mut found = checker.discoveries();
    if let Some(path) = found.remove("every rule holds") {
        let state = path.last_state();
        panic!("{} after {:?}", state.seen.broken.unwrap(), state.way);
    }
    let missing: Vec<_> = reached.iter().filter(|name| !found.contains_key(*name)).collect();
    assert!(missing.is_empty(), "the bound is too narrow for: {missing:?}");
}
