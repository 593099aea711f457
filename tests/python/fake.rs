//! Programs that answer as interpreters would, and what they leave behind.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::elsewhere::Elsewhere;

/// A script that is still open for writing in one thread while another one forks cannot be executed
/// (ETXTBSY): scripts are written and run by one test at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn script(path: &Path, body: &str) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_owned()
}

/// The start of this very program, which says how it is loaded, with some bytes changed.
pub fn elf(path: &Path, change: impl FnOnce(&mut [u8])) {
    let mut start = [0; 4096];
    fs::File::open(std::env::current_exe().unwrap())
        .unwrap()
        .read_exact(&mut start)
        .unwrap();
    change(&mut start);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, start).unwrap();
}

/// For another processor: S/390.
pub fn foreign(start: &mut [u8]) {
    start[18] = 22;
}

/// Without a dynamic loader: among the program headers, behind the file's 64 bytes, none names one.
pub fn fixed(start: &mut [u8]) {
    for header in start[64..].chunks_mut(56).take(32) {
        if header[0] == 3 {
            header[0] = 4;
        }
    }
}

/// A folder with an "installation" in it: `bin/python3` answers as an interpreter would, and
/// `lib/program` could be its program.
pub fn installation(root: &Path, version: &str, changes: &str) -> PathBuf {
    let program = root.join("lib/program");
    elf(&program, |_| {});

    let mut answer = serde_json::json!({
        "implementation": "cpython",
        "version": format!("{version} (main) [fake]"),
        "version_info": version.split('.').map(|n| n.parse().unwrap()).collect::<Vec<u32>>(),
        "executable": root.join("bin/python3"),
        "prefix": root,
        "base_prefix": root,
        "program": program,
        "gil_disabled": false,
        "loaded": [],
        "packages": {},
    });
    let changes: serde_json::Value = serde_json::from_str(changes).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        answer[key] = value.clone();
    }
    let path = root.join("answer");
    fs::write(&path, format!("refcow-probe:{answer}\n")).unwrap();
    script(
        &root.join("bin/python3"),
        // prepare() imports with -I; the probe asks with -E.
        &format!(
            "case $1 in -E) cat '{}';; *) printf 'refcow-import:{{\"versions\":{{\"numpy\":\"9.9\"}},\"failures\":{{}}}}\\n';; esac",
            path.display()
        ),
    )
}

/// A virtual environment over an installation: its program is a link, as `venv` makes it.
pub fn environment(place: &Elsewhere, name: &str, base: &str) {
    let (root, base) = (place.at(name), place.at(base));
    let answer = fs::read_to_string(base.join("answer")).unwrap();
    let mut answer: serde_json::Value =
        serde_json::from_str(answer.trim().strip_prefix("refcow-probe:").unwrap()).unwrap();
    answer["prefix"] = root.to_str().unwrap().into();
    answer["executable"] = root.join("bin/python3").to_str().unwrap().into();
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("pyvenv.cfg"), "").unwrap();
    fs::write(root.join("answer"), format!("refcow-probe:{answer}\n")).unwrap();
    script(
        &root.join("bin/python3"),
        &format!("cat '{}'", root.join("answer").display()),
    );
}

/// An installation whose program is no script, so that its answer is kept. Each start adds a line
/// to `starts`.
pub fn binary(place: &Elsewhere, name: &str, version: &str) {
    let root = place.at(name);
    let program = installation(&root, version, "{}");
    fs::remove_file(&program).unwrap();
    // The grammar that reads fixtures needs a C compiler as well.
    let compiled = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .arg("-o")
        .arg(&program)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/interpreter.c"
        ))
        .status();
    assert!(compiled.unwrap().success());
}

pub fn starts(place: &Elsewhere, name: &str) -> usize {
    let lines = fs::read_to_string(place.at(name).join("starts")).unwrap_or_default();
    lines.lines().count()
}

/// An interpreter that can import nothing, makes environments, and installs what is a file there.
/// `venv` and `pip` are what it does besides, in these steps.
pub fn maker(place: &Elsewhere, name: &str, version: &str, venv: &str, pip: &str) {
    let root = place.at(name);
    installation(&root, version, "{}");
    let series = version.rsplit_once('.').unwrap().0;
    let in_environment = r#"#!/bin/sh
        numpy=$(echo "${0%/bin/*}"/lib/*/site-packages/numpy)
        [ -e "$numpy" ] || exit 1
        [ -e "$numpy/__init__.py" ] || hollow='"numpy"'
        echo "refcow-import:{\"versions\":{\"numpy\":\"9.9\"},\"failures\":{},\"namespaces\":[$hollow]}""#;
    fs::write(root.join("environments_python"), in_environment).unwrap();
    script(
        &root.join("bin/python3"),
        &format!(
            r#"cd '{root}'
            case "$1 $2 $3" in
            "-E -s -B") cat answer;;
            "-I -m venv") echo made >>starts; {venv}
                mkdir -p "$5/bin" "$5/lib/python{series}/site-packages"
                echo 'home = nowhere' >"$5/pyvenv.cfg"
                cp environments_python "$5/bin/python3"; chmod 755 "$5/bin/python3";;
            "-I -m pip")
                for word; do
                    case $last in --target) site=$word;; --requirement) requirements=$word;; esac
                    last=$word
                done
                {pip} mkdir "$site/numpy"; touch "$site/numpy/__init__.py";;
            *) case "$4" in *refcow-pip*) echo 'refcow-pip:{{"module":"99.0","bundled":null}}';; *) exit 1;; esac;;
            esac"#,
            root = root.display()
        ),
    );
}

pub fn fifo(place: &Elsewhere, name: &str) -> PathBuf {
    let path = place.at(name);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    path
}

/// Waits until no process of these pids runs. A zombie runs no more; its parent may take its time
/// to reap it.
pub fn all_gone(pids: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    for pid in fs::read_to_string(pids).unwrap().lines() {
        let Ok(pid) = pid.parse::<i32>() else {
            panic!("{pid:?}");
        };
        let runs = || {
            procfs::process::Process::new(pid)
                .and_then(|process| process.stat())
                .is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
        };
        while runs() {
            assert!(Instant::now() < deadline, "process {pid} still runs");
            std::thread::yield_now();
        }
    }
}

/// Lets everybody write to something.
pub fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}
