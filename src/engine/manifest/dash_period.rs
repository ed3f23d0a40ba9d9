//! Where the Periods of an MPD begin, and why (ISO/IEC 23009-1 §5.3.2).
//!
//! A session begins a Period, and so does a configuration within one: neither an initialisation
//! segment nor a timeline goes on there. Whatever else begins one is a [`Cut`] within a session.
//! Which Period a segment belongs to must not change while it is listed, so that a cut has to be
//! known for as long as anything after it is, however long ago it was.

use super::view::View;
use crate::engine::endpoint::DashSettings;
use crate::engine::presentation::{Grid, Joined, Track};
use crate::units::MediaTime;

/// Why a Period begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeriodCause {
    /// A session, or a configuration within one.
    Session,
    /// Numbers are counted anew along the same timeline, which a template without a
    /// `SegmentTimeline` cannot say otherwise.
    Cadence,
}

/// The beginning of a Period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// What Period@start and `presentationTimeOffset` are taken from.
    pub(super) at: MediaTime,
    /// Why it is here.
    pub(super) cause: PeriodCause,
}

/// The cuts within sessions, oldest first.
pub(super) struct Cuts(Vec<Cut>);

impl Cuts {
    /// All that `settings` ask for. The first of `tracks` leads.
    pub(super) fn of(view: &View<'_>, settings: &DashSettings, tracks: &[&Track]) -> Self {
        let mut cuts = Vec::new();
        if !view.template_format(settings).has_timeline() {
            cuts.extend(of_cadence(view, tracks));
        }
        cuts.sort_by_key(|cut: &Cut| cut.at);
        Self(cuts)
    }

    /// The beginning of the Period that `joined` belongs to, which lies on `grid`: the newest that
    /// no more than half of it lies before.
    pub(super) fn period(&self, grid: &Grid, joined: &Joined) -> Cut {
        let session = grid.session_start;
        let begun = |cut: &&Cut| session < cut.at && cut.at <= joined.middle();
        let newest = self.0.iter().rfind(begun).copied();
        newest.unwrap_or(Cut { at: session, cause: PeriodCause::Session })
    }
}

fn of_cadence<'v>(view: &'v View<'_>, tracks: &[&Track]) -> impl Iterator<Item = Cut> + 'v {
    let cadence = tracks.first().map(|track| track.cadence);
    let grids = view.presentation.grids.iter().filter(move |grid| Some(grid.cadence) == cadence);
    grids.map(|grid| Cut { at: grid.first_time(), cause: PeriodCause::Cadence })
}
