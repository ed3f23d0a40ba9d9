//! The command line.

use super::config::{self, Config, ConfigErrors};
use super::{diff, inspect};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit status of a wrong configuration.
const EXIT_CONFIG: u8 = 2;
/// Exit status of a comparison that could not be made.
const EXIT_INCOMPARABLE: u8 = 2;

/// A live video origin.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Runs the origin.
    Serve {
        /// Configuration; else ./headwater.toml, then /etc/headwater/headwater.toml, then defaults.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Takes everything over from the process that serves from the same storage.dir.
        #[arg(long)]
        takeover: bool,
    },
    /// Prints what a segment, initialisation segment or playlist holds.
    Inspect {
        /// A file, or an http URL.
        #[arg(value_name = "FILE|URL")]
        target: String,
    },
    /// Shows the first difference between two origins' manifests and segments of an endpoint;
    /// exits 0 where they are the same, 1 where they differ, 2 where they cannot be compared.
    Diff {
        /// An http URL of a manifest.
        #[arg(value_name = "URL")]
        first: String,
        /// The same manifest's on another origin.
        #[arg(value_name = "URL")]
        second: String,
    },
    /// Prints every mistake of a configuration; exits 0, or 2 where it is wrong.
    #[command(after_long_help = config::keys::reference())]
    Check {
        /// Configuration; else ./headwater.toml, then /etc/headwater/headwater.toml, then defaults.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Reads the configuration for `serve` and `check` under the process's environment.
///
/// # Errors
///
/// Every mistake at once.
pub fn load_config(file: Option<&Path>) -> Result<Config, ConfigErrors> {
    // A variable that is not UTF-8 cannot hold a configuration value or the name of one.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    config::load(file, environment)
}

/// Prints what is wrong, in the same words for `serve` and `check`.
#[must_use]
pub fn refuse(errors: &ConfigErrors) -> ExitCode {
    eprintln!("{errors}");
    ExitCode::from(EXIT_CONFIG)
}

/// `headwater inspect`.
#[must_use]
pub fn inspect(target: &str) -> ExitCode {
    match inspect::inspect(target) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{target}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `headwater diff`.
#[must_use]
pub fn diff(first: &str, second: &str) -> ExitCode {
    match diff::diff(first, second) {
        Ok(report) => {
            print!("{report}");
            if report.difference.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_INCOMPARABLE)
        }
    }
}

/// `headwater check`.
#[must_use]
pub fn check(file: Option<&Path>) -> ExitCode {
    match load_config(file) {
        Ok(config) => {
            let (channels, endpoints) = (config.channels.len(), config.endpoints.len());
            println!("ok: {channels} channels, {endpoints} endpoints");
            ExitCode::SUCCESS
        }
        Err(errors) => refuse(&errors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn arguments() {
        Arguments::command().debug_assert();
        let serve = Arguments::try_parse_from(["headwater", "serve", "--config", "a.toml"]);
        let config = Some("a.toml".into());
        assert_eq!(serve.unwrap().action, Action::Serve { config, takeover: false });
        let takeover = Arguments::try_parse_from(["headwater", "serve", "--takeover"]);
        assert_eq!(takeover.unwrap().action, Action::Serve { config: None, takeover: true });
        let check = Arguments::try_parse_from(["headwater", "check"]);
        assert_eq!(check.unwrap().action, Action::Check { config: None });
        for wrong in [&["headwater"][..], &["headwater", "fly"], &["headwater", "serve", "x"]] {
            assert!(Arguments::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_help_of_check_lists_the_keys() {
        let mut command = Arguments::command();
        let check = command.find_subcommand_mut("check").unwrap();
        assert!(check.render_long_help().to_string().contains("`channel[].segment_size_max`"));
    }
}
