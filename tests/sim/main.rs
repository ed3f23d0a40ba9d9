//! The simulator: worlds of encoders with faults, one or two processes that may die, and viewers,
//! all drawn from a seed and judged after every event.
//!
//! Nothing here takes time or chance from the machine, so that a failure repeats:
//! `HEADWATER_SIM_SEED=1234 cargo test --test sim the_world` lives through one world again and
//! prints what happens in it. `HEADWATER_SIM_SEEDS` sets how many seeds there are over all worlds.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "an allocator that counts")]

mod dice;
mod encoder;
#[allow(dead_code, reason = "peaks are for parsers")]
#[path = "../support/heap.rs"]
mod heap;
mod oracle;
mod origin;
mod repairs;
mod show;
mod trouble;
mod twins;
mod unlike;
mod viewer;
mod week;
mod worlds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds over all worlds, unless the environment says otherwise.
const SEEDS: u64 = 10_000;
/// Failures after which no more worlds are tried.
const FAILURES_MAX: u64 = 20;

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Lives through `world` for its share of the seeds, in per cent, and for those that broke a law
/// once, on every core.
fn seeds(percent: u64, broken_once: &[u64], world: fn(u64, bool)) {
    if let Some(seed) = number_from("HEADWATER_SIM_SEED") {
        world(seed, true);
        return;
    }
    let count = number_from("HEADWATER_SIM_SEEDS").unwrap_or(SEEDS) * percent / 100;
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let live_through = || {
        while failed.load(Ordering::Relaxed) < FAILURES_MAX {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let again = usize::try_from(turn).ok().and_then(|turn| broken_once.get(turn));
            let seed = again.copied().unwrap_or_else(|| turn - broken_once.len() as u64);
            if again.is_none() && seed >= count {
                return;
            }
            // What a world leaves halfway is not looked at again.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world(seed, false))) {
                failed.fetch_add(1, Ordering::Relaxed);
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
                eprintln!("HEADWATER_SIM_SEED={seed}: {}", said.unwrap_or_default());
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(live_through)));
    });
    let failed = failed.into_inner();
    assert_eq!(failed, 0, "seeds whose worlds broke a law are above");
}

#[test]
fn the_laws_hold_whatever_happens() {
    let broken_once = [
        24_277, 39_401, 137_433, 183_593, 259_164, 259_746, 262_906, 270_209, 279_654, 309_698,
        311_015, 339_954, 349_901,
    ];
    seeds(35, &broken_once, worlds::anything);
}

#[test]
fn one_good_copy_is_enough() {
    seeds(35, &[47_388, 51_462, 142_593, 164_045], twins::one_good_copy);
}

#[test]
fn two_origins_say_the_same() {
    seeds(7, &[], twins::two_origins);
}

#[test]
fn two_origins_count_the_same_breaks() {
    seeds(3, &[], twins::two_origins_break);
}

#[test]
fn copies_of_other_bytes_fill_each_others_holes() {
    seeds(5, &[], unlike::other_bytes);
}

#[test]
fn encoders_of_other_boundaries_are_never_mixed() {
    seeds(5, &[], unlike::other_boundaries);
}

#[test]
fn a_clock_that_runs_away_costs_nothing() {
    seeds(2, &[], unlike::other_clocks);
}

#[test]
fn a_break_is_one_discontinuity_at_most() {
    seeds(8, &[], repairs::breaks);
}
