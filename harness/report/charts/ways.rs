//! What children copied of data that reached them by each way to share, as bars.

use super::bars::{BarGroup, BarMark, BarRow, chart};
use super::chart::{ChartKind, Charts, listed};
use super::dataset::python;
use super::text::clean;
use crate::alternatives::label;
use crate::error::Error;
use refcow_model::mitigations::mitigations;
use refcow_model::numbers::{bytes, count, signed_bytes};
use refcow_model::{Alternative, Contents, Report, Run};

/// A chart of each size and contents that ways to share were measured with.
pub(super) fn copied(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    if let Some(run) = report.newest(|run| !run.alternatives.is_empty()) {
        for contents in [Contents::Ints, Contents::Bitarrays] {
            let of_contents = run.alternatives.iter();
            let of_contents = of_contents.filter(|one| one.contents == contents);
            let mut sizes: Vec<u64> = of_contents.map(|one| one.size_bytes).collect();
            sizes.dedup();
            for size in &sizes {
                of_ways(report, run, (contents, *size), sizes.len() > 1, charts)?;
            }
        }
    }
    Ok(())
}

/// A form that data has in a child.
struct Form {
    words: &'static str,
    /// The ways by which a child gets it in this form.
    ways: &'static [&'static str],
    size: FormSize,
}

/// What is known of a form's size.
enum FormSize {
    /// It is that of the content alone.
    Content,
    /// That of this fixture, if the same was built and measured.
    Measured(&'static str),
    /// A run has no figure for it.
    Unknown,
}

/// The forms of what harness/model/ways.toml hands over.
const FORMS: [Form; 6] = [
    Form {
        words: "a list of int objects",
        ways: &["list", "args", "pool", "manager"],
        size: FormSize::Measured("ints"),
    },
    Form {
        words: "a list of arrays",
        ways: &["arrays"],
        size: FormSize::Measured("int_arrays"),
    },
    Form {
        words: "packed into one block",
        ways: &[
            "array",
            "numpy",
            "shared_memory",
            "raw_array",
            "mmap",
            "mmap_file",
            "memmap",
            "args_numpy",
        ],
        size: FormSize::Content,
    },
    Form {
        words: "a ShareableList",
        ways: &["shareable_list"],
        size: FormSize::Unknown,
    },
    Form {
        words: "a list of bitarrays",
        ways: &[
            "bitarrays",
            "args_bitarrays",
            "pool_bitarrays",
            "manager_bitarrays",
        ],
        size: FormSize::Unknown,
    },
    Form {
        words: "one bitarray",
        ways: &["bitarray", "shared_memory_bitarray", "mmap_bitarray"],
        size: FormSize::Content,
    },
];

impl Form {
    /// What it is, and how large.
    fn heading(&self, run: &Run, size_bytes: u64) -> String {
        let Self { words, size, .. } = self;
        let measured = |fixture: &str| {
            let mut known = mitigations().all.iter();
            let known = known.find(|one| one.fixture == fixture && one.prepare.is_none())?;
            let mut all = run.measurements.iter();
            let found = all.find(|one| known.is(one, size_bytes))?;
            let summary = found.summary(run.environment.page_size_bytes)?;
            Some(summary.dataset_bytes)
        };
        let size = match size {
            FormSize::Content => Some(bytes(size_bytes)),
            FormSize::Measured(fixture) => {
                measured(fixture).map(|size| format!("{} in pages", bytes(size)))
            }
            FormSize::Unknown => None,
        };
        match size {
            Some(size) => format!("{words}: {size}"),
            None => format!("{words}: its size was not measured"),
        }
    }
}

fn of_ways(
    report: &Report,
    run: &Run,
    (contents, size_bytes): (Contents, u64),
    several: bool,
    charts: &mut Charts,
) -> Result<(), Error> {
    let wanted = |one: &&Alternative| one.contents == contents && one.size_bytes == size_bytes;
    let mut groups: Vec<BarGroup> = Vec::new();
    for alternative in run.alternatives.iter().filter(wanted) {
        let Some(summary) = alternative.summary(run.environment.page_size_bytes) else {
            continue;
        };
        let mut forms = FORMS.iter();
        let form = forms.find(|form| form.ways.contains(&&alternative.way[..]));
        let heading = form.map_or_else(
            || "in an unknown form".to_owned(),
            |form| form.heading(run, size_bytes),
        );
        let copied = *summary.copied_bytes.end();
        let row = BarRow {
            name: label(run, alternative),
            mark: BarMark::Bar([copied as f64, 0.0, 0.0]),
            figure: signed_bytes(copied),
        };
        match groups.iter_mut().find(|group| group.heading == heading) {
            Some(group) => group.rows.push(row),
            None => groups.push(BarGroup {
                heading,
                rows: vec![row],
            }),
        }
    }
    let (name, data) = match contents {
        Contents::Ints => ("copied-ints", format!("{} integers", count(size_bytes / 8))),
        Contents::Bitarrays => (
            "copied-bitarrays",
            format!("{} bits", count(size_bytes.saturating_mul(8))),
        ),
    };
    let title = format!("What a child that has read {data} holds for itself alone");
    let mut notes = vec![format!(
        "handed over: {data}, {} of content, in the forms below, each with its size; counted: all pages that are the \
         child's alone, beyond one that got nothing; the child with the most; {}",
        bytes(size_bytes),
        python(run, report)
    )];
    let is_there = |names: [&str; 2]| {
        let mut ways = run.alternatives.iter().filter(wanted);
        ways.any(|one| names.contains(&&one.way[..]))
    };
    if is_there(["pool", "pool_bitarrays"]) {
        notes.push("Pool.map gives each child its chunk alone".to_owned());
    }
    if is_there(["manager", "manager_bitarrays"]) {
        notes.push("what a child read through a Manager() has been freed again".to_owned());
    }
    let others = report.runs.iter().flat_map(|other| {
        let ways = other.alternatives.iter().filter(wanted);
        ways.filter(|one| {
            let mut known = run.alternatives.iter().filter(wanted);
            !known.any(|known| known.way == one.way && known.start_method == one.start_method)
        })
        .map(|one| clean(&label(other, one)))
    });
    let mut others: Vec<String> = others.collect();
    others.sort();
    others.dedup();
    if !others.is_empty() {
        notes.push(format!(
            "measured only with other interpreters: {}",
            listed(others)
        ));
    }
    let name = match several {
        true => format!("{name}-{size_bytes}"),
        false => name.to_owned(),
    };
    chart(charts, ChartKind::Copied, &name, (&title, notes), groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_of_one_form() {
        let known: Vec<&str> = FORMS.iter().flat_map(|form| form.ways).copied().collect();
        let mut ways: Vec<&str> = refcow_model::ways::ways()
            .iter()
            .map(|way| &way.id[..])
            .collect();
        ways.sort_unstable();
        let mut sorted = known;
        sorted.sort_unstable();
        assert_eq!(sorted, ways);
    }
}
