//! What all worlds are made of, and the one in which anything may happen.

use crate::dice::Dice;
use crate::encoder::{Delivery, Plan, Push};
use crate::oracle::Shown;
use crate::origin::{Habits, Origin};
use crate::show::{Made, Reel, Show};
use crate::trouble::{self, Trouble};
use crate::viewer::Viewers;
use headwater::engine::presentation::Listed;
use headwater::units::InputNumber;

/// Segments of a world, and those at its ends without faults.
pub const LENGTH: i64 = 18;
pub const OPENING: i64 = 4;
pub const CALM: i64 = 6;
/// Seconds that manifests list.
pub const WINDOW_SECONDS: u32 = 12;
/// Publications between two looks of viewers.
const LOOK_INTERVAL: u64 = 8;

/// One process, who watches it, and everything that was made for it.
pub struct World {
    pub show: Show,
    pub reel: Reel,
    pub origin: Origin,
    pub viewers: Viewers,
    /// The ring has room for more than the windows.
    keeps_all: bool,
    publications: u64,
}

impl World {
    pub fn new(show: &Show, habits: Habits, talks: bool) -> Self {
        let mut origin = Origin::new(habits, show.start(show.length) / 90);
        origin.talks = talks;
        if talks {
            println!("{show:?}\n{habits:?}");
        }
        Self {
            show: show.clone(),
            reel: Reel::default(),
            origin,
            viewers: Viewers::new(WINDOW_SECONDS),
            keeps_all: habits.file_records > 1_000,
            publications: 0,
        }
    }

    /// What encoders with these plans push to the two inputs.
    pub fn deliveries(&mut self, plans: &[Plan], dice: &mut Dice) -> Vec<Delivery> {
        if self.origin.talks {
            for plan in plans {
                println!("{plan}");
            }
        }
        let mut all = Vec::new();
        for (plan, input) in plans.iter().zip([InputNumber::ONE, InputNumber::TWO]) {
            all.extend(plan.deliveries(&self.show, &mut self.reel, input, dice));
        }
        all.sort_by_key(|delivery| delivery.at_ms);
        all
    }

    /// Lives through `all`; `judge` sees every publication.
    pub fn run(
        &mut self,
        all: Vec<Delivery>,
        dice: &mut Dice,
        judge: &mut impl FnMut(&Origin, &Reel),
    ) {
        let Self { reel, origin, viewers, keeps_all, publications, .. } = self;
        origin.run(all, dice, &mut |origin| {
            *publications += 1;
            if publications.is_multiple_of(LOOK_INTERVAL) {
                viewers.look(&origin.published, *keeps_all);
            }
            judge(origin, reel);
        });
    }

    /// Lets time pass in which nothing comes and nothing happens.
    pub fn settle(&mut self, ms: i64) {
        self.origin.calm_down();
        let until = self.origin.ms + ms;
        self.origin.wait_until(until, &mut Dice::new(0), &mut |_| {});
    }

    /// Lets everything that waits be settled: nothing that was kept is forgotten.
    pub fn finish(&mut self) {
        self.settle(20_000);
        assert_eq!(self.origin.forgotten(), [], "neither listed nor dropped");
        self.origin.oracle.check_all();
        self.viewers.look_all(&self.origin.published, self.keeps_all);
    }

    /// What a listed entry's media is; `None` for a gap.
    pub fn made(&self, listed: &Listed) -> Option<Made> {
        listed.media.as_ref().map(|media| self.reel.made[&media.hash])
    }

    pub fn tracks(&self) -> impl Iterator<Item = (&str, &Shown)> {
        self.origin.oracle.tracks()
    }

    /// Every track has gone on at least to segment `at`.
    pub fn check_edge(&self, at: i64) {
        assert_eq!(self.tracks().count(), self.show.track_count(), "tracks");
        for (name, shown) in self.tracks() {
            let newest = shown.entries.iter().rev().find_map(|it| self.made(it));
            let newest = newest.map(|made| made.at);
            assert!(newest >= Some(at), "{name} is at segment {newest:?}, and not at {at}");
        }
    }
}

/// Splits pushes at a time.
pub fn split(all: Vec<Delivery>, ms: i64) -> (Vec<Delivery>, Vec<Delivery>) {
    all.into_iter().partition(|delivery| delivery.at_ms <= ms)
}

/// Whatever encoders, disks and processes do, the laws of the timeline hold, and three targets
/// after it is over every track goes on.
pub fn anything(seed: u64, talks: bool) {
    let mut dice = Dice::new(seed);
    let mut show = Show::draw(&mut dice, LENGTH);
    show.dated = dice.chance(75);
    if dice.chance(15) {
        show.reconfigured = Some(OPENING + dice.roll(8));
    }
    let kinds = trouble::draw(&mut dice, trouble::ALL);
    // Without dates nobody can tell copies that come ages late from an encoder that began anew.
    let is_told = show.dated || !kinds.contains(&Trouble::Late);
    let mut plans = Vec::new();
    for _ in 0..=i64::from(dice.chance(70)) {
        let mine: Vec<Trouble> = kinds.iter().copied().filter(|_| dice.chance(70)).collect();
        plans.push(trouble::plan(&show, &mut dice, &mine, (OPENING, LENGTH - CALM)));
    }
    let dies = dice.pick(&[0, 0, 4]);
    // What waited in the ring of a dead process is old by the wall clock.
    let may_step = show.dated && dies == 0;
    let habits = Habits {
        dies,
        panics: dice.pick(&[0, 0, 0, 2]),
        stalls: dice.pick(&[0, 0, 30]),
        file_records: dice.pick(&[10_000, 10_000, 10]),
        clock_step_us: if may_step { dice.pick(&[0, 3_600_000_000, -3_600_000_000]) } else { 0 },
        ..Habits::CALM
    };
    let mut world = World::new(&show, habits, talks);
    let all = world.deliveries(&plans, &mut dice);
    let healed = LENGTH - CALM;
    let healed_ms = show.start(healed) / 90;
    let lag_ms = plans.iter().map(|plan| plan.lag_ms).max().unwrap_or_default();
    // Late copies of what was made in troubled times are trouble still.
    let is_late =
        |delivery: &&Delivery| matches!(&delivery.push, Push::Body(_, body) if body.at < healed);
    let over_ms = all.iter().filter(is_late).map(|it| it.at_ms).fold(healed_ms, i64::max);
    let (troubled, calm) = split(all, healed_ms);
    let (soon, later) = split(calm, over_ms + lag_ms + 4 * show.target_ms());
    world.run(troubled, &mut dice, &mut |_, _| {});
    world.origin.calm_down();
    // The first segment of the calm takes its own time to be made.
    world.run(soon, &mut dice, &mut |_, _| {});
    if is_told {
        world.check_edge(healed);
    }
    world.run(later, &mut dice, &mut |_, _| {});
    world.settle(over_ms - healed_ms);
    if is_told {
        world.check_edge(LENGTH - 2);
    }
    world.finish();
}
