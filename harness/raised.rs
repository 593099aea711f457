//! What to do about an exception of the user's code.

use std::path::{Path, PathBuf};

use crate::protocol::Raised;
use crate::{shell, shm};

/// Where the code ran.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The user's file. `None`: it is refcow's own code.
    pub file: Option<&'a Path>,
    /// The environment of the interpreter (`sys.prefix`).
    pub prefix: &'a Path,
    /// Its program, as the environment has it.
    pub executable: &'a Path,
}

const MEND: &str = "fix the error in the dataset's code, or try other sizes";

const NO_SHARED_MEMORY: &str = "this machine has no /dev/shm, which multiprocessing keeps locks and shared memory in. As root: \
     mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm";

/// What to do, in words.
pub fn help(raised: &Raised, around: Around<'_>) -> String {
    if is_of_shared_memory(raised) && shm::space().is_err() {
        return NO_SHARED_MEMORY.into();
    }
    let Some(file) = around.file else {
        return MEND.into();
    };
    if let Some(module) = missing_module(raised) {
        return for_module(module, &around, file);
    }
    if let Some(name) = missing_variable(raised) {
        return for_variable(name);
    }
    MEND.into()
}

/// Whether the last call before an exception was one of code that refcow brings or writes.
pub fn is_ours(raised: &Raised) -> bool {
    let mut lines = raised.traceback.lines().rev();
    let last = lines.find_map(|line| line.trim_start().strip_prefix("File \""));
    let ours = ["python_fixtures/remedies/", "<remedy>", "<string>"];
    last.is_some_and(|file| ours.iter().any(|name| file.starts_with(name)))
}

/// The lines of all exceptions that it tells of, the last first: one may be the reason of another.
fn exceptions(raised: &Raised) -> impl Iterator<Item = &str> {
    let all = std::iter::once(&raised.summary[..]).chain(raised.traceback.lines().rev());
    all.filter(|line| !line.starts_with(' '))
}

/// Whether a file was missing to multiprocessing, or to what looked into [`shm::FOLDER`].
fn is_of_shared_memory(raised: &Raised) -> bool {
    let told = |line: &str| line.contains("/multiprocessing/") || line.contains(shm::FOLDER);
    raised.summary.starts_with("FileNotFoundError")
        && (told(&raised.summary) || raised.traceback.lines().any(told))
}

/// The module that was to be imported, and is not there.
fn missing_module(raised: &Raised) -> Option<&str> {
    exceptions(raised).find_map(|line| {
        let rest = line.strip_prefix("ModuleNotFoundError: No module named ")?;
        let rest = rest.strip_prefix('\'')?;
        rest.split('\'').next()
    })
}

/// The variable that was looked up in `os.environ`, and is not there: the error comes from there.
fn missing_variable(raised: &Raised) -> Option<&str> {
    let lines: Vec<&str> = raised.traceback.lines().collect();
    let of_environ = |line: &str| {
        let line = line.trim_start();
        line.starts_with("File ")
            && (line.contains("/os.py\"") || line.contains("\"<frozen os>\""))
            && line.ends_with(", in __getitem__")
    };
    lines.iter().enumerate().rev().find_map(|(number, line)| {
        let name = line.strip_prefix("KeyError: ")?;
        let above = lines[..number].iter().rev();
        let mut frames = above.filter(|line| line.trim_start().starts_with("File "));
        frames.next().filter(|frame| of_environ(frame))?;
        // Of os.environb it is bytes.
        let name = name.strip_prefix('b').unwrap_or(name);
        Some(name.trim_matches(['\'', '"']))
    })
}

fn for_variable(name: &str) -> String {
    let (given, reason) = match std::env::var_os(name) {
        Some(_) => (
            name.to_owned(),
            "measured code gets no variable of yours that you do not name",
        ),
        None => (format!("{name}=VALUE"), "it is not set here either"),
    };
    format!(
        "give it the variable: --env {}, or all that you have: --env-all ({reason})",
        shell::word(&given)
    )
}

fn for_module(module: &str, around: &Around<'_>, file: &Path) -> String {
    let package = module.split('.').next().unwrap_or(module);
    let in_use = |environment: &Path| same(environment, around.prefix);
    let all = environments(file);
    let others: Vec<&PathBuf> = all.iter().filter(|one| !in_use(one)).collect();
    let with = others.iter().find(|one| has(one, package));
    let python = |environment: &Path| shell::word(&environment.to_string_lossy());
    let install = format!("{} -m pip install {package}", python(around.executable));
    match (with, others.first()) {
        (Some(with), _) => format!(
            "{} has `{package}`: choose it with --python {}",
            with.display(),
            python(with)
        ),
        (None, _) if all.iter().any(|one| in_use(one)) => format!(
            "install it there ({install}), or choose the environment that has it: --python path/to/venv"
        ),
        (None, Some(first)) => format!(
            "choose the environment that your program runs in: --python path/to/venv; {} is one, and `{package}` was not found \
             in it: --python {}",
            first.display(),
            python(first)
        ),
        (None, None) => format!(
            "choose the environment that has it: --python path/to/venv; this one is {}",
            around.prefix.display()
        ),
    }
}

/// The environments that the user may mean: the active one, and those beside the file and in the
/// working folder.
fn environments(file: &Path) -> Vec<PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"];
    let mut all: Vec<PathBuf> = active
        .into_iter()
        .filter_map(std::env::var_os)
        .map(PathBuf::from)
        .collect();
    let folders = [
        file.parent().map(Path::to_owned),
        std::env::current_dir().ok(),
    ];
    for folder in folders.into_iter().flatten() {
        all.extend([".venv", "venv"].map(|name| folder.join(name)));
    }
    all.retain(|one| one.join("bin/python").exists() || one.join("bin/python3").exists());
    let mut found: Vec<PathBuf> = Vec::new();
    for one in all {
        if !found.iter().any(|known| same(known, &one)) {
            found.push(one);
        }
    }
    found
}

/// Whether an environment has a module of this name, as its folders tell.
fn has(environment: &Path, package: &str) -> bool {
    let libraries = std::fs::read_dir(environment.join("lib"))
        .into_iter()
        .flatten();
    let mut folders = libraries
        .flatten()
        .map(|entry| entry.path().join("site-packages"));
    folders.any(|folder| {
        folder.join(package).is_dir()
            || std::fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .any(|entry| {
                    let name = entry.file_name();
                    let name = name.to_string_lossy();
                    let rest = name.strip_prefix(package);
                    rest.is_some_and(|rest| {
                        rest == ".py" || rest.starts_with('.') && rest.ends_with(".so")
                    })
                })
    })
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(summary: &str, traceback: &str) -> Raised {
        Raised {
            summary: summary.into(),
            traceback: traceback.into(),
        }
    }

    #[test]
    fn an_exception_is_of_whose_code_was_called_last() {
        let text = |files: [&str; 2]| {
            let frames = files.map(|file| format!("  File \"{file}\", line 1, in f\n    f()\n"));
            format!(
                "Traceback (most recent call last):\n{}KeyError: 1\n",
                frames.concat()
            )
        };
        let ours = |files| is_ours(&raised("KeyError: 1", &text(files)));
        assert!(ours(["python_fixtures/remedies/places.py", "<remedy>"]));
        assert!(!ours(["<remedy>", "/home/me/mine.py"]));
        assert!(!ours(["python_fixtures/ints.py", "mine.py"]));
    }

    #[test]
    fn a_file_is_of_shared_memory_if_multiprocessing_missed_it() {
        let frame =
            "  File \"/usr/lib/python3.11/multiprocessing/synchronize.py\", line 57, in __init__\n";
        let missed = "FileNotFoundError: [Errno 2] No such file or directory";
        assert!(is_of_shared_memory(&raised(missed, frame)));
        assert!(is_of_shared_memory(&raised(
            &format!("{missed}: '/dev/shm'"),
            ""
        )));
        assert!(!is_of_shared_memory(&raised(
            &format!("{missed}: 'a.csv'"),
            ""
        )));
        assert!(!is_of_shared_memory(&raised("ValueError: 1", frame)));
    }

    #[test]
    fn a_module_is_found_also_behind_another_exception() {
        let direct = raised("ModuleNotFoundError: No module named 'a.b'", "");
        assert_eq!(missing_module(&direct), Some("a.b"));
        let text = "Traceback (most recent call last):\n  File \"x.py\", line 1\nModuleNotFoundError: No module named 'numpy'\n\n\
                    During handling of the above exception, another exception occurred:\n\nRuntimeError: no\n";
        let behind = raised("RuntimeError: no", text);
        assert_eq!(missing_module(&behind), Some("numpy"));
        assert_eq!(missing_module(&raised("KeyError: 'a'", "")), None);
    }

    #[test]
    fn a_key_is_a_variable_only_if_the_environment_lacks_it() {
        let text = |file: &str| {
            format!(
                "Traceback (most recent call last):\n  File \"/x/mine.py\", line 6, in build\n    os.environ['A']\n  \
                 File {file}, line 679, in __getitem__\n    raise KeyError(key) from None\nKeyError: 'A'\n"
            )
        };
        for file in ["\"/usr/lib/python3.11/os.py\"", "\"<frozen os>\""] {
            let raised = raised("KeyError: 'A'", &text(file));
            assert_eq!(missing_variable(&raised), Some("A"), "{file}");
        }
        let other = raised("KeyError: 'A'", &text("\"/x/mine.py\""));
        assert_eq!(missing_variable(&other), None);
    }
}
