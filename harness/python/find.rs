//! Where interpreters are on this machine.

use std::collections::HashSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use super::program::{identity, is_broken_environment, is_program, minor_in_name};

/// A program by the name of an interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Where it was found.
    pub(super) path: PathBuf,
    /// Whether the user names it, or its folder: on PATH, or in `REFCOW_PYTHONS`. What refcow finds
    /// by itself elsewhere is started only if it is trusted.
    pub(super) named: bool,
}

/// The places to look in. From the environment, apart from tests.
#[derive(Clone, Debug, Default)]
pub(super) struct SearchPlaces {
    /// `REFCOW_PYTHONS`: programs, or folders with a `bin/`, that the user names.
    named: Vec<PathBuf>,
    /// `PATH`, its absolute folders only: what another folder would mean changes with the working
    /// folder. Before them the environment that refcow was started from by its path.
    pub(super) path: Vec<PathBuf>,
    /// Folders with a `bin/` of their own: the active environment and what version managers
    /// installed.
    installations: Vec<PathBuf>,
    /// Folders where a system keeps programs, should PATH lack them.
    system: Vec<PathBuf>,
    /// pyenv's root, whose versions are among the installations.
    pyenv: Option<PathBuf>,
}

impl SearchPlaces {
    pub(super) fn of_this_machine() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let named = env::var_os("REFCOW_PYTHONS").unwrap_or_default();
        let mut installations = Vec::new();
        let mut pyenv_root = None;
        for environment in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            installations.extend(env::var_os(environment).map(PathBuf::from));
        }
        if let Ok(user) = etcetera::choose_base_strategy() {
            let pyenv = env::var_os("PYENV_ROOT")
                .map_or_else(|| user.home_dir().join(".pyenv"), PathBuf::from);
            installations.extend(newest_first(&pyenv.join("versions")));
            pyenv_root = Some(pyenv);
            let uv = env::var_os("UV_PYTHON_INSTALL_DIR")
                .map_or_else(|| user.data_dir().join("uv/python"), PathBuf::from);
            installations.extend(newest_first(&uv));
            installations.extend(of_other_managers(&user));
            installations.extend(conda(user.home_dir()));
        }
        installations.extend(tool_cache());
        installations.extend(newest_first(Path::new("/opt")));
        installations.extend(newest_first(Path::new("/opt/python")));
        Self {
            named: env::split_paths(&named)
                .filter(|path| path.is_absolute())
                .collect(),
            path: own_environment(env::args_os().next())
                .into_iter()
                .chain(env::split_paths(&path).filter(|folder| folder.is_absolute()))
                .collect(),
            installations,
            pyenv: pyenv_root,
            system: vec![
                "/usr/local/bin".into(),
                "/usr/bin".into(),
                "/home/linuxbrew/.linuxbrew/bin".into(),
            ],
        }
    }

    /// Programs by the names of interpreters, in the order of preference: what `python3` means to
    /// the user's shell, then other versions on PATH, then what the user names, then what is not on
    /// PATH. Each file once, but each environment counts.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let named = self.named.iter().flat_map(|path| {
            if path.is_dir() {
                in_folder(&path.join("bin")).collect()
            } else {
                vec![path.clone()]
            }
        });
        let on_path = self.path.iter().map(|folder| folder.join("python3"));
        let beside = self.path.iter().flat_map(|folder| versioned(folder));
        let elsewhere = self
            .installations
            .iter()
            .map(|root| root.join("bin"))
            .chain(self.system.iter().cloned())
            .flat_map(|bin| in_folder(&bin));
        let mut seen = HashSet::new();
        let named = on_path.chain(beside).chain(named).map(|path| (path, true));
        named
            .chain(elsewhere.map(|path| (path, false)))
            .filter(|(path, _)| is_program(path).is_ok() || is_broken_environment(path))
            .filter(|(path, _)| seen.insert(identity(path)))
            .map(|(path, named)| Candidate { path, named })
            .collect()
    }

    /// The candidates, without those that cost more than they add when all are asked: a shim takes
    /// pyenv longer than Python, and what is behind `python3.N` is found among pyenv's versions
    /// anyhow.
    pub(super) fn worth_asking(&self) -> Vec<Candidate> {
        let mut candidates = self.candidates();
        let shims = self.pyenv.as_ref().map(|root| root.join("shims"));
        candidates.retain(|Candidate { path, .. }| {
            path.parent() != shims.as_deref() || minor_in_name(path).is_none()
        });
        candidates
    }

    pub(super) fn command(&self, name: &str) -> Option<PathBuf> {
        self.path
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| is_program(path).is_ok())
    }
}

/// The `bin/` of the environment that refcow was started from, as `env/bin/refcow`: a program of an
/// environment means its Python, whether the environment is active or not. A link to it from
/// elsewhere does not, such as pipx makes: that environment holds refcow alone.
fn own_environment(started_as: Option<OsString>) -> Option<PathBuf> {
    let started_as = PathBuf::from(started_as?);
    // A bare name was found on PATH, whose order holds.
    let bin = started_as.parent().filter(|bin| *bin != Path::new(""))?;
    let bin = std::path::absolute(bin).ok()?;
    bin.parent()?.join("pyvenv.cfg").is_file().then_some(bin)
}

/// The names of interpreters in a folder of programs, whether they are there or not.
fn in_folder(bin: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::iter::once(bin.join("python3")).chain(versioned(bin))
}

/// conda's installations and their environments: where its installers put them, and the list that
/// it keeps itself (`~/.conda/environments.txt`, one folder a line).
fn conda(home: &Path) -> Vec<PathBuf> {
    let names = [
        "miniconda3",
        "anaconda3",
        "miniforge3",
        "mambaforge",
        "micromamba",
    ];
    let roots = names.iter().map(|name| home.join(name));
    let roots = roots.chain(env::var_os("MAMBA_ROOT_PREFIX").map(PathBuf::from));
    let roots = roots.chain(std::iter::once("/opt/conda".into()));
    let listed = fs::read_to_string(home.join(".conda/environments.txt")).unwrap_or_default();
    let listed: Vec<PathBuf> = listed.lines().map(|line| line.trim().into()).collect();
    roots
        .flat_map(|root| {
            let environments = newest_first(&root.join("envs"));
            std::iter::once(root).chain(environments)
        })
        .chain(listed.into_iter().filter(|path| path.is_absolute()))
        .collect()
}

/// asdf, mise and rye.
fn of_other_managers(user: &impl etcetera::BaseStrategy) -> Vec<PathBuf> {
    let root =
        |variable: &str, default: PathBuf| env::var_os(variable).map_or(default, PathBuf::from);
    let home = user.home_dir();
    [
        root("ASDF_DATA_DIR", home.join(".asdf")).join("installs/python"),
        root("MISE_DATA_DIR", user.data_dir().join("mise")).join("installs/python"),
        root("RYE_HOME", home.join(".rye")).join("py"),
    ]
    .iter()
    .flat_map(|folder| newest_first(folder))
    .collect()
}

/// What `actions/setup-python` installs: `Python/VERSION/ARCHITECTURE` in the runner's tool cache.
fn tool_cache() -> Vec<PathBuf> {
    let variables = ["RUNNER_TOOL_CACHE", "AGENT_TOOLSDIRECTORY"];
    let named = variables.iter().find_map(env::var_os).map(PathBuf::from);
    let root = named.unwrap_or_else(|| "/opt/hostedtoolcache".into());
    newest_first(&root.join("Python"))
        .iter()
        .flat_map(|version| newest_first(version))
        .collect()
}

/// The subfolders of a version manager's folder, newest version first. Empty when there is no such
/// folder, or it is another user's.
fn newest_first(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    // Numbers compare as numbers: 3.9 is before 3.10. Then by name, so that the order is the same
    // in every run.
    found.sort_by_cached_key(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let numbers: Vec<u64> = name
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect();
        std::cmp::Reverse((numbers, name))
    });
    found
}

/// `python3.N` in a folder, newest first. Not `python3-config`, `python3.11-dbg`, `python3.13t`.
fn versioned(folder: &Path) -> Vec<PathBuf> {
    let mut found = newest_first(folder);
    found.retain(|path| minor_in_name(path).is_some());
    found
}

/// The program of this name on PATH.
pub(super) fn command(name: &str) -> Option<PathBuf> {
    SearchPlaces::of_this_machine().command(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn paths(places: &SearchPlaces) -> Vec<PathBuf> {
        let candidates = places.candidates();
        candidates.into_iter().map(|one| one.path).collect()
    }

    #[test]
    fn candidates_come_in_order_once_each_with_environments_apart() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for path in [
            "bin/python3.9",
            "bin/python3.10",
            "bin/python3.10-config",
            "bin/python3.13t",
            "versions/3.9.1/bin/python3.9",
            "versions/3.12.0/bin/python3.12",
        ] {
            program(&at(path));
        }
        fs::write(at("bin/python3.11"), "not executable").unwrap();
        symlink("python3.10", at("bin/python3")).unwrap();
        symlink("python3.12", at("versions/3.12.0/bin/python3")).unwrap();
        for environment in ["env", "env2"] {
            fs::create_dir_all(at(environment).join("bin")).unwrap();
            fs::write(at(environment).join("pyvenv.cfg"), "").unwrap();
            symlink(at("bin/python3.10"), at(environment).join("bin/python3")).unwrap();
        }

        let mut installations = vec![at("env"), at("env2"), at("missing")];
        installations.extend(newest_first(&at("versions")));
        let places = SearchPlaces {
            named: Vec::new(),
            path: vec![at("nowhere"), at("bin")],
            installations,
            system: vec![at("bin")],
            pyenv: None,
        };
        assert_eq!(
            paths(&places),
            [
                at("bin/python3"),
                at("bin/python3.9"),
                at("env/bin/python3"),
                at("env2/bin/python3"),
                at("versions/3.12.0/bin/python3"),
                at("versions/3.9.1/bin/python3.9"),
            ]
        );
    }
    #[test]
    fn the_environment_that_refcow_is_started_from_counts_and_no_link_to_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        program(&at("env/bin/refcow"));
        fs::write(at("env/pyvenv.cfg"), "").unwrap();
        fs::create_dir(at("bin")).unwrap();
        symlink(at("env/bin/refcow"), at("bin/refcow")).unwrap();
        let started_as = |path: PathBuf| own_environment(Some(path.into()));

        assert_eq!(started_as(at("env/bin/refcow")), Some(at("env/bin")));
        assert_eq!(started_as(at("bin/refcow")), None);
        assert_eq!(started_as("refcow".into()), None);
        assert_eq!(own_environment(None), None);
    }
}
