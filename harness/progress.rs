//! How far a run is, on standard error: a bar on a terminal, and elsewhere a line now and then.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::experiment::Step;
use crate::numbers::rough_time;

/// The least time between two lines. A run that takes less says nothing.
const PACE: Duration = Duration::from_secs(10);

/// An estimate rests on so many steps.
const LEAST_KNOWN: u32 = 3;
/// And on the tenth of all: what is slow stands together.
const LEAST_PART: u32 = 10;

/// What a run says of itself. A bar is gone when this is dropped.
#[derive(Debug)]
pub struct Progress {
    course: Course,
    begun: Instant,
    shown: ProgressShown,
}

#[derive(Debug)]
enum ProgressShown {
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
            true => ProgressShown::Nothing,
            false if io::stderr().is_terminal() => ProgressShown::Bar(bar(steps)),
            false => ProgressShown::Lines {
                last: Duration::ZERO,
            },
        };
        Self {
            course: Course::new(u32::try_from(steps).unwrap_or(u32::MAX)),
            begun: Instant::now(),
            shown,
        }
    }

    /// Says something that is not about how far it is.
    pub fn say(&self, line: &str) {
        match &self.shown {
            ProgressShown::Nothing => {}
            ProgressShown::Bar(bar) => bar.println(format!("refcow: {line}")),
            // If nobody reads it, nothing is lost.
            ProgressShown::Lines { .. } => drop(writeln!(io::stderr(), "refcow: {line}")),
        }
    }

    /// Shows a step.
    pub fn show(&mut self, step: &Step<'_>) {
        let now = self.begun.elapsed();
        self.course.take(step, now);
        match &mut self.shown {
            ProgressShown::Nothing => {}
            ProgressShown::Bar(bar) => {
                let (done, of) = self.course.steps();
                bar.set_length(of.into());
                bar.set_position(done.into());
                bar.set_prefix(self.course.time_left(now));
                bar.set_message(match step {
                    Step::Installing(line) => (*line).to_owned(),
                    _ => self.course.doing(),
                });
            }
            ProgressShown::Lines { last } => {
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
        if let ProgressShown::Bar(bar) = &self.shown {
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
    /// Steps of an interpreter.
    each: u32,
    /// How many of this interpreter's are done with.
    at: u32,
    /// How many were taken, and the time that they took.
    taken: u32,
    took: Duration,
    /// When the step under way began.
    since: Duration,
    version: String,
    /// Which interpreter it is, from 1.
    number: u32,
    of: u32,
    doing: String,
}

impl Course {
    fn new(each: u32) -> Self {
        Self {
            each,
            at: 0,
            taken: 0,
            took: Duration::ZERO,
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
                self.took += now.saturating_sub(self.since);
                self.taken += 1;
                self.at += 1;
                self.since = now;
            }
            Step::Passed { steps } => {
                self.at += small(*steps);
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
                (self.number, self.of) = (small(*number), small(*of));
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
    fn steps(&self) -> (u32, u32) {
        (
            self.each * (self.number - 1) + self.at.min(self.each),
            self.each * self.of.max(self.number),
        )
    }

    fn doing(&self) -> String {
        match self.of {
            0 | 1 => self.doing.clone(),
            _ => format!("Python {}, {}", self.version, self.doing),
        }
    }

    /// `, about 2 min left`, if each step takes as long as those that were taken, on average;
    /// nothing as long as these are few.
    ///
    /// Not indicatif's estimate, which looks at the last 15 s: one step may take more.
    fn time_left(&self, now: Duration) -> String {
        let (done, of) = self.steps();
        if self.taken < LEAST_KNOWN || self.taken * LEAST_PART < of {
            return String::new();
        }
        let average = self.took / self.taken;
        let under_way = now.saturating_sub(self.since).min(average);
        let left = (average * (of - done)).saturating_sub(under_way);
        format!(", about {} left", rough_time(left.as_secs_f64()))
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

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_time_left_is_known_when_a_tenth_of_the_steps_were_taken() {
        let mut course = Course::new(100);
        let mut now = Duration::ZERO;
        let mut said = Vec::new();
        for _ in 0..11 {
            said.push(course.time_left(now));
            now += SECOND * 6;
            course.take(&Step::Done, now);
        }
        assert!(said[..10].iter().all(String::is_empty), "{said:?}");
        assert_eq!(said[10], ", about 9 min left");
        // The step under way takes as long as another one, however long it has taken already.
        assert_eq!(
            course.time_left(now + SECOND * 600),
            course.time_left(now + SECOND * 6)
        );
    }

    #[test]
    fn what_is_installed_or_skipped_says_nothing_of_how_long_a_step_takes() {
        let mut course = Course::new(10);
        for now in 1..=3 {
            course.take(&Step::Done, SECOND * now);
        }
        course.take(&Step::Installing("numpy"), SECOND * 300);
        course.take(&Step::Building { fixture: "ints" }, SECOND * 300);
        course.take(&Step::Done, SECOND * 301);
        course.take(&Step::Passed { steps: 5 }, SECOND * 302);
        assert_eq!(
            course.line(SECOND * 302),
            "9 of 10 steps, about 10 s left: building ints"
        );
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
