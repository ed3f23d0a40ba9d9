//! What a channel tells those who operate it. Nothing here shapes a byte of the output.

use crate::engine::channel::alignment::Apart;
use crate::engine::presentation::Flaws;
use crate::units::{InputNumber, TrackId};
use std::fmt;

/// Something that an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first media is listed: the channel is on air.
    Started,
    /// Another input leads.
    InputSwitched {
        /// The input that leads now.
        to: InputNumber,
        /// Why.
        reason: SwitchReason,
    },
    /// A switch by hand was refused: that input has no sound media.
    SwitchRefused(InputNumber),
    /// The inputs' copies of a track were found to be apart, or to be apart otherwise than before:
    /// they are never mixed until they agree again.
    Misaligned {
        /// The track.
        track: TrackId,
        /// The input that does not lead.
        input: InputNumber,
        /// How.
        apart: Apart,
    },
    /// The inputs' copies of a track agree over as many segments as it takes: either may serve.
    Aligned {
        /// The track.
        track: TrackId,
        /// Their bytes are the same, too.
        identical: bool,
    },
    /// A discontinuity lies before what is listed next.
    Discontinuity(Cause),
    /// A grid began without one: the source's cadence moved.
    GridMoved,
    /// Numbers without media were listed.
    Gaps(TrackId, u64),
    /// Late media took a gap's place.
    GapFilled(TrackId),
    /// Media with flaws was listed, for want of a better copy.
    Flawed {
        /// The track.
        track: TrackId,
        /// The input that delivered it.
        input: InputNumber,
        /// What is wrong.
        flaws: Flaws,
    },
    /// A committed segment came too late to be listed.
    Late {
        /// The track.
        track: TrackId,
        /// The input that delivered it.
        input: InputNumber,
    },
    /// A committed segment never found its place.
    Unplaced(String),
    /// An encoder used the name of another segment that is listed.
    NameReused(InputNumber),
    /// A segment was listed half a target ago, and no playlist has named it since.
    PlaylistLate(InputNumber),
    /// A playlist declared a discontinuity before a segment that was listed already, without one.
    DeclaredLate(InputNumber),
    /// Every live input has sent ENDLIST.
    Ended,
}

impl Event {
    /// The kind of thing it is, in a word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started => "start",
            Self::InputSwitched { .. } | Self::SwitchRefused(_) => "switch",
            Self::Misaligned { .. } => "misaligned",
            Self::Aligned { .. } => "aligned",
            Self::Discontinuity(_) => "discontinuity",
            Self::GridMoved => "grid",
            Self::Gaps(..) => "gap",
            Self::GapFilled(_) => "filled",
            Self::Flawed { .. } => "flawed",
            Self::Late { .. } => "late",
            Self::Unplaced(_) => "unplaced",
            Self::NameReused(_) => "name",
            Self::PlaylistLate(_) | Self::DeclaredLate(_) => "playlist",
            Self::Ended => "end",
        }
    }

    /// Whether it is as it should be: nobody has to look into it.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(
            self,
            Self::Started
                | Self::Aligned { .. }
                | Self::GapFilled(_)
                | Self::NameReused(_)
                | Self::Ended
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("on air"),
            Self::InputSwitched { to, reason } => write!(f, "input {to} leads: {}", reason.name()),
            Self::SwitchRefused(input) => {
                write!(f, "input {input} has no sound media to lead with")
            }
            Self::Misaligned { track, input, apart } => {
                write!(f, "track {track}: input {input} is apart, not merged: {apart:?}")
            }
            Self::Aligned { track, identical: true } => {
                write!(f, "track {track}: the inputs are identical")
            }
            Self::Aligned { track, identical: false } => {
                write!(f, "track {track}: the inputs are aligned, coded differently")
            }
            Self::Discontinuity(cause) => write!(f, "discontinuity: {}", cause.name()),
            Self::GridMoved => f.write_str("the source's segment duration moved"),
            Self::Gaps(track, count) => write!(f, "track {track}: {count} segments are missing"),
            Self::GapFilled(track) => write!(f, "track {track}: a late segment in its place"),
            Self::Flawed { track, input, flaws } => {
                write!(f, "track {track}: of input {input}, for want of a better copy: {flaws:?}")
            }
            Self::Late { track, input } => {
                write!(f, "track {track}: of input {input}, too late to be listed")
            }
            Self::Unplaced(name) => write!(f, "{name} belongs nowhere"),
            Self::NameReused(input) => {
                write!(f, "input {input} used a listed segment's name again")
            }
            Self::PlaylistLate(input) => {
                write!(f, "input {input}: no playlist names what is listed of it")
            }
            Self::DeclaredLate(input) => write!(
                f,
                "input {input} declared a discontinuity after its segment was listed: its segments \
                 wait for their playlists from now on"
            ),
            Self::Ended => f.write_str("ended by the source"),
        }
    }
}

/// Why another input leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SwitchReason {
    /// The input that led has missed its deadline.
    Missing,
    /// The input that led went to another timeline, which the other one did not.
    Jumped,
    /// The other input's copies have been the ones in time for a while.
    Late,
    /// Somebody asked for it.
    Manual,
    /// The preferred input has been sound for as long as it takes.
    FailBack,
}

impl SwitchReason {
    /// All of them, in the order of their names here.
    pub const ALL: [Self; 5] =
        [Self::Missing, Self::Jumped, Self::Late, Self::Manual, Self::FailBack];

    /// A word for labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Jumped => "jumped",
            Self::Late => "late",
            Self::Manual => "manual",
            Self::FailBack => "fail_back",
        }
    }
}

/// Why there is a discontinuity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The timestamps of the input that leads jumped, or its encoder began anew.
    Jump,
    /// An input leads now whose media is apart from what was listed.
    Switch,
    /// The decoder's configuration changed.
    Configuration,
    /// The encoder declared one.
    Declared,
}

impl Cause {
    /// All of them, in the order of their names here.
    pub const ALL: [Self; 4] = [Self::Jump, Self::Switch, Self::Configuration, Self::Declared];

    /// A word for labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jump => "jump",
            Self::Switch => "switch",
            Self::Configuration => "configuration",
            Self::Declared => "declared",
        }
    }
}
