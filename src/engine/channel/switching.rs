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
