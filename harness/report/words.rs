//! Regions, causes and places in plain words, for sentences. Tables keep the short names.

use refcow_model::numbers::{bytes, count, share};
use refcow_model::{Cause, CausedPages, NamedPages, RegionName};

/// The part of a reason's pages from which on a name stands for all of them.
pub(crate) const NEARLY_ALL: f64 = 0.9;
/// Names in a list, before the rest of them becomes a number.
pub(crate) const NAMED: usize = 3;
/// A smaller part of all pages is not worth a name, or a row.
pub(crate) const LEAST: f64 = 0.01;

/// What lies in a region.
pub(crate) fn contents(region: RegionName) -> &'static str {
    match region {
        RegionName::Header => "objects",
        RegionName::Spine => "arrays of pointers",
        RegionName::Payload => "buffers",
        RegionName::Native => "memory that C code holds",
        RegionName::Segment => "shared memory",
        RegionName::Modules => "imported modules",
        RegionName::Interpreter => "the interpreter",
        RegionName::Libraries => "variables of libraries",
        RegionName::Stack => "stacks",
        RegionName::Rest => "the rest of the process",
    }
}

/// Its pages, of which something is a part.
fn pages_of(region: RegionName) -> &'static str {
    match region {
        RegionName::Header => "the objects' pages",
        RegionName::Spine => "the pages of pointers",
        RegionName::Payload => "the buffers' pages",
        RegionName::Native => "the pages that C code holds",
        RegionName::Segment => "the pages in shared memory",
        RegionName::Modules => "the modules' pages",
        RegionName::Interpreter => "the interpreter's pages",
        RegionName::Libraries => "the libraries' variables",
        RegionName::Stack => "the stacks' pages",
        RegionName::Rest => "the rest of the process",
    }
}

/// `98 % of the objects' pages`, or what lies there if the region is too small for a part to say
/// anything.
pub(crate) fn part_of(region: RegionName, part: Option<f64>) -> String {
    match part {
        // Of all else that a process has a part says nothing.
        Some(part) if region != RegionName::Rest => {
            format!("{} of {}", share(part), pages_of(region))
        }
        _ => contents(region).to_owned(),
    }
}

/// What was written, as a clause behind "because". `None`: nobody knows.
pub(crate) fn because(
    reason: &CausedPages,
    region: RegionName,
    ends_python: bool,
) -> Option<String> {
    let objects = WrittenObjects::of(&reason.types, reason.pages);
    let is_by_program = reason.functions.iter().any(|(name, _)| name.is_some());
    let is_of_c = match reason.cause {
        Cause::Buffer | Cause::Body => true,
        // No object is there: whatever wrote, it was code that holds the memory, unless nobody saw
        // who did.
        Cause::Unattributed => is_by_program,
        _ => false,
    };
    if region == RegionName::Native && is_of_c {
        return Some("C code wrote to memory that it holds".to_owned());
    }
    Some(match (reason.cause, &objects) {
        (Cause::Refcount, WrittenObjects::One(name)) if ends_python => {
            format!("ending Python writes the reference count of {name}")
        }
        (Cause::Refcount, WrittenObjects::Several(names)) if ends_python => {
            format!("ending Python writes the reference counts of {names}")
        }
        (Cause::Refcount, WrittenObjects::One(name)) => {
            format!("using {name} writes its reference count")
        }
        (Cause::Refcount, WrittenObjects::Several(names)) => {
            format!("using {names} writes their reference counts")
        }
        (Cause::Gc, WrittenObjects::One(name)) => {
            format!("the GC header of {name} was written")
        }
        (Cause::Gc, WrittenObjects::Several(names)) => {
            format!("the GC headers of {names} were written")
        }
        (Cause::Buffer, WrittenObjects::One(name)) => format!("the memory of {name} was written"),
        (Cause::Buffer, WrittenObjects::Several(names)) => {
            format!("the memory of {names} was written")
        }
        (Cause::Body, WrittenObjects::One(name)) => format!("a field of {name} was written"),
        (Cause::Body, WrittenObjects::Several(names)) => format!("fields of {names} were written"),
        (Cause::Allocator, _) => "Python allocated or freed memory there".to_owned(),
        (Cause::Kernel, _) => "the kernel wrote there for a system call".to_owned(),
        (Cause::Khugepaged, _) => "the kernel made huge pages of the pages there".to_owned(),
        (Cause::Unattributed, _) => return None,
    })
}

/// What a page at the edge of a region was copied for: `a dict there`, `other objects there (dict,
/// list)`.
pub(crate) fn neighbours(types: &NamedPages, pages: u64) -> String {
    match WrittenObjects::of(types, pages) {
        _ if types.iter().all(|(name, _)| name.is_none()) => "the allocator".to_owned(),
        WrittenObjects::One(name) => format!("{name} there"),
        WrittenObjects::Several(names) => {
            format!("other {}", names.replacen("objects", "objects there", 1))
        }
    }
}

/// The objects that were written, in a sentence.
enum WrittenObjects {
    /// `a str`.
    One(String),
    /// `objects (array.array, list and 2 more types)`.
    Several(String),
}

impl WrittenObjects {
    fn of(types: &NamedPages, pages: u64) -> Self {
        let known: Vec<&str> = types
            .iter()
            .filter_map(|(name, _)| name.as_deref())
            .collect();
        match (&known[..], dominant(types, pages)) {
            (_, Some((name, _))) => Self::One(with_article(name)),
            ([], None) => Self::Several("objects".into()),
            ([one], None) => Self::Several(format!("objects ({one} and others)")),
            (several, None) => {
                let shown = match several.len() {
                    0..=NAMED => several.join(", "),
                    number => format!(
                        "{} and {} more types",
                        several[..NAMED - 1].join(", "),
                        count((number + 1 - NAMED) as u64)
                    ),
                };
                Self::Several(format!("objects ({shown})"))
            }
        }
    }
}

/// `a str`, `an int`.
fn with_article(name: &str) -> String {
    let article = match name.chars().next() {
        Some(first) if "aeiouAEIOU".contains(first) => "an",
        _ => "a",
    };
    format!("{article} {name}")
}

/// The name that nearly all of these pages have, with its pages.
fn dominant(names: &NamedPages, pages: u64) -> Option<(&str, u64)> {
    let (name, of_name) = names.first()?;
    let nearly_all = *of_name as f64 >= NEARLY_ALL * pages as f64;
    Some((name.as_deref()?, *of_name)).filter(|_| nearly_all)
}

/// Where it happened: `str_keys.py:9, dictiter_iternextkey`; `mostly` before a name that not nearly
/// all pages have.
pub(crate) fn places(lines: &NamedPages, functions: &NamedPages, pages: u64) -> Option<String> {
    let named = |names: &NamedPages, short: fn(&str) -> &str| {
        let (name, of_name) = names.first()?;
        let name = short(name.as_deref()?);
        match *of_name as f64 >= NEARLY_ALL * pages as f64 {
            true => Some(name.to_owned()),
            false => Some(format!("mostly {name}")),
        }
    };
    let parts = [named(lines, file_and_line), named(functions, |name| name)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `FILE:LINE` of `FUNCTION (FILE:LINE)`.
pub(crate) fn file_and_line(line: &str) -> &str {
    let inside = line
        .strip_suffix(')')
        .and_then(|line| line.rsplit_once(" ("));
    inside.map_or(line, |(_, place)| place)
}

/// `a (28 KiB), b (12 KiB) and 2 more (8 KiB)`; a single one that has all pages without its size.
pub(crate) fn listed(names: &NamedPages, of_pages: u64, page_size_bytes: u64) -> Option<String> {
    let known: Vec<(&str, u64)> = names
        .iter()
        .filter_map(|(name, pages)| Some((name.as_deref()?, *pages)))
        .collect();
    if let [(name, pages)] = known[..]
        && pages == of_pages
    {
        return Some(name.to_owned());
    }
    let size = |pages: u64| bytes(pages.saturating_mul(page_size_bytes));
    let worth_it = |(_, pages): &&(&str, u64)| *pages as f64 >= LEAST * of_pages as f64;
    // One more is no longer than that there is one more.
    let shown = match known.iter().take_while(worth_it).count().clamp(1, NAMED) {
        shown if shown + 1 >= known.len() => known.len(),
        shown => shown,
    };
    let mut parts: Vec<_> = known[..shown]
        .iter()
        .map(|(name, pages)| format!("{name} ({})", size(*pages)))
        .collect();
    let others = &known[shown..];
    if !others.is_empty() {
        let pages = others.iter().map(|(_, pages)| *pages);
        let pages = pages.fold(0, u64::saturating_add);
        parts.push(format!(
            "{} more ({})",
            count(others.len() as u64),
            size(pages)
        ));
    }
    and(parts)
}

/// `a, b and c`. `None` of nothing.
pub(crate) fn and(mut parts: Vec<String>) -> Option<String> {
    match parts.pop() {
        Some(last) if !parts.is_empty() => Some(format!("{} and {last}", parts.join(", "))),
        last => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn named(all: &[(&str, u64)]) -> NamedPages {
        let all = all.iter();
        all.map(|(name, pages)| (Some((*name).to_owned()), *pages))
            .collect()
    }

    fn reason(cause: Cause, types: &[(&str, u64)]) -> CausedPages {
        CausedPages {
            cause,
            pages: 100,
            types: named(types),
            lines: NamedPages::new(),
            functions: NamedPages::new(),
        }
    }

    #[rstest]
    #[case(&[("str", 95), ("int", 5)], "using a str writes its reference count")]
    #[case(&[("int", 100)], "using an int writes its reference count")]
    #[case(&[("a", 60), ("b", 40)], "using objects (a, b) writes their reference counts")]
    #[case(
        &[("a", 40), ("b", 30), ("c", 20), ("d", 10)],
        "using objects (a, b and 2 more types) writes their reference counts"
    )]
    #[case(&[], "using objects writes their reference counts")]
    fn a_cause_is_a_clause(#[case] types: &[(&str, u64)], #[case] words: &str) {
        let words_of = because(&reason(Cause::Refcount, types), RegionName::Header, false);
        assert_eq!(words_of.as_deref(), Some(words));
    }

    #[test]
    fn what_nobody_knows_has_no_clause_and_all_else_has_one() {
        for cause in Cause::ALL {
            let known =
                because(&reason(cause, &[("str", 100)]), RegionName::Header, false).is_some();
            assert_eq!(known, cause != Cause::Unattributed, "{cause:?}");
        }
    }

    #[test]
    fn at_the_end_of_python_nothing_is_used() {
        let words = because(
            &reason(Cause::Refcount, &[("str", 100)]),
            RegionName::Header,
            true,
        )
        .unwrap();
        assert_eq!(words, "ending Python writes the reference count of a str");
    }

    #[test]
    fn a_place_is_said_to_be_one_of_several() {
        let lines = named(&[("visit_it (mine.py:9)", 70), ("f (mine.py:3)", 30)]);
        let functions = named(&[("sum", 100)]);
        let places = |lines, functions| places(lines, functions, 100);
        assert_eq!(
            places(&lines, &functions).as_deref(),
            Some("mostly mine.py:9, sum")
        );
        assert_eq!(places(&NamedPages::new(), &vec![(None, 100)]), None);
    }

    #[test]
    fn what_is_little_and_what_is_much_of_it_is_cut_short() {
        let list = |all: &[(&str, u64)]| listed(&named(all), 120, 4096).unwrap();
        assert_eq!(list(&[("a", 120)]), "a");
        assert_eq!(
            list(&[("a", 60), ("b", 30), ("c", 20), ("d", 6), ("e", 4)]),
            "a (240 KiB), b (120 KiB), c (80 KiB) and 2 more (40 KiB)"
        );
        assert_eq!(
            list(&[("a", 118), ("b", 1), ("c", 1)]),
            "a (472 KiB) and 2 more (8 KiB)"
        );
    }
}
