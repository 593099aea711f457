//! Servers that people run, from a registry: what is counted of their workers, and which of the application's lines and types are named.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use procfs::process::Process;
use refcow::live::document::{PagesAre, Phase, ProcessFigures, RecordedFigures, TreeFigures};
use refcow::model::Cause;
use refcow::observe::settle;
use rstest::rstest;
use tempfile::TempDir;

use crate::common::packages::Packages;
use crate::common::trees::{Attached, NOBODY, SYSTEM, document};
use crate::common::{REFCOW, cannot_record, python, run, skipped};

const APP: &str = include_str!("live/app.py");
const TASKS: &str = include_str!("live/tasks.py");
static PACKAGES: Packages = Packages::new(include_str!("live/requirements.txt"));

/// Those that any user may start: the system's own, and where that is not there, the newest that all packages are built for.
const PYTHONS: [&str; 2] = [SYSTEM, "/usr/bin/python3.14"];

/// Workers of each server.
const WORKERS: usize = 2;

/// A server, each with two workers that have the application from their parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    GunicornSync,
    GunicornThreads,
    Uwsgi,
    Celery,
}

impl Kind {
    fn words(self) -> Vec<&'static str> {
        // Each listens on its standard input; Celery has a folder instead.
        let gunicorn = "-m gunicorn --preload -w 2 --timeout 600 --no-control-socket --bind fd://0 app:application";
        let threads = " -k gthread --threads 2";
        let uwsgi = "--master --processes 2 --die-on-term --need-app --http-socket fd://0 --pythonpath . --module app";
        let celery = "-m celery -A tasks worker --pool prefork -c 2 --without-gossip --without-mingle --without-heartbeat";
        let words = |text: &'static str| text.split_whitespace();
        match self {
            Self::GunicornSync => words(gunicorn).collect(),
            Self::GunicornThreads => words(gunicorn).chain(words(threads)).collect(),
            Self::Uwsgi => {
                let starts = ["-c", "import pyuwsgi, sys; pyuwsgi.run(sys.argv[1:])"];
                starts.into_iter().chain(words(uwsgi)).collect()
            }
            Self::Celery => words(celery).collect(),
        }
    }
}

/// What runs it: nobody, or refcow with these options.
struct Start<'a> {
    kind: Kind,
    refcow: Option<&'a [&'a str]>,
    freeze: bool,
    user: Option<u32>,
}

/// One that runs.
struct Server {
    child: Child,
    folder: TempDir,
    said: Lines<BufReader<ChildStdout>>,
    /// Where it listens; or who sends tasks.
    asks: Asks,
}

enum Asks {
    Http(SocketAddr),
    Tasks(Child, ChildStdin),
}

/// A folder that everybody may read, with the application in it, and for another user the packages, too.
fn folder_of(start: &Start<'_>, packages: &Path) -> (TempDir, PathBuf) {
    let folder = run::public_folder();
    let anybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), anybody).unwrap();
    std::fs::write(folder.path().join("app.py"), APP).unwrap();
    std::fs::write(folder.path().join("tasks.py"), TASKS).unwrap();
    if start.user.is_none() {
        return (folder, packages.to_owned());
    }
    let copy = folder.path().join("site-packages");
    let mut copies = Command::new("cp");
    run::succeeded("cp", run::output(copies.arg("-r").arg(packages).arg(&copy)));
    let mut opens = Command::new("chmod");
    run::succeeded("chmod", run::output(opens.args(["-R", "a+rX"]).arg(&copy)));
    (folder, copy)
}

impl Server {
    /// `None`: it cannot be had here, which has been said.
    fn start(start: &Start<'_>) -> Option<Self> {
        let Some(system) = PYTHONS.into_iter().find(|one| Path::new(one).exists()) else {
            skipped(
                "servers",
                "there is no Python of the system's that has packages",
            );
            return None;
        };
        let packages = PACKAGES.installed(system, python());
        let packages = packages.map_err(|why| skipped("servers", &why)).ok()?;
        let (folder, packages) = folder_of(start, packages);
        let program = |command: &mut Command| {
            command
                .current_dir(folder.path())
                .env("PYTHONPATH", &packages)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("HOME", folder.path())
                .stderr(Stdio::null());
            if start.freeze {
                command.env("FREEZE", "1");
            }
            if let Some(user) = start.user {
                command.uid(user).gid(user);
            }
        };
        let mut command = match start.refcow {
            None => Command::new(system),
            Some(options) => {
                let mut refcow = Command::new(REFCOW);
                refcow.args(["run", "-q", "--format", "json", "--output", "run.json"]);
                refcow.args(options).arg("--").arg(system);
                refcow
            }
        };
        program(&mut command);
        if start.refcow.is_some() {
            command.env("TRACED", "1");
        }
        command.args(start.kind.words()).stdout(Stdio::piped());
        let asks = match start.kind {
            Kind::Celery => {
                command.stdin(Stdio::null());
                let mut sends = Command::new(system);
                program(&mut sends);
                let mut sends = sends.arg("tasks.py").stdin(Stdio::piped()).spawn().unwrap();
                let input = sends.stdin.take().unwrap();
                Asks::Tasks(sends, input)
            }
            _ => {
                // It takes up what waits there when it is ready.
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                command.stdin(OwnedFd::from(listener));
                Asks::Http(address)
            }
        };
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Self {
            child,
            folder,
            said,
            asks,
        })
    }

    /// Has a worker do something: which.
    fn ask(&mut self, what: &str) -> i32 {
        match &mut self.asks {
            Asks::Http(address) => {
                let mut stream = TcpStream::connect(*address).unwrap();
                write!(stream, "GET /{what} HTTP/1.0\r\n\r\n").unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                answer.lines().last().unwrap().parse().expect(&answer)
            }
            Asks::Tasks(_, input) => {
                writeln!(input, "{what}").unwrap();
                let mut pids = self.said.by_ref().map(Result::unwrap);
                // Celery says other things there, too.
                pids.find_map(|line| line.parse().ok()).expect("a worker")
            }
        }
    }

    /// Waits until all have done what there is to do when they have answered, and has them stand still: a server never rests.
    fn halt(&self, workers: &BTreeSet<i32>) {
        let all = self.with_parent(workers);
        all.iter().for_each(|pid| settle(*pid).unwrap());
        all.into_iter().for_each(stop);
    }

    fn go_on(&self, workers: &BTreeSet<i32>) {
        self.with_parent(workers).into_iter().for_each(go_on);
    }

    fn with_parent(&self, workers: &BTreeSet<i32>) -> Vec<i32> {
        let parent = self.child.id().cast_signed();
        workers.iter().copied().chain([parent]).collect()
    }

    /// Has all workers do it. While one does, the kernel may give all that comes to another one: those that have done it stand still.
    fn ask_all(&mut self, what: &str) -> BTreeSet<i32> {
        let stands_still = matches!(self.asks, Asks::Http(_));
        let mut workers = BTreeSet::new();
        while workers.len() < WORKERS {
            let worker = self.ask(what);
            if workers.insert(worker) && stands_still {
                stop(worker);
            }
        }
        workers.iter().copied().for_each(go_on);
        workers
    }

    /// Ends it as its users do; what refcow has written.
    fn end(mut self) -> Option<TreeFigures> {
        self.tell_to_end();
        assert!(self.child.wait().unwrap().code().is_some());
        let written = std::fs::read_to_string(self.folder.path().join("run.json"));
        let mut trees = document(&written.ok()?).trees;
        assert_eq!(trees.len(), 1, "{trees:#?}");
        Some(trees.remove(0))
    }

    fn tell_to_end(&self) {
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tell_to_end();
        let _ = self.child.wait();
        if let Asks::Tasks(sends, _) = &mut self.asks {
            let _ = sends.kill();
            let _ = sends.wait();
        }
    }
}

/// Has a process stand still, whether somebody traces it or not.
fn stop(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    let state = || Process::new(pid).and_then(|process| process.stat());
    while !matches!(state().unwrap().state, 'T' | 't') {
        std::thread::yield_now();
    }
}

fn go_on(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
}

fn recorded(tree: &TreeFigures) -> &RecordedFigures {
    tree.recorded.as_ref().expect("it was recorded")
}

/// Pages of the rows: each is two words of the collector's, a count, a type and two fields at least.
const ROWS: u64 = 40_000 * 48 / 4096;

/// Pages of the rows that were copied for a cause, while workers worked: who frees an object takes it out of the collector's list.
fn of_rows(recorded: &RecordedFigures, cause: Cause) -> u64 {
    let all = recorded.causes.iter().filter(|one| {
        one.pages_are == PagesAre::Copied
            && one.cause == Some(cause)
            && one.phase != Some(Phase::Shutdown)
            && one.type_name.as_deref() == Some("app.Row")
    });
    all.map(|one| one.pages).sum()
}

#[rstest]
#[case::gunicorn(Kind::GunicornSync)]
#[case::gunicorn_with_threads(Kind::GunicornThreads)]
#[case::uwsgi(Kind::Uwsgi)]
#[case::celery(Kind::Celery)]
fn the_applications_own_types_are_named_at_the_lines_that_use_them(#[case] kind: Kind) {
    if cannot_record("servers") {
        return;
    }
    let start = Start {
        kind,
        refcow: Some(&["--lines=1"]),
        freeze: false,
        user: None,
    };
    let Some(mut server) = Server::start(&start) else {
        return;
    };
    let workers = server.ask_all("use");
    let tree = server.end().unwrap();
    let recorded = recorded(&tree);
    let line = APP.lines().position(|line| line.ends_with("# MARK use"));
    let line = format!("/app.py:{})", line.unwrap() + 1);
    let is_use = |text: &String| text.starts_with("use (/") && text.ends_with(&line);
    let all = recorded.causes.iter().filter(|one| {
        one.line.as_ref().is_some_and(is_use)
            && one.own_line.is_none()
            && one.cause == Some(Cause::Refcount)
            && one.type_name.as_deref() == Some("app.Row")
    });
    let pages: u64 = all.map(|one| one.pages).sum();
    let all_rows = ROWS * WORKERS as u64;
    // Other things lie beside some of them.
    let most = all_rows + all_rows / 10;
    assert!(
        (all_rows * 9 / 10..most).contains(&pages),
        "{pages} of {all_rows}: {recorded:#?}"
    );
    for pid in workers {
        let mut all = recorded.processes.iter();
        let worker = all.find(|one| one.pid == pid).expect("a worker");
        assert!(worker.copied_pages > ROWS * 9 / 10, "{worker:?}");
        assert!(worker.ended && worker.last_look.is_some(), "{worker:?}");
    }
    assert_eq!(recorded.lost_faults, 0);
    assert_eq!(recorded.without_last_look, Some(Vec::new()));
    // The guide says the same of it.
    let shown = shown(kind);
    let is_row = |row: &str| {
        let words: Vec<&str> = row.split_whitespace().collect();
        words
            .windows(2)
            .any(|words| words == ["refcount", "app.Row"])
    };
    assert!(shown.lines().any(is_row), "{shown}");
    assert!(shown.contains(&format!("use (/app{line}")), "{shown}");
}

/// What the guide shows of a server.
fn shown(kind: Kind) -> &'static str {
    let guide = include_str!("../docs/guide/live.md");
    let heading = match kind {
        Kind::GunicornSync | Kind::GunicornThreads => "\n### gunicorn\n",
        Kind::Uwsgi => "\n### uWSGI\n",
        Kind::Celery => "\n### Celery\n",
    };
    let (_, behind) = guide.split_once(heading).expect(heading);
    behind.split("\n##").next().unwrap()
}

#[rstest]
#[case::gunicorn(Kind::GunicornSync)]
#[case::gunicorn_with_threads(Kind::GunicornThreads)]
#[case::uwsgi(Kind::Uwsgi)]
#[case::celery(Kind::Celery)]
fn a_freeze_before_the_fork_keeps_collections_from_copying(#[case] kind: Kind) {
    if cannot_record("servers") {
        return;
    }
    let copied = |freeze| {
        let start = Start {
            kind,
            refcow: Some(&[]),
            freeze,
            user: None,
        };
        let mut server = Server::start(&start)?;
        server.ask_all("collect");
        let tree = server.end().unwrap();
        let finding = tree.findings.iter().find(|one| one.id == "collections");
        let bytes = finding.map_or(0, |finding| finding.bytes);
        Some((of_rows(recorded(&tree), Cause::Gc), bytes))
    };
    let Some((pages, bytes)) = copied(false) else {
        return;
    };
    let (frozen_pages, frozen_bytes) = copied(true).unwrap();
    let all_rows = ROWS * WORKERS as u64;
    assert!(pages > all_rows * 9 / 10, "{pages} of {all_rows}");
    assert!(bytes > all_rows * 4096, "{bytes}");
    assert_eq!(frozen_pages, 0);
    assert!(frozen_bytes < bytes / 10, "{frozen_bytes} of {bytes}");
}

/// What `attach` sees of a process's tree at once.
fn look(mut refcow: Command, pid: u32) -> TreeFigures {
    refcow.args(["attach", &pid.to_string(), "--for", "0", "--format", "json"]);
    let printed = run::succeeded("refcow attach", run::output(&mut refcow));
    document(&printed).trees.remove(0)
}

fn process(tree: &TreeFigures, pid: i32) -> &ProcessFigures {
    let mut all = tree.processes.iter();
    all.find(|one| one.pid == pid).expect("a member")
}

#[rstest]
#[case::gunicorn(Kind::GunicornSync)]
#[case::gunicorn_with_threads(Kind::GunicornThreads)]
#[case::uwsgi(Kind::Uwsgi)]
#[case::celery(Kind::Celery)]
fn what_is_recorded_is_what_the_page_frames_say_and_an_ordinary_user_gets_the_same(
    #[case] kind: Kind,
) {
    if cannot_record("servers") {
        return;
    }
    let is_root = geteuid().is_root();
    let start = Start {
        kind,
        refcow: None,
        freeze: true,
        user: is_root.then_some(NOBODY),
    };
    let Some(mut server) = Server::start(&start) else {
        return;
    };
    let (_folder, public) = run::public_copies();
    let as_user = || {
        let mut refcow = Command::new(&public);
        if is_root {
            refcow.uid(NOBODY).gid(NOBODY).current_dir("/");
        }
        refcow
    };
    let pid = server.child.id();
    let workers = server.ask_all("collect");
    server.halt(&workers);
    let before = look(Command::new(REFCOW), pid);
    let attached = Attached::to(Command::new(REFCOW), pid.cast_signed());
    server.go_on(&workers);
    server.ask_all("use");
    server.halt(&workers);
    let tree = attached.end();
    let after = look(Command::new(REFCOW), pid);
    let user = look(as_user(), pid);
    let recorded = recorded(&tree);
    assert_eq!(recorded.lost_faults, 0);
    // What was copied and made, and not given back, is what there is more by page frames, or PSS.
    let all = recorded.processes.iter();
    let more = all.map(|one| {
        let made = one.copied_pages + one.rewritten_pages + one.new_pages;
        made - one.given_back_pages.expect("it lives")
    });
    let taken = |tree: &TreeFigures| tree.total.as_ref().unwrap().anonymous_bytes.unwrap() / 4096;
    assert_eq!(
        more.sum::<u64>(),
        taken(&tree) - taken(&before),
        "{recorded:#?}"
    );
    for pid in &workers {
        let mut all = recorded.processes.iter();
        let one = all.find(|one| one.pid == *pid).expect("a worker");
        assert!(one.copied_pages > ROWS * 9 / 10, "{one:?}");
        let unshared = |one: &ProcessFigures| {
            one.copied_pages + one.written_by_both_pages + one.left_behind_pages + one.unknown_pages
        };
        let (root, user) = (process(&after, *pid), process(&user, *pid));
        assert_eq!(
            (root.shared_pages, unshared(root), root.new_pages),
            (user.shared_pages, unshared(user), user.new_pages)
        );
    }
    // It is as it was, and serves on.
    server.go_on(&workers);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("TracerPid:\t0\n"), "{status}");
    assert_eq!(server.ask_all("use"), workers);
    server.end();
    for pid in workers {
        let is_there = Path::new(&format!("/proc/{pid}/maps")).exists();
        assert!(!is_there, "worker {pid} has not ended");
    }
}
