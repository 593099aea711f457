//! What a terminal shows while a tree is recorded.

use std::process::Command;

use rstest::rstest;

use crate::common::{REFCOW, Target, cannot_record, python, run};

/// Starts a program on a terminal 60 columns wide, presses `q` when it says that this ends it, and prints how it ended, whether the terminal is as it
/// was, and how far the last line of the picture is from the beginning of one: lines have as many columns as the terminal, with blanks behind.
const PRESSES: &str = r"
import fcntl, os, pty, re, struct, subprocess, sys, termios
reads, terminal = pty.openpty()
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 60, 0, 0))
before = termios.tcgetattr(terminal)
def leads():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = subprocess.Popen(sys.argv[1:], stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, preexec_fn=leads)
shown = ''
while 'q or Ctrl-C ends it' not in shown:
    shown += os.read(reads, 65536).decode(errors='replace')
os.write(reads, b'q')
# What is drawn until the end has a reader, too.
import threading
threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(reads, 65536), b'')], daemon=True).start()
table = child.stdout.read().decode()
status = child.wait()
picture = re.split(r'\x1b\[[0-9;?]*[A-Za-z]|[\r\n]', shown[:shown.index('q or Ctrl-C')])[-1]
print(status, termios.tcgetattr(terminal) == before, len(picture) % 60, len(picture) > 60)
print(table)
os._exit(0)
";

/// A tree of two processes that wait, and its number.
fn watched() -> (Target, String) {
    let mut target = Target::of_text(
        "import os, sys
if os.fork() == 0: sys.stdin.read(); os._exit(0)
print(os.getpid(), flush=True)
sys.stdin.read()",
    );
    let pid = target.line();
    (target, pid)
}

#[test]
fn on_a_terminal_q_ends_the_recording_and_the_terminal_is_as_it_was() {
    if cannot_record("the view of a tree") {
        return;
    }
    let (mut target, pid) = watched();
    let mut terminal = Command::new(python());
    terminal.args(["-c", PRESSES, REFCOW, "attach", &pid, "--every", "20ms"]);
    let printed = run::succeeded("a terminal", run::output(&mut terminal));
    target.end();
    let (first, table) = printed.split_once('\n').unwrap();
    assert_eq!(first, "0 True 0 True", "{printed}");
    let words: Vec<&str> = table.split_whitespace().collect();
    assert!(
        words.join(" ").contains("2 processes, CPython 3."),
        "{table}"
    );
}

/// The same, ended or stopped by signals. Prints its status, whether the terminal was changed meanwhile, and whether it is as it was.
const SIGNALS: &str = r"
import fcntl, os, pty, resource, signal, subprocess, sys, termios
reads, terminal = pty.openpty()
before = termios.tcgetattr(terminal)
def is_changed(): return termios.tcgetattr(terminal) != before
def leads():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A script's background job ignores some, and so would what it starts.
    for one in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP): signal.signal(one, signal.SIG_DFL)
how = sys.argv[1]
child = subprocess.Popen(sys.argv[2:], stdin=terminal, stdout=subprocess.DEVNULL, stderr=terminal, preexec_fn=leads)
shown = ''
while 'q or Ctrl-C ends it' not in shown:
    shown += os.read(reads, 65536).decode(errors='replace')
changed = is_changed()
if how == 'twice':
    # What cannot be shown keeps it from coming to its end after the first one.
    termios.tcflow(terminal, termios.TCOOFF)
    while child.poll() is None:
        os.kill(child.pid, signal.SIGINT)
if how == 'quit':
    os.kill(child.pid, signal.SIGQUIT)
    child.wait()
if how == 'stopped':
    os.kill(child.pid, signal.SIGTSTP)
    assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
    assert not is_changed()
    os.kill(child.pid, signal.SIGCONT)
    while not is_changed():
        pass
    os.write(reads, b'q')
    import threading
    threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(reads, 65536), b'')], daemon=True).start()
    child.wait()
print(child.returncode, changed, not is_changed(), flush=True)
os._exit(0)
";

#[rstest]
#[case::a_second_ctrl_c("twice", "130 True True")]
#[case::what_ends_it_at_once("quit", "-3 True True")]
#[case::ctrl_z_and_going_on("stopped", "0 True True")]
fn a_terminal_is_as_it_was_whatever_ends_or_stops_refcow(#[case] how: &str, #[case] said: &str) {
    if cannot_record("the view of a tree") {
        return;
    }
    let (mut target, pid) = watched();
    let mut terminal = Command::new(python());
    terminal.args(["-c", SIGNALS, how, REFCOW, "attach", &pid]);
    terminal.args(["--every", "20ms"]);
    let printed = run::succeeded("a terminal", run::output(&mut terminal));
    target.end();
    assert_eq!(printed.trim_end(), said);
}
