//! The `headwater` binary: arguments, configuration, start, wait.

use clap::Parser as _;
use headwater::control::cli::{self, Action, Arguments};
use headwater::control::start;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Arguments::parse().action {
        Action::Check { config } => cli::check(config.as_deref()),
        Action::Diff { first, second } => cli::diff(&first, &second),
        Action::Inspect { target } => cli::inspect(&target),
        Action::Serve { config, takeover } => start::serve(config, takeover),
    }
}
