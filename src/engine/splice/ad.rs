//! Which messages are advertisements: `ad_triggers` and `ads_on_delivery_restrictions`, under the
//! names and with the meaning that the `MediaPackage` v1 API gives them.

use crate::engine::scte35::{SegmentationDescriptor, SegmentationType};

/// A kind of message that may be an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdTrigger {
    /// `splice_insert`.
    SpliceInsert,
    /// Break start and end (0x22).
    Break,
    /// Provider advertisement (0x30).
    ProviderAdvertisement,
    /// Distributor advertisement (0x32).
    DistributorAdvertisement,
    /// Provider placement opportunity (0x34).
    ProviderPlacementOpportunity,
    /// Distributor placement opportunity (0x36).
    DistributorPlacementOpportunity,
    /// Provider overlay placement opportunity (0x38).
    ProviderOverlayPlacementOpportunity,
    /// Distributor overlay placement opportunity (0x3A).
    DistributorOverlayPlacementOpportunity,
}

impl AdTrigger {
    /// All, with the API's names.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::SpliceInsert, "SPLICE_INSERT"),
        (Self::Break, "BREAK"),
        (Self::ProviderAdvertisement, "PROVIDER_ADVERTISEMENT"),
        (Self::DistributorAdvertisement, "DISTRIBUTOR_ADVERTISEMENT"),
        (Self::ProviderPlacementOpportunity, "PROVIDER_PLACEMENT_OPPORTUNITY"),
        (Self::DistributorPlacementOpportunity, "DISTRIBUTOR_PLACEMENT_OPPORTUNITY"),
        (Self::ProviderOverlayPlacementOpportunity, "PROVIDER_OVERLAY_PLACEMENT_OPPORTUNITY"),
        (Self::DistributorOverlayPlacementOpportunity, "DISTRIBUTOR_OVERLAY_PLACEMENT_OPPORTUNITY"),
    ];

    /// The one that `name` is the API's name of.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(trigger, _)| trigger)
    }

    /// The one that a type which begins something belongs to.
    const fn of_type(kind: SegmentationType) -> Option<Self> {
        Some(match kind.0 {
            0x22 => Self::Break,
            0x30 => Self::ProviderAdvertisement,
            0x32 => Self::DistributorAdvertisement,
            0x34 => Self::ProviderPlacementOpportunity,
            0x36 => Self::DistributorPlacementOpportunity,
            0x38 => Self::ProviderOverlayPlacementOpportunity,
            0x3a => Self::DistributorOverlayPlacementOpportunity,
            _ => return None,
        })
    }
}

/// `ads_on_delivery_restrictions`: which segmentation descriptors count. `splice_insert` has no
/// such flags and counts under all but `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AdRestrictions {
    /// Nothing is an advertisement.
    None,
    /// Those with delivery restrictions.
    #[default]
    Restricted,
    /// Those without.
    Unrestricted,
    /// All.
    Both,
}

/// What an endpoint takes for an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AdRule {
    /// A bit for each [`AdTrigger`].
    triggers: u16,
    restrictions: AdRestrictions,
}

impl Default for AdRule {
    /// As the API has it: all triggers but breaks and overlays, on restricted delivery.
    fn default() -> Self {
        let triggers = [
            AdTrigger::SpliceInsert,
            AdTrigger::ProviderAdvertisement,
            AdTrigger::DistributorAdvertisement,
            AdTrigger::ProviderPlacementOpportunity,
            AdTrigger::DistributorPlacementOpportunity,
        ];
        Self::new(triggers, AdRestrictions::default())
    }
}

impl AdRule {
    /// A rule for these triggers.
    #[must_use]
    pub fn new(
        triggers: impl IntoIterator<Item = AdTrigger>,
        restrictions: AdRestrictions,
    ) -> Self {
        let triggers = triggers.into_iter().fold(0, |set, trigger| set | 1 << trigger as u16);
        Self { triggers, restrictions }
    }

    const fn has(self, trigger: AdTrigger) -> bool {
        self.triggers & 1 << trigger as u16 != 0
    }

    /// True where a `splice_insert` is an advertisement.
    #[must_use]
    pub fn takes_insert(self) -> bool {
        self.restrictions != AdRestrictions::None && self.has(AdTrigger::SpliceInsert)
    }

    /// True where what `descriptor` begins is an advertisement.
    #[must_use]
    pub fn takes(self, descriptor: &SegmentationDescriptor) -> bool {
        let is_restricted = descriptor.restrictions.is_some();
        let counts = match self.restrictions {
            AdRestrictions::None => false,
            AdRestrictions::Restricted => is_restricted,
            AdRestrictions::Unrestricted => !is_restricted,
            AdRestrictions::Both => true,
        };
        counts && AdTrigger::of_type(descriptor.kind).is_some_and(|trigger| self.has(trigger))
    }
}
