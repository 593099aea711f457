//! Figures in rows, as charts show them: over the children, over the visits to the same data, over the runs.

use std::collections::HashMap;

use super::{Child, Measurement, Report, Run};

/// What one visit to one dataset copied, with each interpreter.
#[derive(Clone, Debug, PartialEq)]
pub struct CopiedByRun<'a> {
    /// Its measurement in the first run that has one.
    pub first: &'a Measurement,
    /// The child that copied the most of the dataset, run by run; `None` where it was not measured.
    pub children: Vec<Option<&'a Child>>,
}

impl CopiedByRun<'_> {
    /// Pages of the dataset that these children copied, run by run.
    pub fn pages(&self) -> impl Iterator<Item = Option<u64>> {
        let children = self.children.iter();
        children.map(|child| child.map(|child| child.dataset().unshared))
    }
}

/// The measurements by their data, the datasets and the measurements of each in the order that they come in.
pub fn datasets<'a>(all: impl Iterator<Item = &'a Measurement>) -> Vec<Vec<&'a Measurement>> {
    let mut places = HashMap::new();
    let mut datasets: Vec<Vec<&Measurement>> = Vec::new();
    for measurement in all {
        let place = *places.entry(data_key(measurement)).or_insert_with(|| {
            datasets.push(Vec::new());
            datasets.len() - 1
        });
        datasets[place].push(measurement);
    }
    datasets
}

/// Equal of measurements of the same data, shared with as many children in the same way.
fn data_key(measurement: &Measurement) -> impl Eq + std::hash::Hash + use<'_> {
    let parameters: Vec<_> = measurement
        .parameters
        .iter()
        .map(|(name, value)| (name, value.to_string()))
        .collect();
    (
        (&measurement.fixture, &measurement.prepare),
        (&measurement.sharing, measurement.children.len()),
        (measurement.count, measurement.item_bytes),
        (parameters, &measurement.arguments),
    )
}

impl Report {
    /// The run of the newest interpreter among those that have something; of several the first.
    pub fn newest(&self, has: impl Fn(&Run) -> bool) -> Option<&Run> {
        let runs = self.runs.iter().filter(|run| has(run));
        runs.reduce(
            |newest, run| match run.python.order() > newest.python.order() {
                true => run,
                false => newest,
            },
        )
    }

    /// The rows of each dataset, a visit each.
    pub fn copied_by_run(&self) -> Vec<Vec<CopiedByRun<'_>>> {
        let mut datasets: Vec<Vec<CopiedByRun>> = Vec::new();
        let mut places = HashMap::new();
        let mut rows = HashMap::new();
        for (run, of) in self.runs.iter().enumerate() {
            for measurement in &of.measurements {
                let place = *places.entry(data_key(measurement)).or_insert_with(|| {
                    datasets.push(Vec::new());
                    datasets.len() - 1
                });
                let dataset = &mut datasets[place];
                let row = *rows.entry((place, &measurement.visit)).or_insert_with(|| {
                    dataset.push(CopiedByRun {
                        first: measurement,
                        children: vec![None; self.runs.len()],
                    });
                    dataset.len() - 1
                });
                dataset[row].children[run] = measurement.most_copied();
            }
        }
        datasets
    }
}

impl Measurement {
    /// Whether another is of the same data, shared with as many children in the same way.
    pub fn has_data_of(&self, other: &Self) -> bool {
        data_key(self) == data_key(other)
    }

    /// Memory of all processes together, by how many children have visited the data: from none on, as far as it is known.
    pub fn memory_by_children(&self) -> Vec<(u64, u64)> {
        let tree = &self.tree;
        let children = self.children.len() as u64;
        let mut points: Vec<_> = tree
            .pss_bytes_before
            .map(|bytes| (0, bytes))
            .into_iter()
            .collect();
        match (&tree.pss_bytes_after_each[..], tree.pss_bytes_after) {
            ([], Some(bytes)) => points.push((children, bytes)),
            (each, _) => points.extend((1..).zip(each.iter().copied())),
        }
        points
    }

    /// The same if each child had taken a copy of all of the dataset. `None` if no memory is known from before.
    pub fn memory_if_all_copied(&self, page_size_bytes: u64) -> Option<Vec<(u64, u64)>> {
        let before = self.tree.pss_bytes_before?;
        let pages = self.most_copied()?.dataset().pages;
        let dataset = pages.saturating_mul(page_size_bytes);
        let children = self.children.len() as u64;
        let with = |number: u64| before.saturating_add(dataset.saturating_mul(number));
        Some(vec![(0, before), (children, with(children))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Region, RegionName, Tree};

    fn measurement(fixture: &str, visit: &str, copied: &[u64]) -> Measurement {
        let child = |unshared: &u64| Child {
            regions: vec![Region {
                name: RegionName::Header,
                pages: 10,
                unshared: *unshared,
                identical: None,
                causes: None,
                map: None,
            }],
            ..Child::default()
        };
        Measurement {
            fixture: fixture.into(),
            visit: visit.into(),
            prepare: None,
            sharing: "fork".into(),
            count: Some(1),
            item_bytes: None,
            parameters: Default::default(),
            arguments: Vec::new(),
            build_seconds: 0.0,
            tree: Tree::default(),
            children: copied.iter().map(child).collect(),
        }
    }

    #[test]
    fn visits_to_the_same_data_are_found_wherever_they_stand() {
        let mut other = measurement("a", "read", &[1]);
        other.count = Some(2);
        let all = [
            measurement("a", "read", &[1]),
            measurement("b", "read", &[1]),
            measurement("a", "iterate", &[2]),
            other,
        ];
        let datasets = datasets(all.iter());
        let shown: Vec<Vec<&str>> = datasets
            .iter()
            .map(|dataset| dataset.iter().map(|one| &one.visit[..]).collect())
            .collect();
        assert_eq!(shown, [vec!["read", "iterate"], vec!["read"], vec!["read"]]);
    }

    #[test]
    fn memory_is_known_from_no_child_on() {
        let mut one = measurement("a", "read", &[1, 3]);
        assert!(one.memory_by_children().is_empty());
        assert_eq!(one.memory_if_all_copied(4096), None);
        one.tree.pss_bytes_before = Some(100);
        one.tree.pss_bytes_after = Some(300);
        assert_eq!(one.memory_by_children(), [(0, 100), (2, 300)]);
        one.tree.pss_bytes_after_each = vec![200, 300];
        assert_eq!(one.memory_by_children(), [(0, 100), (1, 200), (2, 300)]);
        let all = one.memory_if_all_copied(10).unwrap();
        assert_eq!(all, [(0, 100), (2, 300)]);
    }

    #[test]
    fn the_child_with_the_most_speaks_for_its_measurement() {
        assert_eq!(
            measurement("a", "read", &[1, 3, 2])
                .most_copied()
                .unwrap()
                .copied_share(),
            Some(0.3)
        );
        assert!(measurement("a", "read", &[]).most_copied().is_none());
    }
}
