//! Extended AAC is announced as what a decoder puts out, though ADTS tells only of its core.

use crate::client::Encoder;
use crate::origin::{Origin, demo};
use crate::playback::{CMAF, DASH, HLS, listed_with};
use crate::probe::{FRAGMENTED, TRANSPORT_STREAM, probe};
use crate::source::{SEGMENT_COUNT, with_sound_of};

#[test]
fn the_extension_is_announced_and_decoders_find_it() {
    for (file, codec, profile, rate) in [
        ("he-aac-v1.aac", "mp4a.40.5", "HE-AAC", "48000"),
        ("he-aac-v2.aac", "mp4a.40.29", "HE-AACv2", "44100"),
    ] {
        let origin = Origin::start(&demo());
        with_sound_of(file).push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
        for (path, name) in [(HLS, TRANSPORT_STREAM), (CMAF, FRAGMENTED), (DASH, FRAGMENTED)] {
            let renditions = listed_with(&origin, path, SEGMENT_COUNT);
            let manifest = origin.get(path).text();
            assert!(manifest.contains(&format!("{codec}\"")), "{manifest}");
            let streams = renditions.iter().flat_map(|it| probe(name, &it.fetched(&origin)));
            let sounds: Vec<_> = streams.filter(|stream| !stream.is_video()).collect();
            assert!(!sounds.is_empty(), "{path} has sound");
            for sound in sounds {
                assert_eq!(sound.about["profile"], profile, "{path}");
                assert_eq!(sound.about["sample_rate"], rate, "{path}");
                assert_eq!(sound.about["channels"], 2, "{path}");
            }
        }
        let mpd = origin.get(DASH).text();
        assert!(mpd.contains(&format!("audioSamplingRate=\"{rate}\"")), "{mpd}");
    }
}
