//! Encoders that differ: other bytes for the same segments, other boundaries, other clocks. What
//! fits is taken from either; what does not is never mixed without a discontinuity.

use crate::dice::Dice;
use crate::encoder::{Duty, Plan};
use crate::oracle::brief;
use crate::origin::Habits;
use crate::show::Show;
use crate::trouble::{self, Trouble};
use crate::worlds::{CALM, LENGTH, OPENING, World};

/// Where faults may be.
const FAULTY: (i64, i64) = (OPENING, LENGTH - CALM);

/// Equal boundaries, other bytes: one good copy is enough here, too.
pub fn other_bytes(seed: u64, talks: bool) {
    let mut dice = Dice::new(seed);
    let show = Show::draw(&mut dice, LENGTH);
    let kinds =
        [Trouble::Loss, Trouble::Jitter, Trouble::Away, Trouble::Flapping, Trouble::Repeats];
    let kinds = trouble::draw(&mut dice, &kinds);
    let mut plans = [(); 2].map(|()| trouble::plan(&show, &mut dice, &kinds, FAULTY));
    trouble::leave_one_good(&mut plans, &mut dice);
    plans[1].make.coding = 1;
    let world = lived_through(&show, &plans, &mut dice, talks);
    for (name, shown) in world.tracks() {
        for entry in &shown.entries {
            assert!(entry.media.is_some(), "a gap on {name}: {}", brief(entry));
            assert!(!entry.discontinuity, "a discontinuity on {name}: {}", brief(entry));
        }
        let newest = shown.entries.back().and_then(|it| world.made(it)).map(|made| made.at);
        assert_eq!(newest, Some(LENGTH - 1), "{name}");
    }
}

/// Other boundaries: one encoder at a time, a discontinuity at each change, and no change but for
/// a reason.
pub fn other_boundaries(seed: u64, talks: bool) {
    let mut dice = Dice::new(seed);
    let show = Show::draw(&mut dice, LENGTH);
    let mut plans = [(); 2].map(|()| Plan::sound(&show));
    plans[1].make.coding = 1;
    plans[1].make.offset = show.period * dice.pick(&[30, 50, 70]) / 100;
    let ill = usize::from(dice.chance(50));
    let kind = dice.pick(&[None, Some(Trouble::Away), Some(Trouble::Flapping)]);
    if let Some(kind) = kind {
        plans[ill] =
            Plan { make: plans[ill].make, ..trouble::plan(&show, &mut dice, &[kind], FAULTY) };
    }
    let away = |plan: &Plan| {
        let starts = plan.duties.windows(2);
        starts.filter(|pair| pair[0] != pair[1] && pair[1] == Duty::Away).count()
    };
    let outages = away(&plans[ill]);
    let world = lived_through(&show, &plans, &mut dice, talks);
    for (name, shown) in world.tracks() {
        let mut before = None;
        let mut switches = 0;
        for entry in &shown.entries {
            let Some(made) = world.made(entry) else {
                panic!("a gap on {name}: {}", brief(entry));
            };
            let changed = before.is_some_and(|before| before != made.coding);
            assert_eq!(changed, entry.discontinuity, "{name}: {} is {made:?}", brief(entry));
            switches += usize::from(changed);
            before = Some(made.coding);
        }
        // There is one good encoder throughout: at most one switch is needed, to it.
        assert!(switches <= 1.min(outages), "{name}: {switches} switches in {outages} outages");
    }
    world.check_edge(LENGTH - 2);
}

/// A clock that runs away from the other one's costs the output nothing.
pub fn other_clocks(seed: u64, talks: bool) {
    let mut dice = Dice::new(seed);
    let show = Show::draw(&mut dice, LENGTH);
    let mut plans = [(); 2].map(|()| Plan::sound(&show));
    plans[1].make.coding = dice.pick(&[0, 1]);
    plans[1].make.drift = dice.pick(&[-9_000, -400, 120, 3_000, 20_000]);
    plans[1].lag_ms = 300;
    let world = lived_through(&show, &plans, &mut dice, talks);
    for (name, shown) in world.tracks() {
        for entry in &shown.entries {
            let made = world.made(entry);
            assert!(made.is_some(), "a gap on {name}: {}", brief(entry));
            assert!(!entry.discontinuity, "a discontinuity on {name}: {}", brief(entry));
        }
    }
    world.check_edge(LENGTH - 1);
}

fn lived_through(show: &Show, plans: &[Plan], dice: &mut Dice, talks: bool) -> World {
    let mut world = World::new(show, Habits::CALM, talks);
    let all = world.deliveries(plans, dice);
    world.run(all, dice, &mut |_, _| {});
    world.finish();
    world
}
