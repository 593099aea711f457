//! Makes an environment and installs the pinned packages into it: by uv if there is one, else by
//! pip.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use super::child::{self, ChildFailure};
use super::error::{PythonError, at};
use super::find;
use super::pins::{NEWER_PIP, REQUIREMENTS};
use super::probe::Interpreter;

/// A step without network use.
const STEP_TIMEOUT: Duration = Duration::from_secs(120);
/// 20 MB over a slow line. pip gives up by itself long before where there is no line at all.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The first pip that knows the names of all current Linux wheels (PEP 600). CPython 3.8.0 comes
/// with an older one.
const OLDEST_PIP: (u32, u32) = (20, 3);
/// Lines of an installer's output that an error quotes.
const QUOTED_LINES: usize = 8;

/// One environment in the making. All that is written lies in `scratch`.
///
/// No step starts a process of its own (which is why pip is not installed by ensurepip, and not run
/// by `pip --python`): a grandchild would outlive a refcow that is killed.
pub(super) struct Build<'a> {
    pub(super) interpreter: &'a Interpreter,
    pub(super) scratch: &'a TempDir,
    pub(super) environment: PathBuf,
    pub(super) missing: &'a str,
    pub(super) progress: &'a dyn Fn(&str),
}

/// How to run pip.
enum Pip {
    /// The interpreter's own module.
    Module,
    /// A file or folder to run: the wheel that ensurepip would install, or a newer pip fetched by
    /// an old one.
    Path(PathBuf),
}

/// What `PIP_SCRIPT` prints.
#[derive(Debug, Deserialize)]
struct Installers {
    module: Option<String>,
    bundled: Option<(String, PathBuf)>,
}

const PIP_SCRIPT: &str = include_str!("pip.py");
const PIP_MARK: &str = "refcow-pip:";

impl Build<'_> {
    /// A line of progress that tells whose it is: environments for others may be in the making too.
    fn say(&self, words: &str) {
        (self.progress)(&format!("Python {}: {words}", self.interpreter.version));
    }

    /// Builds it and gives its folder.
    pub(super) fn run(&self) -> Result<PathBuf, PythonError> {
        let requirements = self.scratch.path().join("requirements.txt");
        fs::write(&requirements, REQUIREMENTS).map_err(at(&requirements))?;
        let temporary = self.scratch.path().join("tmp");
        fs::create_dir(&temporary).map_err(at(&temporary))?;

        let with_uv = match find::command("uv") {
            Some(uv) => match self.with_uv(&uv, &requirements) {
                // uv does not read pip's settings, which may be what leads to the packages here.
                Err(PythonError::NotInstalled { detail, .. }) => {
                    self.say("uv could not install its packages, trying pip");
                    if self.environment.exists() {
                        fs::remove_dir_all(&self.environment).map_err(at(&self.environment))?;
                    }
                    Some(detail)
                }
                done => return done.and_then(|()| self.finish()),
            },
            None => None,
        };
        match (self.with_pip(&requirements), with_uv) {
            (Ok(()), _) => self.finish(),
            (Err(PythonError::NotInstalled { detail, .. }), Some(first)) => {
                Err(self.not_installed(format!("{first}\n{detail}")))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Takes out of the environment what would give it another heap in each place: Python reads all
    /// of pyvenv.cfg, which since 3.11 tells where it was made, and byte code names the file that
    /// it was compiled from.
    fn finish(&self) -> Result<PathBuf, PythonError> {
        /// In the place of the environment's folder.
        const COMPILED_IN: &str = "/environment";
        let path = self.environment.join("pyvenv.cfg");
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        let kept = text
            .split_inclusive('\n')
            .filter(|line| line.split('=').next().map(str::trim) != Some("command"));
        fs::write(&path, kept.collect::<String>()).map_err(at(&path))?;

        let mut compile = self.command(&self.environment.join("bin/python3"));
        for (name, _) in std::env::vars_os() {
            if name.as_bytes().starts_with(b"PYTHON") {
                compile.env_remove(name);
            }
        }
        compile
            // The same byte code each time it is made: sets of constants stand in the order of
            // their hashes, and what else is in the file is when the source was written, or its
            // hash (PEP 552). -I would leave the seed out; this has the rest of it.
            .env("PYTHONHASHSEED", "0")
            .current_dir(self.scratch.path())
            .args(["-s", "-m", "compileall", "-q", "-f", "-d", COMPILED_IN])
            .args(["--invalidation-mode", "unchecked-hash"])
            .arg(self.environment.join("lib"));
        // Packages bring files that this version cannot compile, nor import; compileall's status is
        // theirs.
        self.step(&mut compile, INSTALL_TIMEOUT)?;
        Ok(self.environment.clone())
    }

    fn with_uv(&self, uv: &Path, requirements: &Path) -> Result<(), PythonError> {
        // It must not fetch another Python, nor ask the shell which environment is active.
        let mut make = self.command(uv);
        make.env("UV_PYTHON_DOWNLOADS", "never")
            .args(["venv", "--quiet", "--python"])
            .arg(&self.interpreter.executable)
            .arg(&self.environment);
        self.install("uv venv", &mut make, STEP_TIMEOUT)?;
        let mut install = self.command(uv);
        install
            // Not the user's folder: a pyproject.toml or uv.toml there is about something else.
            .current_dir(self.scratch.path())
            .args(["pip", "install", "--only-binary", ":all:"])
            .arg("--python")
            .arg(self.environment.join("bin/python3"))
            .args(["--require-hashes", "--requirement"])
            .arg(requirements);
        self.install("uv", &mut install, INSTALL_TIMEOUT)
    }

    fn with_pip(&self, requirements: &Path) -> Result<(), PythonError> {
        let python = &self.interpreter.executable;
        // --without-pip: Debian's python3 has venv, and ensurepip only with the package
        // python3-venv.
        let mut make = self.command(python);
        make.args(["-I", "-m", "venv", "--without-pip"])
            .arg(&self.environment);
        let output = self.step(&mut make, STEP_TIMEOUT)?;
        if !output.status.success() {
            return Err(self.no_environment(format!(
                "python -m venv: {} {}",
                child::ending(output.status),
                child::tail(&output.stderr, QUOTED_LINES)
            )));
        }

        let mut pip = self.pip()?;
        let site = self.environment.join(format!(
            "lib/python{}.{}/site-packages",
            self.interpreter.series.0, self.interpreter.series.1
        ));
        if let (pip_now, true) = &pip {
            self.say("its pip is too old for current packages: fetching a newer one first");
            let newer = self.scratch.path().join("pip");
            let pinned = self.scratch.path().join("pip.txt");
            fs::write(&pinned, NEWER_PIP).map_err(at(&pinned))?;
            let mut fetch = self.pip_command(pip_now);
            fetch
                .args(["install", "--only-binary=:all:", "--target"])
                .arg(&newer)
                .args(["--require-hashes", "--requirement"])
                .arg(pinned);
            self.install("pip", &mut fetch, INSTALL_TIMEOUT)?;
            pip = (Pip::Path(newer.join("pip")), false);
        }
        let mut install = self.pip_command(&pip.0);
        // Wheels only: building NumPy takes a compiler and many minutes, and would give each
        // machine another NumPy. --target, not the environment's own interpreter: it works with
        // every pip, in an interpreter whose packages a distribution manages too (PEP 668), and
        // does not take the interpreter's other packages for the environment's.
        install
            .args(["install", "--no-compile", "--only-binary=:all:", "--target"])
            .arg(site)
            .args(["--require-hashes", "--requirement"])
            .arg(requirements);
        self.install("pip", &mut install, INSTALL_TIMEOUT)
    }

    /// The best pip at hand, and whether it is too old.
    fn pip(&self) -> Result<(Pip, bool), PythonError> {
        let mut ask = self.command(&self.interpreter.executable);
        ask.args(["-I", "-B", "-c", PIP_SCRIPT]);
        let output = self.step(&mut ask, STEP_TIMEOUT)?;
        let installers: Option<Installers> = child::marked_line(&output.stdout, PIP_MARK)
            .and_then(|line| serde_json::from_slice(line).ok());
        installers.and_then(best).ok_or_else(|| {
            self.no_environment(
                "it has neither pip nor ensurepip, and uv is not on PATH".to_owned(),
            )
        })
    }

    fn pip_command(&self, pip: &Pip) -> Command {
        let mut command = self.command(&self.interpreter.executable);
        command.arg("-I");
        match pip {
            Pip::Module => command.args(["-m", "pip"]),
            Pip::Path(path) => command.arg(path),
        };
        command
    }

    /// A command that leaves no trace outside `scratch` but the installer's own cache.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            // What a killed installer leaves is removed with the rest.
            .env("TMPDIR", self.scratch.path().join("tmp"))
            // The user's settings say where packages come from. Where they go is not theirs to say
            // here.
            .env_remove("PIP_TARGET")
            .env_remove("PIP_PREFIX")
            .env_remove("PIP_ROOT")
            .env("PIP_USER", "0")
            .env("PIP_REQUIRE_VIRTUALENV", "0")
            .env("PIP_NO_INPUT", "1")
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env_remove("PYTHONHOME")
            .env_remove("VIRTUAL_ENV");
        command
    }

    fn step(
        &self,
        command: &mut Command,
        timeout: Duration,
    ) -> Result<child::ChildOutput, PythonError> {
        child::run(command, timeout).map_err(|failure| match failure {
            ChildFailure::Interrupted => PythonError::Interrupted,
            other => self.no_environment(format!(
                "{}: {other}",
                Path::new(command.get_program()).display()
            )),
        })
    }

    fn install(
        &self,
        who: &str,
        command: &mut Command,
        timeout: Duration,
    ) -> Result<(), PythonError> {
        match child::run(command, timeout) {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(self.not_installed(quoted(
                who,
                &child::ending(output.status),
                &child::tail(&without_retries(&output.stderr), QUOTED_LINES),
            ))),
            Err(ChildFailure::Interrupted) => Err(PythonError::Interrupted),
            Err(failure) => Err(self.not_installed(quoted(who, &failure.to_string(), ""))),
        }
    }

    fn not_installed(&self, detail: String) -> PythonError {
        PythonError::NotInstalled {
            version: self.interpreter.version.clone(),
            executable: self.interpreter.executable.clone(),
            packages: self.missing.to_owned(),
            detail,
        }
    }

    fn no_environment(&self, reason: String) -> PythonError {
        PythonError::NoEnvironment {
            version: self.interpreter.version.clone(),
            executable: self.interpreter.executable.clone(),
            reason,
        }
    }
}

/// The interpreter's own pip if it is new enough (it is what the user has set up and trusts), else
/// the one bundled with ensurepip if that is, else the first of them, to be told that it is too
/// old.
fn best(installers: Installers) -> Option<(Pip, bool)> {
    let module = installers.module.map(|version| (Pip::Module, version));
    let bundled = installers
        .bundled
        .map(|(version, wheel)| (Pip::Path(wheel.join("pip")), version));
    let mut all: Vec<(Pip, bool)> = [module, bundled]
        .into_iter()
        .flatten()
        .map(|(pip, version)| (pip, is_too_old(&version)))
        .collect();
    let index = all.iter().position(|(_, old)| !old).unwrap_or(0);
    (!all.is_empty()).then(|| all.swap_remove(index))
}

pub(super) fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < OLDEST_PIP,
        // A version that cannot be read is a development one.
        _ => false,
    }
}

/// pip says of each attempt that it failed, at length, and always the same: one of them is enough.
fn without_retries(stderr: &[u8]) -> Vec<u8> {
    let is_retry = |line: &[u8]| line.starts_with(b"WARNING: Retrying ");
    let lines: Vec<&[u8]> = stderr.split(|byte| *byte == b'\n').collect();
    let mut kept: Vec<&[u8]> = Vec::new();
    for line in lines {
        if is_retry(line) && kept.last().is_some_and(|last| is_retry(last)) {
            kept.pop();
        }
        kept.push(line);
    }
    kept.join(&b'\n')
}

/// `pip (exit status 1):` and its last lines, set off.
fn quoted(who: &str, ending: &str, said: &str) -> String {
    let lines: Vec<String> = said.lines().map(|line| format!("\n  {line}")).collect();
    format!("{who} ({ending}):{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_pip_gives_way_to_a_bundled_newer_one() {
        let chosen = |module: Option<&str>, bundled: Option<&str>| {
            best(Installers {
                module: module.map(str::to_owned),
                bundled: bundled.map(|version| (version.to_owned(), "/pip.whl".into())),
            })
            .map(|(pip, old)| (matches!(pip, Pip::Module), old))
        };
        assert_eq!(chosen(Some("23.0.1"), Some("23.2")), Some((true, false)));
        assert_eq!(chosen(Some("19.2.3"), Some("23.2")), Some((false, false)));
        assert_eq!(chosen(Some("19.2.3"), Some("19.2.3")), Some((true, true)));
        assert_eq!(chosen(None, Some("20.3")), Some((false, false)));
        assert_eq!(chosen(Some("26.0.dev0"), None), Some((true, false)));
        assert_eq!(chosen(None, None), None);
    }

    #[test]
    fn one_retry_speaks_for_all() {
        let said = b"WARNING: Retrying (4)\nWARNING: Retrying (3)\nERROR: none\n";
        assert_eq!(
            without_retries(said),
            b"WARNING: Retrying (3)\nERROR: none\n"
        );
        assert_eq!(without_retries(b""), b"");
    }

    #[test]
    fn an_installers_words_are_set_off() {
        assert_eq!(
            quoted("pip", "exit status 1", "a\nb"),
            "pip (exit status 1):\n  a\n  b"
        );
    }
}
