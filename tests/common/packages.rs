//! Packages from a registry that tests start, pinned with hashes (tests/live/requirements.txt), installed once for a Python.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const REQUIREMENTS: &str = include_str!("../live/requirements.txt");
/// Where tests may keep something from one run to the next.
const CACHE: &str = env!("CARGO_TARGET_TMPDIR");

/// The folder of the packages for the Python that is this program, installed by the pip of another one, as the system's may have none; or
/// why there is none.
pub fn installed(program: &str, with_pip: &str) -> Result<&'static Path, String> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| install(program, with_pip));
    folder.as_deref().map_err(Clone::clone)
}

fn install(program: &str, with_pip: &str) -> Result<PathBuf, String> {
    let asks = "import sys; print('%d.%d' % sys.version_info[:2])";
    let asked = Command::new(program).args(["-c", asks]).output();
    let asked = asked.map_err(|error| format!("{program}: {error}"))?;
    let series = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    let mut hash = DefaultHasher::new();
    (REQUIREMENTS, &series).hash(&mut hash);
    let place = Path::new(CACHE).join(format!("packages-{:016x}", hash.finish()));
    if !place.exists() {
        let draft = tempfile::tempdir_in(CACHE).map_err(|error| error.to_string())?;
        let pinned = draft.path().join("requirements.txt");
        std::fs::write(&pinned, REQUIREMENTS).map_err(|error| error.to_string())?;
        // As a Python of the system's has them, so that none of it is the user's own code.
        let site = draft.path().join("site-packages");
        let mut pip = Command::new(with_pip);
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
