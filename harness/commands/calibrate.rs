//! `refcow calibrate`: whether pages are counted as they are written.

use std::time::Duration;

use clap::{Args, ValueHint, value_parser};

use crate::experiment::calibration::{Options, Pattern};
use crate::experiment::{self, ExperimentError};
use crate::model::Calibration;

/// A calibration takes milliseconds; one that does not end in this time never will.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Pages to map
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = value_parser!(u64).range(1..=1 << 24))]
    pages: u64,
    /// Which of them the child writes: scattered, none, one, all or every:N
    #[arg(long, value_name = "WHICH", default_value = "scattered", value_parser = pattern)]
    write: Pattern,
    /// Write so many pages more without saying so, to see the calibration fail
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    unreported: u64,
    /// The interpreter whose program the subject runs in
    #[arg(long, value_name = "PATH_OR_VERSION", value_hint = ValueHint::AnyPath)]
    python: Option<String>,
}

impl CalibrateArgs {
    pub fn run(&self) -> Result<String, ExperimentError> {
        let options = Options {
            pages: self.pages,
            pattern: self.write,
            unreported: self.unreported,
        };
        let calibration = calibration(self.python.as_deref(), options)?;
        Ok(format!(
            "pages written {}, pages counted {}\n",
            calibration.pages_written, calibration.pages_counted
        ))
    }
}

/// A calibration that ends in time.
pub fn calibration(python: Option<&str>, options: Options) -> Result<Calibration, ExperimentError> {
    experiment::calibrate(python, options, TIMEOUT)
}

fn pattern(text: &str) -> Result<Pattern, String> {
    match text {
        "scattered" => Ok(Pattern::Scattered),
        "none" => Ok(Pattern::None),
        "one" => Ok(Pattern::One),
        "all" => Ok(Pattern::All),
        _ => match text.strip_prefix("every:").map(str::parse) {
            Some(Ok(step)) if step > 0 => Ok(Pattern::Every(step)),
            _ => Err("one of scattered, none, one, all, or every:N with N from 1".into()),
        },
    }
}
