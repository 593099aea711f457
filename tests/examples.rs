//! The worked examples of the README: refcow blames the types and lines that it says, and no longer does so after the
//! change that it names.

mod common;

use std::collections::HashMap;
use std::fs;

use refcow::python::Interpreter;
use rstest::rstest;

use common::{by_python, run};

const README: &str = include_str!("../README.md");

/// Pages that may be copied for another reason: objects of the interpreter are of these types, too.
const FEW: u64 = 10;

/// One of the examples, with data that is small, but fills more pages of each kind than the interpreter copies itself.
struct Example {
    file: &'static str,
    size: &'static str,
}

const DATA_LOADER: Example = Example {
    file: "data_loader.py",
    size: "samples=20_000",
};
const WEB_SERVER: Example = Example {
    file: "web_server.py",
    size: "products=10_000",
};
const ROUTING_TABLE: Example = Example {
    file: "routing_table.py",
    size: "routes=20_000",
};

/// A type, and the text of the line that wrote to its objects.
type Blamed = (&'static str, &'static str);

const PATH: Blamed = ("str", "path = self.paths[index]");
const RECORD: Blamed = ("dict", "record = self.records[index]");
const PRODUCT: Blamed = ("dict", "product = self.products[key]");
const PAGE: Blamed = ("str", "page = self.page(key)");
const ENTRY: Blamed = ("functools._lru_list_elem", "page = self.page(key)");
const SEARCH: Blamed = ("tuple", "found = bisect_right(self.routes, ");
const ROUTE: Blamed = ("int", "first, last, hop = self.routes[found]");

impl Example {
    fn path(&self) -> String {
        format!("{}/examples/{}", env!("CARGO_MANIFEST_DIR"), self.file)
    }

    /// `(FILE:LINE)` of the first line that begins like this.
    fn line(&self, beginning: &str) -> String {
        let text = fs::read_to_string(self.path()).unwrap();
        let is_it = |line: &str| line.trim_start().starts_with(beginning);
        let before = text.lines().position(is_it);
        let before = before.unwrap_or_else(|| panic!("{}: no {beginning}", self.file));
        format!("({}:{})", self.file, before + 1)
    }

    /// Copied pages by the type and the line that are blamed for them, the most first.
    fn blame(
        &self,
        interpreter: &Interpreter,
        visit: &str,
        set: &[&str],
    ) -> Vec<(String, String, u64)> {
        let fixture = format!("{}:{visit}", self.path());
        let mut arguments = vec![&fixture[..], "--lines", "--children", "1"];
        arguments.extend(["--python", by_python::path(interpreter), "--set", self.size]);
        arguments.extend(set.iter().flat_map(|one| ["--set", one]));
        let run = run::measure(&arguments);
        let mut pages: HashMap<_, u64> = HashMap::new();
        for written in &run.measurements[0].children[0].written {
            // Functions have their class's name since 3.11.
            let line = written.line.as_deref().unwrap_or_default();
            let line = line.split_once(' ').map_or("", |(_, place)| place);
            let of_type = written.of_type.as_deref().unwrap_or_default();
            *pages.entry((of_type, line)).or_default() += written.pages;
        }
        let all = pages.into_iter();
        let mut all: Vec<_> = all
            .map(|((of_type, line), pages)| (of_type.to_owned(), line.to_owned(), pages))
            .collect();
        all.sort_by_key(|(.., pages)| std::cmp::Reverse(*pages));
        all
    }
}

#[rstest]
#[case::data_loader(&DATA_LOADER, "epoch", &[PATH, RECORD])]
#[case::web_server(&WEB_SERVER, "requests", &[PAGE, PRODUCT, ENTRY])]
#[case::routing_table(&ROUTING_TABLE, "lookups", &[SEARCH, ROUTE])]
fn the_types_and_lines_that_the_readme_names_have_the_most_pages(
    #[case] example: &Example,
    #[case] visit: &str,
    #[case] expected: &[Blamed],
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "examples", |interpreter| {
        let blame = example.blame(interpreter, visit, &[]);
        let (most, others) = blame.split_at(expected.len());
        for (of_type, line) in expected {
            let line = example.line(line);
            let among = most
                .iter()
                .any(|one| (&*one.0, &*one.1) == (*of_type, &*line));
            assert!(among, "{of_type} {line}: {blame:#?}");
        }
        // By far.
        assert!(most.last().unwrap().2 > 3 * others[0].2, "{blame:#?}");
    });
}

#[test]
fn the_readme_names_the_lines_where_they_are() {
    for (example, blamed) in [
        (&DATA_LOADER, &[PATH, RECORD][..]),
        (&WEB_SERVER, &[PAGE, PRODUCT, ENTRY]),
        (&ROUTING_TABLE, &[SEARCH, ROUTE]),
    ] {
        for (_, line) in blamed {
            let place = example.line(line);
            assert!(README.contains(&place), "{line} is {place}");
        }
    }
}

#[rstest]
#[case::records_in_arrays(&DATA_LOADER, "epoch", "epoch", &["records=packed"], &[RECORD], &["str"])]
#[case::paths_in_a_buffer(&DATA_LOADER, "epoch", "epoch", &["paths=packed"], &[PATH], &["dict"])]
#[case::a_line_less(&DATA_LOADER, "epoch", "paths", &[], &[RECORD], &["str"])]
#[case::no_order(&WEB_SERVER, "requests", "requests", &["maxsize=None"], &[ENTRY], &["dict", "str"])]
#[case::keys_alone(&WEB_SERVER, "requests", "known", &[], &[ENTRY, PRODUCT, PAGE], &[])]
#[case::routes_in_arrays(&ROUTING_TABLE, "lookups", "lookups", &["table=packed"], &[SEARCH, ROUTE], &[])]
fn after_the_change_they_are_gone_and_the_others_stay(
    #[case] example: &Example,
    #[case] before: &str,
    #[case] after: &str,
    #[case] set: &[&str],
    #[case] gone: &[Blamed],
    #[case] stay: &[&str],
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "examples, changed", |interpreter| {
        let before = example.blame(interpreter, before, &[]);
        let after = example.blame(interpreter, after, set);
        let both = format!("{before:#?}\nafter the change: {after:#?}");
        for (of_type, line) in gone {
            let line = example.line(line);
            let blamed = after
                .iter()
                .any(|one| (&*one.0, &*one.1) == (*of_type, &*line));
            assert!(!blamed, "{of_type} {line}: {both}");
            let (was, is) = (pages(&before, of_type), pages(&after, of_type));
            assert!(is <= FEW && was > 10 * FEW, "{of_type}: {both}");
        }
        for of_type in stay {
            let (was, is) = (pages(&before, of_type), pages(&after, of_type));
            assert!(was.abs_diff(is) <= was / 50 + FEW, "{of_type}: {both}");
        }
    });
}

/// All that are of one type.
fn pages(blame: &[(String, String, u64)], of_type: &str) -> u64 {
    let of_it = blame.iter().filter(|one| one.0 == of_type);
    of_it.map(|one| one.2).sum()
}
