//! `/metrics`: one table of name, unit and help, and the writer of the Prometheus text format
//! (version 0.0.4). Labels are configured ids and fixed words, never a client's text.

use crate::shard::counters::{
    BUCKET_COUNT, ChannelCounters, Counter, EndpointCounters, Histogram, InputCounters, Limit,
    ShardCounters, StatusClasses,
};
use crate::shard::rt;
use std::fmt::Write as _;
use std::sync::Arc;

/// Every block of counters there is; remade when the configuration changes.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// One block per shard, by number.
    pub shards: Vec<Arc<ShardCounters>>,
    /// Channels by id.
    pub channels: Vec<(String, Arc<ChannelCounters>)>,
    /// Endpoints by id, each with a block per shard.
    pub endpoints: Vec<(String, Vec<Arc<EndpointCounters>>)>,
    /// What belongs to the process.
    pub process: Arc<ProcessCounters>,
}

/// Counters of the control plane itself.
#[derive(Debug, Default)]
pub struct ProcessCounters {
    /// Configurations taken over by a reload.
    pub reloads: Counter,
    /// Reloads refused for mistakes.
    pub reloads_refused: Counter,
    /// Takeovers, one after another, that led to this process.
    pub takeovers: Counter,
    /// Other processes that were to take over from this one and did not.
    pub takeovers_failed: Counter,
    /// Access records written.
    pub access_records: Counter,
    /// Access records lost to a full queue or a failed write.
    pub access_records_lost: Counter,
    /// Log lines lost to a blocked log.
    pub log_lines_lost: Counter,
}

/// How a number is shown.
#[derive(Clone, Copy)]
enum Unit {
    Plain,
    /// Counted in microseconds, shown in seconds.
    Seconds,
}

/// Where a metric's numbers come from, which also says its labels.
#[derive(Clone, Copy)]
enum Source {
    Process(fn(&ProcessCounters) -> &Counter),
    Shard(fn(&ShardCounters) -> &Counter),
    Limits,
    Adoptions,
    TaskPanics,
    Channel(fn(&ChannelCounters) -> &Counter),
    /// 1 for the channel's input in use, 0 for the other.
    ActiveInput,
    Input(fn(&InputCounters) -> &Counter),
    InputResponses,
    InputLateness,
    Endpoint(fn(&EndpointCounters) -> &Counter),
    EndpointResponses,
    EndpointLatency,
    Build,
}

struct Metric {
    name: &'static str,
    kind: &'static str,
    unit: Unit,
    help: &'static str,
    source: Source,
}

const fn metric(
    name: &'static str,
    kind: &'static str,
    unit: Unit,
    source: Source,
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, help, source }
}

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";
const HISTOGRAM: &str = "histogram";

use Source::{
    ActiveInput, Adoptions, Build, Channel, Endpoint, EndpointLatency, EndpointResponses, Input,
    InputLateness, InputResponses, Limits, Process, Shard, TaskPanics,
};
use Unit::{Plain, Seconds};

static METRICS: &[Metric] = &[
    metric("headwater_build_info", GAUGE, Plain, Build, "Version of the program; always 1."),
    metric(
        "headwater_ingest_bytes_total",
        COUNTER,
        Plain,
        Input(|i| &i.received_bytes),
        "Bytes of bodies received from an encoder.",
    ),
    metric(
        "headwater_ingest_requests_total",
        COUNTER,
        Plain,
        InputResponses,
        "Requests of an encoder by status class.",
    ),
    metric(
        "headwater_ingest_unauthorized_total",
        COUNTER,
        Plain,
        Input(|i| &i.unauthorized),
        "Requests refused for missing or wrong credentials.",
    ),
    metric(
        "headwater_ingest_segments_total",
        COUNTER,
        Plain,
        Input(|i| &i.segments),
        "Segments committed to the ring.",
    ),
    metric(
        "headwater_ingest_duplicates_total",
        COUNTER,
        Plain,
        Input(|i| &i.duplicates),
        "Segments that were there already, with the same bytes.",
    ),
    metric(
        "headwater_ingest_divergent_total",
        COUNTER,
        Plain,
        Input(|i| &i.divergent),
        "Segments that were there already, with other bytes.",
    ),
    metric(
        "headwater_ingest_damaged_total",
        COUNTER,
        Plain,
        Input(|i| &i.damaged),
        "Segments that came damaged, refused or not.",
    ),
    metric(
        "headwater_ingest_standby_total",
        COUNTER,
        Plain,
        Input(|i| &i.standby),
        "Segments of the input not in use that did not fit the one in use.",
    ),
    metric(
        "headwater_ingest_listed_total",
        COUNTER,
        Plain,
        Input(|i| &i.listed),
        "Published segments of all tracks by the input that brought them.",
    ),
    metric(
        "headwater_ingest_lateness_seconds",
        HISTOGRAM,
        Seconds,
        InputLateness,
        "How long after its due time a segment came.",
    ),
    metric(
        "headwater_active_input",
        GAUGE,
        Plain,
        ActiveInput,
        "1 for the input in use, 0 for the other.",
    ),
    metric(
        "headwater_input_switches_total",
        COUNTER,
        Plain,
        Channel(|c| &c.input_switches),
        "Times the input in use changed.",
    ),
    metric(
        "headwater_ring_used_bytes",
        GAUGE,
        Plain,
        Channel(|c| &c.ring_used_bytes),
        "Bytes of the ring that hold records.",
    ),
    metric("headwater_ring_bytes", GAUGE, Plain, Channel(|c| &c.ring_bytes), "Bytes of the ring."),
    metric(
        "headwater_ring_unsynced_bytes",
        GAUGE,
        Plain,
        Channel(|c| &c.ring_unsynced_bytes),
        "Bytes of the ring that a power cut would cost now.",
    ),
    metric(
        "headwater_ring_failing",
        GAUGE,
        Plain,
        Channel(|c| &c.ring_failing),
        "1 while the ring's disk fails to take writes.",
    ),
    metric(
        "headwater_ring_write_failures_total",
        COUNTER,
        Plain,
        Channel(|c| &c.ring_write_failures),
        "Writes to the ring that failed.",
    ),
    metric(
        "headwater_ring_sync_failures_total",
        COUNTER,
        Plain,
        Channel(|c| &c.ring_sync_failures),
        "Syncs of ring files that failed.",
    ),
    metric(
        "headwater_ring_spare_failures_total",
        COUNTER,
        Plain,
        Channel(|c| &c.ring_spare_failures),
        "Ring files that could not be made.",
    ),
    metric(
        "headwater_ring_checksum_fail_total",
        COUNTER,
        Plain,
        Channel(|c| &c.ring_checksum_failures),
        "Records that the disk did not give back as they were written.",
    ),
    metric(
        "headwater_ring_torn_records_total",
        COUNTER,
        Plain,
        Channel(|c| &c.ring_torn_records),
        "Records that a crash left half written.",
    ),
    metric(
        "headwater_ring_lost_files_total",
        COUNTER,
        Plain,
        Channel(|c| &c.ring_lost_files),
        "Ring files found unreadable or too short at the start.",
    ),
    metric(
        "headwater_ring_recovery_seconds",
        GAUGE,
        Seconds,
        Channel(|c| &c.ring_recovery_us),
        "How long it took to read the ring back at the start.",
    ),
    metric(
        "headwater_window_seconds",
        GAUGE,
        Seconds,
        Channel(|c| &c.window_us),
        "Media that can be played.",
    ),
    metric(
        "headwater_edge_age_seconds",
        GAUGE,
        Seconds,
        Channel(|c| &c.edge_age_us),
        "Time since new media was last published.",
    ),
    metric(
        "headwater_published_segments_total",
        COUNTER,
        Plain,
        Channel(|c| &c.published_segments),
        "Segments published.",
    ),
    metric(
        "headwater_gaps_total",
        COUNTER,
        Plain,
        Channel(|c| &c.gaps),
        "Segments published without media.",
    ),
    metric(
        "headwater_discontinuities_total",
        COUNTER,
        Plain,
        Channel(|c| &c.discontinuities),
        "Discontinuities published.",
    ),
    metric(
        "headwater_channel_restarts_total",
        COUNTER,
        Plain,
        Channel(|c| &c.restarts),
        "Restarts of a channel after a panic.",
    ),
    metric(
        "headwater_channel_adoptions_total",
        COUNTER,
        Plain,
        Channel(|c| &c.adoptions),
        "Times a channel went from a lost shard to another.",
    ),
    metric(
        "headwater_channel_adoption_seconds",
        GAUGE,
        Seconds,
        Channel(|c| &c.adoption_us),
        "From the loss of its shard until the channel went on, the last time.",
    ),
    metric(
        "headwater_stale_writes_refused_total",
        COUNTER,
        Plain,
        Channel(|c| &c.stale_writes),
        "Writes of a channel's earlier owners that were refused.",
    ),
    metric(
        "headwater_egress_bytes_total",
        COUNTER,
        Plain,
        Endpoint(|e| &e.sent_bytes),
        "Bytes of bodies sent.",
    ),
    metric(
        "headwater_egress_requests_total",
        COUNTER,
        Plain,
        EndpointResponses,
        "Requests of players by status class.",
    ),
    metric(
        "headwater_egress_stale_total",
        COUNTER,
        Plain,
        Endpoint(|e| &e.stale),
        "Manifests refused because no media came for too long.",
    ),
    metric(
        "headwater_egress_latency_seconds",
        HISTOGRAM,
        Seconds,
        EndpointLatency,
        "From a request's last byte to its response's first.",
    ),
    metric(
        "headwater_shard_connections",
        GAUGE,
        Plain,
        Shard(|s| &s.connections),
        "Open connections.",
    ),
    metric(
        "headwater_shard_accepted_total",
        COUNTER,
        Plain,
        Shard(|s| &s.accepted),
        "Connections accepted.",
    ),
    metric(
        "headwater_shard_handed_over_total",
        COUNTER,
        Plain,
        Shard(|s| &s.handed_over),
        "Connections handed over to another shard.",
    ),
    metric(
        "headwater_shard_busy_seconds_total",
        COUNTER,
        Seconds,
        Shard(|s| &s.busy_us),
        "Processor time of a shard's thread.",
    ),
    metric(
        "headwater_shard_stray_requests_total",
        COUNTER,
        Plain,
        Shard(|s| &s.stray_requests),
        "Requests that named nothing configured.",
    ),
    metric(
        "headwater_shard_spliced_bytes_total",
        COUNTER,
        Plain,
        Shard(|s| &s.spliced_bytes),
        "Bytes sent from ring files without a copy.",
    ),
    metric(
        "headwater_shard_copied_bytes_total",
        COUNTER,
        Plain,
        Shard(|s| &s.copied_bytes),
        "Bytes copied from memory into sockets, heads included.",
    ),
    metric(
        "headwater_storage_queue",
        GAUGE,
        Plain,
        Shard(|s| &s.storage_queue),
        "Requests waiting for a storage thread.",
    ),
    metric(
        "headwater_shard_heartbeat_age_seconds",
        GAUGE,
        Seconds,
        Shard(|s| &s.heartbeat_age_us),
        "Time since a shard was last heard of.",
    ),
    metric(
        "headwater_shard_adoptions_total",
        COUNTER,
        Plain,
        Adoptions,
        "Times others took over what a shard had, by reason.",
    ),
    metric(
        "headwater_task_panics_total",
        COUNTER,
        Plain,
        TaskPanics,
        "Requests and other tasks that ended in a panic.",
    ),
    metric(
        "headwater_limit_hits_total",
        COUNTER,
        Plain,
        Limits,
        "Times a bound of the program was hit.",
    ),
    metric(
        "headwater_config_reloads_total",
        COUNTER,
        Plain,
        Process(|p| &p.reloads),
        "Configurations taken over by a reload.",
    ),
    metric(
        "headwater_config_reloads_refused_total",
        COUNTER,
        Plain,
        Process(|p| &p.reloads_refused),
        "Reloads refused for mistakes; the old configuration stays.",
    ),
    metric(
        "headwater_takeovers_total",
        COUNTER,
        Plain,
        Process(|p| &p.takeovers),
        "Takeovers since a process was started without one.",
    ),
    metric(
        "headwater_takeovers_failed_total",
        COUNTER,
        Plain,
        Process(|p| &p.takeovers_failed),
        "Processes that were to take over and did not; this one went on.",
    ),
    metric(
        "headwater_access_records_total",
        COUNTER,
        Plain,
        Process(|p| &p.access_records),
        "Access records written.",
    ),
    metric(
        "headwater_access_records_lost_total",
        COUNTER,
        Plain,
        Process(|p| &p.access_records_lost),
        "Access records lost to a full queue or a failed write.",
    ),
    metric(
        "headwater_log_lines_lost_total",
        COUNTER,
        Plain,
        Process(|p| &p.log_lines_lost),
        "Log lines lost to a blocked log.",
    ),
];

/// The whole page.
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut page = Page { text: String::with_capacity(16 << 10) };
    for metric in METRICS {
        let Metric { name, kind, help, .. } = metric;
        page.line(format_args!("# HELP {name} {help}"));
        page.line(format_args!("# TYPE {name} {kind}"));
        page.samples(metric, registry);
    }
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn sample(&mut self, metric: &Metric, labels: &str, value: u64) {
        let value = shown(metric.unit, value);
        let name = metric.name;
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{labels}}} {value}"));
        }
    }

    fn classes(&mut self, metric: &Metric, labels: &str, values: [u64; 4]) {
        for (class, value) in StatusClasses::NAMES.iter().zip(values) {
            self.sample(metric, &format!("{labels},status=\"{class}\""), value);
        }
    }

    /// The sum of `histograms`, in cumulated buckets.
    fn histogram<'a>(
        &mut self,
        metric: &Metric,
        labels: &str,
        histograms: impl Iterator<Item = &'a Histogram>,
    ) {
        let (mut buckets, mut sum) = ([0; BUCKET_COUNT + 1], 0);
        for histogram in histograms {
            let (counts, part) = histogram.values();
            buckets.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
            sum += part;
        }
        let name = metric.name;
        let mut count = 0;
        for (index, bucket) in buckets.into_iter().enumerate() {
            count += bucket;
            let bound = match index {
                BUCKET_COUNT => "+Inf".to_owned(),
                index => shown(Seconds, Histogram::bound_us(index)),
            };
            self.line(format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {count}"));
        }
        self.line(format_args!("{name}_sum{{{labels}}} {}", shown(Seconds, sum)));
        self.line(format_args!("{name}_count{{{labels}}} {count}"));
    }

    fn samples(&mut self, metric: &Metric, registry: &Registry) {
        match metric.source {
            Build => {
                let version = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"");
                self.sample(metric, version, 1);
            }
            TaskPanics => self.sample(metric, "", rt::task_panic_count()),
            Process(counter) => self.sample(metric, "", counter(&registry.process).value()),
            Shard(_) | Limits | Adoptions => self.shard_samples(metric, registry),
            Channel(_) | ActiveInput | Input(_) | InputResponses | InputLateness => {
                for (id, channel) in &registry.channels {
                    self.channel_samples(metric, id, channel);
                }
            }
            Endpoint(_) | EndpointResponses | EndpointLatency => {
                for (id, shards) in &registry.endpoints {
                    self.endpoint_samples(metric, id, shards);
                }
            }
        }
    }

    fn shard_samples(&mut self, metric: &Metric, registry: &Registry) {
        let shards = registry.shards.iter().enumerate();
        match metric.source {
            Shard(counter) => shards.for_each(|(number, shard)| {
                self.sample(metric, &format!("shard=\"{number}\""), counter(shard).value());
            }),
            Adoptions => shards.for_each(|(number, shard)| {
                for (reason, counter) in [("stall", &shard.stalls), ("panic", &shard.panics)] {
                    let labels = format!("shard=\"{number}\",reason=\"{reason}\"");
                    self.sample(metric, &labels, counter.value());
                }
            }),
            _ => {
                for limit in Limit::ALL {
                    let hits = registry.shards.iter().map(|shard| shard.hits(*limit)).sum();
                    self.sample(metric, &format!("limit=\"{}\"", limit.name()), hits);
                }
            }
        }
    }

    fn channel_samples(&mut self, metric: &Metric, id: &str, channel: &ChannelCounters) {
        if let Channel(counter) = metric.source {
            self.sample(metric, &format!("channel=\"{id}\""), counter(channel).value());
            return;
        }
        for (number, input) in (1..).zip(&channel.inputs) {
            let labels = format!("channel=\"{id}\",input=\"{number}\"");
            match metric.source {
                Input(counter) => self.sample(metric, &labels, counter(input).value()),
                InputResponses => self.classes(metric, &labels, input.responses.values()),
                InputLateness => {
                    self.histogram(metric, &labels, std::iter::once(&input.lateness));
                }
                _ => {
                    let active = channel.active_input.value() == number;
                    self.sample(metric, &labels, u64::from(active));
                }
            }
        }
    }

    fn endpoint_samples(&mut self, metric: &Metric, id: &str, shards: &[Arc<EndpointCounters>]) {
        let labels = format!("endpoint=\"{id}\"");
        match metric.source {
            Endpoint(counter) => {
                let sum = shards.iter().map(|shard| counter(shard).value()).sum();
                self.sample(metric, &labels, sum);
            }
            EndpointResponses => {
                let mut sums = [0; 4];
                for shard in shards {
                    let values = shard.responses.values();
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                }
                self.classes(metric, &labels, sums);
            }
            _ => {
                for (class, name) in StatusClasses::NAMES.iter().enumerate() {
                    let labels = format!("{labels},status=\"{name}\"");
                    let histograms = shards.iter().map(|shard| &shard.latency[class]);
                    self.histogram(metric, &labels, histograms);
                }
            }
        }
    }
}

/// A number in its unit, exactly.
fn shown(unit: Unit, value: u64) -> String {
    match unit {
        Plain => value.to_string(),
        Seconds => {
            let text = format!("{}.{:06}", value / 1_000_000, value % 1_000_000);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};
    use std::time::Duration;

    fn registry() -> Registry {
        let shards: Vec<_> = (0..2).map(|_| Arc::new(ShardCounters::default())).collect();
        shards[0].hit(Limit::QuerySize);
        shards[1].hit(Limit::QuerySize);
        shards[1].busy_us.add(1_500_000);
        let channel = ChannelCounters::default();
        channel.active_input.set(2);
        channel.inputs[0].responses.count(201);
        channel.inputs[1].lateness.observe(Duration::from_millis(40));
        channel.window_us.set_span(Duration::from_mins(10));
        let blocks: Vec<_> = (0..2).map(|_| Arc::new(EndpointCounters::default())).collect();
        blocks[0].count(200, 10, Duration::from_micros(70));
        blocks[1].count(206, 5, Duration::from_secs(100));
        Registry {
            shards,
            channels: vec![("demo".to_owned(), Arc::new(channel))],
            endpoints: vec![("demo-hls".to_owned(), blocks)],
            process: Arc::default(),
        }
    }

    /// Samples by name with labels, after checking the page's form.
    fn samples(page: &str) -> HashMap<&str, f64> {
        let mut types = HashMap::new();
        let mut found = HashMap::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(types.insert(name, kind).is_none(), "{name} twice");
                continue;
            }
            if line.starts_with("# HELP ") {
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| name.strip_suffix(suffix))
                .find(|family| types.get(family) == Some(&HISTOGRAM))
                .unwrap_or(name);
            assert!(types.contains_key(family), "{series} has no TYPE before it");
            assert_eq!(series.matches('{').count(), series.matches('}').count(), "{series}");
            let value = value.parse().unwrap();
            assert!(found.insert(series, value).is_none(), "{series} twice");
        }
        found
    }

    #[test]
    fn the_page_is_well_formed_and_adds_shards_up() {
        let page = render(&registry());
        let samples = samples(&page);
        let cases = [
            ("headwater_limit_hits_total{limit=\"query_size\"}", 2.0),
            ("headwater_shard_busy_seconds_total{shard=\"1\"}", 1.5),
            ("headwater_active_input{channel=\"demo\",input=\"1\"}", 0.0),
            ("headwater_active_input{channel=\"demo\",input=\"2\"}", 1.0),
            ("headwater_window_seconds{channel=\"demo\"}", 600.0),
            ("headwater_ingest_requests_total{channel=\"demo\",input=\"1\",status=\"2xx\"}", 1.0),
            ("headwater_ingest_lateness_seconds_sum{channel=\"demo\",input=\"2\"}", 0.04),
            ("headwater_egress_bytes_total{endpoint=\"demo-hls\"}", 15.0),
            ("headwater_egress_requests_total{endpoint=\"demo-hls\",status=\"2xx\"}", 2.0),
            (
                "headwater_egress_latency_seconds_bucket{endpoint=\"demo-hls\",status=\"2xx\",\
                 le=\"67.108864\"}",
                1.0,
            ),
            (
                "headwater_egress_latency_seconds_bucket{endpoint=\"demo-hls\",status=\"2xx\",\
                 le=\"+Inf\"}",
                2.0,
            ),
            ("headwater_egress_latency_seconds_count{endpoint=\"demo-hls\",status=\"2xx\"}", 2.0),
        ];
        for (series, expected) in cases {
            assert_eq!(samples.get(series), Some(&expected), "{series}");
        }
    }

    #[test]
    fn names_are_unique_and_end_in_their_unit() {
        let names: HashSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            let name = metric.name;
            assert_eq!(name.ends_with("_total"), metric.kind == COUNTER, "{name}");
            assert_eq!(name.contains("_seconds"), matches!(metric.unit, Seconds), "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn numbers_are_exact() {
        let cases = [(0, "0"), (1, "0.000001"), (1_000_000, "1"), (1_500_000, "1.5")];
        for (us, expected) in cases {
            assert_eq!(shown(Seconds, us), expected);
        }
        assert_eq!(shown(Plain, u64::MAX), "18446744073709551615");
    }
}
