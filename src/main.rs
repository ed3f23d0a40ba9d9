//! The `headwater` binary: arguments, configuration, start, wait.

use clap::Parser as _;
use headwater::control::cli::{self, Action, Arguments};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Arguments::parse().action {
        Action::Check { config } => cli::check(config.as_deref()),
        Action::Serve { config } => match cli::load_config(config.as_deref()) {
            Ok(_config) => ExitCode::FAILURE,
            Err(errors) => cli::refuse(&errors),
        },
    }
}
