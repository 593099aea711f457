//! What the commands for trees say of their options, of terminals, and of what runs on when they end.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rstest::rstest;

use crate::common::{REFCOW, Target, cannot_record, python, run};

#[rstest]
#[case("--every", &["--every", "2s"])]
#[case("--lines", &["--lines"])]
#[case("--lines", &["--lines", "--own", "."])]
#[case("--no-bpf", &["--no-bpf"])]
#[case("--by", &["--by", "line"])]
#[case("--save-baseline", &["--save-baseline", "none"])]
#[case("--baseline", &["--baseline", "none"])]
fn with_one_look_what_needs_a_recording_is_refused(#[case] option: &str, #[case] words: &[&str]) {
    let output = run::run(&[&["attach", "1", "--for", "0"], words].concat());
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = format!("error: {option} has no effect with --for 0, ");
    assert!(
        error.starts_with(&expected) && error.contains("\nhelp: leave it out, or record"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[rstest]
#[case(&["attach", "1", "--format", "csv", "--by", "type"])]
#[case(&["run", "--format", "json", "--by", "line", "--", "true"])]
fn what_has_every_cause_is_not_grouped(#[case] words: &[&str]) {
    let output = run::run(words);
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = "error: --by has no effect with --format json and csv, which have every cause";
    assert!(error.starts_with(expected), "{error}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_program_needs_no_hyphens_before_it_and_all_behind_its_name_is_its_own() {
    if cannot_record("refcow run") {
        return;
    }
    for hyphens in [&[][..], &["--"]] {
        let words = ["sh", "-c", "echo \"$@\"; exit 7", "-", "--for", "3", "-q"];
        let output = run::run(&[&["run", "-q"][..], hyphens, &words].concat());
        assert_eq!(String::from_utf8_lossy(&output.stdout), "--for 3 -q\n");
        assert_eq!(output.status.code(), Some(7));
    }
    let output = run::run(&["run", "--no-such", "true"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("unexpected argument '--no-such'"), "{error}");
    assert_eq!(output.status.code(), Some(2));
}

/// Two processes that wait.
const TREE: &str = "import os, sys
if os.fork() == 0: sys.stdin.read(); os._exit(0)
print(os.getpid(), flush=True)
sys.stdin.read()";

/// Runs a command on a terminal so many columns wide, and prints the widest line that it wrote.
const ON_TERMINAL: &str = r"
import fcntl, os, pty, re, struct, sys, termios
width = int(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 40, width, 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
shown = b''
try:
    while part := os.read(terminal, 65536): shown += part
except OSError:
    pass
status = os.waitpid(child, 0)[1]
lines = shown.decode().replace('\r', '').split('\n')
print(status, max(map(len, lines)))
print('\n'.join(lines))
";

#[rstest]
#[case(60)]
#[case(132)]
fn what_run_writes_is_as_wide_as_the_terminal(#[case] width: usize) {
    if cannot_record("refcow run") {
        return;
    }
    let program = "import os
if os.fork() == 0:
    data = [str(n) for n in range(50000)]
    os._exit(0)
os.wait()";
    let columns = width.to_string();
    let mut terminal = Command::new(python());
    terminal
        .args(["-c", ON_TERMINAL, &columns, REFCOW, "run", "--"])
        .args([python(), "-c", program]);
    let printed = run::succeeded("a terminal", run::output(&mut terminal));
    let (first, shown) = printed.split_once('\n').unwrap();
    let (status, widest) = first.split_once(' ').unwrap();
    let widest: usize = widest.parse().unwrap();
    assert_eq!(status, "0", "{shown}");
    assert!((width * 7 / 10..=width).contains(&widest), "{shown}");
}

#[rstest]
#[case::in_the_table(&["-q"])]
#[case::where_the_table_is_elsewhere(&["--output", "/dev/null"])]
fn processes_that_outlive_the_program_are_named(#[case] options: &[&str]) {
    if cannot_record("refcow run") {
        return;
    }
    let program = "import os, sys
pid = os.fork()
if pid == 0: sys.stdin.read(); os._exit(0)
print(pid, flush=True)";
    let mut refcow = Command::new(REFCOW);
    refcow.arg("run").args(options);
    refcow.args(["--", python(), "-c", program]);
    let mut refcow = refcow
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What runs on has all of these, too, until its input ends.
    let (input, output) = (refcow.stdin.take(), refcow.stdout.take().unwrap());
    let errors = refcow.stderr.take().unwrap();
    let mut daemon = String::new();
    BufReader::new(output).read_line(&mut daemon).unwrap();
    let status = refcow.wait().unwrap();
    drop(input);
    let told: Vec<String> = BufReader::new(errors).lines().map(Result::unwrap).collect();
    let told = told.join(" ");
    let daemon = daemon.trim();
    let expected = format!(
        "1 process forked from it runs on: {daemon}. To record what it does now: refcow attach {daemon}."
    );
    assert!(status.success() && told.contains(&expected), "{told}");
}

#[test]
fn what_cannot_be_written_where_it_was_to_be_is_shown() {
    if cannot_record("refcow run") {
        return;
    }
    let words = ["run", "-q", "--format", "json", "--output", "/dev/full"];
    let output = run::run(&[&words[..], &["--", python(), "-c", "print(1)"]].concat());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
    let said = String::from_utf8_lossy(&output.stderr);
    let (table, error) = said.split_once("error: ").expect("an error");
    assert!(
        table.contains("process, CPython 3.") && table.contains("made by"),
        "{said}"
    );
    assert!(
        error.starts_with("cannot write /dev/full: No space left"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(3));
}

#[rstest]
#[case(&["run", "--every", "-1", "--", "true"])]
#[case(&["run", "--for", "-1s", "--", "true"])]
#[case(&["attach", "1", "--every", "-1"])]
#[case(&["attach", "1", "--for", "-0.5"])]
fn a_time_below_zero_is_no_time(#[case] words: &[&str]) {
    let output = run::run(words);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("a time is a number of seconds, or has a unit"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_report_that_cannot_be_written_takes_nothing_of_the_table_along() {
    if cannot_record("the report of a tree") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut target = Target::of_text(TREE);
    let pid = target.line();
    // No file may grow longer than a few blocks, and who tries is told.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$@\"", "sh", REFCOW]);
    shell.args(["attach", &pid, "-q", "--for", "10ms", "--report", "page"]);
    let output = run::output(shell.current_dir(&folder));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("What the processes have now:"), "{table}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("error: cannot write page: "), "{error}");
    assert_eq!(output.status.code(), Some(3));
}
