//! Runs refcow in a folder of its own, and looks at what it leaves behind.
//!
//! Nothing here waits for a time to pass: a test hears from a fixture over a FIFO, and learns of a process's end by a
//! pidfd. The limits only turn a test that would hang for ever into one that fails.

pub mod by_python;
pub mod canned;
pub mod forms;
pub mod full;
pub mod run;
pub mod signals;

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use refcow::driver::Launch;
use refcow::python::Interpreter;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use tempfile::TempDir;

/// The program under test; refcow-subject lies beside it.
pub const REFCOW: &str = env!("CARGO_BIN_EXE_refcow");

/// No run in these tests takes a tenth of this.
const PATIENCE: Duration = Duration::from_secs(60);

/// A killed process is gone in an instant; one that was not killed stays longer than this.
const DEATH: Duration = Duration::from_secs(10);

/// Between one Ctrl-C and the next.
const PRESSING: Duration = Duration::from_millis(50);

/// A user that owns nothing: `nobody` on all distributions.
const NOBODY: u32 = 65534;

/// When a fixture of [`Place::fixture_that`] acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// While its module is executed.
    Import,
    /// While it builds the data.
    Build,
    /// While the parent prepares the data (`--prepare act`).
    Prepare,
    /// While a child visits the data (`--visit act`).
    Visit,
    /// While a child ends Python (`--visit exit`).
    Exit,
}

impl When {
    /// Which process acts, and what it does at that time, in the words of refcow's errors.
    pub fn of_whom(self) -> (&'static str, &'static str) {
        match self {
            Self::Import => ("parent", "loading "),
            Self::Build => ("parent", "building the dataset"),
            Self::Prepare => ("parent", "preparing the data (act)"),
            Self::Visit => ("child", "visiting the data (act)"),
            Self::Exit => ("child", "visiting the data (exit)"),
        }
    }
}

/// A folder for one test. Its path is in the environment of every process of a run (refcow hands `TMPDIR` on to the
/// subject), which is how they are known, wherever they went.
pub struct Place {
    folder: TempDir,
    said: File,
}

impl Place {
    /// A new one.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cache")).unwrap();
        let fifo = folder.path().join("said");
        mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();
        let said = File::options()
            .read(true)
            // With a writer of its own it is never at its end, and the next run can say something, too.
            .write(true)
            // Not to wait for a writer that may never come.
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(fifo)
            .unwrap();
        Self { folder, said }
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What no other test's folder is called.
    pub fn name(&self) -> &str {
        self.folder.path().file_name().unwrap().to_str().unwrap()
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes a program and gives its path.
    pub fn program(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Written by another process: a descriptor of ours, open for writing, could be inherited by what another
        // test's thread is just starting, and a program that is open for writing cannot be executed.
        let mut install = Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut install.stdin.take().unwrap(), text.as_bytes()).unwrap();
        assert!(install.wait().unwrap().success());
        path.to_str().unwrap().to_owned()
    }

    /// A fixture that builds a little list, and once, at the given time, does what `action` says in Python.
    pub fn fixture_that(&self, when: When, action: &str) -> String {
        let text = include_str!("../fixtures/acts.py");
        let action = action.replace('\n', "\n    ");
        let text = text
            .replace("WHEN_TO_ACT", &format!("{when:?}").to_lowercase())
            .replace("ACTION", &action);
        self.file("acts.py", &text)
    }

    /// refcow with these arguments and nothing in its environment that could lead out of this folder.
    pub fn refcow<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        self.command(REFCOW, arguments)
    }

    /// The same, with the user's own cache, so that packages are not installed anew for each test.
    pub fn refcow_with_packages<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = self.refcow(arguments);
        match std::env::var_os("XDG_CACHE_HOME") {
            Some(folder) => command.env("XDG_CACHE_HOME", folder),
            None => command.env_remove("XDG_CACHE_HOME"),
        };
        command
    }

    /// [`Place::refcow`] for another program.
    pub fn command<S: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("TMPDIR", self.folder.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .stdin(Stdio::null());
        signals::with_default_signals(&mut command);
        command
    }

    /// `refcow measure` with one child and a usable interpreter.
    pub fn measure<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.refcow(["measure", "--children", "1", "--python", python()]);
        command.args(arguments);
        command
    }

    /// Has a fixture of [`Place::fixture_that`] act.
    pub fn measure_fixture_that(&self, when: When, action: &str) -> Command {
        let fixture = self.fixture_that(when, action);
        let mut measure = self.measure([fixture.as_str(), "--count", "10"]);
        if when == When::Prepare {
            measure.args(["--prepare", "act"]);
        }
        let visit = if when == When::Exit { "exit" } else { "act" };
        measure.args(["--visit", visit]);
        measure
    }

    /// As [`Place::measure`], but by an ordinary user. Not if there is no interpreter that this user could run.
    pub fn measure_as_ordinary_user(&self) -> Result<Command, String> {
        if !geteuid().is_root() {
            return Ok(self.measure([] as [&str; 0]));
        }
        // The build's own folder may be closed to others, and so may a Python under someone's home.
        fs::set_permissions(self.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let bin = self.path("bin");
        fs::create_dir(&bin).unwrap();
        for program in [Path::new(REFCOW), &subject()] {
            // By another process, for the reason given in `program`.
            let copied = Command::new("cp").arg(program).arg(&bin).status().unwrap();
            assert!(copied.success());
        }
        let command = |arguments: &[&str]| {
            let mut command = self.command(bin.join("refcow"), arguments);
            command.uid(NOBODY).gid(NOBODY).current_dir("/");
            command.env("HOME", self.folder.path());
            command
        };
        let python = "/usr/bin/python3";
        let first = ["measure", "--children", "1", "--python", python];
        let mut trial = command(&first);
        trial.args(["ints", "--count", "10", "--visit", "idle"]);
        let trial = self.start(trial).wait();
        if trial.status.success() {
            Ok(command(&first))
        } else {
            Err(format!("user {NOBODY} cannot use {python}:\n{trial}"))
        }
    }

    /// refcow where `mounts`, lines of shell, have changed what is mounted, for it alone. Root may do that.
    pub fn refcow_in_mounts(&self, mounts: &str, arguments: &[&str]) -> Result<Command, String> {
        let unshare = |script: &str| {
            let mut command = self.command("unshare", ["--mount", "sh", "-e", "-c", script]);
            command.args(["sh", REFCOW]).args(arguments);
            command
        };
        match unshare(mounts).output() {
            Ok(tried) if tried.status.success() => Ok(unshare(&format!("{mounts}\nexec \"$@\""))),
            Ok(tried) => Err(String::from_utf8_lossy(&tried.stderr).into_owned()),
            Err(error) => Err(format!("unshare: {error}")),
        }
    }

    /// Starts a run.
    pub fn start(&self, mut command: Command) -> Running<'_> {
        let shown = format!("{command:?}");
        let output = |name: &str| {
            let path = self.path(name);
            let _ = fs::remove_file(&path);
            (File::create_new(&path).unwrap(), path)
        };
        let (stdout, stdout_path) = output("stdout");
        let (stderr, stderr_path) = output("stderr");
        command.stdout(stdout).stderr(stderr);
        Running::new(self, command, shown, stdout_path, stderr_path)
    }

    /// Starts a run whose standard output is this.
    pub fn start_with_stdout(&self, mut command: Command, stdout: impl Into<Stdio>) -> Running<'_> {
        let shown = format!("{command:?}");
        let path = self.path("stderr");
        let _ = fs::remove_file(&path);
        command
            .stdout(stdout)
            .stderr(File::create_new(&path).unwrap());
        Running::new(self, command, shown, self.path("no stdout"), path)
    }

    /// Runs to the end.
    pub fn run(&self, command: Command) -> Finished {
        self.start(command).wait()
    }

    /// Fails if a process of a run in this place lives, or a segment of its fixture's is still in /dev/shm. A process
    /// that has been killed is given the time to go.
    pub fn nothing_remains(&self) {
        let deadline = Instant::now() + DEATH;
        loop {
            let living = self.processes();
            let Some((pid, ended, words)) = living.first() else {
                break;
            };
            if !ends(ended, deadline) {
                for (pid, ..) in &living {
                    let _ = rustix::process::kill_process(*pid, Signal::KILL);
                }
                panic!("process {} survived: {words}", pid.as_raw_nonzero());
            }
        }
        let segments: Vec<_> = fs::read_dir("/dev/shm")
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().contains(self.name()))
            .collect();
        for segment in &segments {
            let _ = fs::remove_file(segment);
        }
        assert!(segments.is_empty(), "left behind: {segments:?}");
    }

    /// Living processes of this place's runs, with their command lines.
    fn processes(&self) -> Vec<(Pid, OwnedFd, String)> {
        let mark = self.folder.path().as_os_str().as_bytes();
        let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let name = entry.ok()?.file_name();
            name.to_str()?.parse().ok().and_then(Pid::from_raw)
        });
        numbers
            .filter_map(|pid| {
                // Before anything is read of it, so that all is of one process.
                let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
                let folder = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
                let environment = fs::read(folder.join("environ")).ok()?;
                let ours = environment.windows(mark.len()).any(|part| part == mark);
                let words = fs::read(folder.join("cmdline")).unwrap_or_default();
                let words = String::from_utf8_lossy(&words).replace('\0', " ");
                ours.then_some((pid, ended, words))
            })
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Of a test that failed before it looked.
        for (pid, ..) in self.processes() {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// Fails unless the process of this number, as a fixture has said it, is gone, or goes soon.
#[track_caller]
pub fn is_gone(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    // Without one, it is gone already.
    if let Ok(ended) = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        && !ends(&ended, Instant::now() + DEATH)
    {
        let _ = rustix::process::pidfd_send_signal(&ended, Signal::KILL);
        panic!("process {} survived", pid.as_raw_nonzero());
    }
}

/// Whether a process ends before the deadline.
fn ends(ended: &OwnedFd, deadline: Instant) -> bool {
    wait_for(&mut [PollFd::new(ended, PollFlags::IN)], deadline)
}

/// Whether one of these has an event before the deadline.
fn wait_for(fds: &mut [PollFd<'_>], deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap();
        match rustix::event::poll(fds, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready.unwrap() > 0,
        }
    }
}

/// A run that goes on. Killed when dropped.
pub struct Running<'a> {
    place: &'a Place,
    child: Child,
    ended: OwnedFd,
    shown: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl<'a> Running<'a> {
    fn new(
        place: &'a Place,
        mut command: Command,
        shown: String,
        stdout: PathBuf,
        stderr: PathBuf,
    ) -> Self {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        let ended = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        Self {
            place,
            child,
            ended: ended.unwrap(),
            shown,
            stdout,
            stderr,
        }
    }

    /// Waits for what the fixture says (`say("…")` in Python), a line of it.
    pub fn hear(&mut self) -> String {
        let mut fds = [
            PollFd::new(&self.place.said, PollFlags::IN),
            PollFd::new(&self.ended, PollFlags::IN),
        ];
        let in_time = wait_for(&mut fds, Instant::now() + PATIENCE);
        let mut words = String::new();
        if fds[0].revents().contains(PollFlags::IN) {
            // One short write into a FIFO arrives whole.
            let mut bytes = [0; 512];
            let length = (&self.place.said).read(&mut bytes).unwrap();
            words = String::from_utf8_lossy(&bytes[..length]).trim().to_owned();
        }
        if words.is_empty() {
            let why = if in_time { "it ended" } else { "it hangs" };
            let _ = self.child.kill();
            panic!(
                "the fixture said nothing, {why}\n{}",
                self.finished().unwrap()
            );
        }
        words
    }

    /// Sends refcow a signal, and nobody else.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends refcow a signal again and again, as somebody does who has no patience, to its end.
    pub fn signal_to_the_end(self, signal: Signal) -> Finished {
        let patience = Instant::now() + PATIENCE;
        while !ends(&self.ended, Instant::now() + PRESSING) && Instant::now() < patience {
            self.signal(signal);
        }
        self.wait()
    }

    /// Waits for refcow's end.
    pub fn wait(mut self) -> Finished {
        if !ends(&self.ended, Instant::now() + PATIENCE) {
            let _ = self.child.kill();
            panic!("it hangs\n{}", self.finished().unwrap());
        }
        self.finished().unwrap()
    }

    fn finished(&mut self) -> std::io::Result<Finished> {
        let text = |path: &Path| {
            fs::read(path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default()
        };
        Ok(Finished {
            status: self.child.wait()?,
            shown: self.shown.clone(),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run that has ended.
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    shown: String,
    /// What it wrote there.
    pub stdout: String,
    /// And there.
    pub stderr: String,
}

impl Finished {
    /// Fails unless this was the exit status.
    #[track_caller]
    pub fn exits_with(self, status: i32) -> Self {
        assert_eq!(self.status.code(), Some(status), "{self}");
        self
    }

    /// Fails unless a signal killed it.
    #[track_caller]
    pub fn killed_by(self, signal: Signal) -> Self {
        assert_eq!(self.status.signal(), Some(signal.as_raw()), "{self}");
        self
    }

    /// Fails unless this stands on standard error.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "not said: {words}\n{self}");
        self
    }

    /// Fails unless an error in these words, its remedy in those, and no report came of it.
    #[track_caller]
    pub fn refuses(self, status: i32, error: &str, help: &str) -> Self {
        let finished = self.exits_with(status).says("error: ").says(error);
        let (_, remedy) = finished
            .stderr
            .rsplit_once("\nhelp: ")
            .unwrap_or_else(|| panic!("no help given\n{finished}"));
        assert!(remedy.contains(help), "no such help: {help}\n{finished}");
        assert!(finished.stdout.is_empty(), "half a report\n{finished}");
        finished
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            shown,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "command: {shown}\n{status}\nstdout:\n{stdout}\nstderr:\n{stderr}"
        )
    }
}

/// refcow-subject beside refcow.
pub fn subject() -> PathBuf {
    Path::new(REFCOW).with_file_name("refcow-subject")
}

/// How a subject of an interpreter is started, with room for a witness and so many children.
pub fn launch(interpreter: &Interpreter, children: usize) -> Launch {
    // Without modules nothing is installed.
    let ready = refcow::python::prepare(interpreter.clone(), &[], &|_| {}).unwrap();
    let launch = refcow::experiment::launch(&ready, children, PATIENCE).unwrap();
    // This program is none.
    let keeper = REFCOW.into();
    Launch { keeper, ..launch }
}

/// The interpreter that refcow chooses by itself here: looked for once, not in every run.
pub fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let place = Place::new();
        let measure = "measure ints --count 1 --visit idle --children 1 --format json";
        let finished = place.run(place.refcow(measure.split(' '))).exits_with(0);
        let run = run::the_run(&finished.stdout);
        run.python.executable.to_str().unwrap().to_owned()
    })
}

/// Whether page faults cannot be recorded here; says then which test does not take place, and why.
pub fn cannot_record(test: &str) -> bool {
    match refcow::observe::try_recording() {
        Ok(()) => false,
        Err(unavailable) => {
            skipped(test, &unavailable.to_string());
            true
        }
    }
}

/// Says which test did not take place, and why.
pub fn skipped(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
}
