//! Who wrote first to the pages that were copied: a sentence for each visit, and tables that cut the pages another way.

use super::columns::Columns;
use super::labels;
use crate::model::{By, Group, Measurement, Report, Run, Why};
use crate::numbers::{count, one_or_several, share, spread};

/// Names in a sentence, before the rest of them becomes a number.
const NAMED: usize = 3;
/// A smaller part of all pages is not worth a name, or a row.
const LEAST: f64 = 0.01;
/// Rows of a table, before the rest of them becomes one.
const ROWS: usize = 20;

/// A sentence for each visit and region of the dataset of which pages were copied.
pub fn sentences(run: &Run) -> Vec<String> {
    let several = run
        .measurements
        .iter()
        .any(|one| one.data() != run.measurements[0].data());
    run.measurements
        .iter()
        .flat_map(|measurement| {
            let of = match several {
                true => format!("{}, {}", measurement.data(), measurement.visit),
                false => measurement.visit.clone(),
            };
            let all = measurement.why().into_iter();
            all.map(move |why| format!("{of}: {}", sentence(&why)))
        })
        .collect()
}

fn sentence(why: &Why) -> String {
    let causes: Vec<_> = why
        .causes
        .iter()
        .map(|(cause, pages)| {
            let part = share(*pages as f64 / why.pages as f64);
            format!("{part} {}", cause.as_str())
        })
        .collect();
    let mut sentence = format!(
        "{} {} {}: {}",
        count(why.pages),
        why.region.as_str(),
        one_or_several(why.pages, "page", "pages"),
        causes.join(", ")
    );
    let objects = why.objects.iter().filter_map(|((of_type, line), pages)| {
        let of_type = of_type.as_deref();
        let name = match (of_type, line) {
            (None, None) => return None,
            (_, None) => of_type?.to_owned(),
            (_, Some(line)) => format!("{} in {line}", of_type.unwrap_or(unknown(By::Type))),
        };
        Some((name, *pages))
    });
    let functions = why
        .functions
        .iter()
        .filter_map(|(name, pages)| Some((name.clone()?, *pages)));
    for (preposition, names) in [
        ("of", objects.collect::<Vec<_>>()),
        ("by", functions.collect()),
    ] {
        if !names.is_empty() {
            sentence += &format!("; {preposition} {}", listed(&names, why.pages));
        }
    }
    match why.identical {
        Some(1) if why.pages == 1 => sentence += "; it is an identical copy",
        Some(identical) => sentence += &format!("; {} identical copies", count(identical)),
        None => {}
    }
    sentence + "."
}

/// `a (7), b (3) and 2 others (2)`; a single one that has all pages without its number.
fn listed(names: &[(String, u64)], of: u64) -> String {
    if let [(name, pages)] = names
        && *pages == of
    {
        return name.clone();
    }
    let worth_it = |(_, pages): &&(String, u64)| *pages as f64 >= LEAST * of as f64;
    // One more is no longer than that there is one more.
    let shown = match names.iter().take_while(worth_it).count().clamp(1, NAMED) {
        shown if shown + 1 == names.len() => names.len(),
        shown => shown,
    };
    let mut parts: Vec<_> = names[..shown]
        .iter()
        .map(|(name, pages)| format!("{name} ({})", count(*pages)))
        .collect();
    let others = &names[shown..];
    if !others.is_empty() {
        let pages: u64 = others.iter().map(|(_, pages)| pages).sum();
        parts.push(format!("{} more ({})", others.len(), count(pages)));
    }
    match parts.pop() {
        Some(last) if !parts.is_empty() => format!("{} and {last}", parts.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// One table.
pub struct Cut {
    /// What was measured.
    pub title: String,
    /// Whose pages these are.
    pub subtitle: String,
    /// A column that says what the pages have in common, then the visits.
    pub columns: Columns,
}

/// A table for each dataset and interpreter.
pub fn cuts(report: &Report, by: By) -> Vec<Cut> {
    let labels = labels(report);
    let runs = report.runs.iter().zip(labels);
    runs.flat_map(|(run, label)| {
        let datasets = run.measurements.chunk_by(super::grid::same_data);
        datasets.map(move |group| cut(&label, group, by))
    })
    .collect()
}

fn cut(label: &str, group: &[Measurement], by: By) -> Cut {
    let first = &group[0];
    let visits: Vec<Option<Vec<Group>>> = group.iter().map(|one| one.groups(by)).collect();
    // Most first, of all visits together.
    let mut keys: Vec<(Option<&str>, u64)> = Vec::new();
    for group in visits.iter().flatten().flatten() {
        let pages = *group.pages.end();
        match keys
            .iter_mut()
            .find(|(key, _)| *key == group.key.as_deref())
        {
            Some((_, sum)) => *sum += pages,
            None => keys.push((group.key.as_deref(), pages)),
        }
    }
    keys.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    if keys.is_empty() {
        keys.push((None, 0));
    }
    let worth_it = |(key, _): &&(Option<&str>, u64)| {
        let groups = visits.iter().flatten().flatten();
        let mut of_key = groups.filter(|group| group.key.as_deref() == *key);
        of_key.any(|group| group.share >= LEAST)
    };
    // Those of many pages in one visit come first, but a few may be a large part of another.
    keys.sort_by_key(|key| !worth_it(&key));
    let shown = match keys.iter().filter(worth_it).count().clamp(1, ROWS) {
        // One more is no longer than a row that says that there is one more.
        shown if shown + 1 >= keys.len() => keys.len(),
        shown => shown,
    };
    let mut rows = Vec::new();
    let cell = |visit: &Option<Vec<Group>>, key: Option<&str>| match visit {
        None => "unknown".to_owned(),
        Some(groups) => {
            let found = groups.iter().find(|group| group.key.as_deref() == key);
            found.map_or_else(
                || "0".to_owned(),
                |group| format!("{}, {}", spread(&group.pages, count), share(group.share)),
            )
        }
    };
    for (key, _) in &keys[..shown] {
        let name = key.unwrap_or(unknown(by));
        let mut row = vec![name.to_owned()];
        row.extend(visits.iter().map(|visit| cell(visit, *key)));
        rows.push(row);
    }
    if shown < keys.len() {
        let others = &keys[shown..];
        let mut row = vec![format!("{} more", count(others.len() as u64))];
        row.extend(visits.iter().map(|visit| {
            let Some(groups) = visit else {
                return "unknown".to_owned();
            };
            let is_other =
                |group: &&Group| others.iter().any(|(key, _)| *key == group.key.as_deref());
            // Of the child with the most, so that it is no more than there are.
            let part: f64 = groups
                .iter()
                .filter(is_other)
                .map(|group| group.share)
                .sum();
            share(part)
        }));
        rows.push(row);
    }
    let name = match by {
        By::Type => "type written first",
        By::Region => "region",
        By::Cause => "cause",
        By::Function => "function that wrote",
        By::Line => "Python line",
        By::Package => "package",
    };
    let mut header = vec![name.to_owned()];
    header.extend(group.iter().map(|measurement| measurement.visit.clone()));
    let children = first.children.len();
    Cut {
        title: format!("{}, shared by {}", first.data(), first.sharing),
        subtitle: format!(
            "all copied pages, the rest of the process included, of {}",
            match children {
                1 => format!("1 child of CPython {label}"),
                _ => format!("each of {children} children of CPython {label}"),
            }
        ),
        columns: Columns {
            numbers: 1..header.len(),
            leading: 1,
            header,
            rows,
        },
    }
}

/// How pages are named of which that is not known.
fn unknown(by: By) -> &'static str {
    match by {
        By::Type => "(no known object)",
        By::Function => "(no fault of the program's)",
        By::Line => "(no line)",
        By::Package => "(no package's object)",
        By::Region | By::Cause => "(unknown)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, RegionName};

    fn why(types: &[(&str, Option<&str>, u64)]) -> Why {
        let objects = types.iter().map(|(of_type, line, pages)| {
            let key = (Some((*of_type).to_owned()), line.map(str::to_owned));
            (key, *pages)
        });
        Why {
            region: RegionName::Header,
            pages: 120,
            causes: vec![(Cause::Refcount, 120)],
            objects: objects.collect(),
            functions: vec![(Some("listiter_next".into()), 120)],
            identical: Some(120),
        }
    }

    #[test]
    fn a_sentence_names_cause_types_function_and_identical_copies() {
        let types = [
            ("array.array", None, 79),
            ("bitarray.bitarray", None, 40),
            ("list", None, 1),
        ];
        assert_eq!(
            sentence(&why(&types)),
            "120 header pages: 100 % refcount; of array.array (79), bitarray.bitarray (40) and list (1); by \
             listiter_next; 120 identical copies."
        );
    }

    #[test]
    fn a_type_stands_beside_its_line() {
        let types = [
            ("dict", Some("visit (a.py:2)"), 100),
            ("str", Some("visit (a.py:3)"), 20),
        ];
        assert!(
            sentence(&why(&types))
                .contains("; of dict in visit (a.py:2) (100) and str in visit (a.py:3) (20); by")
        );
    }

    #[test]
    fn what_is_little_and_what_is_much_of_it_is_cut_short() {
        let many = [
            ("a", None, 60),
            ("b", None, 30),
            ("c", None, 20),
            ("d", None, 6),
            ("e", None, 4),
        ];
        assert!(sentence(&why(&many)).contains("; of a (60), b (30), c (20) and 2 more (10); "));
        let little = [("a", None, 118), ("b", None, 1), ("c", None, 1)];
        assert!(sentence(&why(&little)).contains("; of a (118) and 2 more (2); "));
    }
}
