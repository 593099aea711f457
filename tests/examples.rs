//! The worked examples of the guide: refcow blames the types and lines that it says, and no longer
//! does so after the change that it names.

use std::cmp::Reverse;
use std::fs;

use refcow::model::Report;
use refcow::python::Interpreter;
use refcow::report;
use rstest::rstest;

use crate::common::by_python::MeasuredOnce;
use crate::common::{by_python, canned, run};

const GUIDE: &str = include_str!("../docs/guide/examples.md");

/// Pages that may be copied for another reason: objects of the interpreter are of these types, too.
const FEW: u64 = 20;

/// One of the examples, with data that is small, but fills more pages of each kind than the
/// interpreter copies itself.
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
    fn measured(&self, interpreter: &Interpreter, visit: &str, set: &[&str]) -> &'static [Copied] {
        static MEASURED: MeasuredOnce<Vec<Copied>> = MeasuredOnce::new();
        let python = by_python::path(interpreter);
        let name = format!("{} {visit} {set:?} {python}", self.file);
        MEASURED.of(&name, || self.measure(python, visit, set))
    }

    fn measure(&self, python: &str, visit: &str, set: &[&str]) -> Vec<Copied> {
        let fixture = format!("{}:{visit}", self.path());
        let mut arguments = vec![&fixture[..], "--lines", "--children", "1"];
        arguments.extend(["--python", python, "--set", self.size]);
        arguments.extend(set.iter().flat_map(|one| ["--set", one]));
        let run = run::measure(&arguments);
        let mut all: Vec<Copied> = Vec::new();
        for written in &run.measurements[0].children[0].written {
            let of_type = written.of_type.clone().unwrap_or_default();
            // Without the function, which has its class's name since 3.11.
            let line = written.line.as_deref().unwrap_or_default();
            let line = line.split_once(' ').map_or("", |(_, place)| place);
            let same = |one: &&mut Copied| one.of_type == of_type && one.line == line;
            match all.iter_mut().find(same) {
                Some(one) => one.pages += written.pages,
                None => all.push(Copied {
                    of_type,
                    line: line.to_owned(),
                    pages: written.pages,
                }),
            }
        }
        all.sort_by_key(|one| Reverse(one.pages));
        all
    }
}

/// Pages that one type and one line are blamed for.
#[derive(Debug)]
struct Copied {
    of_type: String,
    line: String,
    pages: u64,
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
    if crate::common::cannot_record("the_types_and_lines_that_the_readme_names_have_the_most_pages")
    {
        return;
    }
    by_python::each(series, "examples", |interpreter| {
        let copied = example.measured(interpreter, visit, &[]);
        let (most, others) = copied.split_at(expected.len());
        for (of_type, line) in expected {
            let line = example.line(line);
            let blamed = |one: &Copied| one.of_type == *of_type && one.line == line;
            assert!(most.iter().any(blamed), "{of_type} {line}: {copied:#?}");
        }
        // By far.
        let least = most.last().unwrap().pages;
        assert!(least > 3 * others[0].pages, "{copied:#?}");
    });
}

#[test]
fn the_guide_names_the_lines_where_they_are() {
    for (example, blamed) in [
        (&DATA_LOADER, &[PATH, RECORD][..]),
        (&WEB_SERVER, &[PAGE, PRODUCT, ENTRY]),
        (&ROUTING_TABLE, &[SEARCH, ROUTE]),
    ] {
        for (_, line) in blamed {
            let place = example.line(line);
            assert!(GUIDE.contains(&place), "{line} is {place}");
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
    if crate::common::cannot_record("after_the_change_they_are_gone_and_the_others_stay") {
        return;
    }
    by_python::each(series, "examples, changed", |interpreter| {
        let before = example.measured(interpreter, before, &[]);
        let after = example.measured(interpreter, after, set);
        let both = format!("{before:#?}\nafter the change: {after:#?}");
        for (of_type, line) in gone {
            let line = example.line(line);
            let (was, is) = (
                pages(before, of_type, Some(&line)),
                pages(after, of_type, None),
            );
            assert!(is <= FEW && was > 5 * FEW, "{of_type} {line}: {both}");
        }
        for of_type in stay {
            let (was, is) = (pages(before, of_type, None), pages(after, of_type, None));
            assert!(was.abs_diff(is) <= was / 50 + FEW, "{of_type}: {both}");
        }
    });
}

/// Those of one type, at one line or at any.
fn pages(copied: &[Copied], of_type: &str, line: Option<&str>) -> u64 {
    let wanted = |one: &&Copied| one.of_type == of_type && line.is_none_or(|line| one.line == line);
    copied.iter().filter(wanted).map(|one| one.pages).sum()
}

/// Its blocks take pandas, which nothing else here needs: what can be told without is that the
/// names in them are there.
#[test]
fn the_notebook_names_columns_that_there_are() {
    let notebook = include_str!("../examples/notebook.md");
    let report = Report::of(canned::run("3.12.1"));
    let columns: Vec<String> = [report::render_pages, report::render_times]
        .iter()
        .flat_map(|render| {
            let csv = String::from_utf8(render(&report).unwrap()).unwrap();
            let header = csv.lines().next().unwrap();
            header.split(',').map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    // What the blocks make themselves, and what is no name of a column.
    let others = ["share", "rest", "read", "character"];
    let blocks = notebook
        .split("```")
        .skip(1)
        .step_by(2)
        .filter(|block| !block.starts_with("text"));
    let mut named = 0;
    for block in blocks {
        let quoted = block.split('"').skip(1).step_by(2);
        for name in quoted.filter(|name| !name.contains(['/', '{'])) {
            assert!(
                columns.iter().any(|column| column == name) || others.contains(&name),
                "{name}"
            );
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}
