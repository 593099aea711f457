//! Memory of all processes against the number of workers: a line through what was measured, and how far it is to be believed.

use crate::{OwnDataWay, StartMethod};

/// What all processes of a way take with so many workers.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkersLine {
    /// The way, as `--way` names it.
    pub way: String,
    /// How the workers are started.
    pub start_method: StartMethod,
    /// Workers and bytes that were measured, in ascending order: at least two.
    pub points: Vec<(u64, u64)>,
    /// The line through all of them.
    line: Line,
    /// What a line through the others says of the last point; `None` of two points, which always lie on one.
    pub kept_back: Option<KeptBack>,
}

/// A measured point that a line did not know of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeptBack {
    /// The number of workers.
    pub workers: u64,
    /// What the line says, less what was measured, as a part of that.
    pub error: f64,
}

/// The nearest line: least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    fixed: f64,
    each: f64,
}

impl Line {
    /// Through at least two points that have not all one number of workers.
    fn through(points: &[(u64, u64)]) -> Option<Self> {
        let number = points.len() as f64;
        let mean = |of: fn(&(u64, u64)) -> u64| {
            points.iter().map(|point| of(point) as f64).sum::<f64>() / number
        };
        let (workers, bytes) = (mean(|point| point.0), mean(|point| point.1));
        let from_mean = |point: &(u64, u64)| (point.0 as f64 - workers, point.1 as f64 - bytes);
        let (mut square, mut product) = (0.0, 0.0);
        for (one, other) in points.iter().map(from_mean) {
            square += one * one;
            product += one * other;
        }
        (square > 0.0).then(|| {
            let each = product / square;
            Self {
                fixed: bytes - each * workers,
                each,
            }
        })
    }

    fn at(self, workers: u64) -> f64 {
        self.fixed + self.each * workers as f64
    }
}

impl WorkersLine {
    /// Of one way with several numbers of workers; `None` of fewer than two.
    pub fn of(way: &[&OwnDataWay]) -> Option<Self> {
        let first = way.first()?;
        let point = |one: &&OwnDataWay| {
            let memory = one.measured.as_ref()?.memory?;
            Some((one.workers, memory.sum()))
        };
        let mut points: Vec<(u64, u64)> = way.iter().filter_map(point).collect();
        points.sort_unstable();
        let line = Line::through(&points)?;
        let (last, others) = points.split_last()?;
        let kept_back = Line::through(others).map(|line| KeptBack {
            workers: last.0,
            error: line.at(last.0) / last.1.max(1) as f64 - 1.0,
        });
        Some(Self {
            way: first.way.clone(),
            start_method: first.start_method,
            line,
            kept_back,
            points,
        })
    }

    /// What one worker more takes. Not less than nothing, which would be noise.
    pub fn each_bytes(&self) -> u64 {
        self.line.each.max(0.0) as u64
    }

    /// What all take with so many workers, by the line.
    pub fn at(&self, workers: u64) -> u64 {
        self.line.at(workers).max(0.0) as u64
    }

    /// The most workers of which all processes take no more than this. `None`: one more takes nothing that could be measured.
    pub fn fit(&self, limit_bytes: u64) -> Option<u64> {
        let each = self.line.each;
        if each < 1.0 {
            return None;
        }
        Some(((limit_bytes as f64 - self.line.fixed) / each).max(0.0) as u64)
    }

    /// Twice as many workers as were measured: as far as a chart goes beyond them.
    pub fn beyond(&self) -> u64 {
        let (most, _) = self.points[self.points.len() - 1];
        most.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AfterKill, GivesBack, OwnDataFigures, TreeMemory};

    fn way(points: &[(u64, u64)]) -> Vec<OwnDataWay> {
        let one = |(workers, bytes): &(u64, u64)| OwnDataWay {
            way: "args".into(),
            title: "Process args".into(),
            start_method: StartMethod::Spawn,
            workers: *workers,
            does_not_apply: None,
            measured: Some(OwnDataFigures {
                start_seconds: 0.0,
                prepare_seconds: None,
                handover_seconds: 0.0,
                first_result_seconds: 0.0,
                memory: Some(TreeMemory {
                    shared_bytes: 0,
                    own_bytes: *bytes,
                    new_bytes: 0,
                    page_table_bytes: 0,
                    mapped_bytes: 0,
                }),
                peak_bytes: None,
                gives_back: GivesBack::Equal,
                after_worker_killed: AfterKill::Usable,
                left_after_kill: Vec::new(),
                reference_own_pages: 0,
                children: Vec::new(),
            }),
        };
        points.iter().map(one).collect()
    }

    fn line(points: &[(u64, u64)]) -> Option<WorkersLine> {
        WorkersLine::of(&way(points).iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_line_says_what_each_worker_takes_and_how_many_fit() {
        let line = line(&[(1, 110), (2, 120), (4, 140)]).unwrap();
        assert_eq!((line.each_bytes(), line.at(8), line.beyond()), (10, 180, 8));
        assert_eq!(line.fit(200), Some(10));
        assert_eq!(line.fit(0), Some(0));
        assert_eq!(line.kept_back.unwrap().workers, 4);
        assert!(line.kept_back.unwrap().error.abs() < 1e-9);
    }

    #[test]
    fn a_point_that_was_kept_back_tells_how_far_the_line_is_off() {
        let line = line(&[(1, 100), (2, 110), (4, 100)]).unwrap();
        assert!((line.kept_back.unwrap().error - 0.3).abs() < 1e-9);
    }

    #[test]
    fn of_two_points_nothing_is_kept_back_and_of_one_there_is_no_line() {
        assert_eq!(line(&[(1, 100), (2, 110)]).unwrap().kept_back, None);
        assert_eq!(line(&[(2, 110)]), None);
        assert_eq!(line(&[]), None);
    }

    #[test]
    fn workers_that_take_nothing_fit_without_end() {
        assert_eq!(
            line(&[(1, 100), (2, 100), (4, 99)]).unwrap().fit(1000),
            None
        );
    }
}
