//! Which input leads: a choice that sticks.
//!
//! The decision is a pure function of what is known at one moment. How it is carried out depends on
//! [alignment](super::alignment): between aligned inputs nobody notices; otherwise the input that
//! is to lead begins a session, with one discontinuity.

use crate::engine::channel::event::SwitchReason;
use crate::limits::HOLD_DOWN_SPAN;
use crate::units::{InputNumber, Monotonic};
use std::time::Duration;

/// What is known of the inputs at one moment. "Other" is the one that does not lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub struct View {
    /// The input that leads.
    pub active: InputNumber,
    /// It delivers by its deadlines.
    pub active_is_healthy: bool,
    /// It went to another timeline, and the other one carries on.
    pub active_has_jumped: bool,
    /// The other one's copies have been in time first, and differ.
    pub active_is_late: bool,
    /// How long the other input has been healthy without a break; zero where it is not.
    pub other_healthy_for: Duration,
    /// The other input sends something at least, and the one that leads does not.
    pub other_is_all_there_is: bool,
}

/// What the configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preference {
    /// The input that leads where there is a choice: `channel.preferred_input`.
    pub input: Option<InputNumber>,
    /// Go back to it once it has been sound for the hold-down: `channel.fail_back`.
    pub fail_back: bool,
}

/// The memory of a choice.
#[derive(Clone, Debug, Default)]
pub struct Switching {
    /// When it was made.
    switched: Option<Monotonic>,
    /// What somebody asked for and did not get yet.
    requested: Option<InputNumber>,
}

impl Switching {
    /// Somebody wants `input` to lead.
    pub fn request(&mut self, input: InputNumber) {
        self.requested = Some(input);
    }

    /// Takes what was asked for and cannot be had.
    pub fn take_refused(&mut self, view: &View) -> Option<InputNumber> {
        let other = view.active.other();
        self.requested.take_if(|it| *it == other && view.other_healthy_for.is_zero())
    }

    /// Why the other input should lead, if it should.
    #[must_use]
    pub fn decide(
        &self,
        now: Monotonic,
        preference: Preference,
        view: &View,
    ) -> Option<SwitchReason> {
        let other = view.active.other();
        if view.other_is_all_there_is {
            return Some(SwitchReason::Missing);
        }
        if view.other_healthy_for.is_zero() {
            return None;
        }
        if !view.active_is_healthy {
            return Some(SwitchReason::Missing);
        }
        if view.active_has_jumped {
            return Some(SwitchReason::Jumped);
        }
        if self.requested == Some(other) {
            return Some(SwitchReason::Manual);
        }
        let held = self.switched.is_some_and(|switched| now < switched + HOLD_DOWN_SPAN);
        if held {
            return None;
        }
        if view.active_is_late {
            return Some(SwitchReason::Late);
        }
        let is_back = view.other_healthy_for >= HOLD_DOWN_SPAN;
        (preference.fail_back && preference.input == Some(other) && is_back)
            .then_some(SwitchReason::FailBack)
    }

    /// `input` leads from now on.
    pub fn on_switched(&mut self, now: Monotonic, input: InputNumber) {
        self.switched = Some(now);
        self.requested = self.requested.filter(|it| *it != input);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: InputNumber = InputNumber::ONE;
    /// Between the steps of a sequence.
    const STEP: Duration = Duration::from_secs(10);

    /// What is known at one step, drawn from the bits of a number.
    struct Facts(u32);

    impl Facts {
        const fn has(&self, bit: u32) -> bool {
            self.0 >> bit & 1 == 1
        }

        const fn is_healthy(&self, input: InputNumber) -> bool {
            self.has(if input.number() == 1 { 0 } else { 1 })
        }

        /// An input that sends nothing is not healthy.
        fn view(&self, active: InputNumber, healthy_for: [Duration; 2]) -> View {
            View {
                active,
                active_is_healthy: self.is_healthy(active),
                active_has_jumped: self.has(2),
                active_is_late: self.has(3),
                other_healthy_for: healthy_for[active.other().index()],
                other_is_all_there_is: self.has(4) && !self.is_healthy(active),
            }
        }

        const fn is_requested(&self) -> bool {
            self.has(5)
        }
    }

    /// What must be decided: nobody is left for a preference or for being late within the
    /// hold-down, and nobody who is healthy for one that is not.
    fn expected(view: &View, asked: bool, held: bool, fail_back: bool) -> Option<SwitchReason> {
        let other_is_healthy = !view.other_healthy_for.is_zero();
        let is_back = view.active != ONE && view.other_healthy_for >= HOLD_DOWN_SPAN;
        let reasons = [
            (!view.active_is_healthy, SwitchReason::Missing),
            (view.active_has_jumped, SwitchReason::Jumped),
            (asked, SwitchReason::Manual),
            (view.active_is_late && !held, SwitchReason::Late),
            (fail_back && is_back && !held, SwitchReason::FailBack),
        ];
        let first = reasons.into_iter().find(|(is_due, _)| *is_due).map(|(_, reason)| reason);
        first.filter(|_| other_is_healthy || view.other_is_all_there_is)
    }

    /// Decides over a sequence of facts, `span` apart. Returns the reasons there were.
    fn run(facts: &[Facts], span: Duration, fail_back: bool) -> Vec<SwitchReason> {
        let preference = Preference { input: Some(ONE), fail_back };
        let (mut switching, mut active) = (Switching::default(), ONE);
        let (mut healthy_for, mut left) = ([Duration::ZERO; 2], None);
        let (mut now, mut reasons) = (Monotonic::default(), Vec::new());
        for facts in facts {
            now = now + span;
            for input in InputNumber::BOTH {
                let known = healthy_for[input.index()] + span;
                let known = if facts.is_healthy(input) { known } else { Duration::ZERO };
                healthy_for[input.index()] = known;
            }
            let view = facts.view(active, healthy_for);
            let other_is_healthy = facts.is_healthy(active.other());
            if facts.is_requested() {
                switching.request(active.other());
            }
            let refused = switching.take_refused(&view);
            let is_refused = facts.is_requested() && !other_is_healthy;
            assert_eq!(refused, is_refused.then_some(active.other()), "{view:?}");
            let held = left.is_some_and(|left| now < left + HOLD_DOWN_SPAN);
            let reason = switching.decide(now, preference, &view);
            let asked = facts.is_requested() && other_is_healthy;
            assert_eq!(reason, expected(&view, asked, held, fail_back), "{view:?} {held}");
            if reason.is_some() {
                active = active.other();
                switching.on_switched(now, active);
                left = Some(now);
            }
            let nobody = healthy_for.iter().all(Duration::is_zero);
            assert!(nobody || facts.is_healthy(active), "{view:?}: who leads is healthy");
            reasons.extend(reason);
        }
        reasons
    }

    /// Every sequence of six steps over the health of both inputs, and of three over all that can
    /// be known and asked for, with and without fail-back.
    #[test]
    fn whatever_happens_a_healthy_input_leads_and_choices_are_held() {
        let mut seen = Vec::new();
        for (steps, bits, span) in [(6, 2, STEP), (3, 6, HOLD_DOWN_SPAN / 2)] {
            for sequence in 0..1_u32 << (steps * bits) {
                let facts = |step| Facts(sequence >> (step * bits) & ((1_u32 << bits) - 1));
                let facts: Vec<Facts> = (0..steps).map(facts).collect();
                for fail_back in [false, true] {
                    for reason in run(&facts, span, fail_back) {
                        if !seen.contains(&reason) {
                            seen.push(reason);
                        }
                    }
                }
            }
        }
        assert_eq!(seen.len(), SwitchReason::ALL.len(), "{seen:?}");
    }

    #[test]
    fn what_was_asked_for_comes_before_the_hold_down_and_is_refused_where_nothing_is() {
        let view = |other_healthy_for| View {
            active: ONE,
            active_is_healthy: true,
            active_has_jumped: false,
            active_is_late: true,
            other_healthy_for,
            other_is_all_there_is: false,
        };
        let now = Monotonic(STEP);
        let mut switching = Switching::default();
        switching.on_switched(now, ONE);
        let decide = |switching: &Switching, other| {
            switching.decide(now, Preference::default(), &view(other))
        };
        assert_eq!(decide(&switching, STEP), None, "held");
        switching.request(InputNumber::TWO);
        assert_eq!(decide(&switching, STEP), Some(SwitchReason::Manual));
        assert_eq!(switching.take_refused(&view(STEP)), None);
        assert_eq!(switching.take_refused(&view(Duration::ZERO)), Some(InputNumber::TWO));
        assert_eq!(decide(&switching, STEP), None, "forgotten");
    }
}
