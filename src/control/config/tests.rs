//! Configurations, good and bad, with the exact words for each mistake.

use super::*;
use crate::engine::endpoint::{Package, StreamOrder, StreamSelection};
use proptest::prelude::*;

const GOOD: &str = r#"
[server]
http = ["127.0.0.1:8080", "[::1]:8080"]
shards = 2
digest = ["md5"]
[storage]
cache = "256MiB"
sync_interval = "250ms"
[access_log]
path = "access.jsonl"
[[channel]]
id = "demo"
ring = "2GiB"
durability = "strict"
segment = "180180/90000"
[[channel.input]]
username = "encoder1"
password = "one"
[[channel.input]]
username = "encoder2"
password = "env:SECOND"
[[endpoint]]
id = "demo-hls"
channel = "demo"
startover_window_seconds = 600
[endpoint.hls_package]
[endpoint.hls_package.stream_selection]
max_video_bits_per_second = 5000000
stream_order = "VIDEO_BITRATE_DESCENDING"
[[endpoint]]
id = "demo-dash"
channel = "demo"
[endpoint.dash_package]
segment_template_format = "TIME_WITH_TIMELINE"
[[endpoint]]
id = "demo-cmaf"
channel = "demo"
manifest_name = "main"
[endpoint.cmaf_package]
[[endpoint.cmaf_package.hls_manifests]]
id = "low"
[[endpoint.cmaf_package.hls_manifests]]
id = "high"
manifest_name = "top"
"#;

fn variables(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect::<Vec<_>>().into_iter()
}

fn mistakes(text: &str, environment: &[(&str, &str)]) -> String {
    match parse("h.toml", text, variables(environment)) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn the_defaults_stand_alone() {
    let config = parse("defaults", "", std::iter::empty()).unwrap();
    assert_eq!(config.server.http, ["0.0.0.0:8080".parse().unwrap()]);
    assert_eq!(config.server.digest, [Algorithm::Sha256, Algorithm::Md5]);
    assert_eq!(config.server.shards, 0);
    assert!(config.server.ingest_http.is_empty());
    assert_eq!(config.control.listen, "127.0.0.1:8081".parse().unwrap());
    assert_eq!(config.storage.dir, Path::new("data"));
    assert_eq!(config.storage.cache_bytes, 1 << 30);
    assert_eq!(config.storage.sync_interval, Duration::from_secs(1));
    assert_eq!(config.log, Log { level: "info".to_owned(), format: LogFormat::Auto });
    assert_eq!(config.access_log, None);
    assert!(config.channels.is_empty() && config.endpoints.is_empty());
}

#[test]
fn every_default_of_the_table_is_of_its_kind() {
    // Writing each default out changes nothing.
    let plain = GOOD.replace("env:SECOND", "two");
    let written: Vec<(String, String)> = keys::KEYS
        .iter()
        .filter(|key| !key.path.contains("[]"))
        .filter_map(|key| match key.default {
            keys::Unset::Text(text) => {
                let name = key.path.to_uppercase().replace('.', "__");
                Some((format!("HEADWATER_{name}"), text.to_owned()))
            }
            _ => None,
        })
        .collect();
    assert!(written.len() > 8);
    let defaults = parse("h.toml", "", std::iter::empty()).unwrap();
    assert_eq!(parse("h.toml", "", written.into_iter()).unwrap(), defaults);
    assert!(parse("h.toml", &plain, std::iter::empty()).is_ok());
}

#[test]
fn a_whole_configuration() {
    let config = parse("h.toml", GOOD, variables(&[("SECOND", "two")])).unwrap();
    assert_eq!(config.server.http.len(), 2);
    assert_eq!(config.server.digest, [Algorithm::Md5]);
    assert_eq!(config.storage.cache_bytes, 256 << 20);
    assert_eq!(config.access_log.as_deref(), Some(Path::new("access.jsonl")));
    let [channel] = config.channels.as_slice() else { panic!("one channel") };
    assert_eq!(channel.durability, crate::ring::Durability::Strict);
    assert_eq!(channel.segment, Some(SegmentDuration { ticks: 180_180, timescale: 90_000 }));
    assert_eq!(channel.segment_bytes_max, crate::limits::SEGMENT_SIZE_MAX);
    let passwords: Vec<_> = channel.inputs.iter().map(|input| input.password.as_str()).collect();
    assert_eq!(passwords, ["one", "two"]);
    assert!(!format!("{config:?}").contains("two"), "a password is not printed");
    let [hls, dash, cmaf] = config.endpoints.as_slice() else { panic!("three endpoints") };
    assert_eq!((hls.segment_duration_seconds(), hls.window_seconds_max()), (6, 60));
    let selection = StreamSelection {
        min_video_bits_per_second: 0,
        max_video_bits_per_second: 5_000_000,
        stream_order: StreamOrder::VideoBitrateDescending,
    };
    assert_eq!(hls.stream_selection, selection);
    assert_eq!(dash.segment_duration_seconds(), 2);
    let Package::Cmaf(package) = &cmaf.package else { panic!("a CMAF package") };
    let names: Vec<_> = package.hls_manifests.iter().map(|m| m.manifest_name.as_str()).collect();
    assert_eq!(names, ["main", "top"]);
}

#[test]
fn the_environment_lies_over_the_file() {
    let environment = [
        ("SECOND", "two"),
        ("HEADWATER_SERVER__HTTP", "127.0.0.1:9000, 127.0.0.1:9001"),
        ("HEADWATER_LOG", "debug"),
        ("HEADWATER_CHANNEL__0__RING", "4GiB"),
        ("HEADWATER_CHANNEL__1__ID", "second"),
        ("HEADWATER_CHANNEL__1__INPUT__0__USERNAME", "u"),
        ("HEADWATER_CHANNEL__1__INPUT__0__PASSWORD", "p"),
        ("HEADWATER_ENDPOINT__0__HLS_PACKAGE__SEGMENT_DURATION_SECONDS", "4"),
        ("PATH", "/bin"),
    ];
    let config = parse("h.toml", GOOD, variables(&environment)).unwrap();
    assert_eq!(config.server.http.len(), 2);
    assert_eq!(config.server.http[1].port(), 9001);
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.channels[0].ring_bytes, 4 << 30);
    assert_eq!(config.channels[1].id, "second");
    assert_eq!(config.endpoints[0].segment_duration_seconds(), 4);
}

const CHANNEL: &str = "[[channel]]\nid=\"a\"\n[[channel.input]]\nusername=\"u\"\npassword=\"p\"\n";

#[test]
fn each_mistake_has_its_place_and_words() {
    let cases: &[(&str, &str)] = &[
        (
            "[server]\nhtpp = \"0.0.0.0:80\"\n",
            "h.toml:2:1: server.htpp: unknown key; did you mean \"http\"?",
        ),
        ("[sever]\n", "h.toml:1:2: sever: unknown key; did you mean \"server\"?"),
        ("zebra = 1\n", "h.toml:1:1: zebra: unknown key"),
        (
            "[server]\nhttp = \"nowhere\"\nshards = -1\n",
            "h.toml:2:8: server.http: expected an address such as \"0.0.0.0:8080\", or a list \
             of them, found \"nowhere\"\n\
             h.toml:3:10: server.shards: expected an integer, 0 to 1024, found -1",
        ),
        (
            "[server]\nhttp = []\n",
            "h.toml:2:8: server.http: expected an address at least, found none",
        ),
        (
            "[server]\nhttp = \"[::]:1\"\ningest_http = \"[::]:1\"\n",
            "h.toml:3:15: server.ingest_http: expected an address apart from server.http, found \
             [::]:1 in both",
        ),
        (
            "[server]\nhttps = \"0.0.0.0:8443\"\n",
            "h.toml:2:1: server.https: HTTPS is not served by this version",
        ),
        (
            "[server]\ndigest = [\"md5\", \"md5\"]\n",
            "h.toml:2:10: server.digest: expected a list of \"sha-256\", \"md5\", found an array",
        ),
        (
            "[storage]\ncache = 5\nsync_interval = \"2m\"\n",
            "h.toml:2:9: storage.cache: expected a size such as \"64MiB\", found 5\n\
             h.toml:3:17: storage.sync_interval: expected a duration such as \"1s\", 10ms to \
             60s, found \"2m\"",
        ),
        ("server = 5\n", "h.toml:1:10: server: expected a table, found 5"),
        (
            "[channel]\nid = \"a\"\n",
            "h.toml:1:1: channel: expected an array of tables, [[channel]], found a table",
        ),
        (
            "[[channel]]\nid = \"a\"\ndurability = \"disk\"\n[[channel.input]]\n\
             username = \"one\"\npassword = \"two\"\n",
            "h.toml:3:14: channel[0].durability: expected one of \"process\", \"strict\", found \
             \"disk\"",
        ),
        (
            "[[channel]]\n",
            "h.toml:1:1: channel[0].id: expected 1 to 128 letters, digits, - or _, found nothing\n\
             h.toml:1:1: channel[0].input: expected one or two inputs, found 0",
        ),
        (
            "[[channel]]\nid=\"a b\"\n[[channel.input]]\nusername=\"a:b\"\npassword=\"\"\n",
            "h.toml:2:4: channel[0].id: expected 1 to 128 letters, digits, - or _, found \"a b\"\n\
             h.toml:5:10: channel[0].input[0].password: expected a password, \"file:PATH\" or \
             \"env:NAME\", found something else\n\
             h.toml:4:10: channel[0].input[0].username: expected a name without colon, quote, \
             backslash and control characters",
        ),
        (
            "[[channel]]\nid=\"a\"\n[[channel.input]]\nusername=\"u\"\npassword=\"env:NONE\"\n",
            "h.toml:5:10: channel[0].input[0].password: expected the environment variable NONE, \
             found none",
        ),
        (
            "[[channel]]\nid=\"a\"\nring=\"512MiB\"\n[[channel.input]]\nusername=\"u\"\n\
             password=\"p\"\n",
            "h.toml:3:6: channel[0].ring: expected 1GiB at least (files of two segments of \
             segment_size_max = 64MiB), found 512MiB",
        ),
        (
            "[[channel]]\nid=\"a\"\nring=\"9GiB\"\nsegment_size_max=\"257MiB\"\n\
             [[channel.input]]\nusername=\"u\"\npassword=\"p\"\n",
            "h.toml:4:18: channel[0].segment_size_max: expected 1B to 256MiB, which a body may \
             take in memory, found 257MiB",
        ),
        (
            "a = 1\na = 2\n[server]\nshards = \"x\"\n",
            "h.toml:2:1: expected TOML, found a mistake in it: duplicate key\n\
             h.toml:1:1: a: unknown key\n\
             h.toml:4:10: server.shards: expected an integer, 0 to 1024, found \"x\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(mistakes(text, &[]), *expected, "{text}");
    }
}

#[test]
fn each_mistake_of_an_endpoint() {
    let cases: &[(&str, &str)] = &[
        (
            "id=\"e\"\nchannel=\"b\"\n[endpoint.hls_package]\n",
            "h.toml:8:9: endpoint[0].channel: expected the id of a channel, found \"b\"",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.hls_package]\nplaylist_type=\"EVENT\"\n\
             start_precise=true\n",
            "h.toml:10:15: endpoint[0].hls_package.playlist_type: expected \"NONE\", or a \
             startover_window_seconds: a list that slides has no type, found \"EVENT\"\n\
             h.toml:11:15: endpoint[0].hls_package.start_precise: expected a \
             start_time_offset_seconds with it, found none",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.hls_package]\n\
             start_time_offset_seconds=42.0\n",
            "h.toml:10:27: endpoint[0].hls_package.start_time_offset_seconds: expected 0 to less \
             than 42, or less than -18 and more than -60: in the window, and 3 segments before its \
             end",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.hls_package]\nstart_time_offset_seconds=1e3\n",
            "h.toml:10:27: endpoint[0].hls_package.start_time_offset_seconds: expected seconds \
             such as -12.5, three decimals at most, found 1e3",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n",
            "h.toml:6:1: endpoint[0]: expected exactly one of hls_package, dash_package, \
             cmaf_package, mss_package, found none",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.hls_package]\n[endpoint.dash_package]\n",
            "h.toml:6:1: endpoint[0]: TS_CONTAINER_TYPE_WITH_DASH_MANIFEST: expected exactly one \
             of hls_package, dash_package, cmaf_package, mss_package, found hls_package, \
             dash_package",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.mss_package]\nsegment_duration_seconds=12\n\
             manifest_window_seconds=30\n",
            "h.toml:11:25: endpoint[0].mss_package.manifest_window_seconds: expected 36 at least \
             (3 segments of 12 s), found 30",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\nstartover_window_seconds=1209601\n[endpoint.hls_package]\n\
             segment_duration_seconds=20\nplaylist_window_seconds=59\n",
            "h.toml:9:26: endpoint[0].startover_window_seconds: expected an integer, 0 to \
             1209600, found 1209601\n\
             h.toml:12:25: endpoint[0].hls_package.playlist_window_seconds: expected 60 at least \
             (3 segments of 20 s), found 59",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.cmaf_package]\n",
            "h.toml:9:1: endpoint[0].cmaf_package.hls_manifests: NUM_MANIFESTS_LOW: expected one \
             at least of these or dash_manifests, found none",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.dash_package]\n[endpoint.dash_package.\
             stream_selection]\nmin_video_bits_per_second=2\nmax_video_bits_per_second=1\n",
            "h.toml:12:27: endpoint[0].dash_package.stream_selection.max_video_bits_per_second: \
             expected min_video_bits_per_second = 2 at least, found 1",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.dash_package]\nperiod_triggers=[\"ADS\"]\n\
             segment_template_format=\"NUMBER_WITH_DURATION\"\nprofile=\"HYBRIDCAST\"\n",
            "h.toml:10:17: endpoint[0].dash_package.period_triggers: expected none with \
             segment_template_format = \"NUMBER_WITH_DURATION\", whose one Period lasts as long as \
             the source's cadence\n\
             h.toml:10:17: endpoint[0].dash_package.period_triggers: expected none with profile = \
             \"HYBRIDCAST\"",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.dash_package]\nprofile=\"DVB_DASH_2014\"\n\
             utc_timing=\"DIRECT\"\nutc_timing_uri=\"x\"\nsegment_duration_seconds=16\n\
             min_update_period_seconds=2\n",
            "h.toml:12:16: endpoint[0].dash_package.utc_timing_uri: \
             DIRECT_MODE_WITH_TIMING_SOURCE: expected none with a utc_timing that asks nobody: \
             NONE or DIRECT\n\
             h.toml:11:12: endpoint[0].dash_package.utc_timing: expected one that asks a server \
             with profile = \"DVB_DASH_2014\"\n\
             h.toml:10:9: endpoint[0].dash_package.profile: expected one that allows segments of \
             16 s; this one takes 15 s at most\n\
             h.toml:14:27: endpoint[0].dash_package.min_update_period_seconds: expected a \
             segment's duration, 16, at least, found 2",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.cmaf_package]\n\
             [[endpoint.cmaf_package.dash_manifests]]\nid=\"tv\"\nmanifest_layout=\"SMALL\"\n",
            "h.toml:12:17: endpoint[0].cmaf_package.dash_manifests[0].manifest_layout: expected \
             one of \"FULL\", \"COMPACT\", \"DRM_TOP_LEVEL_COMPACT\", found \"SMALL\"",
        ),
        (
            "id=\"e\"\nchannel=\"a\"\n[endpoint.hls_package]\n[[endpoint]]\nid=\"e\"\n\
             channel=\"a\"\n[endpoint.hls_package]\n",
            "h.toml:11:4: endpoint[1].id: expected an id of its own, found \"e\" again",
        ),
    ];
    for (text, expected) in cases {
        let text = format!("{CHANNEL}[[endpoint]]\n{text}");
        assert_eq!(mistakes(&text, &[]), *expected, "{text}");
    }
}

/// A row for each class that the API has a name for and that can be made here.
#[test]
fn mistakes_are_named_as_the_api_names_them() {
    let lists = |ids: &[&str]| {
        let table = |id| format!("[[endpoint.cmaf_package.hls_manifests]]\nid=\"{id}\"\n");
        ids.iter().map(table).collect::<String>()
    };
    let many: Vec<String> = (0..26).map(|number| format!("m{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let package = |names: &[&str]| {
        let tables = names.iter().map(|name| format!("[endpoint.{name}_package]\n"));
        tables.collect::<Vec<_>>().concat()
    };
    let delay = |seconds: &str, startover: &str| {
        format!("time_delay_seconds={seconds}\nstartover_window_seconds={startover}\n")
            + &package(&["hls"])
    };
    let cases = [
        ("hls_manifests[1].id: MANIFEST_NAME_COLLISION: expected an", lists(&["m", "m"])),
        ("cmaf_package.hls_manifests: NUM_MANIFESTS_LOW: expected", package(&["cmaf"])),
        ("cmaf_package.hls_manifests: NUM_MANIFESTS_HIGH: expected at most 25", lists(&many)),
        ("TS_CONTAINER_TYPE_WITH_DASH_MANIFEST: expected", package(&["hls", "dash"])),
        ("TS_CONTAINER_TYPE_WITH_MSS_MANIFEST: expected", package(&["hls", "mss"])),
        ("CMAF_CONTAINER_TYPE_WITH_MSS_MANIFEST: expected", package(&["cmaf", "mss"])),
        ("ISM_CONTAINER_TYPE_WITH_DASH_MANIFEST: expected", package(&["mss", "dash"])),
        ("time_delay_seconds: INVALID_TIME_DELAY_SECONDS: expected 0, or 5", delay("4", "0")),
        ("time_delay_seconds: INVALID_TIME_DELAY_SECONDS: expected less", delay("60", "60")),
        ("", delay("5", "6")),
        ("", delay("86400", "0")),
        ("", lists(&many[..25])),
    ];
    for (expected, text) in cases {
        let text = format!("{CHANNEL}[[endpoint]]\nid=\"e\"\nchannel=\"a\"\n{text}");
        let found = mistakes(&text, &[]);
        assert_eq!(found.is_empty(), expected.is_empty(), "{text}: {found}");
        assert!(found.contains(expected), "{text}: {found}");
    }
}

#[test]
fn a_mistake_of_the_environment_names_the_variable() {
    let cases = [
        (
            ("HEADWATER_SERVER__SHARDS", "many"),
            "HEADWATER_SERVER__SHARDS: server.shards: expected an integer, 0 to 1024, found \
             \"many\"",
        ),
        (
            ("HEADWATER_SEVER__SHARDS", "1"),
            "HEADWATER_SEVER__SHARDS: sever: unknown key; did you mean \"server\"?",
        ),
        (
            ("HEADWATER_CHANNEL__7__ID", "x"),
            "HEADWATER_CHANNEL__7__ID: channel[7].id: expected an index of at most 1, found 7",
        ),
        (("HEADWATER_0", "x"), "HEADWATER_0: [0]: expected a key, found the index 0"),
        (
            ("HEADWATER_LOG", "a=b=c"),
            "HEADWATER_LOG: log.level: expected a level such as \"info\", found \"a=b=c\"",
        ),
    ];
    for ((name, value), expected) in cases {
        assert_eq!(mistakes(CHANNEL, &[(name, value)]), expected);
    }
}

#[test]
fn passwords_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    std::fs::write(&path, "from the file\n").unwrap();
    let text = CHANNEL.replace("\"p\"", &format!("\"file:{}\"", path.display()));
    let config = parse("h.toml", &text, std::iter::empty()).unwrap();
    assert_eq!(config.channels[0].inputs[0].password, "from the file");
    std::fs::write(&path, vec![b'x'; 2000]).unwrap();
    assert!(mistakes(&text, &[]).contains("more than 1024 bytes"));
}

#[test]
fn a_file_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.toml");
    let errors = load(Some(&path), std::iter::empty()).unwrap_err().to_string();
    let expected = format!("{}: expected a readable file, found: ", path.display());
    assert!(errors.starts_with(&expected), "{errors}");
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let _ = parse("h.toml", &text, std::iter::empty());
    }

    #[test]
    fn any_cut_is_answered(at in 0usize..GOOD.len()) {
        let _ = parse("h.toml", &GOOD[..at], std::iter::empty());
    }

    #[test]
    fn any_variable_is_answered(name in "HEADWATER_[A-Z0-9_]{0,40}", value in ".{0,20}") {
        let _ = parse("h.toml", GOOD, [(name, value)].into_iter());
    }
}
