//! What a visit cost in two runs, and whether that is more or less: what people pay for is bytes.

use std::path::Path;

use super::circumstances::{INTERPRETERS_OWN, LEFT_AT_EXIT, TOLERANCE, made_of};
use crate::{
    EXIT, Measurement, Paid, RowValue, SMALLEST_WHOLE_BYTES, Source, Spent, Status, Tolerance,
};

/// So many bytes of new memory more or fewer are no matter of the visit between builds: a heap that
/// another build leaves has its free memory elsewhere, and grows by arenas. Since 3.10 one is 1
/// MiB; the heap may end in one and begin another.
///
/// It was chosen by what lay between seven builds of 3.8 to 3.13: up to 1.3 MiB for a visit that
/// makes and drops objects.
const ARENAS_BYTES: u64 = 2 << 20;

/// How far figures of new memory may lie apart between builds.
pub(super) fn between_heaps(page_size: u64) -> Tolerance {
    Tolerance {
        pages: ARENAS_BYTES / page_size.max(1),
        share: TOLERANCE.share,
    }
}

/// What is compared by.
#[derive(Clone, Copy)]
pub(super) struct Allowed {
    /// How far copies may lie apart.
    pub pages: Tolerance,
    /// Whether the runs are of two builds or machines, so that what is not the data's does not
    /// compare.
    pub builds: bool,
    /// Bytes of a page in both.
    pub page_size: u64,
}

/// Pages that are compared.
#[derive(Clone, Copy, Default)]
struct Sum {
    copied: u64,
    given_back: u64,
    around: u64,
    new: Option<u64>,
    processes: u64,
}

impl Sum {
    fn pages(&self) -> u64 {
        let all = [self.copied, self.new.unwrap_or(0), self.processes];
        all.into_iter().fold(0, u64::saturating_add)
    }

    fn and(self, other: Self) -> Self {
        Self {
            copied: self.copied.saturating_add(other.copied),
            given_back: self.given_back.saturating_add(other.given_back),
            around: self.around.saturating_add(other.around),
            new: self
                .new
                .zip(other.new)
                .map(|(one, other)| one.saturating_add(other)),
            processes: self.processes.saturating_add(other.processes),
        }
    }

    fn paid(&self, page_size: u64) -> Paid {
        let bytes = |pages: u64| pages.saturating_mul(page_size);
        Paid {
            copied: bytes(self.copied),
            given_back: bytes(self.given_back),
            new: self.new.map(bytes),
            processes: bytes(self.processes),
            sum: bytes(self.pages()),
        }
    }
}

/// The cost of a visit in one run.
struct PagesCost {
    worker: Sum,
    all: Sum,
    workers: u64,
}

impl PagesCost {
    /// `ever`: with copies that were given back. `new`: with new memory.
    fn of(measurement: &Measurement, ever: bool, new: bool) -> Self {
        let each = measurement.children.iter().map(|child| {
            let spent = child.spent();
            let copied = spent.ever_copied.filter(|_| ever);
            let copied = copied.unwrap_or(0).max(spent.copied);
            Sum {
                copied,
                given_back: copied - spent.copied,
                around: spent.around,
                new: spent.new.filter(|_| new),
                processes: spent.processes,
            }
        });
        let none = Sum {
            new: new.then_some(0),
            ..Sum::default()
        };
        Self {
            // Of equals the first, whose parts are shown.
            worker: each
                .clone()
                .reduce(|most, next| match next.pages() > most.pages() {
                    true => next,
                    false => most,
                })
                .unwrap_or(none),
            all: each.fold(none, Sum::and),
            workers: measurement.children.len() as u64,
        }
    }

    fn value(&self, page_size: u64) -> RowValue {
        RowValue::Cost {
            worker: self.worker.paid(page_size),
            all: self.all.paid(page_size),
            workers: self.workers,
        }
    }
}

/// What one run knows of a measurement's cost.
pub(super) fn alone(measurement: &Measurement, page_size: u64) -> RowValue {
    let (ever, new) = known(measurement);
    PagesCost::of(measurement, ever, new).value(page_size)
}

/// Both costs, of what both know, and what came of it, with the reason where they do not compare.
pub(super) fn compared(
    base: &Measurement,
    new: &Measurement,
    allowed: Allowed,
) -> (RowValue, RowValue, Status, Option<&'static str>) {
    let is_exit = base.visit == EXIT;
    let (known, known_too) = (known(base), known(new));
    let (ever, made) = (known.0 && known_too.0, known.1 && known_too.1);
    let [base, new] = [base, new].map(|one| PagesCost::of(one, ever, made));
    let of_worker = status(&base.worker, &new.worker, 1, allowed);
    let status = match base.workers == new.workers {
        true => both(
            of_worker,
            status(&base.all, &new.all, base.workers, allowed),
        ),
        // More workers copy more together.
        false => of_worker,
    };
    // What was copied at any time would compare.
    let (status, because) = match status {
        Status::NotComparable => (status, Some(INTERPRETERS_OWN)),
        _ if is_exit && !ever && allowed.builds && status.is_change() => {
            (Status::NotComparable, Some(LEFT_AT_EXIT))
        }
        _ => (status, None),
    };
    let page_size = allowed.page_size;
    (base.value(page_size), new.value(page_size), status, because)
}

/// Whether it is known of each child what it copied at any time, and what it filled anew.
fn known(measurement: &Measurement) -> (bool, bool) {
    let all = |known: fn(&Spent) -> bool| {
        let mut each = measurement.children.iter().map(|child| child.spent());
        each.all(|spent| known(&spent))
    };
    (
        all(|spent| spent.ever_copied.is_some()),
        all(|spent| spent.new.is_some()),
    )
}

/// What came of both: what all workers pay goes before what one does.
fn both(worker: Status, all: Status) -> Status {
    let order = [
        Status::Regressed,
        Status::Improved,
        Status::NotComparable,
        Status::WithinNoise,
    ];
    match (worker, all) {
        (_, Status::Regressed | Status::Improved) => all,
        _ => order
            .into_iter()
            .find(|status| [worker, all].contains(status))
            .unwrap_or(Status::Unchanged),
    }
}

fn status(base: &Sum, new: &Sum, workers: u64, allowed: Allowed) -> Status {
    let apart = |one: u64, other: u64| i128::from(other) - i128::from(one);
    let difference = apart(base.pages(), new.pages());
    let made = base.new.zip(new.new);
    let made = made.map_or(0, |(base, new)| apart(base, new));
    // Where a heap ends is no matter of the visit, on one machine, too.
    let heaps = Tolerance {
        pages: TOLERANCE.pages.saturating_mul(workers),
        ..TOLERANCE
    };
    let noise = match allowed.pages.is_exact() {
        true => made
            .unsigned_abs()
            .min(heaps.of(base.new.unwrap_or(0)).into()),
        false => {
            let tolerance = Tolerance {
                pages: allowed.pages.pages.saturating_mul(workers),
                ..allowed.pages
            };
            tolerance.of(base.pages()).into()
        }
    };
    let judged = |difference: i128| match difference {
        0 => Status::Unchanged,
        _ if difference.unsigned_abs() <= noise => Status::WithinNoise,
        ..0 => Status::Improved,
        1.. => Status::Regressed,
    };
    let whole = judged(difference);
    if !allowed.builds {
        return whole;
    }
    // What the build alone makes another does not count: it must not be blamed, and must hide
    // nothing.
    let heap = i128::from((ARENAS_BYTES / allowed.page_size.max(1)).saturating_mul(workers));
    let own = apart(base.around, new.around) + made.clamp(-heap, heap);
    let of_data = judged(difference - own);
    match (whole.is_change(), of_data.is_change()) {
        (false, false) => whole,
        _ if whole == of_data => whole,
        _ => Status::NotComparable,
    }
}

/// In which way two measurements are not of the same data, or not of the same code.
pub(super) fn other_data(
    (base, sources): (&Measurement, &[Source]),
    (new, sources_now): (&Measurement, &[Source]),
    same_python: bool,
    tolerance: Tolerance,
    page_size: u64,
) -> Vec<String> {
    let mut all = other_code((&base.fixture, sources), (&new.fixture, sources_now));
    if base.visit != new.visit {
        all.push(format!("visit {} instead of {}", new.visit, base.visit));
    }
    let words = |measurement: &Measurement| made_of(measurement);
    if base.made_with() != new.made_with() {
        all.push(format!("made with {} → {}", words(base), words(new)));
    }
    let prepared = |measurement: &Measurement| measurement.prepare.clone();
    if base.prepare != new.prepare {
        let [then, now] = [base, new].map(|one| prepared(one).unwrap_or_else(|| "nothing".into()));
        all.push(format!("prepared by {then} → {now}"));
    }
    if base.sharing != new.sharing {
        all.push(format!("shared by {} → {}", base.sharing, new.sharing));
    }
    // Each Python fills another number of pages with the same.
    if same_python && all.is_empty() {
        let pages = |measurement: &Measurement| {
            let each = measurement.children.iter();
            each.map(|child| child.dataset().pages).max().unwrap_or(0)
        };
        let (then, now) = (pages(base), pages(new));
        let bytes = |pages: u64| pages.saturating_mul(page_size);
        let large = bytes(then.max(now)) >= SMALLEST_WHOLE_BYTES;
        if large && then.abs_diff(now) > tolerance.of(then) {
            let [then, now] = [then, now].map(|pages| crate::numbers::bytes(bytes(pages)));
            all.push(format!("the data fills {then} → {now}"));
        }
    }
    all
}

/// In which way two fixtures are not of the same code.
pub(super) fn other_code(
    (one, sources): (&str, &[Source]),
    (other, sources_now): (&str, &[Source]),
) -> Vec<String> {
    let mut all = Vec::new();
    let sources = (source(sources, one), source(sources_now, other));
    let file = |fixture: &str, source: Option<&Source>| match source {
        Some(_) => format!("{fixture}.py"),
        None => fixture.to_owned(),
    };
    let (file, file_now) = (file(one, sources.0), file(other, sources.1));
    if one != other {
        all.push(format!("{file_now} instead of {file}"));
    }
    match sources {
        // Another file has another text.
        (Some(then), Some(now)) if then.sha256 != now.sha256 && one != other => {}
        (Some(then), Some(now)) if then.sha256 != now.sha256 => {
            all.push(format!("{file} was edited"));
        }
        (Some(then), Some(now)) if then.imports != now.imports => {
            all.push(format!("a module that {file_now} imports was edited"));
        }
        (None, Some(_)) => all.push(format!("the code of {one} in the base is unknown")),
        (Some(_), None) => all.push(format!("the code of {other} in the new run is unknown")),
        _ => {}
    }
    all
}

/// The file that a fixture is in, if a document names it.
fn source<'a>(sources: &'a [Source], fixture: &str) -> Option<&'a Source> {
    sources.iter().find(|source| {
        let stem = Path::new(&source.path).file_stem();
        stem.is_some_and(|stem| stem == fixture)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Copied pages, those of them around the data, and new ones.
    fn sum(copied: u64, around: u64, new: u64) -> Sum {
        Sum {
            copied,
            around,
            new: Some(new),
            ..Sum::default()
        }
    }

    fn judged(base: Sum, new: Sum, pages: Tolerance, builds: bool) -> Status {
        let allowed = Allowed {
            pages,
            builds,
            page_size: 4096,
        };
        status(&base, &new, 1, allowed)
    }

    #[rstest]
    #[case::nothing(sum(121, 9, 3), sum(121, 9, 3), Status::Unchanged)]
    #[case::one_page_of_the_rest(sum(121, 9, 3), sum(122, 10, 3), Status::Regressed)]
    #[case::where_the_heap_ends(sum(121, 9, 3), sum(121, 9, 19), Status::WithinNoise)]
    #[case::more_of_the_heap(sum(121, 9, 3), sum(121, 9, 20), Status::Regressed)]
    #[case::a_page_more_of_both(sum(121, 9, 3), sum(122, 9, 4), Status::Regressed)]
    fn on_one_build_every_copy_counts(
        #[case] base: Sum,
        #[case] new: Sum,
        #[case] expected: Status,
    ) {
        assert_eq!(judged(base, new, Tolerance::EXACT, false), expected);
    }

    #[rstest]
    #[case::the_cure(sum(6300, 9, 3), sum(13, 10, 0), Status::Improved)]
    #[case::copies_become_new(sum(6300, 9, 3), sum(13, 10, 6900), Status::Regressed)]
    #[case::some_of_them_do(sum(6300, 9, 3), sum(13, 10, 300), Status::Improved)]
    #[case::a_few_pages(sum(121, 9, 3), sum(137, 25, 3), Status::WithinNoise)]
    #[case::the_rest_beyond_that(sum(121, 9, 3), sum(138, 26, 3), Status::Regressed)]
    fn with_other_code_bytes_are_judged(
        #[case] base: Sum,
        #[case] new: Sum,
        #[case] expected: Status,
    ) {
        assert_eq!(judged(base, new, TOLERANCE, false), expected);
    }

    #[rstest]
    #[case::the_data(sum(1000, 300, 3), sum(2000, 310, 3), Status::Regressed)]
    #[case::the_process_around_it(sum(1000, 300, 3), sum(1417, 717, 3), Status::NotComparable)]
    #[case::the_heap(sum(1000, 300, 41), sum(1000, 300, 316), Status::NotComparable)]
    #[case::more_than_any_heap(sum(1000, 300, 41), sum(1000, 300, 900), Status::Regressed)]
    #[case::the_one_hides_the_other(sum(1000, 700, 3), sum(1000, 300, 3), Status::NotComparable)]
    #[case::both(sum(1000, 300, 3), sum(500, 300, 3), Status::Improved)]
    fn between_builds_only_what_is_the_datas_is_judged(
        #[case] base: Sum,
        #[case] new: Sum,
        #[case] expected: Status,
    ) {
        assert_eq!(judged(base, new, TOLERANCE, true), expected);
    }

    #[rstest]
    #[case::both(Status::Improved, Status::Improved, Status::Improved)]
    #[case::one_of_them_alone(Status::Regressed, Status::WithinNoise, Status::Regressed)]
    #[case::all_pay_less(Status::Regressed, Status::Improved, Status::Improved)]
    #[case::the_same(Status::Unchanged, Status::Unchanged, Status::Unchanged)]
    fn what_all_pay_goes_first(
        #[case] worker: Status,
        #[case] all: Status,
        #[case] expected: Status,
    ) {
        assert_eq!(both(worker, all), expected);
    }
}
