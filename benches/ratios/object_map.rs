//! What finding all objects takes: time on top of building them, and memory of the observer.

use std::cell::Cell;
use std::time::{Duration, Instant};

use criterion::Criterion;
use refcow::driver::Subject;
use refcow::protocol::{Arguments, ModuleSource, Size};
use refcow::python::Interpreter;

use crate::BenchResult;
use crate::subject::launch;
use crate::table::RatioTable;

/// Lists of objects, each a million times as many as it has items of its own kind.
const SOURCE: &str = "
def build(count, item_bytes):
    if item_bytes == 1:
        return list(range(1000, 1000 + count))
    return [{'key': index + 1000, 'name': 'n%d' % index, 'pair': (index, 'v%d' % index)}
            for index in range(count // 6)]
";
const OBJECTS: u64 = 10_000_000;

pub fn run(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    for (what, kind) in [("ints", 1), ("dicts, strings, tuples and ints", 2)] {
        let what = format!("object map of {} million {what}", OBJECTS / 1_000_000);
        let found = Cell::new(None);
        let mut ten = std::mem::take(criterion).sample_size(10);
        ten.bench_function(&what, |bencher| {
            bencher.iter_custom(|iterations| {
                // Once: it is seconds, and building takes as long again.
                let measured = found.take().unwrap_or_else(|| measure(interpreter, kind));
                let time = measured
                    .as_ref()
                    .map_or(Duration::from_secs(1), |one| one.0);
                found.set(Some(measured));
                time * u32::try_from(iterations).unwrap_or(u32::MAX)
            });
        });
        *criterion = ten.sample_size(50);
        if let Some(measured) = found.take() {
            let (time, bytes) = measured?;
            let figures = "seconds; the data was built before".to_owned();
            table.add(&what, time.as_secs_f64(), 10.0, " s", figures);
            let figures = format!("{bytes} bytes of the observer");
            let each = bytes as f64 / OBJECTS as f64;
            table.add(&format!("{what}, an object"), each, 12.0, " B", figures);
        }
    }
    Ok(())
}

fn measure(interpreter: &Interpreter, kind: u64) -> BenchResult<(Duration, usize)> {
    let mut subject = Subject::start(&launch(interpreter)?)?;
    subject.start_python()?;
    let module = ModuleSource {
        name: "objects_of_kinds".into(),
        file: "objects_of_kinds.py".into(),
        folder: None,
        source: SOURCE.into(),
    };
    subject.load(Vec::new(), module, Vec::new())?;
    subject.build(&Arguments::Size(Size {
        count: OBJECTS,
        item_bytes: kind,
    }))?;
    let start = Instant::now();
    let (_, objects) = subject.map(true)?;
    Ok((start.elapsed(), objects.bytes()))
}
