//! What goes wrong with an encoder. A world draws which kinds of trouble there are (swarm testing:
//! few kinds at a time, but every mixture), then how much of each.

use crate::dice::Dice;
use crate::encoder::{Duty, Fate, Life, Plan};
use crate::show::{Shape, Show};

/// Kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Single bodies never come.
    Loss,
    /// Bodies are delayed within reason: they overtake each other.
    Jitter,
    /// Bodies come so late that nobody waited.
    Late,
    /// Bodies come twice.
    Repeats,
    /// Bodies lost packets, or begin without a random access point.
    Damage,
    /// The encoder dies in a segment, pushes the stump and ENDLIST, and is away for a while.
    Death,
    /// The link is down for a while, or every few segments.
    Away,
    Flapping,
    /// Media playlists don't come, or come before what they list.
    Unlisted,
    ListsFirst,
    /// All of this encoder's pushes come that much later.
    Lag,
    /// A new process begins names and sequence numbers at 0 on the same media clock.
    Renames,
}

/// Everything, but timestamps that jump: those have a world of their own, in which nothing else
/// goes wrong.
pub const ALL: &[Trouble] = &[
    Trouble::Loss,
    Trouble::Jitter,
    Trouble::Late,
    Trouble::Repeats,
    Trouble::Damage,
    Trouble::Death,
    Trouble::Away,
    Trouble::Flapping,
    Trouble::Unlisted,
    Trouble::ListsFirst,
    Trouble::Lag,
    Trouble::Renames,
];

/// What a twin may suffer while the other one is sound: none of it costs the output anything.
pub fn of_twins() -> Vec<Trouble> {
    ALL.to_vec()
}

/// Draws some of `kinds`: each world has a share of its own.
pub fn draw(dice: &mut Dice, kinds: &[Trouble]) -> Vec<Trouble> {
    let share = dice.pick(&[0, 15, 30, 60]);
    kinds.iter().copied().filter(|_| dice.chance(share)).collect()
}

/// An encoder with `troubles` in segments `from..to`.
pub fn plan(show: &Show, dice: &mut Dice, troubles: &[Trouble], (from, to): (i64, i64)) -> Plan {
    let mut plan = Plan::sound(show);
    for &trouble in troubles {
        afflict(&mut plan, show, dice, trouble, (from, to));
    }
    plan
}

fn index(at: i64) -> usize {
    usize::try_from(at).expect("not negative")
}

fn afflict(plan: &mut Plan, show: &Show, dice: &mut Dice, kind: Trouble, (from, to): (i64, i64)) {
    let target = show.target_ms();
    let at = from + dice.roll(to - from);
    match kind {
        Trouble::Loss => some_fates(plan, dice, (from, to), |_| Fate::Lost),
        Trouble::Late => some_fates(plan, dice, (from, to), |dice| {
            Fate::Late(2 * target + dice.roll(3 * target))
        }),
        Trouble::Damage => some_fates(plan, dice, (from, to), |dice| {
            Fate::Spoilt(dice.pick(&[Shape::Damaged, Shape::Blind, Shape::Stump]))
        }),
        Trouble::Jitter => {
            let most = target * 3 / 10;
            for fate in plan.fates[index(from)..index(to)].iter_mut().flatten() {
                *fate = if *fate == Fate::Comes(0) { Fate::Comes(dice.roll(most)) } else { *fate };
            }
        }
        Trouble::Repeats => plan.repeated = dice.pick(&[10, 40]),
        Trouble::Death => {
            plan.duties[index(at)] = Duty::Dies;
            let back = (at + 1 + dice.roll(6)).min(to);
            plan.duties[index(at + 1).min(index(to))..index(back)].fill(Duty::Away);
            plan.lives.push(Life { from: back, renames: dice.chance(50), jump: 0 });
        }
        Trouble::Away => {
            let back = (at + 1 + dice.roll(5)).min(to);
            plan.duties[index(at)..index(back)].fill(Duty::Away);
        }
        Trouble::Flapping => {
            let (up, down) = (1 + dice.roll(2), 1 + dice.roll(2));
            for at in (from..to).filter(|at| (at - from) % (up + down) >= up) {
                plan.duties[index(at)] = Duty::Away;
            }
        }
        Trouble::Unlisted => plan.unlisted = (from, dice.pick(&[20, 50])),
        Trouble::ListsFirst => plan.lists_first = true,
        Trouble::Lag => plan.lag_ms = dice.roll(target * 9 / 10),
        Trouble::Renames => plan.lives.push(Life { from: at, renames: true, jump: 0 }),
    }
    plan.lives.sort_by_key(|life| life.from);
}

fn some_fates(
    plan: &mut Plan,
    dice: &mut Dice,
    (from, to): (i64, i64),
    mut fate: impl FnMut(&mut Dice) -> Fate,
) {
    let share = dice.pick(&[5, 15, 40]);
    for one in plan.fates[index(from)..index(to)].iter_mut().flatten() {
        if dice.chance(share) {
            *one = fate(dice);
        }
    }
}

/// Mends the plans of two twins until a good copy of everything comes, and no unsound one gets
/// ahead of it while the other encoder is not known to be well.
pub fn leave_one_good(plans: &mut [Plan; 2], dice: &mut Dice) {
    for at in 0..plans[0].duties.len() {
        for which in 0..plans[0].fates[at].len() {
            if !plans.iter().any(|plan| plan.is_good(at, which)) {
                let mended = &mut plans[usize::from(dice.chance(50))];
                mended.duties[at] = Duty::Works;
                mended.fates[at][which] = Fate::Comes(0);
            }
        }
        for one in 0..2 {
            let well = (at.saturating_sub(3)..=at).all(|at| plans[1 - one].is_all_good(at));
            if well {
                continue;
            }
            if plans[one].duties[at] == Duty::Dies {
                plans[one].duties[at] = Duty::Away;
            }
            for fate in &mut plans[one].fates[at] {
                if matches!(fate, Fate::Spoilt(_)) {
                    *fate = Fate::Lost;
                }
            }
        }
    }
}
