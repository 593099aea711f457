//! How far a run is, on standard error: a bar on a terminal, and elsewhere a line now and then.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::experiment::Step;
use crate::numbers::rough_time;

/// The least time between two lines. A run that takes less says nothing.
const PACE: Duration = Duration::from_secs(10);

/// An estimate rests on so many steps.
const LEAST_KNOWN: usize = 3;
/// And on the tenth of those of an interpreter.
const LEAST_PART: usize = 10;
/// Of several interpreters on half of them: what is slow stands together, and would be taken for all.
const LEAST_PART_OF_SEVERAL: usize = 2;

/// What a run says of itself. A bar is gone when this is dropped.
#[derive(Debug)]
pub struct Progress {
    course: Course,
    begun: Instant,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines {
        /// When the last one was written.
        last: Duration,
    },
    Nothing,
}

impl Progress {
    /// Of a run of so many steps with each interpreter.
    pub fn new(steps: u64, quiet: bool) -> Self {
        let shown = match quiet {
            true => Shown::Nothing,
            false if io::stderr().is_terminal() => Shown::Bar(bar(steps)),
            false => Shown::Lines {
                last: Duration::ZERO,
            },
        };
        Self {
            course: Course::new(usize::try_from(steps).unwrap_or(usize::MAX)),
            begun: Instant::now(),
            shown,
        }
    }

    /// Says something that is not about how far it is.
    pub fn say(&self, line: &str) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.println(format!("refcow: {line}")),
            // If nobody reads it, nothing is lost.
            Shown::Lines { .. } => drop(writeln!(io::stderr(), "refcow: {line}")),
        }
    }

    /// Shows a step.
    pub fn show(&mut self, step: &Step<'_>) {
        let now = self.begun.elapsed();
        self.course.take(step, now);
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                let (done, of) = self.course.steps();
                bar.set_length(of as u64);
                bar.set_position(done as u64);
                bar.set_prefix(self.course.time_left(now));
                bar.set_message(match step {
                    Step::Installing(line) => (*line).to_owned(),
                    _ => self.course.doing(),
                });
            }
            Shown::Lines { last } => {
                let line = match step {
                    // It happens once, and takes long.
                    Step::Installing(line) => Some((*line).to_owned()),
                    Step::Building { .. } | Step::Visiting { .. } | Step::Observing { .. }
                        if now.saturating_sub(*last) >= PACE =>
                    {
                        *last = now;
                        Some(self.course.line(now))
                    }
                    _ => None,
                };
                if let Some(line) = line {
                    self.say(&line);
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} [{bar:24}] {pos}/{len}{prefix}: {wide_msg}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Where a run is. It knows no clock: each step comes with the time since the run began.
#[derive(Debug)]
struct Course {
    /// How long each step of an interpreter took, with the last one that took it.
    took: Vec<Option<Duration>>,
    /// How many of this interpreter's are done with.
    at: usize,
    /// When the step under way began.
    since: Duration,
    version: String,
    /// Which interpreter it is, from 1.
    number: usize,
    of: usize,
    doing: String,
}

impl Course {
    fn new(steps: usize) -> Self {
        Self {
            took: vec![None; steps],
            at: 0,
            since: Duration::ZERO,
            version: String::new(),
            number: 1,
            of: 1,
            doing: String::new(),
        }
    }

    fn take(&mut self, step: &Step<'_>, now: Duration) {
        match step {
            Step::Done => {
                if let Some(took) = self.took.get_mut(self.at) {
                    *took = Some(now.saturating_sub(self.since));
                }
                self.at += 1;
                self.since = now;
            }
            Step::Passed { steps } => {
                self.at += *steps;
                self.since = now;
            }
            Step::Preparing(what) => {
                self.doing = (*what).to_owned();
                self.since = now;
            }
            Step::Installing(_) => self.since = now,
            Step::Interpreter {
                version,
                number,
                of,
            } => {
                (*version).clone_into(&mut self.version);
                (self.number, self.of) = (*number, *of);
                // What the one before could not do is done with, too.
                self.at = 0;
                self.since = now;
            }
            Step::Building { fixture } => self.doing = format!("building {fixture}"),
            Step::Observing { name } => self.doing = format!("observing {name}"),
            Step::Visiting { fixture, visit } => self.doing = format!("{fixture}: {visit}"),
        }
    }

    /// How many are done with, of all interpreters, and of how many.
    fn steps(&self) -> (usize, usize) {
        let each = self.took.len();
        (
            each * (self.number - 1) + self.at.min(each),
            each * self.of.max(self.number),
        )
    }

    fn doing(&self) -> String {
        match self.of {
            0 | 1 => self.doing.clone(),
            _ => format!("Python {}, {}", self.version, self.doing),
        }
    }

    /// `, about 2 min left`; nothing where that is not known.
    fn time_left(&self, now: Duration) -> String {
        let further = self.of.saturating_sub(self.number);
        let left = time_left(&self.took, self.at, now.saturating_sub(self.since), further);
        left.map_or_else(String::new, |left| {
            format!(", about {} left", rough_time(left.as_secs_f64()))
        })
    }

    fn line(&self, now: Duration) -> String {
        let (done, of) = self.steps();
        format!(
            "{done} of {of} steps{}: {}",
            self.time_left(now),
            self.doing()
        )
    }
}

/// The time that the steps of an interpreter from `at` on will take, the first of which is under way for some time already,
/// and all of `further` interpreters. A step takes as long as it took the last time, or, where it was never taken, as long as
/// those that were, on average. `None` as long as too few were.
fn time_left(
    took: &[Option<Duration>],
    at: usize,
    under_way: Duration,
    further: usize,
) -> Option<Duration> {
    let known: Vec<Duration> = took.iter().flatten().copied().collect();
    let part = match further {
        0 => LEAST_PART,
        _ => LEAST_PART_OF_SEVERAL,
    };
    if known.len() < LEAST_KNOWN || known.len() * part < took.len() {
        return None;
    }
    let average = known.iter().sum::<Duration>() / u32::try_from(known.len()).ok()?;
    let sum = |steps: &[Option<Duration>]| -> Duration {
        steps.iter().map(|step| step.unwrap_or(average)).sum()
    };
    let left = took.get(at..).unwrap_or_default();
    let first = sum(&left[..left.len().min(1)]);
    Some(sum(left) - first.min(under_way) + sum(took) * u32::try_from(further).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SECOND: Duration = Duration::from_secs(1);

    #[rstest]
    #[case::before_anything(&[0, 0, 0, 0], 0, 0, 0, None)]
    #[case::too_few_steps(&[9, 9, 0, 0], 2, 0, 0, None)]
    #[case::as_long_as_the_others(&[1, 2, 3, 0, 0], 3, 0, 0, Some(4))]
    #[case::less_what_has_passed(&[1, 2, 3, 0, 0], 3, 1, 0, Some(3))]
    #[case::but_not_of_the_next(&[1, 2, 3, 0, 0], 3, 60, 0, Some(2))]
    #[case::all_of_the_next_interpreter(&[1, 2, 3, 0], 3, 0, 1, Some(2 + 8))]
    #[case::as_the_interpreter_before(&[1, 2, 30, 4], 1, 0, 2, Some(36 + 2 * 37))]
    #[case::nothing(&[1, 2, 3], 3, 5, 0, Some(0))]
    #[case::steps_that_were_not_announced(&[1, 2, 3], 7, 0, 0, Some(0))]
    fn the_time_left_is_that_of_steps_like_it(
        #[case] took: &[u64],
        #[case] at: usize,
        #[case] under_way: u64,
        #[case] further: usize,
        #[case] left: Option<u64>,
    ) {
        let took: Vec<_> = took
            .iter()
            .map(|&seconds| (seconds > 0).then(|| Duration::from_secs(seconds)))
            .collect();
        let under_way = Duration::from_secs(under_way);
        assert_eq!(
            time_left(&took, at, under_way, further),
            left.map(Duration::from_secs)
        );
    }

    #[test]
    fn a_tenth_of_the_steps_must_have_been_taken_or_half_if_there_are_more_interpreters() {
        let mut took = vec![None; 100];
        took[..9].fill(Some(SECOND));
        assert_eq!(time_left(&took, 9, Duration::ZERO, 0), None);
        took[9] = Some(SECOND);
        assert_eq!(time_left(&took, 10, Duration::ZERO, 0), Some(SECOND * 90));
        assert_eq!(time_left(&took, 10, Duration::ZERO, 1), None);
        took[..50].fill(Some(SECOND));
        assert_eq!(time_left(&took, 50, Duration::ZERO, 1), Some(SECOND * 150));
    }

    #[test]
    fn a_line_says_what_is_done_and_what_is_under_way() {
        let mut course = Course::new(4);
        let mut now = Duration::ZERO;
        let interpreter = |number| Step::Interpreter {
            version: "3.12.1",
            number,
            of: 2,
        };
        let building = Step::Building { fixture: "ints" };
        let visiting = Step::Visiting {
            fixture: "ints",
            visit: "read",
        };
        course.take(&interpreter(1), now);
        course.take(&building, now);
        assert_eq!(
            course.line(now),
            "0 of 8 steps: Python 3.12.1, building ints"
        );
        for _ in 0..3 {
            now += SECOND * 20;
            course.take(&Step::Done, now);
            course.take(&visiting, now);
        }
        assert_eq!(
            course.line(now),
            "3 of 8 steps, about 2 min left: Python 3.12.1, ints: read"
        );
        // It ends without the last, which tells nothing of how long that takes.
        course.take(&interpreter(2), now);
        course.take(&Step::Passed { steps: 2 }, now);
        course.take(&building, now);
        assert_eq!(
            course.line(now),
            "6 of 8 steps, about 40 s left: Python 3.12.1, building ints"
        );
    }

    #[test]
    fn a_single_interpreter_is_not_named() {
        let mut course = Course::new(2);
        course.take(&Step::Preparing("calibrating"), SECOND);
        assert_eq!(course.line(SECOND), "0 of 2 steps: calibrating");
    }
}
