//! The Python of the ways to share, in a plain interpreter.

use std::process::Command;

/// Has the modules of `python_fixtures/ways/` under the names that they have in a subject.
const MODULES: &str = "
import importlib.util, os, sys
os.environ['REFCOW_SUBJECT'] = 'refcow-test-%d' % os.getpid()
names = ['child', 'parent', 'values', 'difference', 'data_child', 'data_prepare', 'data_survey']
for name in names:
    spec = importlib.util.spec_from_file_location('_' + name, 'python_fixtures/ways/%s.py' % name)
    module = sys.modules['_' + name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
from _difference import CannotCompare, difference
def alike(one, other):
    try:
        return difference(one, other)
    except CannotCompare as error:
        return 'unknown: %s' % error
";

/// The lines that a script prints which has them.
pub fn lines(python: &str, script: &str) -> Vec<String> {
    let output = Command::new(python)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-B", "-c", &format!("{MODULES}{script}")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(str::to_owned).collect()
}

/// What is said of each pair of values, which these expressions make after `setup`, beside what is expected.
pub fn differences(python: &str, setup: &str, pairs: &[(&str, &str, &str)]) {
    let calls = pairs
        .iter()
        .map(|(one, other, _)| format!("print(alike({one}, {other}))\n"));
    let found = lines(python, &(setup.to_owned() + &calls.collect::<String>()));
    let said = pairs.iter().zip(&found);
    for ((one, other, expected), found) in said {
        assert_eq!(found, expected, "{one} and {other}");
    }
    assert_eq!(found.len(), pairs.len());
}
