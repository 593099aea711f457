//! The ways to share that packages have: joblib's and Arrow's mapped files.

use refcow::model::GivesBack;

use crate::common::ways_python::PACKAGES;
use crate::common::{Place, python, run, skipped};

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
fn mapped_files_of_packages_are_not_copied_and_joblib_gives_back_another_type() {
    let folder = match PACKAGES.installed(python(), python()) {
        Ok(folder) => folder.display().to_string(),
        Err(reason) => return skipped("mapped_files_of_packages", &reason),
    };
    let place = Place::new();
    let file = place.file("tables.py", &DATA.replace("FOLDER", &folder));
    let words = ["sharing", &file, "--format", "json", "--python", python()];
    let ways = ["--way", "joblib", "--way", "arrow", "--way", "file"];
    let finished = place
        .run(place.refcow_with_packages([&words[..], &ways].concat()))
        .exits_with(0);
    place.nothing_remains();
    let run = run::the_run(&finished.stdout);
    let [data] = &run.own_data[..] else {
        panic!("{finished}")
    };
    for one in &data.ways {
        let figures = one.measured.as_ref().unwrap_or_else(|| panic!("{one:#?}"));
        let copied = figures
            .children
            .iter()
            .map(|child| child.copied_pages * 4096);
        let (least, most) = (copied.clone().min().unwrap(), copied.max().unwrap());
        let mapped = figures.memory.unwrap().mapped_bytes;
        match &one.way[..] {
            // A copy of both.
            "file" => {
                assert_eq!(figures.gives_back, GivesBack::Equal, "{one:#?}");
                assert!(least > 15 << 20, "{one:#?}");
            }
            // The table is everybody's, and the array each worker's own.
            "arrow" => {
                assert_eq!(figures.gives_back, GivesBack::Equal, "{one:#?}");
                assert!(most < 10 << 20, "{one:#?}");
            }
            // The array is everybody's, and of another type.
            _ => {
                let GivesBack::Differs { at } = &figures.gives_back else {
                    panic!("{one:#?}")
                };
                assert!(
                    at.contains("of the type numpy.memmap") && mapped >= 8 << 20,
                    "{one:#?}"
                );
            }
        }
    }
}
