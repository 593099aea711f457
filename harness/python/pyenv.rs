//! Where a shim of pyenv's leads, without starting it: a shell script that starts others takes longer than Python.
//!
//! Only what pyenv documents ("Understanding Python version selection" in its README): the version that `PYENV_VERSION`
//! names, else `.python-version` in the working folder or above it, else `version` in pyenv's root, else the system's.
//! Anything beyond that (a version that is only a prefix, hooks, the environments of plugins) is left to pyenv itself.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::program::is_program;

/// Longer than any list of versions, and than any shim.
const SIZE_LIMIT_BYTES: u64 = 4096;
/// Hooks that pyenv and its plugin for environments come with. They do nothing for a program that was found, and
/// nothing for `python3` in an installation.
const KNOWN_HOOKS: [&str; 4] = [
    "exec/pip-rehash.bash",
    "which/conda.bash",
    "which/python-config.bash",
    "which/system-site-packages.bash",
];
/// Where hooks can be, besides pyenv's root and its plugins.
const HOOK_FOLDERS: [&str; 4] = [
    "/usr/etc/pyenv.d",
    "/usr/local/etc/pyenv.d",
    "/etc/pyenv.d",
    "/usr/lib/pyenv/hooks",
];

/// Where a program leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// It is no shim of pyenv's.
    Elsewhere,
    /// It is one of the shims in this root, and only pyenv can tell.
    Unknown(PathBuf),
    /// pyenv would execute this.
    To(PathBuf),
    /// pyenv would say that there is no such command.
    Nowhere,
}

/// What pyenv's choice depends on besides files.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// `PYENV_VERSION`.
    version: Option<OsString>,
    /// `PYENV_DIR`, and the working folder as a shell names it.
    folders: Vec<PathBuf>,
    /// `PATH`.
    path: Vec<PathBuf>,
    /// Something is set that changes the rules.
    unusual: bool,
}

impl Surroundings {
    pub(super) fn of_this_process() -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let directory = set("PYENV_DIR").map(PathBuf::from);
        let here = working_folder();
        Self {
            unusual: here.is_none()
                || directory
                    .as_ref()
                    .is_some_and(|folder| !folder.is_absolute())
                || set("PYENV_HOOK_PATH").is_some()
                || env::vars_os()
                    .any(|(name, _)| name.as_encoded_bytes().starts_with(b"_PYENV_SHIM_PATH")),
            version: set("PYENV_VERSION"),
            folders: directory.into_iter().chain(here).collect(),
            path: env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect(),
        }
    }
}

/// `$PWD` if it is where this process is, as a shell would have it: the way there may lead over links.
fn working_folder() -> Option<PathBuf> {
    let here = fs::metadata(".").ok()?;
    let named = env::var_os("PWD").map(PathBuf::from).filter(|folder| {
        let plain = folder
            .components()
            .all(|part| !matches!(part, std::path::Component::ParentDir));
        plain
            && folder.is_absolute()
            && fs::metadata(folder)
                .is_ok_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino()))
    });
    named.or_else(|| env::current_dir().ok())
}

/// Where `program` leads.
pub(super) fn leads(program: &Path, surroundings: &Surroundings) -> Leads {
    let Some(Shim { root, pyenv }) = shim(program) else {
        return Leads::Elsewhere;
    };
    let found = || {
        if surroundings.unusual || !hooks_are_known(&root, &pyenv) {
            return None;
        }
        let name = program.file_name()?;
        for version in versions(&root, surroundings)? {
            if version == "system" {
                return in_path(name.as_ref(), &root, surroundings);
            }
            let folder = root.join("versions").join(version);
            if !folder.is_dir() {
                // A prefix, another name, or not installed.
                return None;
            }
            let program = folder.join("bin").join(name);
            if is_program(&program).is_ok() {
                return Some(Leads::To(program));
            }
            if folder.join("bin/activate").exists() {
                // An environment's: the plugin may lead on to its base.
                return None;
            }
        }
        // None of the versions has it: then the system's is meant.
        in_path(name.as_ref(), &root, surroundings)
    };
    found().unwrap_or_else(|| Leads::Unknown(root.clone()))
}

/// What a shim says.
struct Shim {
    /// pyenv's root.
    root: PathBuf,
    /// The program that it executes.
    pyenv: PathBuf,
}

/// Reads a program, if it is one of pyenv's shims as it writes them.
fn shim(program: &Path) -> Option<Shim> {
    let shims = program.parent()?;
    if shims.file_name()? != "shims" {
        return None;
    }
    let text = text(program)?;
    let root = text
        .lines()
        .find_map(|line| line.strip_prefix("export PYENV_ROOT=\"")?.strip_suffix('"'))?;
    let pyenv = text
        .lines()
        .last()?
        .strip_prefix("exec \"")?
        .strip_suffix("\" exec \"$program\" \"$@\"")?;
    let plain = |path: &str| !path.contains(['$', '`', '\\', '"']);
    // Called in another folder, a shim says so to pyenv, which then looks elsewhere for the system's.
    let own = text.starts_with("#!") && Path::new(root).join("shims") == shims;
    (own && plain(root) && plain(pyenv)).then(|| Shim {
        root: root.into(),
        pyenv: pyenv.into(),
    })
}

/// A small file's text.
fn text(path: &Path) -> Option<String> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let mut file = File::open(path).ok()?.take(SIZE_LIMIT_BYTES);
    file.read_to_string(&mut text).ok()?;
    (file.limit() > 0).then_some(text)
}

fn hooks_are_known(root: &Path, pyenv: &Path) -> bool {
    // An installation apart from its root, such as a distribution's, has hooks of its own.
    let pyenv = fs::canonicalize(pyenv).unwrap_or_else(|_| pyenv.to_owned());
    let installation = pyenv.parent().and_then(Path::parent).unwrap_or(root);
    let plugins = fs::read_dir(root.join("plugins")).into_iter().flatten();
    let of_plugins = plugins
        .flatten()
        .map(|plugin| plugin.path().join("etc/pyenv.d"));
    [root, installation]
        .map(|folder| folder.join("pyenv.d"))
        .into_iter()
        .chain(HOOK_FOLDERS.map(PathBuf::from))
        .chain(of_plugins)
        .all(|folder| {
            ["version-name", "which", "exec"].iter().all(|kind| {
                let hooks = fs::read_dir(folder.join(kind)).into_iter().flatten();
                hooks.flatten().all(|hook| {
                    let name = hook.file_name();
                    let name = format!("{kind}/{}", name.to_string_lossy());
                    !name.ends_with(".bash") || KNOWN_HOOKS.contains(&name.as_str())
                })
            })
        })
}

/// The names of the chosen versions. `None`: they have a form that pyenv would think about.
fn versions(root: &Path, surroundings: &Surroundings) -> Option<Vec<String>> {
    let listed = match &surroundings.version {
        Some(version) => version.to_str()?.to_owned(),
        None => {
            let file = surroundings
                .folders
                .iter()
                .flat_map(|folder| folder.ancestors())
                .map(|folder| folder.join(".python-version"))
                .find(|file| file.is_file())
                .unwrap_or_else(|| root.join("version"));
            if fs::metadata(&file).is_err() {
                return Some(vec!["system".into()]);
            }
            // The first word of each line that is no comment.
            let words: Vec<String> = text(&file)?
                .lines()
                .filter_map(|line| line.split_whitespace().next())
                .filter(|word| !word.starts_with('#'))
                .map(str::to_owned)
                .collect();
            if words.is_empty() {
                return Some(vec!["system".into()]);
            }
            words.join(":")
        }
    };
    let plain = |version: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
        version.chars().all(known) && version.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    let versions: Vec<String> = listed.split(':').map(str::to_owned).collect();
    versions
        .iter()
        .all(|version| plain(version))
        .then_some(versions)
}

/// What a shell finds on PATH where the shims are not.
fn in_path(name: &Path, root: &Path, surroundings: &Surroundings) -> Option<Leads> {
    let shims = root.join("shims");
    for folder in &surroundings.path {
        // pyenv's own list of places for these.
        if !folder.is_absolute() || folder.to_string_lossy().contains('~') {
            return None;
        }
        let program = folder.join(name);
        if *folder != shims && is_program(&program).is_ok() {
            return Some(Leads::To(program));
        }
    }
    Some(Leads::Nowhere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::os::unix::fs::PermissionsExt as _;

    fn program(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A root with 3.12.1 and 3.9.18, of which only the latter has python3.9, shims, and a system with python3 and
    /// python3.8.
    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for version in ["3.12.1", "3.9.18"] {
            program(&at(&format!("versions/{version}/bin/python3")), "");
        }
        program(&at("versions/3.9.18/bin/python3.9"), "");
        program(&at("system/python3"), "");
        program(&at("system/python3.8"), "");
        for name in ["python3", "python3.9", "python3.8", "python3.7"] {
            let shim = format!(
                "#!/usr/bin/env bash\nset -e\nprogram=\"${{0##*/}}\"\nexport PYENV_ROOT=\"{0}\"\nexec \"{0}/libexec/pyenv\" \
                 exec \"$program\" \"$@\"\n",
                root.path().display()
            );
            program(&at(&format!("shims/{name}")), &shim);
        }
        fs::create_dir_all(at("work/deep")).unwrap();
        root
    }

    fn around(root: &Path, version: Option<&str>) -> Surroundings {
        Surroundings {
            version: version.map(Into::into),
            folders: vec![root.join("work/deep")],
            path: vec![root.join("shims"), root.join("system")],
            unusual: false,
        }
    }

    fn led(root: &Path, name: &str, version: Option<&str>) -> String {
        match leads(&root.join("shims").join(name), &around(root, version)) {
            Leads::To(path) => path.strip_prefix(root).unwrap().display().to_string(),
            Leads::Nowhere => "nowhere".into(),
            Leads::Unknown(_) => "unknown".into(),
            Leads::Elsewhere => "elsewhere".into(),
        }
    }

    #[rstest]
    #[case("python3", "3.12.1", "versions/3.12.1/bin/python3")]
    #[case("python3", "3.9.18:3.12.1", "versions/3.9.18/bin/python3")]
    // The first that has it.
    #[case("python3.9", "3.12.1:3.9.18", "versions/3.9.18/bin/python3.9")]
    // None that is chosen has it: the system's.
    #[case("python3.8", "3.12.1", "system/python3.8")]
    #[case("python3.7", "3.12.1", "nowhere")]
    #[case("python3", "system", "system/python3")]
    #[case("python3.9", "3.12.1:system", "nowhere")]
    // A prefix, a name with a folder, one that is not installed, a pattern: pyenv knows.
    #[case("python3", "3.12", "unknown")]
    #[case("python3", "3.12.1/envs/x", "unknown")]
    #[case("python3", "..", "unknown")]
    #[case("python3", "3.11.0", "unknown")]
    #[case("python3", "3.*", "unknown")]
    #[case("python3", "3.12.1::3.9.18", "unknown")]
    fn a_version_leads_to_its_program(
        #[case] name: &str,
        #[case] version: &str,
        #[case] expected: &str,
    ) {
        let root = root();
        assert_eq!(led(root.path(), name, Some(version)), expected);
    }

    #[test]
    fn the_nearest_file_says_which_version() {
        let root = root();
        let at = |path: &str| root.path().join(path);
        // No file at all: the system's.
        assert_eq!(led(root.path(), "python3", None), "system/python3");
        fs::write(at("version"), "3.12.1\n").unwrap();
        let (old, new) = ("versions/3.9.18/bin/python3", "versions/3.12.1/bin/python3");
        assert_eq!(led(root.path(), "python3", None), new);
        fs::write(
            at("work/.python-version"),
            "# mine\n\n  3.9.18 and more\r\n",
        )
        .unwrap();
        assert_eq!(led(root.path(), "python3", None), old);
        fs::write(at("work/deep/.python-version"), "3.12.1\n3.9.18\n").unwrap();
        assert_eq!(led(root.path(), "python3", None), new);
        assert_eq!(
            led(root.path(), "python3.9", None),
            "versions/3.9.18/bin/python3.9"
        );
        // One that names nothing means the system, not the next file.
        fs::write(at("work/deep/.python-version"), "# nothing\n").unwrap();
        assert_eq!(led(root.path(), "python3", None), "system/python3");
        assert_eq!(led(root.path(), "python3", Some("3.9.18")), old);
    }

    #[test]
    fn what_only_looks_like_a_shim_is_not_resolved() {
        let root = root();
        let shim = root.path().join("shims/python3");
        let good = fs::read_to_string(&shim).unwrap();
        for bad in [
            "",
            "#!/bin/sh\nexec asdf exec python3 \"$@\"\n",
            &good.replace("exec \"$program\"", "which \"$program\""),
            &good.replace("PYENV_ROOT=\"", "PYENV_ROOT=\"$HOME"),
            &good.replace("PYENV_ROOT=\"", "PYENV_ROOT=\"/elsewhere"),
            &format!("{good}{}", "#\n".repeat(4096)),
        ] {
            fs::write(&shim, bad).unwrap();
            assert_eq!(led(root.path(), "python3", Some("3.12.1")), "elsewhere");
        }
        fs::write(&shim, good).unwrap();
        assert_ne!(led(root.path(), "python3", Some("3.12.1")), "elsewhere");
        let other = root.path().join("versions/3.12.1/bin/python3");
        assert_eq!(leads(&other, &around(root.path(), None)), Leads::Elsewhere);
    }

    #[test]
    fn hooks_that_are_not_pyenvs_own_leave_it_to_pyenv() {
        let root = root();
        let hook = |path: &str| program(&root.path().join(path), "");
        hook("pyenv.d/exec/pip-rehash.bash");
        hook("plugins/pyenv-virtualenv/etc/pyenv.d/which/conda.bash");
        hook("plugins/pyenv-virtualenv/etc/pyenv.d/rehash/envs.bash");
        assert_ne!(led(root.path(), "python3", Some("3.12.1")), "unknown");
        hook("plugins/implicit/etc/pyenv.d/version-name/any.bash");
        assert_eq!(led(root.path(), "python3", Some("3.12.1")), "unknown");
    }

    #[test]
    fn an_environment_without_the_program_is_left_to_the_plugin() {
        let root = root();
        program(&root.path().join("versions/mine/bin/activate"), "");
        assert_eq!(led(root.path(), "python3", Some("mine")), "unknown");
        program(&root.path().join("versions/mine/bin/python3"), "");
        assert_eq!(
            led(root.path(), "python3", Some("mine")),
            "versions/mine/bin/python3"
        );
    }
}
