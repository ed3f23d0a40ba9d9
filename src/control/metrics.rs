//! `/metrics`: one table of name, unit and help, and the writer of the Prometheus text format
//! (version 0.0.4). Labels are configured ids and fixed words, never a client's text.

use crate::engine::channel::event::{Cause, SwitchReason};
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
    Publication,
    /// Labelled by [`SwitchReason`].
    Switches,
    /// Labelled by [`Cause`].
    Discontinuities,
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
    ActiveInput, Adoptions, Build, Channel, Discontinuities, Endpoint, EndpointLatency,
    EndpointResponses, Input, InputLateness, InputResponses, Limits, Process, Publication, Shard,
    Switches, TaskPanics,
};
use Unit::{Plain, Seconds};

mod table;

use table::METRICS;

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
            Channel(_) | Publication | Switches | Discontinuities | ActiveInput | Input(_)
            | InputResponses | InputLateness => {
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
        let labels = format!("channel=\"{id}\"");
        match metric.source {
            Channel(counter) => return self.sample(metric, &labels, counter(channel).value()),
            Publication => {
                let publication = std::iter::once(&channel.publication);
                return self.histogram(metric, &labels, publication);
            }
            Switches => {
                for (reason, counter) in SwitchReason::ALL.iter().zip(&channel.input_switches) {
                    let labels = format!("{labels},reason=\"{}\"", reason.name());
                    self.sample(metric, &labels, counter.value());
                }
                return;
            }
            Discontinuities => {
                for (cause, counter) in Cause::ALL.iter().zip(&channel.discontinuities) {
                    let labels = format!("{labels},cause=\"{}\"", cause.name());
                    self.sample(metric, &labels, counter.value());
                }
                return;
            }
            _ => {}
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
