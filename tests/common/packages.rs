//! Packages from a registry that tests use, pinned with hashes, installed once for a Python.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where tests may keep something from one run to the next.
const CACHE: &str = env!("CARGO_TARGET_TMPDIR");

/// Some packages, and where they are once they were asked for.
pub struct Packages {
    requirements: &'static str,
    folder: OnceLock<Result<PathBuf, String>>,
}

impl Packages {
    /// Those of a file for pip.
    pub const fn new(requirements: &'static str) -> Self {
        Self {
            requirements,
            folder: OnceLock::new(),
        }
    }

    /// Their folder for the Python that is this program, installed by the pip of another one; or why there is none.
    pub fn installed(&self, program: &str, with_pip: &str) -> Result<&Path, String> {
        let install = || install(self.requirements, program, with_pip);
        let folder = self.folder.get_or_init(install);
        folder.as_deref().map_err(Clone::clone)
    }
}

fn install(requirements: &str, program: &str, with_pip: &str) -> Result<PathBuf, String> {
    let asks = "import sys; print('%d.%d' % sys.version_info[:2])";
    let asked = Command::new(program).args(["-c", asks]).output();
    let asked = asked.map_err(|error| format!("{program}: {error}"))?;
    let series = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    let mut hash = DefaultHasher::new();
    (requirements, &series).hash(&mut hash);
    let place = Path::new(CACHE).join(format!("packages-{:016x}", hash.finish()));
    if !place.exists() {
        let draft = tempfile::tempdir_in(CACHE).map_err(|error| error.to_string())?;
        let pinned = draft.path().join("requirements.txt");
        std::fs::write(&pinned, requirements).map_err(|error| error.to_string())?;
        // As a Python of the system's has them, so that none of it is the user's own code.
        let site = draft.path().join("site-packages");
        let mut pip = pip_of(with_pip, &draft.path().join("pip"))?;
        pip.args(["-m", "pip", "install", "--quiet", "--only-binary=:all:"])
            .args(["--require-hashes", "--python-version", &series, "--target"])
            .args([&site, Path::new("--requirement"), &pinned]);
        let output = pip
            .output()
            .map_err(|error| format!("{with_pip}: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(said.lines().last().unwrap_or("pip failed").to_owned());
        }
        // Another run of the tests may have been faster.
        let _ = std::fs::rename(draft.keep(), &place);
    }
    Ok(place.join("site-packages"))
}

/// A Python with pip: this one, or else an environment of it, which is made there.
fn pip_of(python: &str, place: &Path) -> Result<Command, String> {
    let succeeds =
        |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    if succeeds(Command::new(python).args(["-m", "pip", "--version"])) {
        return Ok(Command::new(python));
    }
    match succeeds(Command::new(python).args(["-m", "venv"]).arg(place)) {
        true => Ok(Command::new(place.join("bin/python3"))),
        false => Err(format!("{python} has no pip")),
    }
}
