//! Trees of processes that run already: a look at one, recording one, and what it costs a program that is recorded.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::Criterion;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use refcow::live::{document, family};
use refcow::observe::headers::Headers;
use refcow::observe::{LiveMemory, mappings, page_size};
use refcow::python::Interpreter;

use crate::observer_memory::peak_mib;
use crate::packages::Packages;
use crate::subject::{beside, succeeded};
use crate::table::RatioTable;
use crate::{BenchResult, page_state, turns};

const REFCOW: &str = env!("CARGO_BIN_EXE_refcow");
const GIB: u64 = 1 << 30;
/// As the guide has it: of so many faults one is looked at.
const ONE_IN: u64 = 7;

pub fn run(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    look(criterion, interpreter, table)?;
    classify(criterion, interpreter, table)?;
    programs(criterion, interpreter, table)?;
    many_faults(criterion, interpreter, table)?;
    idle(criterion, interpreter, table)?;
    server(criterion, interpreter, table)
}

/// A program beside this file that says one line when it is ready, and ends when its input does.
struct Tree {
    child: Child,
    said: String,
    _input: Option<ChildStdin>,
    /// More that it says.
    output: BufReader<std::process::ChildStdout>,
}

impl Tree {
    fn start(interpreter: &Interpreter, file: &str, words: &[&str]) -> BenchResult<Self> {
        let mut child = Command::new(&interpreter.executable)
            .arg(beside(file))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("its output is piped")?;
        let mut output = BufReader::new(output);
        let mut said = String::new();
        output.read_line(&mut said)?;
        let _input = child.stdin.take();
        Ok(Self {
            child,
            said,
            _input,
            output,
        })
    }

    fn numbers(&self) -> BenchResult<Vec<i32>> {
        let words = self.said.split_whitespace();
        Ok(words.map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self._input = None;
        let _ = self.child.wait();
    }
}

/// One look at a parent and four workers, each of which has a GiB from it.
fn look(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    let what = "attach --for 0 on 5 × 1 GiB : bare pread of their pagemaps";
    let bytes = GIB.to_string();
    let tree = Tree::start(interpreter, "live_tree.py", &["4", &bytes])?;
    let pids = tree.numbers()?;
    let ours = || {
        let start = Instant::now();
        let family = family::of_process(pids[0])?;
        let seen = document::now(family, true)?.ok_or("it has ended")?;
        let elapsed = start.elapsed();
        assert_eq!(seen.processes.len(), pids.len());
        Ok(elapsed)
    };
    let theirs = || {
        let mut sum = Duration::ZERO;
        for pid in &pids {
            sum += page_state::bare(*pid, &mappings(*pid)?)?;
        }
        Ok(sum)
    };
    if let Some(turns) = turns::take(criterion, what, ours, theirs)? {
        table.add(what, turns.ratio(), 1.3, "x", turns.times());
    }
    Ok(())
}

/// What stands at addresses at which objects begin, one on each page, none of which was asked for before.
fn classify(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    let what = "classifying a faulted address, cold";
    let minor = interpreter.series.1;
    let mut tree = Tree::start(interpreter, "live_objects.py", &["200000"])?;
    let mut addresses = vec![0; usize::try_from(tree.numbers()?[0])? * size_of::<u64>()];
    tree.output.read_exact(&mut addresses)?;
    let (words, _) = addresses.as_chunks::<8>();
    let mut addresses: Vec<u64> = words.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    addresses.sort_unstable();
    addresses.dedup_by_key(|address| *address / page_size());
    let pid = tree.child.id().cast_signed();
    let mut unknown = 0;
    let ours = || {
        let mut memory = LiveMemory::open(pid)?;
        let mut headers = Headers::new(minor, |address, buffer: &mut [u8]| {
            memory.read(address, buffer)
        });
        let start = Instant::now();
        let found = addresses.iter().filter(|at| headers.at(**at).is_some());
        let found = found.count();
        let elapsed = start.elapsed();
        unknown = addresses.len() - found;
        Ok(elapsed)
    };
    if let Some(turns) = turns::take(criterion, what, ours, || Ok(Duration::from_secs(1)))? {
        let each = turns::median(&turns.ours) / u32::try_from(addresses.len())?;
        let figures = format!("{} pages; {unknown} of them unknown", addresses.len());
        table.add(what, each.as_secs_f64() * 1e6, 20.0, " µs", figures);
    }
    Ok(())
}

/// A pool of which the workers copy 100,000 pages: alone, and under `run`.
fn programs(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    let program = |file: &str| {
        let mut words = vec![interpreter.executable.clone()];
        words.push(beside(file));
        words
    };
    let alone = |file: &str| {
        let words = program(file);
        let start = Instant::now();
        succeeded(Command::new(&words[0]).args(&words[1..]))?;
        Ok(start.elapsed())
    };
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("run.json");
    let recorded = |file: &str, options: &[&str]| {
        let start = Instant::now();
        let mut refcow = Command::new(REFCOW);
        refcow.args(["run", "-q", "--format", "json", "--output"]);
        refcow
            .arg(&place)
            .args(options)
            .arg("--")
            .args(program(file));
        succeeded(&mut refcow)?;
        Ok(start.elapsed())
    };
    let mut few = std::mem::take(criterion).sample_size(10);
    for (what, file, limit) in [
        (
            "run of a Pool that copies 100,000 pages : alone",
            "live_pool.py",
            1.05,
        ),
        (
            "run of workers that only copy 100,000 pages : alone",
            "live_copies.py",
            1.1,
        ),
    ] {
        let taken = turns::take(&mut few, what, || recorded(file, &[]), || alone(file))?;
        if let Some(turns) = taken {
            table.add(what, turns.ratio(), limit, "x", turns.times());
        }
    }
    let file = "live_pool.py";
    let some = format!("--lines={ONE_IN}");
    let by_program: &[&str] = &["--lines"];
    let by_stops: &[&str] = &[&some, "--no-bpf"];
    for (words, each, options) in [
        ("--lines", "a page with a line", by_program),
        ("--lines --no-bpf", "a stop", by_stops),
    ] {
        let what = &format!("run {words} of a Pool that copies 100,000 pages : alone");
        let mut plain = Vec::new();
        let ours = || recorded(file, options);
        let Some(turns) = turns::take(&mut few, what, ours, || alone(file))? else {
            continue;
        };
        table.add(what, turns.ratio(), 1.3, "x", turns.times());
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&place)?)?;
        let trees = document["trees"].as_array().into_iter().flatten();
        let stops = trees.filter_map(|tree| tree["recorded"]["lines"]["looked_at_pages"].as_u64());
        let stops: u64 = stops.sum();
        for _ in 0..turns.ours.len() {
            plain.push(recorded(file, &options[1..])?);
        }
        let more = turns::median(&turns.ours).saturating_sub(turns::median(&plain));
        let time = more.as_secs_f64() * 1e6 / stops.max(1) as f64;
        let figures = format!("{stops} pages; {more:.3?} more than without --lines");
        table.add(&format!("run {words}, {each}"), time, 15.0, " µs", figures);
    }
    *criterion = few.sample_size(50);
    Ok(())
}

/// What refcow itself takes while it records ten workers, one after the other, that copy 100,000 pages each.
fn many_faults(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    let what = "refcow's memory, run with 1,000,000 page faults";
    let mut peak = None;
    let mut few = std::mem::take(criterion).sample_size(10);
    few.bench_function(what, |bencher| {
        bencher.iter_custom(|iterations| {
            let (time, _) = peak.get_or_insert_with(|| {
                let mut refcow = Command::new(REFCOW);
                refcow.args([
                    "run",
                    "-q",
                    "--format",
                    "json",
                    "--output",
                    "/dev/null",
                    "--",
                ]);
                refcow.arg(&interpreter.executable);
                refcow.arg(beside("live_copies.py")).arg("10");
                let start = Instant::now();
                let peak = peak_mib(&mut refcow);
                (start.elapsed(), peak)
            });
            *time * u32::try_from(iterations).unwrap_or(u32::MAX)
        });
    });
    *criterion = few.sample_size(50);
    if let Some((_, peak)) = peak {
        table.add(what, peak?, 64.0, " MiB", "VmHWM of refcow alone".into());
    }
    Ok(())
}

/// What refcow takes of a processor while a parent and four workers wait.
fn idle(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    let what = "refcow's part of a processor while a tree of 5 idles";
    const TIME: Duration = Duration::from_secs(3);
    let tree = Tree::start(interpreter, "live_tree.py", &["4", "67108864"])?;
    let pid = tree.numbers()?[0].to_string();
    let mut parts = Vec::new();
    let used = || -> BenchResult<Duration> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let micros = |time: nix::sys::time::TimeVal| {
            Duration::from_micros((time.tv_sec() * 1_000_000 + time.tv_usec()).unsigned_abs())
        };
        Ok(micros(usage.user_time()) + micros(usage.system_time()))
    };
    let ours = || {
        let before = used()?;
        let time = format!("{}s", TIME.as_secs());
        let mut refcow = Command::new(REFCOW);
        refcow.args([
            "attach",
            &pid,
            "-q",
            "--for",
            &time,
            "--output",
            "/dev/null",
        ]);
        succeeded(&mut refcow)?;
        let used = used()?.saturating_sub(before);
        parts.push(100.0 * used.as_secs_f64() / TIME.as_secs_f64());
        Ok(used)
    };
    let mut few = std::mem::take(criterion).sample_size(10);
    let taken = turns::take(&mut few, what, ours, || Ok(TIME))?;
    *criterion = few.sample_size(50);
    if taken.is_some() {
        let figures = format!("of {} recordings of {} s", parts.len(), TIME.as_secs());
        table.add(what, turns::median(&parts), 5.0, " %", figures);
    }
    Ok(())
}

/// gunicorn with two workers, which answers requests.
struct Server {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Its workers stay, or come and go.
    fn start(interpreter: &Interpreter, site: &std::path::Path, stay: bool) -> BenchResult<Self> {
        let folder = tempfile::tempdir()?;
        let app = include_str!("../../tests/live/app.py");
        std::fs::write(folder.path().join("app.py"), app)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let words = "-m gunicorn --preload -w 2 --no-control-socket --bind fd://0 app:application";
        let replaced: &[&str] = if stay {
            &[]
        } else {
            &["--max-requests", "100"]
        };
        let child = Command::new(&interpreter.executable)
            .args(words.split(' '))
            .args(replaced)
            .current_dir(folder.path())
            .env("PYTHONPATH", site)
            .env("HOME", folder.path())
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self {
            child,
            address,
            _folder: folder,
        };
        server.requests(10)?;
        Ok(server)
    }

    /// So many, one after the other.
    fn requests(&self, number: u32) -> BenchResult<Duration> {
        let start = Instant::now();
        for _ in 0..number {
            let mut stream = TcpStream::connect(self.address)?;
            stream.write_all(b"GET /use HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            if !answer.starts_with("HTTP/1.1 200") && !answer.starts_with("HTTP/1.0 200") {
                return Err(format!("the server answered {answer}").into());
            }
        }
        Ok(start.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}

/// refcow, attached until this is dropped.
struct Attached(Child);

impl Attached {
    fn to(server: &Server, options: &[&str]) -> BenchResult<Self> {
        let mut refcow = Command::new(REFCOW);
        refcow.args(["attach", &server.child.id().to_string(), "--every", "1s"]);
        refcow.args(options).args(["--output", "/dev/null"]);
        let mut child = refcow.stderr(Stdio::piped()).spawn()?;
        let said = child.stderr.take().ok_or("its errors are piped")?;
        let mut said = BufReader::new(said).lines();
        let recorded = |line: &String| line.contains("copied");
        if !said
            .by_ref()
            .map_while(Result::ok)
            .any(|line| recorded(&line))
        {
            return Err("refcow attach did not begin".into());
        }
        std::thread::spawn(move || said.for_each(drop));
        Ok(Self(child))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT);
        let _ = self.0.wait();
    }
}

/// The same requests to two servers, one of which refcow is attached to.
fn server(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    const REQUESTS: u32 = 400;
    let (alone, with_lines): (&[&str], &[&str]) = (&[], &["--lines"]);
    // Workers that are replaced copy all the time, and each is forked, looked at, and ends.
    let rows = [
        ("400 requests to gunicorn", "", alone, true, 0.97),
        (
            "400 requests to gunicorn",
            " with --lines",
            with_lines,
            true,
            0.85,
        ),
        ("400 requests, 4 new workers", "", alone, false, 0.97),
        (
            "400 requests, 4 new workers",
            " with --lines",
            with_lines,
            false,
            0.85,
        ),
    ];
    let python = interpreter
        .executable
        .to_str()
        .ok_or("its path is not UTF-8")?;
    let packages = Packages::new(include_str!("../../tests/live/requirements.txt"));
    let site = packages.installed(python, python);
    let mut few = std::mem::take(criterion).sample_size(10);
    for (what, with, options, stay, kept) in rows {
        let what = &format!("{what}, attached{with} : not");
        let limit = 1.0 / kept;
        let site = match &site {
            Ok(site) => site,
            Err(why) => {
                table.absent(what, limit, "x", why);
                continue;
            }
        };
        let (ours, theirs) = (
            Server::start(interpreter, site, stay)?,
            Server::start(interpreter, site, stay)?,
        );
        let attached = Attached::to(&ours, options)?;
        let taken = turns::take(
            &mut few,
            what,
            || ours.requests(REQUESTS),
            || theirs.requests(REQUESTS),
        )?;
        drop(attached);
        if let Some(turns) = taken {
            let mut figures = turns.times();
            let kept = 100.0 / turns.ratio();
            let _ = write!(figures, "; {kept:.1} % of the requests a second");
            table.add(what, turns.ratio(), limit, "x", figures);
        }
    }
    *criterion = few.sample_size(50);
    Ok(())
}
