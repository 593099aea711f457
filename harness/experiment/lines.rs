//! A child's log of which line of Python ran when, once it has arrived: what was running at a given
//! time?
//!
//! Pure: what writes the log is `harness/subject/trace.rs`.

use crate::protocol::{LineIntervals, PythonLine};

/// A log whose intervals are in order and name places that it has.
///
/// Faults that are recorded elsewhere with the time of CLOCK_MONOTONIC get their line by
/// [`LineLog::with_caller_at`]. That clock is the same for both only if the subject is in the
/// initial time namespace (`time_namespaces(7)`), or the recording knows of its offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineLog(LineIntervals);

/// The log contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[diagnostic(help("are refcow and refcow-subject of one build?"))]
pub enum LineLogError {
    /// Two lines at one time, or time ran backwards.
    #[error("entry {entry} of a log of lines does not follow the one before it in time")]
    Disorder {
        /// Which, from 0.
        entry: usize,
    },
    /// An entry of nowhere.
    #[error("entry {entry} of a log of lines names a place that the log has not")]
    NoPlace {
        /// Which, from 0.
        entry: usize,
    },
}

impl LineLog {
    /// Checks a log.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub fn new(lines: LineIntervals) -> Result<Self, LineLogError> {
        let mut time = 0;
        for (entry, interval) in lines.intervals.iter().enumerate() {
            if interval.start < time || interval.end < interval.start {
                return Err(LineLogError::Disorder { entry });
            }
            if interval.place >= lines.places.len() {
                return Err(LineLogError::NoPlace { entry });
            }
            time = interval.end;
        }
        let callers = lines.own.iter().enumerate();
        for (entry, own) in callers {
            if own.is_some_and(|own| own >= lines.places.len()) {
                return Err(LineLogError::NoPlace { entry });
            }
        }
        Ok(Self(lines))
    }

    /// The line that was running then, in nanoseconds of CLOCK_MONOTONIC, and the innermost line of
    /// the user's own that had called it, unless it is itself one. `None` where the log says
    /// nothing: the visit's thread had no page faults around that time, or ran no Python, or the
    /// log is incomplete.
    ///
    /// It speaks of the visit's thread, which is the child's first: ask it only of faults of that
    /// thread. One of another thread would get the line at which the first was then, as a rule one
    /// that waits.
    pub fn with_caller_at(&self, time: u64) -> Option<(&PythonLine, Option<&PythonLine>)> {
        let place = self.number_at(time)?;
        let own = self.0.own.get(place).copied().flatten();
        Some((&self.0.places[place], own.map(|own| &self.0.places[own])))
    }

    fn number_at(&self, time: u64) -> Option<usize> {
        let later = self
            .0
            .intervals
            .partition_point(|interval| interval.end <= time);
        let interval = self.0.intervals.get(later)?;
        (interval.start <= time).then_some(interval.place)
    }

    /// Every place that the log names; one more than once if several lines of the user's own had
    /// called it.
    pub fn places(&self) -> &[PythonLine] {
        &self.0.places
    }

    /// Intervals with page faults for which the child's log had no room.
    pub fn dropped(&self) -> u64 {
        self.0.dropped
    }

    /// Whether the visit ended the log, by a trace function of its own. All later faults have no
    /// line.
    pub fn cut_short(&self) -> bool {
        self.0.cut_short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(intervals: &[(u64, u64, usize)]) -> Result<LineLog, LineLogError> {
        let place = |line| PythonLine {
            file: "f.py".into(),
            function: "visit_it".into(),
            line,
        };
        LineLog::new(LineIntervals {
            places: vec![place(1), place(2)],
            intervals: intervals.iter().copied().map(Into::into).collect(),
            ..LineIntervals::default()
        })
    }

    #[test]
    fn a_time_has_the_line_whose_interval_it_is_in_or_none() {
        let log = log(&[(10, 20, 0), (20, 30, 1), (30, 30, 0), (40, 41, 0)]).unwrap();
        let line = |time| log.with_caller_at(time).map(|(at, _)| at.line);
        let expected = [
            (0, None),
            (9, None),
            (10, Some(1)),
            (19, Some(1)),
            (20, Some(2)),
            (29, Some(2)),
            (30, None),
            (39, None),
            (40, Some(1)),
            (41, None),
            (u64::MAX, None),
        ];
        for (time, wanted) in expected {
            assert_eq!(line(time), wanted, "at {time}");
        }
        assert_eq!(LineLog::default().with_caller_at(10), None);
    }

    #[test]
    fn a_log_that_contradicts_itself_is_refused() {
        let disorder = |entry| Err(LineLogError::Disorder { entry });
        assert_eq!(log(&[(10, 9, 0)]), disorder(0));
        assert_eq!(log(&[(10, 20, 0), (19, 30, 1)]), disorder(1));
        assert_eq!(log(&[(10, 20, 0), (5, 8, 1)]), disorder(1));
        assert_eq!(log(&[(10, 20, 2)]), Err(LineLogError::NoPlace { entry: 0 }));
    }
}
