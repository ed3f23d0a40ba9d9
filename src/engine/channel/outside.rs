//! What who watches a channel asks of it: when a segment plays. Nothing of this reaches an output
//! byte.

use crate::engine::channel::Channel;
use crate::engine::channel::grid::unwrap_near;
use crate::units::{MediaTime, WallClock};

impl Channel {
    /// The wall clock, by the channel's, of an instant near the live edge in source time; `None`
    /// before the first session.
    #[must_use]
    pub fn wall_of_source(&self, source: MediaTime) -> Option<WallClock> {
        let edge = self.state.leader()?.end;
        let at = unwrap_near(source, self.state.session?.shift, edge);
        self.wall_of_media(at)
    }

    /// The same of an instant in media time.
    #[must_use]
    pub fn wall_of_media(&self, at: MediaTime) -> Option<WallClock> {
        Some(WallClock::from_ticks_90k((at + self.state.clock_offset?).ticks()))
    }
}
