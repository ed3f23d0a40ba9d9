//! The binary, started with a configuration, an address and a directory of its own.

use crate::client::{Connection, Response};
use crate::without_io_uring::refuse;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Reached only where something is broken.
const PATIENCE: Duration = Duration::from_secs(25);
/// Between two looks at a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Anonymous memory that no test's process has a use for: buffers of a thousand connections and the
/// state of a few small channels.
const MEMORY_MAX: u64 = 384 << 20;
const DATA_PORT: u16 = 7080;
const CONTROL_PORT: u16 = 7081;
/// Where encoders alone are served, in the origins that have such a listener.
pub const INGEST_PORT: u16 = 7082;

/// Puts a file over the kernel's boot id, in a namespace of its own, and goes on as the program.
const REBOOTED: &str = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";

/// Users of the two inputs of every channel here, with their passwords.
pub const USERS: [(&str, &str); 2] = [("encoder1", "first secret"), ("encoder2", "second secret")];

/// Looks again and again until `condition` gives something.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// A channel with a small ring.
pub fn channel(id: &str) -> String {
    channel_with(id, "40MiB", "1MiB")
}

/// A channel with this `ring` and `segment_size_max`, fed faster than encoders may by default.
pub fn channel_with(id: &str, ring: &str, size_max: &str) -> String {
    let mut text = format!(
        "[[channel]]\nid = \"{id}\"\nring = \"{ring}\"\nsegment_size_max = \"{size_max}\"\n\
         ingest_requests_per_second = 100000\ningest_bits_per_second = 1000000000000\n"
    );
    for (username, password) in USERS {
        write!(text, "[[channel.input]]\nusername = \"{username}\"\npassword = \"{password}\"\n")
            .unwrap();
    }
    text
}

/// An endpoint of every packager for channel `id`, with segments of `seconds`: `{id}-hls`,
/// `{id}-cmaf` (manifest `hls`) and `{id}-dash`. What was pushed stays listed for the whole test.
pub fn endpoints(id: &str, seconds: u32) -> String {
    let mut text = String::new();
    for (name, package) in
        [("hls", "hls_package"), ("cmaf", "cmaf_package"), ("dash", "dash_package")]
    {
        write!(
            text,
            "[[endpoint]]\nid = \"{id}-{name}\"\nchannel = \"{id}\"\n\
             startover_window_seconds = 300\nstale_limit_seconds = 3600\n[endpoint.{package}]\n\
             segment_duration_seconds = {seconds}\n"
        )
        .unwrap();
    }
    text.replace(
        "[endpoint.cmaf_package]\n",
        "[[endpoint.cmaf_package.hls_manifests]]\nid = \"hls\"\n\
         program_date_time_interval_seconds = 1\n[endpoint.cmaf_package]\n",
    )
}

/// A channel `id` of segments of a second all of which stay listed, whether or not more come:
/// CMAF at `/out/v1/{id}/hls/index.m3u8`, transport streams at `/out/v1/{id}-ts/index.m3u8`.
pub fn lasting(id: &str) -> String {
    let endpoint = |name: &str, package: &str| {
        format!(
            "[[endpoint]]\nid = \"{name}\"\nchannel = \"{id}\"\nstale_limit_seconds = 86400\n\
             [endpoint.{package}]\nsegment_duration_seconds = 1\n"
        )
    };
    let window = "playlist_window_seconds = 600\n";
    channel(id)
        + &endpoint(id, "cmaf_package")
        + "[[endpoint.cmaf_package.hls_manifests]]\nid = \"hls\"\n"
        + window
        + &endpoint(&format!("{id}-ts"), "hls_package")
        + window
}

/// The same tables, whose first channel acknowledges only what is on the disk.
pub fn strict(tables: &str) -> String {
    tables.replacen("[[channel]]\n", "[[channel]]\ndurability = \"strict\"\n", 1)
}

/// A channel `demo` with an endpoint of every packager.
pub fn demo() -> String {
    channel("demo") + &endpoints("demo", 2)
}

/// A process that was started here, or by one that was.
pub struct Process {
    pid: u32,
    child: Option<Child>,
}

impl Process {
    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid);
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end; whether it ended well. Of one that was started by another process it is
    /// not known how it ended.
    pub fn ended_well(mut self) -> bool {
        eventually("the process ends", || match &mut self.child {
            Some(child) => child.try_wait().unwrap().map(|status| status.success()),
            None => (!is_running(self.pid)).then_some(true),
        })
    }
}

/// Whether there is a process of this number that has not ended.
fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything; the state follows it.
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

impl Drop for Process {
    fn drop(&mut self) {
        match &mut self.child {
            // It may have ended by itself.
            Some(child) => drop((child.kill(), child.wait())),
            None if is_running(self.pid) => self.signal("KILL"),
            None => {}
        }
    }
}

/// A running origin; it ends with the value.
pub struct Origin {
    dir: TempDir,
    address: Ipv4Addr,
    process: Option<Process>,
    refused_calls: Option<RangeInclusive<u32>>,
    environment: Vec<(&'static str, String)>,
    /// Limits as the shell sets them, `-n 256`.
    limits: Option<String>,
    /// Starts of the machine so far, as the origin is made to see them; 0 for the real one.
    boots: u32,
}

impl Origin {
    /// Starts an origin with these channels and endpoints and waits until it serves.
    pub fn start(tables: &str) -> Self {
        Self::start_with("", tables)
    }

    /// The same with more lines in its `[server]`, where `{ip}` is its address.
    pub fn start_with(server: &str, tables: &str) -> Self {
        let mut origin = Self::new();
        origin.configure(server, tables);
        origin.restart();
        origin
    }

    /// The same where the system refuses calls of these numbers.
    pub fn start_refused(calls: RangeInclusive<u32>, tables: &str) -> Self {
        let mut origin = Self::new();
        origin.refused_calls = Some(calls);
        origin.configure("", tables);
        origin.restart();
        origin
    }

    /// An origin that has not been started, with these channels and endpoints.
    pub fn stopped(tables: &str) -> Self {
        let origin = Self::new();
        origin.configure("", tables);
        origin
    }

    /// Overrides a value of the configuration.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// Has the machine started anew, as far as the origin can see. Needs the right to mount.
    pub fn reboot(&mut self) {
        self.boots += 1;
        let id = format!("00000000-0000-0000-0000-{:012}\n", self.boots);
        fs::write(self.dir.path().join("boot_id"), id).unwrap();
    }

    /// Where ring files are.
    pub fn storage(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The same, with `shards` shards that tests can make fail.
    pub fn start_with_hooks(shards: &'static str, tables: &str) -> Self {
        let mut origin = Self::new();
        // A backtrace takes a debug build longer than a shard may be silent.
        origin.environment = vec![
            ("HEADWATER_TEST_HOOKS", "1".to_owned()),
            ("HEADWATER_SERVER__SHARDS", shards.to_owned()),
            ("RUST_BACKTRACE", "0".to_owned()),
        ];
        origin.configure("", tables);
        origin.restart();
        origin
    }

    /// The same as [`start`](Self::start) with limits as the shell sets them (`-n 256`: few
    /// descriptors), and more lines in its `[server]`.
    pub fn start_limited(limits: &str, server: &str, tables: &str) -> Self {
        let mut origin = Self::new();
        origin.limits = Some(limits.to_owned());
        origin.configure(server, tables);
        origin.restart();
        origin
    }

    fn new() -> Self {
        static ORIGIN_COUNT: AtomicU8 = AtomicU8::new(0);
        // All of 127/8 is this machine: the process and a count make an address of its own.
        let number = ORIGIN_COUNT.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 64 | high & 0x3f, low, number + 1);
        let dir = TempDir::new().unwrap();
        Self {
            dir,
            address,
            process: None,
            refused_calls: None,
            environment: Vec::new(),
            limits: None,
            boots: 0,
        }
    }

    /// Writes the configuration file.
    pub fn configure(&self, server: &str, tables: &str) {
        let (ip, dir) = (self.address, self.dir.path().display());
        let server = server.replace("{ip}", &ip.to_string());
        let text = format!(
            "[server]\nhttp = \"{ip}:{DATA_PORT}\"\nshards = 2\n{server}\n\
             [control]\nlisten = \"{ip}:{CONTROL_PORT}\"\n\
             [storage]\ndir = \"{dir}/data\"\ncache = \"128MiB\"\n\
             [log]\nformat = \"json\"\n[access_log]\npath = \"{dir}/access.log\"\n{tables}"
        );
        fs::write(self.dir.path().join("headwater.toml"), text).unwrap();
    }

    fn spawn(
        &self,
        flag: Option<&str>,
        log: &str,
        environment: &[(&'static str, String)],
    ) -> Child {
        let log = File::options().create(true).append(true).open(self.dir.path().join(log));
        let log = log.unwrap();
        let binary = env!("CARGO_BIN_EXE_headwater");
        let mut command = match (self.boots, &self.limits) {
            (0, None) => Command::new(binary),
            (0, Some(limits)) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("ulimit {limits}; exec \"$0\" \"$@\""), binary]);
                command
            }
            _ => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c", REBOOTED]);
                command.arg(self.dir.path().join("boot_id")).arg(binary);
                command
            }
        };
        if let Some(calls) = &self.refused_calls {
            refuse(calls, &mut command);
        }
        command
            .args(["serve", "--config"])
            .arg(self.dir.path().join("headwater.toml"))
            .args(flag)
            .envs(self.environment.iter().chain(environment).map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Starts the process on the same directory.
    pub fn begin(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let child = self.spawn(None, "log", &[]);
        self.process = Some(Process { pid: child.id(), child: Some(child) });
    }

    /// Starts the process on the same directory and waits until it serves.
    pub fn restart(&mut self) {
        self.begin();
        let process = self.process.take().unwrap();
        eventually("the origin is ready", || {
            assert!(is_running(process.pid), "it ended, log:\n{}", self.log());
            self.is_ready().then_some(())
        });
        self.process = Some(process);
    }

    fn is_ready(&self) -> bool {
        let control = Connection::try_open(self.control());
        let ready = control.and_then(|mut one| one.try_request("GET", "/readyz", &[], b""));
        ready.is_ok_and(|ready| ready.status == 200)
    }

    /// Starts a process that is to take over.
    pub fn begin_takeover(&self, environment: &[(&'static str, String)]) -> Child {
        self.spawn(Some("--takeover"), "log", environment)
    }

    /// Has another process take over, and waits until it serves. Returns the one before.
    pub fn take_over(&mut self, environment: &[(&'static str, String)]) -> Process {
        let mut child = self.begin_takeover(environment);
        let pid = child.id();
        eventually("the other process serves", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}, log:\n{}", self.log());
            (self.serving_pid() == Some(pid) && self.is_ready()).then_some(())
        });
        self.process.replace(Process { pid, child: Some(child) }).expect("it runs")
    }

    /// Has the process start another one that takes over, and waits until that serves. Returns the
    /// one before.
    pub fn upgrade(&mut self) -> Process {
        let before = self.process.take().expect("it runs");
        before.signal("USR2");
        let pid = eventually("the other process serves", || {
            self.serving_pid().filter(|&pid| pid != before.pid && self.is_ready())
        });
        self.process = Some(Process { pid, child: None });
        before
    }

    /// The number of the process that serves, as it says in the directory.
    fn serving_pid(&self) -> Option<u32> {
        let text = fs::read_to_string(self.dir.path().join("data/headwater.pid")).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    }

    /// A second process on the same directory, at other addresses: how it ends, and what it says.
    pub fn second_process(&self) -> (ExitStatus, String) {
        let address = |port| format!("{}:{port}", self.address);
        let environment = [
            ("HEADWATER_SERVER__HTTP", address(DATA_PORT + 10)),
            ("HEADWATER_CONTROL__LISTEN", address(CONTROL_PORT + 10)),
        ];
        let mut child = self.spawn(None, "second.log", &environment);
        let status = eventually("the second process ends", || child.try_wait().unwrap());
        (status, fs::read_to_string(self.dir.path().join("second.log")).unwrap())
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }

    /// Waits for the end of the process; whether it ended well.
    pub fn ends_well(&mut self) -> bool {
        self.process.take().unwrap().ended_well()
    }

    /// Ends the process without any warning.
    pub fn kill(&mut self) {
        drop(self.process.take().unwrap());
    }

    /// Stops the process, every thread of it, until SIGCONT.
    pub fn pause(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.process.as_ref().unwrap().pid);
        eventually("every thread is stopped", || {
            let mut tasks = fs::read_dir(&tasks).unwrap().map(|task| task.unwrap().path());
            let is_stopped = |stat: String| stat.rsplit(')').next().unwrap().starts_with(" T");
            tasks
                .all(|task| is_stopped(fs::read_to_string(task.join("stat")).unwrap()))
                .then_some(())
        });
    }

    /// Address of encoders and players.
    pub fn data(&self) -> SocketAddr {
        (self.address, DATA_PORT).into()
    }

    /// Address of encoders alone.
    pub fn ingest(&self) -> SocketAddr {
        (self.address, INGEST_PORT).into()
    }

    /// Address of the control plane.
    pub fn control(&self) -> SocketAddr {
        (self.address, CONTROL_PORT).into()
    }

    /// A player's request on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        Connection::open(self.data()).request("GET", path, &[], b"")
    }

    /// How often `text` stands in the log.
    pub fn logged(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    /// What the process has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Lines of the access log.
    pub fn access_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default()
    }

    /// The sum of the samples of a metric of whole numbers whose labels contain `labels`.
    pub fn metric(&self, name: &str, labels: &str) -> u64 {
        let page = Connection::open(self.control()).request("GET", "/metrics", &[], b"").text();
        let samples = page.lines().filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let rest = sample.strip_prefix(name)?;
            let own = rest.is_empty() || rest.starts_with('{');
            (own && rest.contains(labels)).then(|| value.parse::<u64>().unwrap())
        });
        let samples: Vec<u64> = samples.collect();
        assert!(!samples.is_empty(), "no metric {name} with {labels}:\n{page}");
        samples.iter().sum()
    }

    /// Upper bounds of a histogram's buckets, ascending, and what is in each and those below.
    pub fn buckets(&self, name: &str) -> Vec<(String, u64)> {
        let page = Connection::open(self.control()).request("GET", "/metrics", &[], b"").text();
        let begin = format!("{name}_bucket{{");
        let samples = page.lines().filter(|line| line.starts_with(&begin)).map(|line| {
            let (labels, count) = line.rsplit_once(' ').unwrap();
            let bound = labels.rsplit_once("le=\"").unwrap().1.split('"').next().unwrap();
            (bound.to_owned(), count.parse().unwrap())
        });
        samples.collect()
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().pid
    }

    /// Bytes that the process's threads whose names begin so have had read from disks.
    pub fn disk_reads(&self, threads: &str) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let tasks = tasks.map(|task| task.unwrap().path());
        let named = tasks.filter(|task| {
            fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with(threads))
        });
        let reads = named.map(|task| {
            let counts = fs::read_to_string(task.join("io")).unwrap();
            let line = counts.lines().find_map(|line| line.strip_prefix("read_bytes: ")).unwrap();
            line.parse::<u64>().unwrap()
        });
        reads.sum()
    }

    /// Sockets that the process has open.
    pub fn socket_count(&self) -> usize {
        self.open_files().filter(|file| file.starts_with("socket:")).count()
    }

    /// Descriptors of the process on ring files that have no name any more.
    pub fn unnamed_file_count(&self) -> usize {
        self.open_files().filter(|file| file.ends_with(".ring (deleted)")).count()
    }

    /// What the process's descriptors are open on.
    fn open_files(&self) -> impl Iterator<Item = String> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        // Some may be closed while the others are looked at.
        let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.map(|link| link.to_string_lossy().into_owned())
    }

    /// Bytes of anonymous memory that the process holds.
    pub fn anonymous_memory(&self) -> u64 {
        let pid = self.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }
}

impl Origin {
    /// What holds after every fault that is none of the process's own: the process of the test's
    /// end is still there, within its memory, and nothing in it panicked.
    fn assert_unharmed(&self) {
        let has_hooks = self.environment.iter().any(|(name, _)| *name == "HEADWATER_TEST_HOOKS");
        let Some(process) = self.process.as_ref().filter(|_| !has_hooks) else { return };
        assert!(is_running(process.pid), "it ended, log:\n{}", self.log());
        let memory = self.anonymous_memory();
        assert!(memory <= MEMORY_MAX, "{memory} bytes of anonymous memory");
        assert_eq!(self.logged("panicked"), 0, "log:\n{}", self.log());
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the origin:\n{}", self.log());
        } else {
            self.assert_unharmed();
        }
        // Before the directory.
        self.process = None;
    }
}
