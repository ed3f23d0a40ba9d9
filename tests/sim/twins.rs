//! Identical encoders on both inputs: while one good copy of everything comes in time, nobody sees
//! a fault of either, and two origins say the same.

use crate::dice::Dice;
use crate::encoder::{Delivery, Fate, Life, Plan, Push};
use crate::oracle::brief;
use crate::origin::{Habits, Origin};
use crate::show::{Reel, Shape, Show};
use crate::trouble::{self, Trouble};
use crate::viewer::{endpoints, manifests};
use crate::worlds::{CALM, LENGTH, OPENING, WINDOW_SECONDS, World};
use headwater::engine::presentation::Presentation;

/// Segments in a row that both encoders brought whole, after which they count as alike: a few, and
/// those during which late copies of earlier ones may come.
const ALIKE_COUNT: usize = 9;
/// The first segments put the channel on air, and are not compared.
const COMPARED_FROM: usize = 2;

/// Plans of two twins with some of `kinds`, of which one brings a good copy of everything.
fn plans(show: &Show, dice: &mut Dice, kinds: &[Trouble]) -> Vec<Plan> {
    let kinds = trouble::draw(dice, kinds);
    let unsound = [Trouble::Damage, Trouble::Death].iter().any(|it| kinds.contains(it));
    let mut plan = || {
        let mut mine = kinds.clone();
        // An unsound copy is not kept waiting for one that is half a target later.
        mine.retain(|kind| dice.chance(70) && !(unsound && *kind == Trouble::Lag));
        trouble::plan(show, dice, &mine, (OPENING, LENGTH - CALM / 2))
    };
    let mut plans = [plan(), plan()];
    trouble::leave_one_good(&mut plans, dice);
    plans.into()
}

/// Leaves out what comes after the show's end: encoders go on, and do not fall silent together.
fn until_the_end(show: &Show, plans: &[Plan], all: &mut Vec<Delivery>) {
    let lag_ms = plans.iter().map(|plan| plan.lag_ms).max().unwrap_or_default();
    let end_ms = show.start(show.length) / 90 + lag_ms + 200;
    all.retain(|delivery| delivery.at_ms <= end_ms);
}

/// No gap, no discontinuity, no end, nothing that is not whole.
fn judge(origin: &Origin, reel: &Reel) {
    assert!(!origin.published.ended, "one encoder's end is taken for the channel's");
    for (name, shown) in origin.oracle.tracks() {
        let Some(newest) = shown.entries.back() else { continue };
        let Some(media) = &newest.media else { panic!("a gap on {name}: {}", brief(newest)) };
        assert!(!newest.discontinuity, "a discontinuity on {name}: {}", brief(newest));
        let made = reel.made[&media.hash];
        assert!(made.shape == Shape::Whole, "{name}: {} is {made:?}", brief(newest));
    }
}

/// One process, whole and in order from its first segment to the show's last.
pub fn one_good_copy(seed: u64, talks: bool) {
    let mut dice = Dice::new(seed);
    let show = Show::draw(&mut dice, LENGTH);
    let habits = Habits { dies: dice.pick(&[0, 0, 4]), ..Habits::CALM };
    let kinds = trouble::of_twins();
    let plans = plans(&show, &mut dice, &kinds);
    let mut world = World::new(&show, habits, talks);
    let mut all = world.deliveries(&plans, &mut dice);
    until_the_end(&show, &plans, &mut all);
    let arrivals = arrivals_ms(&show, &all);
    world.run(all, &mut dice, &mut judge);
    world.settle(show.target_ms());
    for (name, shown) in world.tracks() {
        let all: Vec<_> = shown.entries.iter().map(|it| world.made(it).map(|it| it.at)).collect();
        let first = all[0].expect("it begins with media");
        let whole: Vec<_> = (first..LENGTH).map(Some).collect();
        assert_eq!(all, whole, "{name} is not all of the show");
        assert!(first <= OPENING, "{name} begins at {first}");
        if habits.dies > 0 {
            continue;
        }
        for (at, &shown_ms) in (first..).zip(&shown.first_ms).skip_while(|it| it.0 <= OPENING) {
            let at = usize::try_from(at).unwrap();
            // Encoders that were alike lately are waited for not at all.
            let lately = at.saturating_sub(ALIKE_COUNT)..at;
            let alike = lately.start >= COMPARED_FROM
                && lately.clone().all(|at| plans.iter().all(|it| it.is_all_good(at)));
            let patience_ms = if alike { 0 } else { show.target_ms() / 2 + 400 };
            let late_ms = shown_ms - arrivals[at];
            assert!(late_ms <= patience_ms, "{name} {at} was shown {late_ms} ms late, {alike}");
        }
    }
    world.finish();
}

/// When the last of the first whole copies of all of segments `0..=n` has come, for each n.
fn arrivals_ms(show: &Show, all: &[Delivery]) -> Vec<i64> {
    let mut latest = 0;
    let stems = show.stems();
    let mut of_segment = |at: i64| {
        for which in 0..stems.len() {
            let copies = all.iter().filter_map(|delivery| match &delivery.push {
                Push::Body(_, body) if (body.at, body.which) == (at, which) => {
                    body.is_whole().then_some(delivery.at_ms)
                }
                _ => None,
            });
            latest = latest.max(copies.min().expect("one good copy comes"));
        }
        latest
    };
    (0..show.length).map(&mut of_segment).collect()
}

/// Two processes with other losses, orders and beginnings give the same bytes from one window on.
pub fn two_origins(seed: u64, talks: bool) {
    let mut dice = Dice::new(seed);
    let show = Show::draw(&mut dice, LENGTH);
    let mut kinds = trouble::of_twins();
    kinds.retain(|kind| !matches!(kind, Trouble::Damage | Trouble::Death));
    let published = [(); 2].map(|()| {
        let plans = plans(&show, &mut dice, &kinds);
        watch(&show, &plans, &mut dice, talks, &mut judge).0
    });
    assert_alike(&published);
}

/// The same where both encoders begin anew, with other timestamps, while both processes listen:
/// they count the same discontinuities.
pub fn two_origins_break(seed: u64, talks: bool) {
    let mut dice = Dice::new(seed);
    let show = Show::draw(&mut dice, LENGTH);
    let at = OPENING + dice.roll(LENGTH - CALM - OPENING);
    let jump = dice.pick(&[-at * show.period, 3_000_000_000, 900_000_000, -900_000]);
    let life = Life { from: at, renames: dice.chance(50), jump };
    let kinds = [Trouble::Loss, Trouble::Jitter, Trouble::Repeats, Trouble::ListsFirst];
    let published = [(); 2].map(|()| {
        let mut plans = plans(&show, &mut dice, &kinds);
        for plan in &mut plans {
            plan.lives.push(life);
            // What tells the break reaches both: else one of them would know it a segment later.
            let told = usize::try_from(at).unwrap()..usize::try_from(at + 3).unwrap();
            plan.fates[told].iter_mut().flatten().for_each(|fate| *fate = Fate::Comes(0));
        }
        let (published, breaks) = watch(&show, &plans, &mut dice, talks, &mut |_, _| {});
        assert!(breaks.iter().all(|&count| count == 1), "{breaks:?} discontinuities at {at}");
        published
    });
    assert_alike(&published);
}

/// What a process publishes that begins at some time before both have run a window, and the
/// discontinuities of its tracks.
fn watch(
    show: &Show,
    plans: &[Plan],
    dice: &mut Dice,
    talks: bool,
    judge: &mut impl FnMut(&Origin, &Reel),
) -> (Presentation, Vec<u64>) {
    let mut world = World::new(show, Habits::CALM, talks);
    let mut all = world.deliveries(plans, dice);
    until_the_end(show, plans, &mut all);
    let began_ms = dice.roll(show.start(OPENING - 2) / 90);
    all.retain(|delivery| delivery.at_ms > began_ms || is_top(delivery));
    world.run(all, dice, judge);
    world.settle(show.target_ms());
    let breaks = world.tracks().map(|(_, shown)| shown.breaks).collect();
    (world.origin.published, breaks)
}

/// Every manifest is the same, the numbers of discontinuities before it included.
fn assert_alike(published: &[Presentation; 2]) {
    for endpoint in endpoints(WINDOW_SECONDS) {
        let [one, other] = published.each_ref().map(|it| manifests(&endpoint, it));
        assert_eq!(one.len(), other.len());
        for ((path, text), (_, twin)) in one.iter().zip(&other) {
            assert_eq!(text, twin, "{path} of {:?}", endpoint.package);
        }
    }
}

/// Encoders send their multivariant playlist once: a process that begins later has been told.
fn is_top(delivery: &Delivery) -> bool {
    matches!(&delivery.push, Push::List(name, _) if name == "channel.m3u8")
}
