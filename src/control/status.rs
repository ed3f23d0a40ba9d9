//! What the control plane shows of the data plane: plain values, made anew for each question.

use super::config::Config;
use crate::engine::endpoint::{Endpoint, Package};
use serde::Serialize;
use std::sync::Arc;

/// Answers what the state is now. Called on the control thread; must not wait.
pub type StatusSource = Arc<dyn Fn() -> Status + Send + Sync>;

/// The state of the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Whether it serves.
    pub readiness: Readiness,
    /// Port of the data plane that plays, on the host the console was loaded from.
    pub data_port: u16,
    /// Channels in the order of the configuration.
    pub channels: Vec<ChannelStatus>,
    /// Endpoints in the order of the configuration.
    pub endpoints: Vec<EndpointStatus>,
}

/// What `/readyz` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// True where every shard serves and none drains.
    pub ready: bool,
    /// Shards that serve.
    pub shards_serving: usize,
    /// Shards there are.
    pub shards: usize,
    /// How the shards talk to the kernel.
    pub driver: String,
    /// Channels that live and have older media still to be read back.
    pub channels_filling: Vec<String>,
    /// Channels that are refused because their ring could not be read.
    pub channels_refused: Vec<String>,
}

/// A channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelStatus {
    /// Its id.
    pub id: String,
    /// The input in use; `None` before the first segment.
    pub active_input: Option<u8>,
    /// Seconds of media that can be played.
    pub window_seconds: f64,
    /// Seconds since new media was last published; `None` before the first.
    pub edge_age_seconds: Option<f64>,
    /// Its inputs, 1 first.
    pub inputs: Vec<InputStatus>,
}

/// An input of a channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct InputStatus {
    /// 1 or 2.
    pub input: u8,
    /// True where media comes in time.
    pub alive: bool,
    /// Bits per second received over the last seconds.
    pub bits_per_second: u64,
    /// Seconds since its last committed segment; `None` before the first.
    pub last_segment_age_seconds: Option<f64>,
}

/// An endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EndpointStatus {
    /// Its id.
    pub id: String,
    /// The channel it plays.
    pub channel: String,
    /// `hls`, `dash`, `cmaf` or `mss`.
    pub packager: &'static str,
    /// Paths of its top manifests on the data plane.
    pub paths: Vec<String>,
    /// True where its manifests are refused because no media came for too long.
    pub stale: bool,
}

impl From<&Endpoint> for EndpointStatus {
    fn from(endpoint: &Endpoint) -> Self {
        let Endpoint { id, manifest_name: name, .. } = endpoint;
        let (packager, paths) = match &endpoint.package {
            Package::Hls(_) => ("hls", vec![format!("/out/v1/{id}/{name}.m3u8")]),
            Package::Dash(_) => ("dash", vec![format!("/out/v1/{id}/{name}.mpd")]),
            Package::Mss(_) => ("mss", vec![format!("/out/v1/{id}/{name}.ism/Manifest")]),
            Package::Cmaf(package) => {
                let path = |list: &crate::engine::endpoint::HlsManifest| {
                    format!("/out/v1/{id}/{}/{}.m3u8", list.id, list.manifest_name)
                };
                let mpd = |list: &crate::engine::endpoint::DashManifest| {
                    format!("/out/v1/{id}/{}/{}.mpd", list.id, list.manifest_name)
                };
                let hls = package.hls_manifests.iter().map(path);
                ("cmaf", hls.chain(package.dash_manifests.iter().map(mpd)).collect())
            }
        };
        Self { id: id.clone(), channel: endpoint.channel.clone(), packager, paths, stale: false }
    }
}

impl Status {
    /// The part that the configuration alone decides: inputs are silent, nothing serves yet.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        let input = |input| InputStatus { input, ..InputStatus::default() };
        let channel = |channel: &super::config::Channel| ChannelStatus {
            id: channel.id.clone(),
            inputs: (1..).zip(&channel.inputs).map(|(number, _)| input(number)).collect(),
            ..ChannelStatus::default()
        };
        Self {
            readiness: Readiness::default(),
            data_port: config.server.http.first().map_or(0, std::net::SocketAddr::port),
            channels: config.channels.iter().map(channel).collect(),
            endpoints: config.endpoints.iter().map(EndpointStatus::from).collect(),
        }
    }
}
