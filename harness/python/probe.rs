//! Asks a program whether it is an interpreter that refcow can embed.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::child::{self, Failure};

pub(super) const SCRIPT: &str = include_str!("probe.py");
const MARK: &str = "refcow-probe:";
/// An interpreter answers in a tenth of a second, through a version manager's shim in half of one. The rest is for a
/// cold disk and a busy machine.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The oldest series that PyO3's stable ABI, as refcow is built, can embed.
const OLDEST_SERIES: (u8, u8) = (3, 8);

/// A usable interpreter: CPython 3.8 or newer, with the GIL, with a libpython of this machine's architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// `sys.executable`: the real interpreter behind a version manager's shim, an environment's own `bin/python` in an
    /// environment. Absolute.
    pub executable: PathBuf,
    /// `3.11.7`, `3.15.0b1`: the first word of `sys.version`.
    pub version: String,
    /// All of `sys.version`, to compare with what the embedded interpreter says of itself.
    pub full_version: String,
    /// Major and minor version.
    pub series: (u8, u8),
    /// `sys.prefix`: the environment, or the installation.
    pub prefix: PathBuf,
    /// `sys.base_prefix`: the installation.
    pub base_prefix: PathBuf,
    /// The shared library to embed. It exists and is built for this architecture.
    pub libpython: PathBuf,
}

impl Interpreter {
    /// Whether this is a virtual environment.
    pub fn is_environment(&self) -> bool {
        self.prefix != self.base_prefix
    }
}

/// Why a program cannot serve as an interpreter. [`help`](miette::Diagnostic::help) says what to do.
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
    #[error("it is Python {version}; 3.8 is the oldest that refcow can embed")]
    #[diagnostic(help("choose a CPython 3.8 or newer"))]
    TooOld {
        /// The first word of `sys.version`.
        version: String,
    },
    /// Built without the GIL.
    #[error("it is a free-threaded build ({version}), which has another ABI")]
    #[diagnostic(help(
        "choose the build of the same version with the GIL (without the t: 3.13, not 3.13t)"
    ))]
    FreeThreaded {
        /// The first word of `sys.version`.
        version: String,
    },
    /// There is no shared library to embed.
    #[error("it has no shared libpython (looked for {})", list(looked_for))]
    #[diagnostic(help(
        "Debian and Ubuntu: install the package libpython{series}; Fedora: python3-libs; \
         pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --force {version}; \
         from source: configure --enable-shared"
    ))]
    Static {
        /// `3.11`.
        series: String,
        /// The first word of `sys.version`.
        version: String,
        /// Files that could have been it, none of which exists.
        looked_for: Vec<PathBuf>,
    },
    /// Its library is for another kind of processor.
    #[error("its {} is built for another architecture than refcow", libpython.display())]
    #[diagnostic(help(
        "choose an interpreter of refcow's own architecture ({})",
        std::env::consts::ARCH
    ))]
    WrongArchitecture {
        /// The library.
        libpython: PathBuf,
    },
    /// refcow was told to end while it asked.
    #[error("interrupted")]
    Interrupted,
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

/// What probe.py prints.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Answer {
    implementation: String,
    version: String,
    version_info: (u32, u32, u32),
    pub(super) executable: Option<PathBuf>,
    pub(super) prefix: PathBuf,
    pub(super) base_prefix: PathBuf,
    libdir: Option<PathBuf>,
    multiarch: Option<String>,
    instsoname: Option<String>,
    ldlibrary: Option<String>,
    ldversion: Option<String>,
    gil_disabled: bool,
    pub(super) loaded: Vec<PathBuf>,
}

/// Runs `program` and asks it.
///
/// # Errors
///
/// [`Unusable::DoesNotRun`], [`Unusable::Hangs`], [`Unusable::NotPython`] and [`Unusable::Interrupted`].
pub(super) fn ask(program: &Path) -> Result<Answer, Unusable> {
    let mut command = Command::new(program);
    // Neither the user's site-packages nor PYTHON* variables (they are not there in the subject), and no bytecode
    // written into someone's installation. (-I would do more, but 2.7 has no -I and should name its version.)
    command.args(["-E", "-s", "-B", "-c", SCRIPT]);
    let output = child::run(&mut command, TIMEOUT).map_err(|failure| match failure {
        Failure::TimedOut(limit) => Unusable::Hangs {
            seconds: limit.as_secs(),
        },
        Failure::Interrupted => Unusable::Interrupted,
        Failure::TooMuchOutput => Unusable::NotPython,
        Failure::Start(_) | Failure::Wait(_) => Unusable::DoesNotRun {
            reason: failure.to_string(),
        },
    })?;
    if !output.status.success() {
        let mut reason = child::ending(output.status);
        let said = child::tail(&output.stderr, 3);
        if !said.is_empty() {
            reason.push_str(": ");
            reason.push_str(&said);
        }
        return Err(Unusable::DoesNotRun { reason });
    }
    decode(&output.stdout).ok_or(Unusable::NotPython)
}

/// What follows from an answer, with the libraries that are there now.
///
/// # Errors
///
/// All of [`Unusable`] that [`ask`] does not tell.
pub(super) fn usable(answer: Answer, program: &Path) -> Result<Interpreter, Unusable> {
    judge(answer, program, &Path::is_file, &same_architecture)
}

fn decode(stdout: &[u8]) -> Option<Answer> {
    serde_json::from_slice(child::marked_line(stdout, MARK)?).ok()
}

fn judge(
    answer: Answer,
    program: &Path,
    exists: &dyn Fn(&Path) -> bool,
    fits: &dyn Fn(&Path) -> bool,
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
    if answer.gil_disabled {
        return Err(Unusable::FreeThreaded { version });
    }
    let candidates = libraries(&answer);
    let Some(libpython) = candidates.iter().find(|path| exists(path)).cloned() else {
        return Err(Unusable::Static {
            series: format!("{major}.{minor}"),
            version,
            looked_for: candidates,
        });
    };
    if !fits(&libpython) {
        return Err(Unusable::WrongArchitecture { libpython });
    }
    Ok(Interpreter {
        // Python leaves it empty when it cannot tell, which happens under an unusual argv[0].
        executable: match answer.executable {
            Some(path) if path.is_absolute() => path,
            _ => std::path::absolute(program).unwrap_or_else(|_| program.to_owned()),
        },
        version,
        full_version: answer.version,
        series: (major, minor),
        prefix: answer.prefix,
        base_prefix: answer.base_prefix,
        libpython,
    })
}

/// Where the shared library of this interpreter can be, likeliest first, each path once.
fn libraries(answer: &Answer) -> Vec<PathBuf> {
    let series = format!("{}.{}", answer.version_info.0, answer.version_info.1);
    let own_name = format!("libpython{series}");
    let mut found: Vec<PathBuf> = Vec::new();
    let mut add = |path: PathBuf| {
        if !found.contains(&path) {
            found.push(path);
        }
    };
    // Not libpython3.so, which is only the door to the real one.
    for path in &answer.loaded {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&own_name) && name.contains(".so") {
            add(path.clone());
        }
    }

    let mut names: Vec<String> = [&answer.instsoname, &answer.ldlibrary]
        .into_iter()
        .flatten()
        .filter(|name| name.starts_with("libpython") && name.contains(".so"))
        .cloned()
        .collect();
    // A static build names its archive (libpython3.11.a). Its distribution may ship the shared library beside it.
    names.push(format!(
        "libpython{}.so.1.0",
        answer.ldversion.as_deref().unwrap_or(&series)
    ));

    let mut folders: Vec<PathBuf> = Vec::new();
    let base_lib = answer.base_prefix.join("lib");
    // A relocated build (uv's, conda's) keeps the LIBDIR of the machine it was built on: base_prefix tells its place.
    for folder in [answer.libdir.as_ref(), Some(&base_lib)]
        .into_iter()
        .flatten()
    {
        folders.push(folder.clone());
        folders.extend(
            answer
                .multiarch
                .as_ref()
                .filter(|arch| !arch.is_empty())
                .map(|arch| folder.join(arch)),
        );
    }
    folders.push(answer.base_prefix.join("lib64"));
    for name in &names {
        for folder in &folders {
            add(folder.join(name));
        }
    }
    found
}

/// Whether an ELF file has the class, byte order and machine of the program that asks.
fn same_architecture(library: &Path) -> bool {
    match (
        architecture(Path::new("/proc/self/exe")),
        architecture(library),
    ) {
        (Some(own), Some(other)) => own == other,
        // Without /proc nothing is known of oneself; the subject's start will tell.
        (None, _) => true,
        (Some(_), None) => false,
    }
}

/// `EI_CLASS`, `EI_DATA` and `e_machine` of an ELF file. `None` for anything else.
fn architecture(path: &Path) -> Option<[u8; 4]> {
    let mut header = [0; 20];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    header
        .starts_with(b"\x7fELF")
        .then(|| [header[4], header[5], header[18], header[19]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use miette::Diagnostic as _;
    use serde_json::{Value, json};

    fn answer(changes: Value) -> Answer {
        let mut answer = json!({
            "implementation": "cpython",
            "version": "3.11.7 (main, Dec  8 2023, 18:56:58) [GCC 12.2.0]",
            "version_info": [3, 11, 7],
            "executable": "/opt/py/bin/python3",
            "prefix": "/opt/py",
            "base_prefix": "/opt/py",
            "libdir": "/opt/py/lib",
            "multiarch": "x86_64-linux-gnu",
            "instsoname": "libpython3.11.so.1.0",
            "ldlibrary": "libpython3.11.so",
            "ldversion": "3.11",
            "gil_disabled": false,
            "loaded": [],
        });
        for (key, value) in changes.as_object().unwrap() {
            answer[key] = value.clone();
        }
        decode(format!("site says hello\nrefcow-probe:{answer}\n").as_bytes()).unwrap()
    }

    fn judged(changes: Value, there: &[&str]) -> Result<Interpreter, Unusable> {
        judge(
            answer(changes),
            Path::new("/bin/asked"),
            &|path| there.iter().any(|known| Path::new(known) == path),
            &|path| !path.starts_with("/other-arch"),
        )
    }

    #[test]
    fn a_shared_build_is_usable() {
        let found = judged(json!({}), &["/opt/py/lib/libpython3.11.so.1.0"]).unwrap();
        assert_eq!(found.version, "3.11.7");
        assert_eq!(found.series, (3, 11));
        assert_eq!(found.executable, Path::new("/opt/py/bin/python3"));
        assert!(!found.is_environment());
    }

    #[test]
    fn what_it_has_loaded_comes_before_what_it_was_built_for() {
        let found = judged(
            json!({"loaded": ["/opt/py/lib/libpython3.so", "/moved/libpython3.11.so.1.0"]}),
            &[
                "/opt/py/lib/libpython3.so",
                "/moved/libpython3.11.so.1.0",
                "/opt/py/lib/libpython3.11.so.1.0",
            ],
        )
        .unwrap();
        assert_eq!(found.libpython, Path::new("/moved/libpython3.11.so.1.0"));
    }

    #[test]
    fn a_distribution_may_ship_the_library_of_a_static_program_apart() {
        let found = judged(
            json!({
                "base_prefix": "/usr", "libdir": "/usr/lib",
                "instsoname": "libpython3.11.a", "ldlibrary": "libpython3.11.a",
            }),
            &["/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0"],
        )
        .unwrap();
        assert_eq!(
            found.libpython,
            Path::new("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0")
        );
    }

    #[test]
    fn a_relocated_build_is_found_by_its_base_prefix() {
        let found = judged(
            json!({"libdir": "/install/lib", "prefix": "/venv"}),
            &["/opt/py/lib/libpython3.11.so.1.0"],
        )
        .unwrap();
        assert_eq!(
            found.libpython,
            Path::new("/opt/py/lib/libpython3.11.so.1.0")
        );
        assert!(found.is_environment());
    }

    #[test]
    fn a_static_build_names_its_series_and_where_it_was_looked_for() {
        let refused = judged(
            json!({"instsoname": "libpython3.11.a", "ldlibrary": "libpython3.11.a"}),
            &[],
        )
        .unwrap_err();
        let Unusable::Static { looked_for, .. } = &refused else {
            panic!("{refused:?}");
        };
        assert!(looked_for.contains(&PathBuf::from("/opt/py/lib/libpython3.11.so.1.0")));
        assert!(
            !looked_for
                .iter()
                .any(|path| path.to_string_lossy().ends_with(".a"))
        );
        let help = refused.help().unwrap().to_string();
        assert!(help.contains("libpython3.11;"), "{help}");
        assert!(help.contains("pyenv install --force 3.11.7"), "{help}");
    }

    #[test]
    fn an_executable_that_python_does_not_know_is_the_program_that_was_asked() {
        let there = ["/opt/py/lib/libpython3.11.so.1.0"];
        for unknown in [json!(null), json!("")] {
            let found = judged(json!({ "executable": unknown }), &there).unwrap();
            assert_eq!(found.executable, Path::new("/bin/asked"));
        }
    }

    #[test]
    fn what_cannot_be_embedded_is_refused_before_its_library_is_looked_for() {
        use Unusable::{FreeThreaded, NotCPython, TooOld};
        let refused = |changes| judged(changes, &[]).unwrap_err();
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
    }

    #[test]
    fn a_library_for_another_processor_is_refused() {
        let refused = judged(
            json!({"libdir": "/other-arch"}),
            &["/other-arch/libpython3.11.so.1.0"],
        );
        assert!(matches!(refused, Err(Unusable::WrongArchitecture { .. })));
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

    #[test]
    fn elf_headers_tell_the_architecture() {
        assert!(same_architecture(&std::env::current_exe().unwrap()));
        let mut foreign = tempfile::NamedTempFile::new().unwrap();
        let mut header = *b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x03\0";
        std::io::Write::write_all(&mut foreign, &header).unwrap();
        // 32-bit x86, whatever this machine is.
        assert_eq!(architecture(foreign.path()), Some([1, 1, 3, 0]));
        assert!(!same_architecture(foreign.path()));
        header[0] = b'!';
        std::fs::write(foreign.path(), header).unwrap();
        assert!(!same_architecture(foreign.path()));
    }
}
