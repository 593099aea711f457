//! The ways to share that packages have: joblib's and Arrow's mapped files.

use refcow::model::GivesBack;

use crate::common::packages::Packages;
use crate::common::{Place, python, run, skipped};

static PACKAGES: Packages = Packages::new(include_str!("ways/requirements.txt"));

/// An array and a table of 8 MiB each.
const DATA: &str = "
import sys
sys.path.insert(0, 'FOLDER')
import numpy, pyarrow

def build():
    column = numpy.arange(1 << 20)
    return {'array': column, 'table': pyarrow.table({'column': column})}

def visit_add(data):
    return int(data['array'].sum()) + data['table'].num_rows
";

#[test]
fn mapped_files_of_packages_give_back_what_was_put_in_and_are_not_copied() {
    let folder = match PACKAGES.installed(python(), python()) {
        Ok(folder) => folder.display().to_string(),
        Err(reason) => return skipped("mapped_files_of_packages", &reason),
    };
    let place = Place::new();
    let file = place.file("tables.py", &DATA.replace("FOLDER", &folder));
    let words = ["sharing", &file, "--format", "json", "--python", python()];
    let ways = ["--way", "joblib", "--way", "arrow", "--way", "file"];
    let finished = place
        .run(place.refcow([&words[..], &ways].concat()))
        .exits_with(0);
    place.nothing_remains();
    let run = run::the_run(&finished.stdout);
    let [data] = &run.own_data[..] else {
        panic!("{finished}")
    };
    for one in &data.ways {
        let figures = one.measured.as_ref().unwrap_or_else(|| panic!("{one:#?}"));
        assert_eq!(figures.gives_back, GivesBack::Equal, "{one:#?}");
        // The array or the table, at least, is everybody's; a pickle of both is each worker's own.
        let most = if one.way == "file" { 17 } else { 9 };
        for child in &figures.children {
            let copied = child.copied_pages * 4096;
            assert!(copied < most << 20, "{one:#?}");
            assert!(one.way != "file" || copied > 15 << 20, "{one:#?}");
        }
        let mapped = figures.memory.unwrap().mapped_bytes;
        assert!(one.way == "file" || mapped >= 8 << 20, "{one:#?}");
    }
}
