//! From the tree of a configuration to [`Config`], with the rules that no single key can break.

mod dash;

use super::hls;
use super::mistake::{ConfigErrors, Mistake};
use super::quantity::write_size;
use super::reason::Reason;
use super::section::Section;
use super::source::Table;
use super::{
    Channel, Config, Control, Credentials, Log, LogFormat, SegmentDuration, Server, Storage,
    read_text,
};
use crate::engine::endpoint::{
    CmafPackage, Endpoint, HeaderRule, HlsListSettings, HlsManifest, HlsPackage, MssPackage,
    Package, StaleRule, StreamOrder, StreamSelection,
};
use crate::http::digest::Algorithm;
use crate::limits::{
    CACHE_SIZE_MIN, CHANNEL_INGEST_MEMORY_MAX, CONFIG_MISTAKE_COUNT_MAX, CONFIG_TABLE_COUNT_MAX,
    MANIFEST_COUNT_MAX, PASSWORD_SIZE_MAX, TIME_DELAY_SECONDS_MIN,
};
use crate::ring::{Durability, plan_files};
use crate::units::InputNumber;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Segments that a live playlist lists at least (RFC 8216 §6.2.2).
const LISTED_SEGMENT_COUNT_MIN: u32 = 3;

/// Builds the configuration of `root`, or returns its mistakes after those in `mistakes`.
pub fn build(
    root: &Table,
    file: &str,
    environment: &[(String, String)],
    mistakes: Vec<Mistake>,
) -> Result<Config, ConfigErrors> {
    let mistakes = RefCell::new(mistakes);
    let config = config(&Section::root(root, file, &mistakes), environment);
    let mut mistakes = mistakes.into_inner();
    mistakes.truncate(CONFIG_MISTAKE_COUNT_MAX);
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => {
            assert!(!mistakes.is_empty(), "a value was left out without a word");
            Err(ConfigErrors(mistakes))
        }
    }
}

/// Reads every part before giving up on any, so that all mistakes are noted.
fn config(root: &Section, environment: &[(String, String)]) -> Option<Config> {
    let server = server(&root.section("server"));
    let listen = root.section("control").addresses("listen");
    let storage = storage(&root.section("storage"));
    let log = log(&root.section("log"));
    let access_log = root.section("access_log").text("path").map(PathBuf::from);
    let channels = channels(root, environment);
    let endpoints = endpoints(root);
    Some(Config {
        server: server?,
        control: Control { listen: listen?.first().copied()? },
        storage: storage?,
        log: log?,
        access_log,
        channels: channels?,
        endpoints: endpoints?,
    })
}

fn server(section: &Section) -> Option<Server> {
    let http = section.addresses("http");
    let ingest_http = section.addresses("ingest_http");
    let shards = section.integer("shards");
    let digest = section.choices("digest");
    if http.as_ref().is_some_and(Vec::is_empty) {
        section.reject("http", "expected an address at least, found none".to_owned());
    }
    if let (Some(http), Some(ingest)) = (&http, &ingest_http)
        && let Some(both) = ingest.iter().find(|address| http.contains(address))
    {
        let what = format!("expected an address apart from server.http, found {both} in both");
        section.reject("ingest_http", what);
    }
    let digest = digest?.into_iter().map(|word| match word {
        "sha-256" => Algorithm::Sha256,
        _ => Algorithm::Md5,
    });
    Some(Server {
        http: http?,
        ingest_http: ingest_http?,
        shards: u16::try_from(shards?).ok()?,
        digest: digest.collect(),
    })
}

fn storage(section: &Section) -> Option<Storage> {
    let (dir, cache) = (section.text("dir"), section.integer("cache"));
    if let Some(cache) = cache.filter(|&cache| cache < CACHE_SIZE_MIN) {
        let (least, found) = (write_size(CACHE_SIZE_MIN), write_size(cache));
        section.reject("cache", format!("expected {least} at least, found {found}"));
    }
    let sync_interval = section.span("sync_interval");
    Some(Storage { dir: PathBuf::from(dir?), cache_bytes: cache?, sync_interval: sync_interval? })
}

fn log(section: &Section) -> Option<Log> {
    let (level, format) = (section.text("level"), section.choices("format"));
    let format = match format?.first().copied()? {
        "human" => LogFormat::Human,
        "json" => LogFormat::Json,
        _ => LogFormat::Auto,
    };
    Some(Log { level: level?, format })
}

/// The tables whose `id` one before them has. A wrong id is noted where it is read.
fn repeated_ids<'s, 'a>(sections: &'s [Section<'a>]) -> Vec<(&'s Section<'a>, &'a str)> {
    let mut seen = HashSet::new();
    let ids = sections.iter().filter_map(|section| Some((section, section.raw_text("id")?)));
    ids.filter(|&(_, id)| !seen.insert(id)).collect()
}

/// Notes a second use of an `id`, and more tables than the program takes.
fn check_ids(sections: &[Section]) {
    for (section, id) in repeated_ids(sections) {
        section.reject("id", format!("expected an id of its own, found {id:?} again"));
    }
    if let Some(beyond) = sections.get(CONFIG_TABLE_COUNT_MAX) {
        let found = sections.len();
        beyond.reject_whole(format!("expected at most {CONFIG_TABLE_COUNT_MAX}, found {found}"));
    }
}

fn channels(root: &Section, environment: &[(String, String)]) -> Option<Vec<Channel>> {
    let sections = root.sections("channel");
    check_ids(&sections);
    let channels: Vec<_> = sections.iter().map(|section| channel(section, environment)).collect();
    channels.into_iter().collect()
}

fn channel(section: &Section, environment: &[(String, String)]) -> Option<Channel> {
    let id = section.text("id");
    let ring_bytes = section.integer("ring");
    let durability = section.choices("durability");
    let segment = section.ratio("segment");
    let segment_bytes_max = section.integer("segment_size_max");
    let (preferred, fail_back) = (section.integer("preferred_input"), section.flag("fail_back"));
    let bodies_per_second = section.integer("ingest_requests_per_second");
    let inputs = section.sections("input");
    if !(1..=2).contains(&inputs.len()) {
        let found = inputs.len();
        section.reject("input", format!("expected one or two inputs, found {found}"));
    }
    let inputs: Vec<_> = inputs.iter().map(|input| credentials(input, environment)).collect();
    if let (Some(ring), Some(body)) = (ring_bytes, segment_bytes_max) {
        // A body under way is in memory, so a channel's share of that is the bound.
        if !(1..=CHANNEL_INGEST_MEMORY_MAX).contains(&body) {
            let (most, found) = (write_size(CHANNEL_INGEST_MEMORY_MAX), write_size(body));
            let what =
                format!("expected 1B to {most}, which a body may take in memory, found {found}");
            section.reject("segment_size_max", what);
        } else if let Err(error) = plan_files(ring, body) {
            let what = format!(
                "expected {} at least (files of two segments of segment_size_max = {}), found {}",
                write_size(error.size_min),
                write_size(body),
                write_size(ring)
            );
            section.reject("ring", what);
        }
    }
    Some(Channel {
        id: id?,
        ring_bytes: ring_bytes?,
        durability: match durability?.first().copied()? {
            "strict" => Durability::Strict,
            _ => Durability::Process,
        },
        segment: segment.map(|(ticks, timescale)| SegmentDuration { ticks, timescale }),
        segment_bytes_max: segment_bytes_max?,
        preferred_input: preferred.and_then(|it| u8::try_from(it).ok()).and_then(InputNumber::new),
        fail_back: fail_back?,
        bodies_per_second: u32::try_from(bodies_per_second?).ok()?,
        bits_per_second: section.integer("ingest_bits_per_second"),
        inputs: inputs.into_iter().collect::<Option<_>>()?,
    })
}

fn credentials(section: &Section, environment: &[(String, String)]) -> Option<Credentials> {
    let username = section.text("username");
    let password = section.text("password").and_then(|text| {
        resolve_password(&text, environment).map_err(|what| section.reject("password", what)).ok()
    });
    // Either would end the user name inside an Authorization field (RFC 7616 §3.4).
    let unfit = |letter: char| letter.is_control() || matches!(letter, '"' | '\\' | ':');
    if username.as_ref().is_some_and(|name| name.contains(unfit)) {
        let what = "expected a name without colon, quote, backslash and control characters";
        section.reject("username", what.to_owned());
    }
    Some(Credentials { username: username?, password: password? })
}

fn resolve_password(text: &str, environment: &[(String, String)]) -> Result<String, String> {
    let password = if let Some(path) = text.strip_prefix("file:") {
        let text = read_text(Path::new(path), PASSWORD_SIZE_MAX)
            .map_err(|error| format!("expected a readable file {path:?}, found: {error}"))?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else if let Some(name) = text.strip_prefix("env:") {
        let variable = environment.iter().find(|(known, _)| known == name);
        let (_, value) = variable
            .ok_or_else(|| format!("expected the environment variable {name}, found none"))?;
        value.clone()
    } else {
        text.to_owned()
    };
    if password.is_empty() {
        return Err("expected a password, found an empty one".to_owned());
    }
    Ok(password)
}

fn endpoints(root: &Section) -> Option<Vec<Endpoint>> {
    let sections = root.sections("endpoint");
    check_ids(&sections);
    let channels = root.sections("channel");
    let known: HashSet<&str> =
        channels.iter().filter_map(|channel| channel.raw_text("id")).collect();
    let endpoint = |section: &Section| {
        let endpoint = endpoint(section);
        if let Some(channel) = section.raw_text("channel")
            && !known.contains(channel)
        {
            let what = format!("expected the id of a channel, found {channel:?}");
            section.reject("channel", what);
        }
        endpoint
    };
    let endpoints: Vec<_> = sections.iter().map(endpoint).collect();
    endpoints.into_iter().collect()
}

fn endpoint(section: &Section) -> Option<Endpoint> {
    let (id, channel) = (section.text("id"), section.text("channel"));
    let manifest_name = section.text("manifest_name");
    let startover_window_seconds = section.seconds("startover_window_seconds");
    let time_delay_seconds = section.seconds("time_delay_seconds");
    check_delay(section, startover_window_seconds, time_delay_seconds);
    let (stale, headers) = (stale_rule(section), header_rule(section));
    let packages = ["hls_package", "dash_package", "cmaf_package", "mss_package"];
    let set: Vec<&str> = packages.into_iter().filter(|name| section.has(name)).collect();
    let [name] = set.as_slice() else {
        let found = if set.is_empty() { "none".to_owned() } else { set.join(", ") };
        let what = format!("expected exactly one of {}, found {found}", packages.join(", "));
        let reason = Reason::of_packages(&set).map(|reason| format!("{reason}: "));
        section.reject_whole(reason.unwrap_or_default() + &what);
        return None;
    };
    let package_section = section.section(name);
    let package = match *name {
        "hls_package" => hls_package(&package_section, startover_window_seconds).map(Package::Hls),
        "dash_package" => dash::dash_package(&package_section).map(Package::Dash),
        "mss_package" => mss_package(&package_section).map(Package::Mss),
        _ => {
            let name = manifest_name.as_deref();
            cmaf_package(&package_section, name, startover_window_seconds).map(Package::Cmaf)
        }
    };
    let selection = stream_selection(&package_section.section("stream_selection"));
    Some(Endpoint {
        id: id?,
        channel: channel?,
        startover_window_seconds: startover_window_seconds?,
        time_delay_seconds: time_delay_seconds?,
        manifest_name: manifest_name?,
        package: package?,
        stream_selection: selection?,
        stale: stale?,
        headers: headers?,
    })
}

fn header_rule(section: &Section) -> Option<HeaderRule> {
    let (active_input, cmsd) = (section.flag("publish_active_input"), section.flag("publish_cmsd"));
    Some(HeaderRule { active_input: active_input?, cmsd: cmsd? })
}

/// Notes a delay that the API would not take: 0 is none, and what is delayed has to be kept.
fn check_delay(section: &Section, window: Option<u32>, delay: Option<u32>) {
    let reason = Reason::InvalidTimeDelay;
    if let Some(delay @ 1..TIME_DELAY_SECONDS_MIN) = delay {
        let what = format!("expected 0, or {TIME_DELAY_SECONDS_MIN} at least, found {delay}");
        section.reject_as(reason, "time_delay_seconds", &what);
    }
    if let (Some(window @ 1..), Some(delay)) = (window, delay)
        && delay >= window
    {
        let what = format!("expected less than startover_window_seconds = {window}, found {delay}");
        section.reject_as(reason, "time_delay_seconds", &what);
    }
}

fn stale_rule(section: &Section) -> Option<StaleRule> {
    let limit_seconds = section.seconds("stale_limit_seconds");
    let status = section.choices("stale_status");
    Some(StaleRule {
        limit_seconds: limit_seconds?,
        status: if status?.contains(&"404") { 404 } else { 503 },
    })
}

/// Notes a window that holds too few segments for a player to start on.
fn check_window(section: &Section, name: &str, window: Option<u32>, segment: Option<u32>) {
    let (Some(window), Some(segment)) = (window, segment) else { return };
    let least = segment * LISTED_SEGMENT_COUNT_MIN;
    if window < least {
        let what = format!(
            "expected {least} at least ({LISTED_SEGMENT_COUNT_MIN} segments of {segment} s), \
             found {window}"
        );
        section.reject(name, what);
    }
}

fn hls_package(section: &Section, startover: Option<u32>) -> Option<HlsPackage> {
    let segment = section.seconds("segment_duration_seconds");
    let use_audio_rendition_group = section.flag("use_audio_rendition_group");
    let list = hls_list(section, segment, startover);
    Some(HlsPackage {
        segment_duration_seconds: segment?,
        use_audio_rendition_group: use_audio_rendition_group?,
        list: list?,
    })
}

/// [`hls::list`] with a window that is long enough.
fn hls_list(
    section: &Section,
    segment: Option<u32>,
    startover: Option<u32>,
) -> Option<HlsListSettings> {
    let list = hls::list(section, segment, startover);
    let window = list.as_ref().map(|list| list.playlist_window_seconds);
    check_window(section, "playlist_window_seconds", window, segment);
    list
}

fn mss_package(section: &Section) -> Option<MssPackage> {
    let segment = section.seconds("segment_duration_seconds");
    let window = section.seconds("manifest_window_seconds");
    check_window(section, "manifest_window_seconds", window, segment);
    Some(MssPackage { segment_duration_seconds: segment?, manifest_window_seconds: window? })
}

/// Notes manifests of a CMAF endpoint that are too few or too many, or that share a path.
fn check_manifests(section: &Section, lists: &[Section], mpds: &[Section]) {
    let most = MANIFEST_COUNT_MAX;
    match lists.len() + mpds.len() {
        0 => {
            let what = "expected one at least of these or dash_manifests, found none";
            section.reject_as(Reason::NumManifestsLow, "hls_manifests", what);
        }
        found if found > most => {
            let what = format!("expected at most {most} with dash_manifests, found {found}");
            section.reject_as(Reason::NumManifestsHigh, "hls_manifests", &what);
        }
        _ => {}
    }
    for (list, id) in repeated_ids(lists).into_iter().chain(repeated_ids(mpds)) {
        let what = format!("expected an id of its own, found {id:?} again");
        list.reject_as(Reason::ManifestNameCollision, "id", &what);
    }
}

fn cmaf_package(
    section: &Section,
    endpoint_manifest_name: Option<&str>,
    startover: Option<u32>,
) -> Option<CmafPackage> {
    let segment = section.seconds("segment_duration_seconds");
    let prefix = section.text("segment_prefix");
    let subtitle_format = dash::subtitle_format(section);
    let lists = section.sections("hls_manifests");
    let mpds = section.sections("dash_manifests");
    check_manifests(section, &lists, &mpds);
    let dash_manifests = dash::dash_manifests(&mpds, segment, endpoint_manifest_name);
    let manifest = |list: &Section| {
        let id = list.text("id");
        let name = list.text("manifest_name");
        let name = name.or_else(|| endpoint_manifest_name.map(str::to_owned));
        let settings = hls_list(list, segment, startover);
        Some(HlsManifest { id: id?, manifest_name: name?, list: settings? })
    };
    let lists: Vec<_> = lists.iter().map(manifest).collect();
    Some(CmafPackage {
        segment_duration_seconds: segment?,
        segment_prefix: prefix?,
        subtitle_format: subtitle_format?,
        hls_manifests: lists.into_iter().collect::<Option<_>>()?,
        dash_manifests: dash_manifests?,
    })
}

fn stream_selection(section: &Section) -> Option<StreamSelection> {
    let min = section.integer("min_video_bits_per_second");
    let max = section.integer("max_video_bits_per_second");
    let order = section.choices("stream_order");
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let what = format!("expected min_video_bits_per_second = {min} at least, found {max}");
        section.reject("max_video_bits_per_second", what);
    }
    Some(StreamSelection {
        min_video_bits_per_second: min?,
        max_video_bits_per_second: max.unwrap_or(u64::MAX),
        stream_order: match order?.first().copied()? {
            "VIDEO_BITRATE_ASCENDING" => StreamOrder::VideoBitrateAscending,
            "VIDEO_BITRATE_DESCENDING" => StreamOrder::VideoBitrateDescending,
            _ => StreamOrder::Original,
        },
    })
}
