//! Asks a program whether it is an interpreter that refcow can measure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::child::{self, ChildFailure};
use super::preloadable::{NotPreloadable, preloadable};
use super::trust::Distrust;
use crate::process;

pub(super) const SCRIPT: &str = include_str!("probe.py");
const MARK: &str = "refcow-probe:";
/// An interpreter answers in a tenth of a second, through a version manager's shim in half of one.
/// The rest is for a cold disk and a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The oldest series that has all of PyO3's stable ABI, as refcow is built.
pub(super) const OLDEST_SERIES: (u8, u8) = (3, 8);

/// A usable interpreter: CPython 3.8 or newer, in a program that refcow-subject can be preloaded
/// into. One without the GIL serves only for what is seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// `sys.executable`: the real interpreter behind a version manager's shim, an environment's own
    /// `bin/python` in an environment. Absolute.
    pub executable: PathBuf,
    /// `3.11.7`, `3.15.0b1`: the first word of `sys.version`.
    pub version: String,
    /// All of `sys.version`, to compare with what the measured interpreter says of itself.
    pub full_version: String,
    /// Major and minor version.
    pub series: (u8, u8),
    /// `sys.prefix`: the environment, or the installation.
    pub prefix: PathBuf,
    /// `sys.base_prefix`: the installation.
    pub base_prefix: PathBuf,
    /// The file that the kernel runs: behind links and wrappers, the interpreter's own program.
    pub program: PathBuf,
    /// Whether it only starts with the user's `LD_LIBRARY_PATH`.
    pub needs_library_path: bool,
    /// Whether it is built without the GIL.
    pub free_threaded: bool,
}

impl Interpreter {
    /// Whether this is a virtual environment.
    pub fn is_environment(&self) -> bool {
        self.prefix != self.base_prefix
    }
}

/// Why a program cannot serve as an interpreter. [`help`](miette::Diagnostic::help) says what to
/// do.
#[derive(Clone, Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum Unusable {
    /// It could not be started, or ended with an error.
    #[error("it does not run: {reason}")]
    #[diagnostic(help("run it by hand to see why, or choose another interpreter"))]
    DoesNotRun {
        /// Exit status and the end of its standard error, or the kernel's answer.
        reason: String,
    },
    /// refcow itself lacks what it takes to start it.
    #[error("it could not be started: {reason}")]
    #[diagnostic(help("{}", process::RAISE_OPEN_FILES))]
    NoDescriptors {
        /// The kernel's answer.
        reason: String,
    },
    /// It did not end in time and was killed.
    #[error("it gave no answer in {seconds} s")]
    #[diagnostic(help("run it by hand to see why, or choose another interpreter"))]
    Hangs {
        /// How long it was given.
        seconds: u64,
    },
    /// It runs, but does not do what an interpreter does with `-c`.
    #[error("it is not a Python interpreter (it ran, and did not answer)")]
    #[diagnostic(help("give the path of a python3 program, or of an environment's folder"))]
    NotPython,
    /// Another implementation.
    #[error("it is {implementation}, not CPython")]
    #[diagnostic(help(
        "refcow measures CPython's reference counts: choose a CPython 3.8 or newer"
    ))]
    NotCPython {
        /// `sys.implementation.name`.
        implementation: String,
    },
    /// Before 3.8.
    #[error("it is Python {version}; 3.8 is the oldest that refcow can measure")]
    #[diagnostic(help("choose a CPython 3.8 or newer"))]
    TooOld {
        /// The first word of `sys.version`.
        version: String,
    },
    /// Built without the GIL.
    #[error("it is a free-threaded build ({}), which has another ABI", interpreter.version)]
    #[diagnostic(help(
        "choose the build of the same version with the GIL (without the t: 3.13, not 3.13t); `refcow facts` and `refcow run` work with this one, too"
    ))]
    FreeThreaded {
        /// It, for what needs no subject in it.
        interpreter: Box<Interpreter>,
    },
    /// Its program cannot have refcow-subject preloaded.
    #[error("refcow-subject cannot be preloaded into {}: {reason}", program.display())]
    #[diagnostic(help("{}", reason.help()))]
    NotPreloadable {
        /// Its program.
        program: PathBuf,
        /// Why not.
        reason: NotPreloadable,
    },
    /// refcow found it by itself, and somebody else could have put it there. It was not started.
    #[error("it is not started: {why}")]
    #[diagnostic(help(
        "refcow starts by itself only what nobody but you and root can change; if you trust it, name it: --python PATH"
    ))]
    NotTrusted {
        /// What is wrong with it, or with a folder above it.
        why: Distrust,
    },
    /// refcow was told to end while it asked.
    #[error("interrupted")]
    Interrupted,
}

impl Unusable {
    /// Whether something is the matter with it, rather than that it is of another kind.
    pub(super) fn is_broken(&self) -> bool {
        match self {
            Self::DoesNotRun { .. } | Self::NoDescriptors { .. } | Self::Hangs { .. } => true,
            Self::NotPreloadable { reason, .. } => !matches!(
                reason,
                NotPreloadable::Static
                    | NotPreloadable::OtherLoader { .. }
                    | NotPreloadable::Privileged
            ),
            Self::NotPython
            | Self::NotCPython { .. }
            | Self::TooOld { .. }
            | Self::FreeThreaded { .. }
            | Self::NotTrusted { .. }
            | Self::Interrupted => false,
        }
    }

    /// The version of a Python that is of another kind.
    pub(super) fn version(&self) -> Option<&str> {
        match self {
            Self::TooOld { version } => Some(version),
            Self::FreeThreaded { interpreter } => Some(&interpreter.version),
            _ => None,
        }
    }
}

/// What probe.py prints.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct ProbeAnswer {
    implementation: String,
    version: String,
    version_info: (u32, u32, u32),
    pub(super) executable: Option<PathBuf>,
    pub(super) prefix: PathBuf,
    pub(super) base_prefix: PathBuf,
    program: Option<PathBuf>,
    gil_disabled: bool,
    pub(super) loaded: Vec<PathBuf>,
    /// Of the asking, not of the answer.
    #[serde(default)]
    needs_library_path: bool,
}

/// Runs `program` and asks it.
///
/// # Errors
///
/// [`Unusable::DoesNotRun`], [`Unusable::Hangs`], [`Unusable::NotPython`] and
/// [`Unusable::Interrupted`].
pub(super) fn ask(program: &Path) -> Result<ProbeAnswer, Unusable> {
    // Without the user's list of libraries first: what is measured is to depend on it only if it
    // must.
    let mut output = run(program, false)?;
    let needs_library_path =
        output.status.code() == Some(NOT_LINKED) && std::env::var_os(LIBRARY_PATH).is_some();
    if needs_library_path {
        output = run(program, true)?;
    }
    if !output.status.success() {
        let mut reason = child::ending(output.status);
        let said = child::tail(&output.stderr, 3);
        if !said.is_empty() {
            reason.push_str(": ");
            reason.push_str(&said);
        }
        return Err(Unusable::DoesNotRun { reason });
    }
    let mut answer = decode(&output.stdout).ok_or(Unusable::NotPython)?;
    answer.needs_library_path = needs_library_path;
    Ok(answer)
}

/// Where the dynamic linker looks for libraries first (ld.so(8)).
pub(crate) const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// The exit status of a program for which the dynamic linker lacks a library.
const NOT_LINKED: i32 = 127;

fn run(program: &Path, with_library_path: bool) -> Result<child::ChildOutput, Unusable> {
    let mut command = Command::new(program);
    if !with_library_path {
        command.env_remove(LIBRARY_PATH);
    }
    // Neither the user's site-packages nor PYTHON* variables (they are not there in the subject),
    // and no bytecode written into someone's installation. (-I would do more, but 2.7 has no -I and
    // should name its version.)
    command.args(["-E", "-s", "-B", "-c", SCRIPT]);
    child::run(&mut command, TIMEOUT).map_err(Unusable::from)
}

impl From<ChildFailure> for Unusable {
    fn from(failure: ChildFailure) -> Self {
        match failure {
            ChildFailure::TimedOut(limit) => Self::Hangs {
                seconds: limit.as_secs(),
            },
            ChildFailure::Interrupted => Self::Interrupted,
            ChildFailure::TooMuchOutput => Self::NotPython,
            ChildFailure::Start(error) | ChildFailure::Wait(error)
                if process::is_out_of_descriptors(&error) =>
            {
                Self::NoDescriptors {
                    reason: error.to_string(),
                }
            }
            ChildFailure::Start(error) | ChildFailure::Wait(error) => Self::DoesNotRun {
                reason: error.to_string(),
            },
        }
    }
}

/// What follows from an answer, with the files that are there now.
///
/// # Errors
///
/// All of [`Unusable`] that [`ask`] does not tell.
pub(super) fn usable(answer: ProbeAnswer, program: &Path) -> Result<Interpreter, Unusable> {
    judge(answer, program, &preloadable)
}

fn decode(stdout: &[u8]) -> Option<ProbeAnswer> {
    serde_json::from_slice(child::marked_line(stdout, MARK)?).ok()
}

fn judge(
    answer: ProbeAnswer,
    program: &Path,
    preloadable: &dyn Fn(&Path) -> Result<(), NotPreloadable>,
) -> Result<Interpreter, Unusable> {
    let version = answer
        .version
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    if answer.implementation != "cpython" {
        return Err(Unusable::NotCPython {
            implementation: answer.implementation,
        });
    }
    let (major, minor, _) = answer.version_info;
    let (Ok(major), Ok(minor)) = (u8::try_from(major), u8::try_from(minor)) else {
        return Err(Unusable::NotPython);
    };
    if (major, minor) < OLDEST_SERIES {
        return Err(Unusable::TooOld { version });
    }
    // Python leaves it empty when it cannot tell, which happens under an unusual argv[0].
    let executable = match answer.executable {
        Some(path) if path.is_absolute() => path,
        _ => std::path::absolute(program).unwrap_or_else(|_| program.to_owned()),
    };
    // Without /proc it cannot be told; nor can anything be measured.
    let program = answer.program.unwrap_or_else(|| executable.clone());
    let interpreter = Interpreter {
        executable,
        version,
        full_version: answer.version,
        series: (major, minor),
        prefix: answer.prefix,
        base_prefix: answer.base_prefix,
        program,
        needs_library_path: answer.needs_library_path,
        free_threaded: answer.gil_disabled,
    };
    if interpreter.free_threaded {
        let interpreter = Box::new(interpreter);
        return Err(Unusable::FreeThreaded { interpreter });
    }
    match preloadable(&interpreter.program) {
        Ok(()) => Ok(interpreter),
        Err(reason) => Err(Unusable::NotPreloadable {
            program: interpreter.program,
            reason,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miette::Diagnostic as _;
    use serde_json::{Value, json};

    #[test]
    fn what_takes_too_long_hangs_and_what_says_too_much_is_no_python() {
        let hangs = Unusable::from(ChildFailure::TimedOut(TIMEOUT));
        assert!(matches!(hangs, Unusable::Hangs { seconds: 30 }));
        let floods = Unusable::from(ChildFailure::TooMuchOutput);
        assert!(matches!(floods, Unusable::NotPython));
    }

    fn answer(changes: Value) -> ProbeAnswer {
        let mut answer = json!({
            "implementation": "cpython",
            "version": "3.11.7 (main, Dec  8 2023, 18:56:58) [GCC 12.2.0]",
            "version_info": [3, 11, 7],
            "executable": "/opt/py/bin/python3",
            "prefix": "/opt/py",
            "base_prefix": "/opt/py",
            "program": "/opt/py/bin/python3.11",
            "gil_disabled": false,
            "loaded": [],
        });
        for (key, value) in changes.as_object().unwrap() {
            answer[key] = value.clone();
        }
        decode(format!("site says hello\nrefcow-probe:{answer}\n").as_bytes()).unwrap()
    }

    fn judged(changes: Value) -> Result<Interpreter, Unusable> {
        judge(
            answer(changes),
            Path::new("/bin/asked"),
            &|program| match program.starts_with("/musl") {
                true => Err(NotPreloadable::OtherLoader {
                    loader: "/lib/ld-musl-x86_64.so.1".into(),
                }),
                false => Ok(()),
            },
        )
    }

    #[test]
    fn a_build_with_the_gil_is_usable() {
        let found = judged(json!({})).unwrap();
        assert_eq!(found.version, "3.11.7");
        assert_eq!(found.series, (3, 11));
        assert_eq!(found.executable, Path::new("/opt/py/bin/python3"));
        assert_eq!(found.program, Path::new("/opt/py/bin/python3.11"));
        assert!(!found.is_environment());
        assert!(judged(json!({"prefix": "/venv"})).unwrap().is_environment());
    }

    #[test]
    fn an_executable_that_python_does_not_know_is_the_program_that_was_asked() {
        for unknown in [json!(null), json!("")] {
            let found = judged(json!({ "executable": unknown })).unwrap();
            assert_eq!(found.executable, Path::new("/bin/asked"));
        }
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        use Unusable::{FreeThreaded, NotCPython, NotPreloadable, TooOld};
        let refused = |changes| judged(changes).unwrap_err();
        assert!(matches!(
            refused(json!({"implementation": "pypy"})),
            NotCPython { .. }
        ));
        assert!(matches!(
            refused(json!({"version_info": [3, 7, 16]})),
            TooOld { .. }
        ));
        assert!(matches!(
            refused(json!({"version_info": [2, 7, 18]})),
            TooOld { .. }
        ));
        assert!(matches!(
            refused(json!({"gil_disabled": true})),
            FreeThreaded { .. }
        ));
        let musl = refused(json!({"program": "/musl/python3.11"}));
        assert!(matches!(musl, NotPreloadable { .. }));
        assert!(musl.help().unwrap().to_string().contains("glibc"), "{musl}");
    }

    #[test]
    fn garbage_is_no_answer() {
        for garbage in [
            &b""[..],
            b"\xff\xfe",
            b"Python 3.11",
            b"refcow-probe:",
            b"refcow-probe:{}",
            b"refcow-probe:[1]",
        ] {
            assert!(decode(garbage).is_none(), "{garbage:?}");
        }
    }
}
