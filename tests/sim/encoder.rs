//! One encoder: what it pushes to its input and when, by a plan of what goes wrong.

use crate::dice::Dice;
use crate::show::{Body, Make, Reel, Shape, Show};
use headwater::engine::playlist::{MediaPlaylist, Playlist, PlaylistSegment};
use headwater::units::{InputNumber, MediaTime, WallClock};
use std::fmt;
use std::rc::Rc;

/// The wall clock at the show's beginning: 2026-01-01T00:00:00Z.
pub const EPOCH_US: i64 = 1_767_225_600_000_000;
/// Segments that a pushed playlist lists.
const LIST_LENGTH: usize = 5;

/// Something that reaches an input.
#[derive(Clone, Debug)]
pub enum Push {
    List(String, Rc<Playlist>),
    Body(String, Rc<Body>),
}

/// A push with its millisecond.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub at_ms: i64,
    pub input: InputNumber,
    pub push: Push,
}

/// What an encoder does while a segment is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    Works,
    /// It pushes half of the segment with ENDLIST, and is gone.
    Dies,
    Away,
}

/// What becomes of one body. Delays are in ms, beside the encoder's lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It comes in time.
    Comes(i64),
    /// It comes too late for somebody to have waited.
    Late(i64),
    Lost,
    /// It comes, and is not sound.
    Spoilt(Shape),
}

/// An encoder process: from segment `from` on.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub from: i64,
    /// Its names and media sequence numbers begin at 0.
    pub renames: bool,
    /// Its timestamps are so far ahead of what they were.
    pub jump: i64,
}

/// When the ladder has its last rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastRung {
    Always,
    From(i64),
    Until(i64),
}

impl LastRung {
    pub const fn is_there(self, at: i64) -> bool {
        match self {
            Self::Always => true,
            Self::From(first) => at >= first,
            Self::Until(end) => at < end,
        }
    }

    /// The segment with which that changes.
    const fn change(self) -> Option<i64> {
        match self {
            Self::Always => None,
            Self::From(at) | Self::Until(at) => Some(at),
        }
    }
}

/// Everything about one encoder.
#[derive(Clone, Debug)]
pub struct Plan {
    pub make: Make,
    pub lag_ms: i64,
    pub duties: Vec<Duty>,
    /// By segment and rendition.
    pub fates: Vec<Vec<Fate>>,
    pub lives: Vec<Life>,
    /// Per cent of bodies that come once more.
    pub repeated: i64,
    /// From a segment on, per cent of media playlists that don't come.
    pub unlisted: (i64, i64),
    /// Playlists come before what they list.
    pub lists_first: bool,
    /// Its dates are so many microseconds wrong.
    pub date_error_us: i64,
    pub last_rung: LastRung,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { make, lag_ms, repeated, unlisted, lists_first, date_error_us, .. } = self;
        writeln!(f, "{make:?} lag {lag_ms} ms, repeated {repeated} %, unlisted {unlisted:?}")?;
        writeln!(f, "  lists first: {lists_first}, dates wrong by {date_error_us} us")?;
        self.lives[1..].iter().try_for_each(|life| writeln!(f, "  {life:?}"))?;
        for (at, (duty, fates)) in self.duties.iter().zip(&self.fates).enumerate() {
            if *duty != Duty::Works || fates.iter().any(|fate| *fate != Fate::Comes(0)) {
                writeln!(f, "  {at}: {duty:?} {fates:?}")?;
            }
        }
        Ok(())
    }
}

impl Plan {
    /// An encoder without a fault.
    pub fn sound(show: &Show) -> Self {
        let count = usize::try_from(show.length).expect("small");
        Self {
            make: Make::default(),
            lag_ms: 0,
            duties: vec![Duty::Works; count],
            fates: vec![vec![Fate::Comes(0); show.stems().len()]; count],
            lives: vec![Life { from: 0, renames: true, jump: 0 }],
            repeated: 0,
            unlisted: (0, 0),
            lists_first: false,
            date_error_us: 0,
            last_rung: LastRung::Always,
        }
    }

    /// True where segment `at` of rendition `which` comes whole and in time.
    pub fn is_good(&self, at: usize, which: usize) -> bool {
        self.duties[at] == Duty::Works && matches!(self.fates[at][which], Fate::Comes(_))
    }

    /// True where all of segment `at` does.
    pub fn is_all_good(&self, at: usize) -> bool {
        (0..self.fates[at].len()).all(|which| self.is_good(at, which))
    }

    fn life(&self, at: i64) -> Life {
        *self.lives.iter().rfind(|life| life.from <= at).expect("the first one begins at 0")
    }

    /// The life after that of segment `at`.
    fn successor(&self, at: i64) -> Option<Life> {
        self.lives.iter().copied().find(|life| life.from > at)
    }

    /// All that this encoder pushes to `input`, in no order.
    pub fn deliveries(
        &self,
        show: &Show,
        reel: &mut Reel,
        input: InputNumber,
        dice: &mut Dice,
    ) -> Vec<Delivery> {
        let mut all = Vec::new();
        for (which, stem) in show.stems().iter().enumerate() {
            self.push_rendition(show, reel, (which, stem), dice, &mut |at_ms, push| {
                all.push(Delivery { at_ms, input, push });
            });
        }
        // A process tells its ladder with its first segment, and a change of it before.
        let begun = self.lives.iter().map(|life| (life.from, 30));
        for (at, after_ms) in begun.chain(self.last_rung.change().map(|at| (at, -200))) {
            let at_ms = self.made_ms(show, at) + after_ms;
            let rungs = show.rungs - i64::from(!self.last_rung.is_there(at));
            let top = Playlist::Multivariant(show.top(rungs));
            let push = Push::List("channel.m3u8".into(), Rc::new(top));
            all.push(Delivery { at_ms, input, push });
        }
        all
    }

    fn made_ms(&self, show: &Show, at: i64) -> i64 {
        (show.start(at + 1) + self.make.offset) / 90 + self.lag_ms
    }

    fn push_rendition(
        &self,
        show: &Show,
        reel: &mut Reel,
        (which, stem): (usize, &str),
        dice: &mut Dice,
        push: &mut impl FnMut(i64, Push),
    ) {
        let mut listed: Vec<PlaylistSegment> = Vec::new();
        let mut sequence = 0;
        for (index, at) in (0..show.length).enumerate() {
            let life = self.life(at);
            // A process that has ended sends nothing once the next one does.
            let ended_ms = self.successor(at).map(|next| self.made_ms(show, next.from));
            let mut push = |at_ms: i64, what: Push| {
                if ended_ms.is_none_or(|ended_ms| at_ms < ended_ms) {
                    push(at_ms, what);
                }
            };
            if life.from == at && life.renames {
                listed.clear();
                sequence = at;
            }
            let is_last_rung = i64::try_from(which) == Ok(show.rungs - 1);
            if is_last_rung && !self.last_rung.is_there(at) {
                continue;
            }
            let (duty, fate) = (self.duties[index], self.fates[index][which]);
            let made_ms = self.made_ms(show, at) + dice.roll(40);
            let (shape, delay) = match fate {
                _ if duty == Duty::Dies => (Shape::Stump, 0),
                Fate::Spoilt(shape) => (shape, 0),
                Fate::Comes(delay) | Fate::Late(delay) => (Shape::Whole, delay),
                Fate::Lost => (Shape::Whole, 0),
            };
            let make = Make { shift: self.make.shift + life.jump, ..self.make };
            let body = reel.body(show, make, at, which, shape);
            let name = format!("{stem}_{:05}.ts", at - sequence);
            let date = EPOCH_US + (show.start(at) + make.offset) * 100 / 9 + self.date_error_us;
            listed.push(PlaylistSegment {
                uri: name.clone(),
                duration: MediaTime(body.duration),
                date: show.dated.then_some(WallClock(date)),
                program_date_time: show.dated.then_some(WallClock(date)),
                ..PlaylistSegment::default()
            });
            if duty == Duty::Away {
                // Its link is down: playlists to come list what nobody got.
                continue;
            }
            let (from, percent) = self.unlisted;
            if at < from || !dice.chance(percent) || duty == Duty::Dies {
                let list = newest(show, &listed, at - sequence, duty == Duty::Dies);
                let after = if self.lists_first { -20 } else { 20 + delay + dice.roll(60) };
                push(made_ms + after, Push::List(format!("{stem}.m3u8"), Rc::new(list)));
            }
            if fate == Fate::Lost && duty == Duty::Works {
                continue;
            }
            push(made_ms + delay, Push::Body(name.clone(), Rc::clone(&body)));
            if dice.chance(self.repeated) {
                push(made_ms + delay + dice.roll(3_000), Push::Body(name, body));
            }
        }
    }
}

/// The playlist after its segment number `sequence` was made.
pub fn newest(show: &Show, listed: &[PlaylistSegment], sequence: i64, ended: bool) -> Playlist {
    let skip = listed.len().saturating_sub(LIST_LENGTH);
    let first = sequence + 1 - i64::try_from(listed.len() - skip).expect("few");
    Playlist::Media(MediaPlaylist {
        target_duration: show.target_seconds(),
        media_sequence: u64::try_from(first.max(0)).expect("not negative"),
        segments: listed[skip..].to_vec(),
        ended,
        ..MediaPlaylist::default()
    })
}
