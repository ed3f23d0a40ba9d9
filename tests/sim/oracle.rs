//! What must hold of every publication, whatever came in: numbers, times, configurations, and that
//! nothing that was shown ever changes or is forgotten.

use headwater::engine::channel::Recovery;
use headwater::engine::presentation::{Listed, Presentation, Track};
use headwater::units::{MediaTime, TrackId};
use std::collections::{BTreeMap, VecDeque};

/// Entries from the newest back at which late media is looked for in each publication; all are at
/// the end of a world.
const RECENT: usize = 4;

/// What was published so far.
#[derive(Default)]
pub struct Oracle {
    tracks: BTreeMap<String, Shown>,
    clock: Option<MediaTime>,
    last: Presentation,
    /// Configuration of each track in each DASH Period.
    inits: BTreeMap<(TrackId, MediaTime), u32>,
    dropped_file: u64,
    ms: i64,
}

/// What was shown of a track.
#[derive(Default)]
pub struct Shown {
    /// Number of the first entry that is still held, and the entries.
    first: u64,
    pub entries: VecDeque<Listed>,
    /// When each was shown first.
    pub first_ms: VecDeque<i64>,
    /// Discontinuities shown, those before the first entry included.
    pub breaks: u64,
}

impl Shown {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn at(&self, number: u64) -> Option<&Listed> {
        self.entries.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

impl Oracle {
    pub fn tracks(&self) -> impl Iterator<Item = (&str, &Shown)> {
        self.tracks.iter().map(|(name, shown)| (name.as_str(), shown))
    }

    pub fn on_file_dropped(&mut self, file: u64) {
        self.dropped_file = file;
    }

    /// Judges a publication against all before it.
    pub fn check(&mut self, fresh: &Presentation, ms: i64) {
        self.ms = ms;
        for (set, edge) in &self.last.set_edges {
            assert!(fresh.set_edges.get(set) >= Some(edge), "the DASH edge of {set:?} fell");
        }
        assert!(fresh.sound_edge >= self.last.sound_edge, "sound that was given up is waited for");
        for old in &self.last.tracks {
            assert!(fresh.track(&old.info.name).is_some(), "{} is gone", old.info.name);
        }
        if !fresh.tracks.is_empty() {
            let clock = *self.clock.get_or_insert(fresh.clock_offset);
            assert_eq!(clock, fresh.clock_offset, "W is settled once");
        }
        for track in &fresh.tracks {
            self.check_track(fresh, track, RECENT);
        }
        self.last = fresh.clone();
    }

    /// Judges every entry of the last publication again, not just the newest.
    pub fn check_all(&mut self) {
        let last = self.last.clone();
        for track in &last.tracks {
            self.check_track(&last, track, usize::MAX);
        }
    }

    fn check_track(&mut self, fresh: &Presentation, track: &Track, recent: usize) {
        let name = track.info.name.as_str();
        let shown = self.tracks.entry(name.to_owned()).or_default();
        let Some(front) = track.segments.first() else {
            assert!(shown.entries.is_empty() || self.dropped_file > 0, "{name} is empty again");
            return;
        };
        if shown.entries.is_empty() {
            shown.first = front.number;
        }
        assert!(front.number >= shown.first, "{name} has entries from before its beginning");
        let gone = front.number - shown.first;
        assert!(gone == 0 || self.dropped_file > 0, "{name} lost entries that the ring has");
        let newest = track.segments.last().expect("it has a first").number;
        assert!(newest + 1 >= shown.end(), "{name} went back to {newest} from {}", shown.end());
        let known = usize::try_from(shown.end() - front.number).expect("small");
        for entry in track.segments.iter_from(known.saturating_sub(recent)) {
            if let Some(before) = shown.at(entry.number) {
                check_kept(name, before, entry);
            } else {
                assert_eq!(entry.number, shown.end(), "numbers of {name} skip");
                check_next(fresh, name, shown.entries.back(), entry);
                shown.breaks += u64::from(entry.discontinuity);
                shown.entries.push_back(entry.clone());
                shown.first_ms.push_back(self.ms);
            }
            let grid = fresh.grid(entry.grid).expect("listed segments' grids stay");
            let ends = grid.last_number.is_some_and(|last| last < entry.number);
            assert!(!ends, "{name}: {} lies behind its grid's end", brief(entry));
            let at = usize::try_from(entry.number - shown.first).expect("small");
            shown.entries[at] = entry.clone();
            if let Some(media) = &entry.media {
                let key = (track.info.id, grid.session_start);
                let init = *self.inits.entry(key).or_insert(media.init);
                assert_eq!(init, media.init, "{name} has two configurations in one Period");
                assert!(fresh.inits.contains_key(&init), "{name} has no init {init}");
            }
        }
        assert_eq!(track.discontinuity_count, shown.breaks, "discontinuities of {name}");
    }

    /// What the ring holds shows all that was published, unchanged.
    pub fn compare(&self, recovery: &Recovery, published: &Presentation) {
        let (state, mut windows) = recovery.snapshot();
        let found = windows.present(&state);
        for old in &published.tracks {
            let name = &old.info.name;
            // A dropped file takes with it what was listed before its media, too.
            let in_dropped = |it: &Listed| {
                it.media.as_ref().is_some_and(|media| media.payload.file <= self.dropped_file)
            };
            let last_gone = old.segments.iter().rfind(|it| in_dropped(it)).map(|it| it.number);
            let may_go = |it: &Listed| {
                last_gone >= Some(it.number) || self.dropped_file > 0 && it.media.is_none()
            };
            let Some(new) = found.track(name) else {
                assert!(old.segments.iter().all(may_go), "{name} is not in the ring");
                continue;
            };
            let mut kept = new.segments.iter().peekable();
            for before in old.segments.iter() {
                while kept.next_if(|now| now.number < before.number).is_some() {}
                match kept.next_if(|now| now.number == before.number) {
                    Some(now) => check_kept(name, before, now),
                    None => assert!(may_go(before), "{name} {} is lost", before.number),
                }
            }
            assert!(new.discontinuity_count >= old.discontinuity_count);
            assert_eq!(new.info, old.info);
        }
        assert!(published.tracks.is_empty() || found.clock_offset == published.clock_offset);
        for grid in &published.grids {
            let Some(new) = found.grid(grid.id) else { continue };
            let mut new = new.clone();
            new.last_number = new.last_number.filter(|_| grid.last_number.is_some());
            assert_eq!(&new, &**grid, "a grid changed");
        }
    }
}

/// An entry that was shown stays; a gap may come to be media.
fn check_kept(name: &str, before: &Listed, now: &Listed) {
    if before == now {
        return;
    }
    let was = (before.number, before.grid, before.discontinuity);
    assert_eq!(was, (now.number, now.grid, now.discontinuity), "{name}");
    let filled = before.media.is_none() && now.media.is_some();
    assert!(filled, "{name}: {} became {} after it was shown", brief(before), brief(now));
}

/// Time goes on: no overlap beyond a frame, no hole without a gap or a discontinuity.
fn check_next(fresh: &Presentation, name: &str, before: Option<&Listed>, entry: &Listed) {
    assert!(entry.end >= entry.start, "{name}: {} lasts less than nothing", brief(entry));
    let Some(before) = before else { return };
    let what = || format!("{name}: {} after {}", brief(entry), brief(before));
    assert!(entry.start.0 >= before.end.0 - 3_600, "overlap: {}", what());
    let period = fresh.grid(entry.grid).expect("its grid is there").period_ticks();
    // Gaps are numbers without media, each of about a period; the source's last cadence may linger.
    let is_gap = entry.media.is_none();
    assert!(!is_gap || entry.end - entry.start <= MediaTime(2 * period.0), "endless: {}", what());
    let hole = entry.start - before.end;
    assert!(entry.discontinuity || 2 * hole.0 <= 3 * period.0, "hole: {}", what());
}

/// An entry in a few words; times are seconds of the hour.
pub fn brief(entry: &Listed) -> String {
    let seconds = |time: MediaTime| MediaTime(time.0.rem_euclid(3_600 * 90_000)).seconds();
    let (from, to) = (seconds(entry.start), seconds(entry.end));
    let breaks = if entry.discontinuity { " breaks" } else { "" };
    let what = if entry.media.is_some() { "media" } else { "gap" };
    format!("{} {from:.3}..{to:.3} grid {}{breaks} {what}", entry.number, entry.grid)
}
