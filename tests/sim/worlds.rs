//! The worlds: who is in them, what may happen, and what must come of it.

use crate::dice::Dice;
use crate::encoder::{Delivery, Plan};
use crate::oracle::brief;
use crate::origin::{Habits, Origin};
use crate::show::{Reel, Shape, Show};
use crate::trouble::{self, Trouble};
use crate::viewer::Viewers;
use headwater::units::InputNumber;

/// Segments of a world, and those at its ends without faults.
const LENGTH: i64 = 18;
const OPENING: i64 = 4;
const CALM: i64 = 6;
const WINDOW_SECONDS: u32 = 20;

fn deliveries(
    show: &Show,
    reel: &mut Reel,
    plans: &[Option<&Plan>; 2],
    dice: &mut Dice,
) -> Vec<Delivery> {
    let inputs = [InputNumber::ONE, InputNumber::TWO];
    let mut all = Vec::new();
    for (plan, input) in plans.iter().zip(inputs) {
        if let Some(plan) = plan {
            all.extend(plan.deliveries(show, reel, input, dice));
        }
    }
    all
}

fn end_ms(show: &Show) -> i64 {
    show.start(show.length) / 90
}

/// Whatever encoders, disks and processes do, the laws of the timeline hold, and once it is over
/// the live edge goes on.
pub fn anything(seed: u64, talks: bool) {
    let mut dice = Dice::new(seed);
    let mut show = Show::draw(&mut dice, LENGTH);
    show.dated = dice.chance(75);
    if dice.chance(15) {
        show.reconfigured = Some(OPENING + dice.roll(8));
    }
    let faulty = (1, LENGTH - CALM);
    let kinds = trouble::draw(&mut dice, trouble::ALL);
    let mut plans = Vec::new();
    for _ in 0..2 {
        let mine: Vec<Trouble> = kinds.iter().copied().filter(|_| dice.chance(70)).collect();
        plans.push(trouble::plan(&show, &mut dice, &mine, faulty));
    }
    let alone = dice.chance(30);
    let dies = dice.pick(&[0, 0, 4]);
    // What waited in the ring of a dead process is old by the wall clock.
    let may_step = show.dated && dies == 0;
    let habits = Habits {
        dies,
        panics: dice.pick(&[0, 0, 0, 2]),
        stalls: dice.pick(&[0, 0, 30]),
        file_records: dice.pick(&[10_000, 10_000, 10]),
        window_seconds: i64::from(WINDOW_SECONDS),
        clock_step_us: if may_step { dice.pick(&[0, 3_600_000_000, -3_600_000_000]) } else { 0 },
        ..Habits::CALM
    };
    if talks {
        println!("{show:?}\n{kinds:?}\n{plans:?}\nalone {alone} {habits:?}");
    }
    let mut reel = Reel::default();
    let second = (!alone).then(|| &plans[1]);
    let all = deliveries(&show, &mut reel, &[Some(&plans[0]), second], &mut dice);
    let mut origin = Origin::new(habits, end_ms(&show));
    origin.talks = talks;
    let mut viewers = Viewers::new(WINDOW_SECONDS);
    let keeps_all = habits.file_records > 1_000;
    let mut publications = 0;
    let mut look = |origin: &mut Origin| {
        publications += 1;
        if publications % 8 == 0 {
            viewers.look(&origin.published, keeps_all);
        }
    };
    origin.run(all, &mut dice, &mut look);
    for (name, shown) in origin.oracle.tracks() {
        let media = shown.entries.iter().rev().find_map(|it| it.media.as_ref());
        let newest = media.map(|media| reel.made[&media.hash].at);
        assert!(newest >= Some(LENGTH - 3), "{name} is at {newest:?}");
    }
    assert_eq!(origin.oracle.tracks().count(), show.track_count(), "tracks");
    let until = origin.ms + 20_000;
    origin.wait_until(until, &mut Dice::new(0), &mut look);
    assert_eq!(origin.forgotten(), [], "neither listed nor dropped");
    origin.oracle.check_all();
    viewers.look_all(&origin.published, keeps_all);
}

/// While one good copy of everything comes in time, nobody sees a fault of either twin.
pub fn twins(seed: u64, talks: bool) {
    let mut dice = Dice::new(seed);
    let show = Show::draw(&mut dice, LENGTH);
    let kinds = trouble::draw(&mut dice, trouble::OF_TWINS);
    let unsound = [Trouble::Damage, Trouble::Death].iter().any(|it| kinds.contains(it));
    let mut plan = || {
        let mut mine = kinds.clone();
        // An unsound copy is not preferred to one that is half a target later.
        mine.retain(|kind| dice.chance(70) && !(unsound && *kind == Trouble::Lag));
        trouble::plan(&show, &mut dice, &mine, (OPENING, LENGTH - CALM / 2))
    };
    let mut plans = [plan(), plan()];
    trouble::leave_one_good(&mut plans, &mut dice);
    let habits = Habits { dies: dice.pick(&[0, 0, 4]), ..Habits::CALM };
    if talks {
        println!("{show:?}\n{kinds:?}\n{plans:?}\n{habits:?}");
    }
    let mut reel = Reel::default();
    let all = deliveries(&show, &mut reel, &[Some(&plans[0]), Some(&plans[1])], &mut dice);
    let mut origin = Origin::new(habits, end_ms(&show));
    origin.talks = talks;
    let mut viewers = Viewers::new(WINDOW_SECONDS);
    let mut publications = 0;
    let mut look = |origin: &mut Origin| {
        publications += 1;
        if publications % 8 == 0 {
            viewers.look(&origin.published, true);
        }
        for (name, shown) in origin.oracle.tracks() {
            let Some(newest) = shown.entries.back() else { continue };
            let Some(media) = &newest.media else {
                panic!("a gap on {name}: {}", brief(newest));
            };
            assert!(!newest.discontinuity, "a discontinuity on {name}: {}", brief(newest));
            let made = reel.made[&media.hash];
            assert!(made.shape == Shape::Whole, "{name}: {} is {made:?}", brief(newest));
        }
    };
    origin.run(all, &mut dice, &mut look);
    origin.oracle.check_all();
    for (name, shown) in origin.oracle.tracks() {
        let at = |it: &headwater::engine::presentation::Listed| {
            it.media.as_ref().map(|media| reel.made[&media.hash].at)
        };
        let all: Vec<Option<i64>> = shown.entries.iter().map(at).collect();
        let first = all[0].expect("it begins with media");
        let whole: Vec<Option<i64>> = (first..LENGTH).map(Some).collect();
        assert_eq!(all, whole, "{name} is not all of the show");
        assert!(first <= OPENING, "{name} begins at {first}");
    }
    viewers.look_all(&origin.published, true);
}
