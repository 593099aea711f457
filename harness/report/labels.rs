//! What tells the runs of a document from each other.

use refcow_model::Report;

/// What tells each run of a document from the others, in the head of a column: its version, and
/// more where that is not enough.
pub(crate) fn labels(report: &Report) -> Vec<String> {
    let version = |index: usize| report.runs[index].python.title();
    let places: Vec<usize> = (0..report.runs.len()).collect();
    places
        .iter()
        .map(|&index| {
            let same: Vec<usize> = places
                .iter()
                .copied()
                .filter(|&other| version(other) == version(index))
                .collect();
            let architecture = |index: usize| &report.runs[index].environment.architecture;
            let alike = same
                .iter()
                .filter(|&&other| architecture(other) == architecture(index))
                .count();
            match (same.len(), alike) {
                (1, _) => version(index),
                (_, 1) => format!("{} {}", version(index), architecture(index)),
                _ => {
                    let number = same.iter().position(|&other| other == index).unwrap_or(0);
                    format!("{} #{}", version(index), number + 1)
                }
            }
        })
        .collect()
}

/// Which runs the labels mean that are more than a version.
pub(crate) fn legend(report: &Report) -> Vec<String> {
    let labels = labels(report);
    let all = report.runs.iter().zip(labels);
    all.filter(|(run, label)| *label != run.python.title())
        .map(|(run, label)| {
            let environment = &run.environment;
            format!(
                "{label}: {} (Linux {}, {}{})",
                run.python.executable.display(),
                environment.kernel,
                environment.architecture,
                environment
                    .cpu
                    .as_ref()
                    .map_or_else(String::new, |cpu| format!(", {cpu}"))
            )
        })
        .collect()
}

/// `CPython 3.8.18 to 3.13.0`.
pub(crate) fn pythons(report: &Report) -> String {
    let labels = labels(report);
    let ascending = report
        .runs
        .windows(2)
        .all(|pair| pair[0].python.order() <= pair[1].python.order());
    match &labels[..] {
        [] => String::new(),
        [only] => format!("CPython {only}"),
        [one, other] => format!("CPython {one} and {other}"),
        [first, .., last] if ascending => format!("CPython {first} to {last}"),
        several => format!("CPython {}", several.join(", ")),
    }
}

/// Interpreters by their places: of those that follow each other the first and the last.
pub(crate) fn ranges(places: &[usize], labels: &[String]) -> String {
    let mut parts = Vec::new();
    for group in places.chunk_by(|one, next| one + 1 == *next) {
        match group {
            [first, _, .., last] => parts.push(format!("{} to {}", labels[*first], labels[*last])),
            few => parts.extend(few.iter().map(|place| labels[*place].clone())),
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_that_follow_each_other_are_a_range() {
        let labels = ["3.8", "3.9", "3.10", "3.11", "3.12"].map(str::to_owned);
        assert_eq!(ranges(&[0, 1, 2, 4], &labels), "3.8 to 3.10, 3.12");
        assert_eq!(ranges(&[0, 1, 3], &labels), "3.8, 3.9, 3.11");
    }
}
