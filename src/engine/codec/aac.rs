//! ADTS headers and the `AudioSpecificConfig` they imply.
//!
//! ISO/IEC 14496-3 §1.A.2.2 (ADTS), §1.6.2.1 (`AudioSpecificConfig`). Spectral band replication
//! that the header does not tell of (implicit signalling) stays untold: the configuration is that
//! of the core coder, whose access unit is 1024 samples.

use super::AacConfig;
use crate::engine::bits::BitWriter;

/// Bytes of an ADTS header without its checksum, enough for [`parse_adts`].
pub const ADTS_HEADER_SIZE: usize = 7;

/// Sampling frequencies by index (ISO/IEC 14496-3 table 1.18).
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Bytes that are no ADTS header that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdtsError {
    /// The first 12 bits are not all ones, or the layer is not 0.
    #[error("ADTS sync word expected")]
    NoSync,
    /// A reserved sampling frequency index.
    #[error("ADTS sampling frequency index {0} is reserved")]
    SampleRate(u8),
    /// The channels are described inside the raw data (`channel_configuration` 0).
    #[error("ADTS with a program config element")]
    ChannelsInBand,
    /// More than one raw data block: they cannot be told apart without decoding.
    #[error("ADTS frame of {0} raw data blocks")]
    SeveralBlocks(u8),
    /// The frame is said to be shorter than its header.
    #[error("ADTS frame of {0} bytes")]
    Size(u16),
}

/// One ADTS frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdtsHeader {
    /// Audio object type: profile + 1.
    pub object_type: u8,
    /// Index into the table of sampling frequencies.
    pub rate_index: u8,
    /// `channel_configuration`, 1 to 7.
    pub channel_configuration: u8,
    /// Bytes before the raw data block: 7, or 9 with a checksum.
    pub header_size: usize,
    /// Bytes of the whole frame.
    pub frame_size: usize,
}

/// Reads an ADTS header.
///
/// # Errors
///
/// [`AdtsError`] where it is none, or its frame cannot be used.
pub fn parse_adts(header: &[u8; ADTS_HEADER_SIZE]) -> Result<AdtsHeader, AdtsError> {
    let [sync, flags, profile, channels, size, fullness, blocks] = *header;
    if sync != 0xff || flags & 0xf6 != 0xf0 {
        return Err(AdtsError::NoSync);
    }
    let rate_index = profile >> 2 & 0x0f;
    if usize::from(rate_index) >= SAMPLE_RATES.len() {
        return Err(AdtsError::SampleRate(rate_index));
    }
    let header_size = if flags & 1 == 1 { 7 } else { 9 };
    let frame_size =
        u16::from(channels & 3) << 11 | u16::from(size) << 3 | u16::from(fullness >> 5);
    if usize::from(frame_size) <= header_size {
        return Err(AdtsError::Size(frame_size));
    }
    let channel_configuration = (profile & 1) << 2 | channels >> 6;
    if channel_configuration == 0 {
        return Err(AdtsError::ChannelsInBand);
    }
    if blocks & 3 != 0 {
        return Err(AdtsError::SeveralBlocks((blocks & 3) + 1));
    }
    Ok(AdtsHeader {
        object_type: (profile >> 6) + 1,
        rate_index,
        channel_configuration,
        header_size,
        frame_size: usize::from(frame_size),
    })
}

impl AdtsHeader {
    /// The configuration of the track this frame belongs to.
    #[must_use]
    pub fn config(&self) -> AacConfig {
        let mut specific = BitWriter::default();
        specific.put(u32::from(self.object_type), 5);
        specific.put(u32::from(self.rate_index), 4);
        specific.put(u32::from(self.channel_configuration), 4);
        specific.put(0, 3); // 1024 samples, no core coder, no extension
        AacConfig {
            audio_specific_config: specific.finish(),
            object_type: self.object_type,
            sample_rate: SAMPLE_RATES[usize::from(self.rate_index)],
            channels: match self.channel_configuration {
                7 => 8,
                channels => channels,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stereo_header_at_48_khz() {
        let header = parse_adts(&[0xff, 0xf1, 0x4c, 0x80, 0x2e, 0x7f, 0xfc]).expect("valid");
        assert_eq!(header.frame_size, 0x173);
        let config = header.config();
        assert_eq!(config.audio_specific_config, [0x11, 0x90]);
        assert_eq!((config.sample_rate, config.channels, config.object_type), (48_000, 2, 2));
    }

    #[test]
    fn unusable_headers_say_why() {
        for (header, error) in [
            ([0xff, 0xe1, 0x4c, 0x80, 0x2e, 0x7f, 0xfc], AdtsError::NoSync),
            ([0xff, 0xf3, 0x4c, 0x80, 0x2e, 0x7f, 0xfc], AdtsError::NoSync),
            ([0xff, 0xf1, 0x7c, 0x80, 0x2e, 0x7f, 0xfc], AdtsError::SampleRate(15)),
            ([0xff, 0xf1, 0x4c, 0x00, 0x2e, 0x7f, 0xfc], AdtsError::ChannelsInBand),
            ([0xff, 0xf1, 0x4c, 0x80, 0x2e, 0x7f, 0xfd], AdtsError::SeveralBlocks(2)),
            ([0xff, 0xf1, 0x4c, 0x80, 0x00, 0xe0, 0xfc], AdtsError::Size(7)),
        ] {
            assert_eq!(parse_adts(&header), Err(error));
        }
    }
}
