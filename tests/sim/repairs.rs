//! Breaks that no other input can hide: each ends in one discontinuity at most, on every track,
//! and the timeline goes on.

use crate::dice::Dice;
use crate::encoder::{Duty, LastRung, Life, Plan};
use crate::origin::Habits;
use crate::show::Show;
use crate::worlds::{CALM, LENGTH, OPENING, World};
use headwater::engine::codec::TrackKind;

/// How the source breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    /// Nobody pushes for a while.
    Away,
    /// The encoders begin anew, with other timestamps.
    Jump,
    /// They begin anew on the same media clock, with other names.
    Renames,
    /// Other parameter sets.
    Reconfigures,
    /// They die with ENDLIST and come back.
    Ends,
    /// The ladder loses its last rung, or gains one.
    RungLeaves,
    RungComes,
}

/// One encoder or two that break together.
pub fn breaks(seed: u64, talks: bool) {
    let mut dice = Dice::new(seed);
    let mut show = Show::draw(&mut dice, LENGTH);
    let kind = dice.pick(&[
        Break::Away,
        Break::Jump,
        Break::Renames,
        Break::Reconfigures,
        Break::Ends,
        Break::RungLeaves,
        Break::RungComes,
    ]);
    if matches!(kind, Break::RungLeaves | Break::RungComes) {
        show.rungs = 2;
    }
    show.dated = dice.chance(70);
    let at = OPENING + dice.roll(LENGTH - CALM - OPENING - 4);
    let mut plan = Plan::sound(&show);
    let back = at + 1 + dice.roll(4);
    let away = usize::try_from(at).unwrap()..usize::try_from(back).unwrap();
    match kind {
        Break::Away => plan.duties[away].fill(Duty::Away),
        Break::Ends => {
            plan.duties[away.clone()].fill(Duty::Away);
            plan.duties[away.start] = Duty::Dies;
            plan.lives.push(Life { from: back, renames: true, jump: 0 });
        }
        Break::Renames => plan.lives.push(Life { from: at, renames: true, jump: 0 }),
        Break::RungLeaves => plan.last_rung = LastRung::Until(at),
        Break::RungComes => plan.last_rung = LastRung::From(at),
        Break::Reconfigures => show.reconfigured = Some(at),
        Break::Jump => {
            let jump = dice.pick(&[-at * show.period, 3_000_000_000, 900_000_000, -900_000]);
            plan.lives.push(Life { from: at, renames: dice.chance(50), jump });
        }
    }
    let mut plans = vec![plan];
    if dice.chance(50) {
        plans.push(plans[0].clone());
    }
    if talks {
        println!("{kind:?} at {at}");
    }
    let habits = Habits { dies: dice.pick(&[0, 0, 3]), ..Habits::CALM };
    let mut world = World::new(&show, habits, talks);
    let all = world.deliveries(&plans, &mut dice);
    world.run(all, &mut dice, &mut |_, _| {});
    world.settle(show.target_ms());
    // A rung that is gone holds nobody up.
    let published = &world.origin.published;
    let newest = published.tracks[0].segments.last().map(|last| last.number);
    let edge = published.set_edges.get(&(TrackKind::Video, published.tracks[0].cadence));
    assert!(edge.copied() >= newest, "DASH is at {edge:?}, and video at {newest:?}");
    world.finish();
    let most = match kind {
        Break::Jump | Break::Reconfigures => 1,
        // What playlists said is not in the ring: to a process that died meanwhile, an encoder that
        // began anew may look like one that jumped.
        _ if habits.dies > 0 => 1,
        // A hole is a gap, and a partial one stays inside.
        _ => 0,
    };
    for (name, shown) in world.tracks() {
        assert!(shown.breaks <= most, "{name}: {} discontinuities after {kind:?}", shown.breaks);
        let made: Vec<i64> =
            shown.entries.iter().filter_map(|it| world.made(it)).map(|made| made.at).collect();
        let good = (0..LENGTH).filter(|&at| {
            let is_there = name != "v2" || plans[0].last_rung.is_there(at);
            is_there && plans[0].is_all_good(usize::try_from(at).unwrap())
        });
        let good: Vec<i64> = good.filter(|&at| at >= OPENING).collect();
        let listed: Vec<i64> = made.iter().copied().filter(|at| good.contains(at)).collect();
        assert!(listed.is_sorted_by(|one, next| one < next), "{name}: {listed:?} is not in order");
        // What both inputs have delivered is not in the ring: a process that died may take the
        // first segment behind a jump for that of one encoder alone.
        let may_lose = usize::from(kind == Break::Jump && habits.dies > 0);
        let lost = good.len() - listed.len();
        assert!(lost <= may_lose, "{name}: of what came whole {lost} are not listed: {listed:?}");
    }
}
