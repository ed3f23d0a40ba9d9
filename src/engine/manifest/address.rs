//! What the names of segments and fragments are made of, read: numbers, hashes, and times, from
//! which the number of an output segment is found.

use super::Absent;
use super::view::View;
use crate::engine::presentation::Track;
use crate::units::{MediaTime, Timescale};

/// Digits as [`super`] writes them: no sign, no leading zero, so that each thing has one URL.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { text.parse().ok() } else { None }
}

/// Eight lower-case hex digits.
pub(super) fn parse_hash(text: &str) -> Option<u32> {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == 8 && text.bytes().all(hex) { u32::from_str_radix(text, 16).ok() } else { None }
}

/// The number of the output segment that begins exactly at `time`, in the timescale of the
/// configuration it is in: one after another is tried, as there is hardly ever more than one.
pub(super) fn number_at(view: &View<'_>, track: &Track, time: i64) -> Result<u64, Absent> {
    let of_track = view.presentation.inits.values().filter(|init| init.track == track.info.id);
    let mut timescales: Vec<Timescale> = Vec::new();
    for timescale in of_track.map(|init| init.config.timescale()) {
        if !timescales.contains(&timescale) {
            timescales.push(timescale);
        }
    }
    let mut newest_passed = false;
    for timescale in timescales {
        let scaled = |start: MediaTime| start.rescale_nearest(timescale);
        let position = track.segments.partition_point(|listed| scaled(listed.start) < time);
        let listed = track.segments.get(position);
        newest_passed |= listed.is_none();
        if position == 0 && track.unread_until.is_some() {
            return Err(Absent::Unread);
        }
        // An entry that lasts nothing begins where the next one does.
        let parts = track.segments.iter_from(position);
        let count = parts.take_while(|listed| scaled(listed.start) == time).count();
        let joins = (position..position + count).map(|position| {
            let joined = view.presentation.joined_at(track, view.seconds, position);
            joined.map(|joined| (joined.position == position, joined.number))
        });
        let joins: Vec<Option<(bool, u64)>> = joins.collect();
        if let Some((_, number)) = joins.iter().flatten().rfind(|(begins, _)| *begins) {
            return Ok(*number);
        }
        match joins.last() {
            Some(Some(_)) => return Err(Absent::Never),
            Some(None) if track.unread_until.is_some() => return Err(Absent::Unread),
            Some(None) => return Err(Absent::NotYet),
            None => {}
        }
    }
    Err(if newest_passed { Absent::NotYet } else { Absent::Never })
}
