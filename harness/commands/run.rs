//! `refcow run`: a program and all that it forks.

use std::ffi::OsString;
use std::io::Write as _;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::ValueHint;
use nix::sys::signal::Signal;

use super::attach::{rendered, written};
use super::error::CommandError;
use super::options::LiveFormat;
use super::recording::RecordingOptions;
use super::{report_folder, terminal};
use crate::live::document::{self, Earlier};
use crate::live::family::Member;
use crate::live::means::{Means, Standing};
use crate::live::program::Waiting;
use crate::live::recording::Recording;
use crate::live::tracing::Tracing;
use crate::live::view::View;
use crate::live::watch::{Machine, Pace, Watch, living};
use crate::live::{LiveError, pace, table};
use crate::output::Output;
use crate::report::Style;

/// `refcow run`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("every", |every| every.help("Time between two lines on standard error")))]
#[command(mut_arg("output", |output| output.help(OUTPUT)))]
#[command(mut_arg("quiet", |quiet| quiet.help("Write no line while the program runs")))]
pub struct RunArgs {
    /// End the program by SIGTERM after so long: 30s, 500ms, 2m [default: when it ends by itself]
    #[arg(long = "for", value_name = "TIME", value_parser = pace::some_time, allow_hyphen_values = true)]
    duration: Option<Duration>,
    /// Do not trace the program: its processes then do not stand still when they end, for a last look at what each has
    #[arg(long)]
    no_last_look: bool,
    #[command(flatten)]
    recording: RecordingOptions,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// Standard output is the program's.
const OUTPUT: &str = "Where to write, whole or not at all [default: standard error, as standard output is the program's]";

impl RunArgs {
    pub fn run(&self) -> Result<(), CommandError> {
        run(self)
    }
}

/// What becomes of a program when its time is over. A look at all of its memory takes time, in which it is recorded on.
enum Deadline {
    Ahead,
    Looking(JoinHandle<Earlier>),
    Over(Earlier),
}

impl Deadline {
    /// Whether its memory has been looked at, so that it can be ended now; true once.
    fn has_looked(&mut self, recording: &Recording<Machine>, began: Instant) -> bool {
        let has_ended = matches!(self, Self::Looking(look) if look.is_finished());
        match std::mem::replace(self, Self::Over(Vec::new())) {
            Self::Ahead => {
                let (living, seconds) = (living(recording), began.elapsed().as_secs_f64());
                *self = Self::Looking(thread::spawn(move || document::look_at(living, seconds)));
                false
            }
            Self::Looking(look) if has_ended => {
                *self = Self::Over(look.join().unwrap_or_default());
                true
            }
            other => {
                *self = other;
                false
            }
        }
    }

    /// What was seen.
    fn looks(self) -> Earlier {
        match self {
            Self::Over(looks) => looks,
            Self::Looking(look) => look.join().unwrap_or_default(),
            Self::Ahead => Vec::new(),
        }
    }
}

/// Runs it; with its exit status as an error, if that is not 0.
fn run(args: &RunArgs) -> Result<(), CommandError> {
    args.recording.check()?;
    let output = args
        .recording
        .output
        .as_deref()
        .map(|path| Output::open(Some(path)));
    let output = output.transpose()?;
    let baseline = args.recording.baseline.open(args.recording.format)?;
    let folder = report_folder::open(args.recording.report.as_deref())?;
    let failed = |source| LiveError::start(&args.command[0], source);
    let wanted = args.recording.lines.wanted();
    let standing = match args.no_last_look {
        true => Standing::None,
        false => Standing::All,
    };
    let means = Means::new(wanted.as_ref(), !args.recording.no_bpf, standing)?;
    let traced = means.tracing.as_ref().map(Tracing::by);
    let mut watch = Watch::new(means, true);
    let waiting = Waiting::start(&args.command, traced).map_err(failed)?;
    let member = Member::read(waiting.pid).ok_or(LiveError::Gone)?;
    watch.add_waiting(member)?;
    watch.begin();
    let mut program = waiting.go().map_err(failed)?;
    let is_table_shown = output.is_none() && args.recording.format == LiveFormat::Table;
    // Lines before a document would be no part of it.
    let is_quiet = args.recording.quiet || output.is_none() && !is_table_shown;
    let mut view = View::new(false, is_quiet);
    let began = Instant::now();
    let mut end = Deadline::Ahead;
    let pace = Pace {
        duration: None,
        every: args.recording.every(),
        until_interrupted: false,
    };
    watch.until(
        pace,
        |recording| {
            let is_over = args.duration.is_some_and(|time| began.elapsed() >= time);
            if is_over && end.has_looked(recording, began) {
                program.send(Signal::SIGTERM);
            }
            program.has_ended()
        },
        |watch, moment| view.show(watch, moment),
    )?;
    drop(view);
    let is_ended = matches!(end, Deadline::Over(_));
    let watched = watch.finish()?;
    let trees = document::recorded(&watched, end.looks()).map_err(LiveError::from)?;
    // Whatever becomes of the report, what was recorded is shown.
    let reported = report_folder::write_trees(folder, &trees);
    if !is_table_shown && !is_quiet {
        for note in table::survivors(&trees) {
            // If nobody reads it, nothing is lost.
            drop(writeln!(std::io::stderr(), "{note}"));
        }
    }
    let width = output
        .as_ref()
        .map_or_else(terminal::width_of_errors, |_| None);
    let by = &args.recording.lines.by;
    let mut text = rendered(&trees, args.recording.format, width, by)?;
    let style = Style::Terminal {
        width,
        colours: false,
    };
    let compared = baseline.compare(&trees, style, &mut text);
    let written = match output {
        Some(output) => written(output, &text, &trees, by),
        // If nobody reads it, the program has run all the same.
        None => {
            drop(std::io::stderr().write_all(&text));
            Ok(())
        }
    };
    let kept = baseline.keep(&trees);
    written.and(reported).and(kept)?;
    let status = program.wait().map_err(failed)?;
    match status {
        0 => compared,
        // That refcow itself ended it is no failure.
        status if is_ended && status == 128 + Signal::SIGTERM as u8 => compared,
        status => Err(CommandError::Passed(status)),
    }
}
