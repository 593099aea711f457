//! How much memory refcow itself takes while it measures ten million objects.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::Criterion;
use procfs::process::Process;
use refcow::interrupt::{self, Wake};
use refcow::python::Interpreter;
use rustix::event::{PollFd, PollFlags};

use crate::BenchResult;
use crate::subject::refcow;
use crate::table::RatioTable;

const BETWEEN_READINGS: Duration = Duration::from_millis(2);
const LIMIT_MIB: f64 = 64.0;
const ARGUMENTS: [&str; 4] = ["measure", "ints", "--count", "10000000"];

pub fn run(criterion: &mut Criterion, _: &Interpreter, table: &mut RatioTable) -> BenchResult<()> {
    let what = "observer memory, refcow measure ints --count 10000000";
    let mut peak = None;
    let mut ten = std::mem::take(criterion).sample_size(10);
    ten.bench_function(what, |bencher| {
        bencher.iter_custom(|iterations| {
            // The peak is no time: once is enough, and criterion gets the time of that once.
            let (time, _) = peak.get_or_insert_with(|| {
                let start = Instant::now();
                let peak = peak_mib(&mut refcow(&ARGUMENTS));
                (start.elapsed(), peak)
            });
            *time * u32::try_from(iterations).unwrap_or(u32::MAX)
        });
    });
    *criterion = ten.sample_size(50);
    if let Some((_, peak)) = peak {
        table.add(
            what,
            peak?,
            LIMIT_MIB,
            " MiB",
            "VmHWM of refcow alone".into(),
        );
    }
    Ok(())
}

/// `VmHWM` of the process, read again and again until it has gone. The usage that `wait4` gives would not do: it is the
/// largest of the process and all that it has waited for, its subject included.
pub fn peak_mib(command: &mut Command) -> BenchResult<f64> {
    let mut refcow = command.stdout(Stdio::piped()).spawn()?;
    let process = Process::new(i32::try_from(refcow.id())?)?;
    let mut peak_kib = 0;
    let pid = rustix::process::Pid::from_child(&refcow);
    let ended = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    loop {
        if let Ok(status) = process.status() {
            peak_kib = peak_kib.max(status.vmhwm.unwrap_or(0));
        }
        let mut ends = [PollFd::new(&ended, PollFlags::IN)];
        if interrupt::wait(&mut ends, Some(Instant::now() + BETWEEN_READINGS))? != Wake::TimedOut {
            break;
        }
    }
    let mut report = String::new();
    refcow
        .stdout
        .take()
        .ok_or("its output is piped")?
        .read_to_string(&mut report)?;
    if !refcow.wait()?.success() {
        return Err("refcow failed".into());
    }
    Ok(peak_kib as f64 / 1024.0)
}
