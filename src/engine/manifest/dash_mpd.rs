//! What the parts of an MPD are written from: its settings at one moment, and Representations.

use super::dash_timeline::Run;
use super::text::push_hash;
use super::view::View;
use crate::engine::endpoint::{DashProfile, DashSettings, ManifestLayout, SegmentTemplateFormat};
use crate::engine::presentation::TrackInfo;

/// What all parts of one MPD are written from.
pub(super) struct Mpd<'v> {
    pub(super) view: &'v View<'v>,
    pub(super) settings: &'v DashSettings,
    /// How its segments are addressed.
    pub(super) format: SegmentTemplateFormat,
    /// What every init and segment URL begins with.
    pub(super) base: String,
    /// Its own file's base name.
    pub(super) name: &'v str,
    /// From its own place to the endpoint's.
    pub(super) climb: String,
    /// Seconds that it lists, if it slides.
    pub(super) window: u32,
    /// Nothing will be added to it.
    pub(super) is_complete: bool,
}

/// A Representation of a Period.
pub(super) struct Representation<'a> {
    pub(super) info: &'a TrackInfo,
    pub(super) run: &'a Run,
}

/// What tells Representations apart in URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// The track's name, which is its id; the hash follows it in each template.
    Track,
    /// `$RepresentationID$`: the id is name and hash.
    RepresentationId,
}

impl Naming {
    pub(super) fn representation_id(self, representation: &Representation<'_>) -> String {
        let mut id = representation.info.name.clone();
        if self == Self::RepresentationId {
            id.push('_');
            push_hash(&mut id, representation.run.hash);
        }
        id
    }
}

impl Mpd<'_> {
    /// True where every set says what it is for, not sound alone.
    pub(super) fn names_roles(&self) -> bool {
        matches!(self.settings.profile, DashProfile::Hbbtv15 | DashProfile::DvbDash2014)
    }

    /// How its templates tell Representations apart.
    pub(super) fn naming(&self) -> Naming {
        match self.settings.manifest_layout {
            ManifestLayout::Full => Naming::Track,
            ManifestLayout::Compact | ManifestLayout::DrmTopLevelCompact => {
                Naming::RepresentationId
            }
        }
    }

    /// True where ETSI TS 103 285 says how it is written.
    pub(super) fn is_dvb(&self) -> bool {
        self.settings.profile == DashProfile::DvbDash2014
    }
}
