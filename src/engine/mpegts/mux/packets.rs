//! Transport packets and PES packet headers (ISO/IEC 13818-1 §2.4.3).

/// Bytes of a transport packet.
pub const PACKET_SIZE: usize = 188;
/// Bytes of a transport packet after its header.
pub const PAYLOAD_SIZE: usize = PACKET_SIZE - 4;

/// PID of the program association table.
pub const PAT_PID: u16 = 0;
/// PID of the only program's map.
pub const PMT_PID: u16 = 0x1000;
/// PID of the first elementary stream; the others follow.
pub const FIRST_STREAM_PID: u16 = 0x100;

/// Bits of the adaptation field's second byte (§2.4.3.4).
const DISCONTINUITY: u8 = 0x80;
const RANDOM_ACCESS: u8 = 0x40;
const CLOCK_REFERENCE: u8 = 0x10;

/// `PTS_DTS_flags` in the PES header's second flag byte.
const HAS_PTS: u8 = 0x80;
const HAS_DTS: u8 = 0x40;

/// 33 bits, which is what a time stamp has.
const TIMESTAMP_MASK: i64 = (1 << 33) - 1;

/// Times of a PES packet in ticks of 90 kHz, not yet cut to 33 bits.
#[derive(Clone, Copy, Debug)]
pub struct Timestamps {
    /// PTS.
    pub presentation: i64,
    /// DTS.
    pub decode: i64,
    /// Program clock reference, where this packet carries one.
    pub clock: Option<i64>,
}

/// Appends transport packets and counts them per PID.
pub struct PacketWriter {
    out: Vec<u8>,
    pat: Pid,
    pmt: Pid,
    streams: Vec<Pid>,
    header: Vec<u8>,
}

/// A PID and its continuity counter; `None` before its first packet.
#[derive(Clone, Copy)]
struct Pid {
    number: u16,
    last_counter: Option<u8>,
}

/// The content of a packet's adaptation field, before stuffing.
#[derive(Clone, Copy, Default)]
struct AdaptationField {
    flags: u8,
    clock: Option<i64>,
}

impl PacketWriter {
    /// An empty writer for `stream_count` elementary streams with room for `capacity` bytes.
    pub fn new(stream_count: usize, capacity: usize) -> Self {
        let pid = |number| Pid { number, last_counter: None };
        let streams = (FIRST_STREAM_PID..PMT_PID).take(stream_count).map(pid).collect();
        Self {
            out: Vec::with_capacity(capacity),
            pat: pid(PAT_PID),
            pmt: pid(PMT_PID),
            streams,
            header: Vec::new(),
        }
    }

    /// The packets.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Writes the association table's section into packets.
    pub fn write_pat(&mut self, section: &[u8]) {
        write_section(&mut self.out, &mut self.pat, section);
    }

    /// Writes the program map's section into packets.
    pub fn write_pmt(&mut self, section: &[u8]) {
        write_section(&mut self.out, &mut self.pmt, section);
    }

    /// Writes a PES packet of stream `index` around `elementary`.
    ///
    /// A packet too long for the 16-bit length is written without one, which only video may be
    /// (§2.4.3.7); audio's are cut short of it.
    pub fn write_pes(
        &mut self,
        index: usize,
        stream_id: u8,
        times: Timestamps,
        random_access: bool,
        elementary: &[u8],
    ) {
        self.header.clear();
        write_pes_header(&mut self.header, stream_id, times, elementary.len());
        let mut field = AdaptationField { flags: 0, clock: times.clock };
        if random_access {
            field.flags |= RANDOM_ACCESS;
        }
        let pid = &mut self.streams[index];
        write_packets(&mut self.out, pid, field, &self.header, elementary);
    }
}

/// Packets that carry one section behind a zero `pointer_field` (§2.4.4.1), filled up with 0xff.
fn write_section(out: &mut Vec<u8>, pid: &mut Pid, section: &[u8]) {
    let field_size = if pid.last_counter.is_none() { 2 } else { 0 };
    let mut padded = section.to_vec();
    let packets = (field_size + 1 + section.len()).div_ceil(PAYLOAD_SIZE);
    padded.resize(packets * PAYLOAD_SIZE - field_size - 1, 0xff);
    write_packets(out, pid, AdaptationField::default(), &[0], &padded);
}

/// Spreads `head` and `body` over packets of `pid`, the first of which begins the payload unit and
/// has `field`; what is missing in the last is stuffing.
fn write_packets(
    out: &mut Vec<u8>,
    pid: &mut Pid,
    mut field: AdaptationField,
    head: &[u8],
    body: &[u8],
) {
    if pid.last_counter.is_none() {
        field.flags |= DISCONTINUITY;
    }
    let room = PAYLOAD_SIZE - field.size();
    let (first, mut rest) = body.split_at(body.len().min(room - head.len()));
    let stuffing = room - head.len() - first.len();
    write_header(out, pid, true, field.size() + stuffing > 0);
    field.write(out, stuffing);
    out.extend_from_slice(head);
    out.extend_from_slice(first);

    while let Some((full, after)) = rest.split_at_checked(PAYLOAD_SIZE) {
        write_header(out, pid, false, false);
        out.extend_from_slice(full);
        rest = after;
    }
    if !rest.is_empty() {
        write_header(out, pid, false, true);
        AdaptationField::default().write(out, PAYLOAD_SIZE - rest.len());
        out.extend_from_slice(rest);
    }
}

/// The four bytes that begin every packet (§2.4.3.2).
fn write_header(out: &mut Vec<u8>, pid: &mut Pid, unit_start: bool, has_field: bool) {
    let counter = pid.last_counter.map_or(0, |last| (last + 1) & 0x0f);
    pid.last_counter = Some(counter);
    let [high, low] = pid.number.to_be_bytes();
    let control = if has_field { 0x30 } else { 0x10 };
    out.extend_from_slice(&[0x47, u8::from(unit_start) << 6 | high, low, control | counter]);
}

impl AdaptationField {
    /// Bytes without stuffing; zero where the field says nothing.
    fn size(self) -> usize {
        match (self.flags, self.clock) {
            (0, None) => 0,
            (_, None) => 2,
            (_, Some(_)) => 8,
        }
    }

    /// Appends the field, made longer by `stuffing` bytes; nothing where both are empty.
    fn write(self, out: &mut Vec<u8>, stuffing: usize) {
        let size = self.size() + stuffing;
        let Some(length) = size.checked_sub(1) else { return };
        let end = out.len() + size;
        out.push(u8::try_from(length).expect("a packet is shorter than 256 bytes"));
        // A field of length zero is one byte of stuffing.
        if length > 0 {
            let clock_flag = if self.clock.is_some() { CLOCK_REFERENCE } else { 0 };
            out.push(self.flags | clock_flag);
        }
        if let Some(clock) = self.clock {
            // 33 bits of base, six reserved, nine of extension, which is zero.
            let field = u64::try_from(clock & TIMESTAMP_MASK).unwrap_or(0) << 15 | 0x7e00;
            out.extend_from_slice(&field.to_be_bytes()[2..]);
        }
        out.resize(end, 0xff);
    }
}

/// A PES header with the times it needs (§2.4.3.6).
fn write_pes_header(out: &mut Vec<u8>, stream_id: u8, times: Timestamps, payload_size: usize) {
    let (presentation, decode) = (times.presentation, times.decode);
    let (flags, field_size) =
        if presentation == decode { (HAS_PTS, 5) } else { (HAS_PTS | HAS_DTS, 10) };
    let length = u16::try_from(payload_size + 3 + field_size).unwrap_or(0);
    out.extend_from_slice(&[0, 0, 1, stream_id]);
    out.extend_from_slice(&length.to_be_bytes());
    // '10', data_alignment_indicator: an access unit begins with the payload.
    out.extend_from_slice(&[0x84, flags, if presentation == decode { 5 } else { 10 }]);
    if presentation == decode {
        write_timestamp(out, 0x2, presentation);
    } else {
        write_timestamp(out, 0x3, presentation);
        write_timestamp(out, 0x1, decode);
    }
}

/// A time stamp of 33 bits in five bytes: 3, 15 and 15 of them, each followed by a marker bit.
fn write_timestamp(out: &mut Vec<u8>, prefix: u64, ticks: i64) {
    let ticks = u64::try_from(ticks & TIMESTAMP_MASK).unwrap_or(0);
    let bits = prefix << 36
        | (ticks >> 30 & 0x7) << 33
        | (ticks >> 15 & 0x7fff) << 17
        | (ticks & 0x7fff) << 1
        | 1 << 32
        | 1 << 16
        | 1;
    out.extend_from_slice(&bits.to_be_bytes()[3..]);
}

#[cfg(test)]
mod tests;
