//! A shard's thread: pinned, with the best driver that the kernel allows.
//!
//! Ring flags are tried best first. IORING_SETUP_DEFER_TASKRUN leaves completions alone until the
//! shard waits for them, 20 to 45 % more small requests per core; it needs the rule that no task
//! wakes itself. Where io_uring is refused (an old kernel, a container's seccomp profile), epoll
//! serves: bodies leave by `sendfile` with either. A ring that can be made may still not be used,
//! where a profile refuses single calls; so an operation is tried first.
#![allow(unsafe_code)] // an entry of a ring may name memory; this one does not

use super::socket::open_sockets;
use super::task::{self, Guarded};
use super::{now, timeout_at};
use io_uring::{IoUring, opcode};
use monoio::time::TimeDriver;
use monoio::{FusionRuntime, IoUringDriver, LegacyDriver, RuntimeBuilder};
use std::time::Duration;
use std::{fmt, io};

/// How long tasks may take to end once the shard's main future has ended and its sockets are shut
/// down; after that the runtime is leaked.
const TASK_END_SPAN_MAX: Duration = Duration::from_secs(2);

type Runtime = FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>;

/// Which driver to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// The best one that the kernel allows.
    #[default]
    Best,
    /// This one or none.
    Only(Driver),
}

/// The driver that a shard runs on; its text goes to the log and to `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring with single issuer, cooperative and deferred task run (Linux 6.1).
    UringDeferred,
    /// io_uring with cooperative task run (Linux 5.19).
    UringCooperative,
    /// io_uring without flags.
    Uring,
    /// epoll.
    Epoll,
}

impl Driver {
    const BEST_FIRST: [Self; 4] =
        [Self::UringDeferred, Self::UringCooperative, Self::Uring, Self::Epoll];
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UringDeferred => "io_uring (single issuer, deferred task run)",
            Self::UringCooperative => "io_uring (cooperative task run)",
            Self::Uring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}

/// Why a shard did not run, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// No driver could be set up; the error is that of the last one tried.
    #[error("shard {shard}: no driver works, last tried {driver}: {error}")]
    NoDriver {
        /// The shard's index.
        shard: usize,
        /// The driver tried last.
        driver: Driver,
        /// What setting it up reported.
        error: io::Error,
    },
    /// The shard's main future panicked.
    #[error("shard {shard} panicked: {message}")]
    Panicked {
        /// The shard's index.
        shard: usize,
        /// The panic's message.
        message: String,
    },
}

/// Makes this thread shard number `shard`: pins it to `cpu` where one is given, sets up the driver
/// and runs `main`, which learns the driver taken. When `main` has ended, all sockets of the shard
/// are shut down and its tasks get `TASK_END_SPAN_MAX` to end.
///
/// # Errors
///
/// [`ShardError::NoDriver`] before `main` is called; [`ShardError::Panicked`] where it panicked.
pub fn run_shard<T>(
    shard: usize,
    cpu: Option<usize>,
    choice: DriverChoice,
    main: impl AsyncFnOnce(Driver) -> T,
) -> Result<T, ShardError> {
    if let Some(cpu) = cpu
        && let Err(error) = monoio::utils::bind_to_cpu_set([cpu])
    {
        tracing::warn!(shard, cpu, %error, "not pinned");
    }
    let (driver, mut runtime) = build(shard, choice)?;
    tracing::info!(shard, %driver, "shard runs");
    let ended = runtime.block_on(async {
        let ended = Guarded::new(main(driver)).await;
        open_sockets().shut_down_all();
        let _ = timeout_at(now() + TASK_END_SPAN_MAX, task::drained()).await;
        ended
    });
    if task::task_count() > 0 {
        tracing::warn!(shard, tasks = task::task_count(), "tasks did not end with their shard");
        // Operations in flight own buffers that dropping the runtime would free.
        std::mem::forget(runtime);
    }
    ended.map_err(|panicked| ShardError::Panicked { shard, message: panicked.0 })
}

fn build(shard: usize, choice: DriverChoice) -> Result<(Driver, Runtime), ShardError> {
    let candidates = match &choice {
        DriverChoice::Best => &Driver::BEST_FIRST[..],
        DriverChoice::Only(driver) => std::slice::from_ref(driver),
    };
    let mut refused = ShardError::NoDriver {
        shard,
        driver: Driver::Epoll,
        error: io::ErrorKind::Unsupported.into(),
    };
    for &driver in candidates {
        match build_one(driver) {
            Ok(runtime) => return Ok((driver, runtime)),
            Err(error) => {
                tracing::debug!(shard, %driver, %error, "driver refused");
                refused = ShardError::NoDriver { shard, driver, error };
            }
        }
    }
    Err(refused)
}

fn build_one(driver: Driver) -> io::Result<Runtime> {
    if driver == Driver::Epoll {
        let builder = RuntimeBuilder::<LegacyDriver>::new().enable_timer();
        return builder.build().map(Runtime::from);
    }
    if !monoio::utils::detect_uring() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut flags = IoUring::builder();
    match driver {
        Driver::UringDeferred => {
            flags.setup_single_issuer().setup_coop_taskrun().setup_defer_taskrun();
        }
        Driver::UringCooperative => {
            flags.setup_coop_taskrun();
        }
        Driver::Uring | Driver::Epoll => {}
    }
    try_out(&flags)?;
    let builder = RuntimeBuilder::<IoUringDriver>::new().uring_builder(flags).enable_timer();
    builder.build().map(Runtime::from)
}

/// Whether an operation gets through a ring with these flags.
fn try_out(flags: &io_uring::Builder) -> io::Result<()> {
    let mut ring = flags.build(1)?;
    let nothing = opcode::Nop::new().build();
    // SAFETY: the operation names no memory.
    let is_queued = unsafe { ring.submission().push(&nothing) }.is_ok();
    assert!(is_queued, "a ring that nobody has used has room");
    ring.submit_and_wait(1).map(drop)
}
