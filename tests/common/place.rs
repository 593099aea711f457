//! A folder for one test, and commands that stay in it.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use tempfile::TempDir;

use super::run;
use super::running::{Finished, Running};
use super::signals::with_default_signals;
use super::{REFCOW, default_python, subject};

/// A user that owns nothing: `nobody` on all distributions.
const NOBODY: u32 = 65534;

/// Where refcow keeps what interpreters have said of themselves.
pub(super) const REMEMBERED: &str = "cache/refcow/interpreters.json";

/// A folder for one test. Its path is in the environment of every process of a run (refcow hands
/// `TMPDIR` on to the subject), which is how they are known, wherever they went.
pub struct Place {
    pub(super) folder: TempDir,
    pub(super) said: File,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir_in(run::anybodys_place()).unwrap();
        fs::create_dir(folder.path().join("cache")).unwrap();
        let fifo = folder.path().join("said");
        mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();
        let said = File::options()
            .read(true)
            // With a writer of its own it is never at its end, and the next run can say something,
            // too.
            .write(true)
            // Not to wait for a writer that may never come.
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(fifo)
            .unwrap();
        Self { folder, said }
    }

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
        // Written by another process: a descriptor of ours, open for writing, could be inherited by
        // what another test's thread is just starting, and a program that is open for writing
        // cannot be executed.
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

    /// refcow with these arguments and nothing in its environment that could lead out of this
    /// folder.
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
        with_default_signals(&mut command);
        command
    }

    /// `refcow measure` with one child and a usable interpreter, which an earlier run has asked what
    /// it is. (What a first run does is what tests of other commands and of `tests/python` see.)
    pub fn measure<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let (python, remembered) = default_python();
        let file = self.path(REMEMBERED);
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder.create(file.parent().unwrap()).unwrap();
        if !file.exists() {
            fs::write(file, remembered).unwrap();
        }
        let mut command = self.refcow(["measure", "--children", "1", "--python", python]);
        command.args(arguments);
        command
    }

    /// As [`Place::measure`], but by an ordinary user. Not if there is no interpreter that this
    /// user could run.
    pub fn measure_as_ordinary_user(&self) -> Result<Command, String> {
        if !geteuid().is_root() {
            return Ok(self.measure([] as [&str; 0]));
        }
        run::open_what_is_made();
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

    /// refcow where `mounts`, lines of shell, have changed what is mounted, for it alone. Root may
    /// do that.
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
}
