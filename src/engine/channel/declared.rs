//! Discontinuities that a source declares: `EXT-X-DISCONTINUITY` in its media playlists.
//!
//! Most encoders send a segment before the playlist that lists it. Where the timestamps jump, too,
//! the segment waits for that playlist anyway, as any that may begin a session does. Where they go
//! on, it is listed at once, and what was listed never changes (RFC 8216 §6.2.1): a declaration that
//! comes behind it is told, and changes nothing. Players miss nothing by that, as times and decoder
//! configuration go on. But an input that has done so once does it again, at the next splice: from
//! then on each of its segments waits for its playlist, for half a target at most, and declarations
//! are carried.

use crate::engine::channel::Channel;
use crate::engine::channel::event::Event;
use crate::units::InputNumber;

impl Channel {
    /// A playlist of `input` declares a discontinuity before each of these segments, for the first
    /// time.
    pub(super) fn note_declared(&mut self, input: InputNumber, names: &[String]) {
        if names.iter().any(|name| self.is_listed_unbroken(input, name)) {
            self.inputs.on_late_declaration(input);
            self.events.push(Event::DeclaredLate(input));
        }
    }

    /// True where the input's segment of that name is the leader's newest of it, follows another
    /// one, and there is no discontinuity between the two. An older name may be of an encoder's
    /// former life, and stand for a segment that is yet to come.
    fn is_listed_unbroken(&self, input: InputNumber, name: &str) -> bool {
        let Some(id) = self.leader().map(|leader| leader.info.id) else { return false };
        let newest = self.recent.newest_of(id, input).filter(|newest| newest.1 == name);
        let Some((number, _)) = newest else { return false };
        let before = number.checked_sub(1).and_then(|before| self.listed_number(id, before));
        let listed = self.listed_number(id, number);
        before.is_some() && listed.is_some_and(|listed| !listed.discontinuity)
    }

    /// True where the playlist that lists a candidate may declare a discontinuity before it, and
    /// has not come yet.
    pub(super) fn awaits_declaration(&self, at: usize) -> bool {
        let meta = &self.candidates[at].meta;
        self.inputs.declares_late(meta.input) && self.is_unlisted(meta)
    }
}
