//! Whom a text is for, from what its source's playlist says of it.

use crate::engine::presentation::TrackInfo;

/// What CHARACTERISTICS tell of a rendition of text (RFC 8216 §4.3.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextPurpose {
    /// It stands for all that is heard.
    pub(super) is_caption: bool,
    /// It is easy to read.
    pub(super) is_easy: bool,
}

impl TextPurpose {
    pub(super) fn of(info: &TrackInfo) -> Self {
        let characteristics = info.characteristics.as_deref().unwrap_or_default();
        let has = |name: &str| characteristics.split(',').any(|it| it.trim() == name);
        Self {
            is_caption: has("public.accessibility.transcribes-spoken-dialog")
                || has("public.accessibility.describes-music-and-sound"),
            is_easy: has("public.easy-to-read"),
        }
    }
}
