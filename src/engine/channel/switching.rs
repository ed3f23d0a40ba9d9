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

    /// Every sequence of six steps over the health of both inputs, with and without fail-back: who
    /// leads is healthy where anybody is, and nobody is left for a preference within the hold-down.
    #[test]
    fn whatever_happens_a_healthy_input_leads_and_choices_are_held() {
        for sequence in 0..4_u32.pow(6) {
            for fail_back in [false, true] {
                let preference = Preference { input: Some(ONE), fail_back };
                let (mut switching, mut active) = (Switching::default(), ONE);
                let (mut healthy_for, mut left) = ([Duration::ZERO; 2], None);
                for step in 0..6 {
                    let now = Monotonic(STEP * step);
                    let bits = sequence / 4_u32.pow(step) % 4;
                    for (at, span) in healthy_for.iter_mut().enumerate() {
                        let healthy = bits >> at & 1 == 1;
                        *span = if healthy { *span + STEP } else { Duration::ZERO };
                    }
                    let spans = |input: InputNumber| healthy_for[input.index()];
                    let view = View {
                        active,
                        active_is_healthy: !spans(active).is_zero(),
                        active_has_jumped: false,
                        active_is_late: false,
                        other_healthy_for: spans(active.other()),
                        other_is_all_there_is: false,
                    };
                    let Some(reason) = switching.decide(now, preference, &view) else {
                        let nobody = healthy_for.iter().all(Duration::is_zero);
                        assert!(view.active_is_healthy || nobody, "{sequence} {step}");
                        continue;
                    };
                    if reason == SwitchReason::FailBack {
                        let held = left.is_some_and(|left| now < left + HOLD_DOWN_SPAN);
                        assert!(fail_back && !held && active != ONE, "{sequence} {step}");
                        assert!(spans(ONE) >= HOLD_DOWN_SPAN, "{sequence} {step}");
                    } else {
                        assert_eq!(reason, SwitchReason::Missing);
                        assert!(!view.active_is_healthy, "{sequence} {step}: sticky");
                    }
                    active = active.other();
                    assert!(!spans(active).is_zero(), "{sequence} {step}");
                    switching.on_switched(now, active);
                    left = Some(now);
                }
            }
        }
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
