//! `refcow attach`: a tree of processes that runs already.

use std::cell::RefCell;
use std::io::Write as _;
use std::time::Duration;

use super::error::CommandError;
use super::options::LiveFormat;
use super::recording::RecordingOptions;
use super::report_folder;
use super::terminal::{self, width_of};
use crate::live::document::{self, Trees};
use crate::live::means::{Means, Standing};
use crate::live::recording::Recording;
use crate::live::table::TreeBy;
use crate::live::tracing;
use crate::live::view::View;
use crate::live::watch::{Pace, Watch};
use crate::live::{self, LiveError, pace, table};
use crate::output::Output;
use crate::report;

/// `refcow attach`.
#[derive(Debug, clap::Args)]
pub struct AttachArgs {
    /// Any process of the tree: its number, or the name of its program, script or module
    #[arg(value_name = "PID|NAME", allow_negative_numbers = true)]
    process: String,
    /// Record for so long: 30s, 500ms, 2m; with 0, look at it once [default: until it ends, or Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = pace::duration, allow_hyphen_values = true)]
    duration: Option<Duration>,
    #[command(flatten)]
    recording: RecordingOptions,
}

impl AttachArgs {
    pub fn run(&self) -> Result<(), CommandError> {
        run(self)
    }
}

/// Looks at it.
fn run(args: &AttachArgs) -> Result<(), CommandError> {
    args.recording.check()?;
    if args.duration == Some(Duration::ZERO) {
        args.recording.check_one_look()?;
    }
    let output = Output::open(args.recording.output.as_deref())?;
    let baseline = args.recording.baseline.open(args.recording.format)?;
    let folder = report_folder::open(args.recording.report.as_deref())?;
    let family = live::named(&args.process).map_err(LiveError::from)?;
    let trees = match args.duration {
        Some(Duration::ZERO) => {
            let tree = document::now(family, true).map_err(LiveError::from)?;
            document::trees(vec![tree.ok_or(LiveError::Gone)?])
        }
        duration => {
            let wanted = args.recording.lines.wanted();
            let with_bpf = !args.recording.no_bpf;
            let means = Means::new(wanted.as_ref(), with_bpf, Standing::IfTraced)?;
            if means.stops_for_lines() {
                tracing::check(&family)?;
                warn_of_lines(args.recording.quiet);
            }
            let mut watch = Watch::new(means, false);
            watch.add_family(family)?;
            watch.begin();
            let pace = Pace {
                duration,
                every: args.recording.every(),
                until_interrupted: true,
            };
            let view = RefCell::new(View::new(true, args.recording.quiet));
            let is_over = |recording: &Recording<_>| {
                !recording.members.iter().any(|one| one.lives) || view.borrow().is_quit()
            };
            watch.until(pace, is_over, |watch, moment| {
                view.borrow_mut().show(watch, moment);
            })?;
            drop(view);
            document::recorded(&watch.finish()?, Vec::new()).map_err(LiveError::from)?
        }
    };
    // Whatever becomes of the report, what was recorded is shown.
    let reported = report_folder::write_trees(folder, &trees);
    let mut text = rendered(
        &trees,
        args.recording.format,
        width_of(&output),
        &args.recording.lines.by,
    )?;
    let compared = baseline.compare(&trees, terminal::style(&output), &mut text);
    let written = written(output, &text, &trees, &args.recording.lines.by);
    let kept = baseline.keep(&trees);
    written.and(reported).and(kept).and(compared)
}

/// Writes what was recorded, which cannot be recorded again: where there is no room for it, the table is shown.
pub(super) fn written(
    output: Output,
    text: &[u8],
    trees: &Trees,
    by: &[TreeBy],
) -> Result<(), CommandError> {
    let is_file = !matches!(output, Output::Standard);
    let written = output.write(text);
    if is_file && written.is_err() {
        let table = table::of_each(trees, terminal::width_of_errors(), by);
        // If nobody reads it, nothing is left to do.
        drop(std::io::stderr().write_all(table.as_bytes()));
    }
    Ok(written?)
}

/// Says what can happen to a process that does not ignore the signal that stops it.
fn warn_of_lines(quiet: bool) {
    if !quiet {
        let text = "warning: no BPF program is used, so --lines stops the processes for a moment at a time. If refcow-tracer is killed by \
                    SIGKILL then, a process may end with SIGTRAP. Without --lines nothing is stopped.";
        let width = terminal::width_of_errors().unwrap_or(u16::MAX);
        // If nobody reads it, nothing is lost.
        let _ = std::io::stderr().write_all(report::wrapped(text, width, "").as_bytes());
    }
}

/// Trees in one of the formats.
pub(super) fn rendered(
    trees: &Trees,
    format: LiveFormat,
    width: Option<u16>,
    by: &[TreeBy],
) -> Result<Vec<u8>, CommandError> {
    Ok(match format {
        LiveFormat::Table => table::of_each(trees, width, by).into_bytes(),
        LiveFormat::Json => live::json(trees)?,
        LiveFormat::Csv => report::trees::csv(trees)?,
    })
}
