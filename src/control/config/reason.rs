//! Classes of mistakes, by the names that the `MediaPackage` API gives them: what a script that
//! moves a channel looks for in a message.

use std::fmt;

/// Why settings of an endpoint are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Two manifests of an endpoint have one URL.
    ManifestNameCollision,
    /// An endpoint has no manifest.
    NumManifestsLow,
    /// An endpoint has too many.
    NumManifestsHigh,
    /// Transport streams and an MPD in one endpoint.
    TsWithDash,
    /// Transport streams and a Smooth Streaming manifest in one endpoint.
    TsWithMss,
    /// CMAF segments and a Smooth Streaming manifest in one endpoint.
    CmafWithMss,
    /// Smooth Streaming fragments and an MPD in one endpoint.
    IsmWithDash,
    /// A delay that is too short, or leads out of the startover window.
    InvalidTimeDelay,
    /// A source of the time for clients that are not to ask for it.
    DirectModeWithTimingSource,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ManifestNameCollision => "MANIFEST_NAME_COLLISION",
            Self::NumManifestsLow => "NUM_MANIFESTS_LOW",
            Self::NumManifestsHigh => "NUM_MANIFESTS_HIGH",
            Self::TsWithDash => "TS_CONTAINER_TYPE_WITH_DASH_MANIFEST",
            Self::TsWithMss => "TS_CONTAINER_TYPE_WITH_MSS_MANIFEST",
            Self::CmafWithMss => "CMAF_CONTAINER_TYPE_WITH_MSS_MANIFEST",
            Self::IsmWithDash => "ISM_CONTAINER_TYPE_WITH_DASH_MANIFEST",
            Self::InvalidTimeDelay => "INVALID_TIME_DELAY_SECONDS",
            Self::DirectModeWithTimingSource => "DIRECT_MODE_WITH_TIMING_SOURCE",
        })
    }
}

impl Reason {
    /// Of an endpoint with these packages, where the API has a name for that.
    #[must_use]
    pub fn of_packages(set: &[&str]) -> Option<Self> {
        let has = |name: &str| set.contains(&name);
        let pairs = [
            ("hls_package", "dash_package", Self::TsWithDash),
            ("hls_package", "mss_package", Self::TsWithMss),
            ("cmaf_package", "mss_package", Self::CmafWithMss),
            ("dash_package", "mss_package", Self::IsmWithDash),
        ];
        pairs.into_iter().find(|(one, other, _)| has(one) && has(other)).map(|(.., reason)| reason)
    }
}
