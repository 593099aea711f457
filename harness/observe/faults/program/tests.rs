//! The program in the kernel, tried on this process.

use super::instructions::{FRAME, HEAD, MOST_TREES, status};
use super::record::Record;
use super::*;
use crate::capabilities::{CAP_PERFMON, has_capability};
use crate::untouched::untouched;

#[test]
fn the_kernel_takes_the_program_or_lets_nobody_load_one() {
    /// `CAP_BPF`.
    const CAP_BPF: u32 = 39;
    let release = procfs::sys::kernel::Version::current().unwrap();
    let is_new = (release.major, release.minor) >= (5, 17);
    let may = [CAP_BPF, CAP_PERFMON].map(|number| has_capability(number) == Some(true));
    let may = may == [true; 2] && sees_all_numbers() && cfg!(target_arch = "x86_64");
    let loaded = FaultProgram::load(1 << 16, Some(1)).map(|_| ());
    assert_eq!(loaded.is_ok(), is_new && may, "{loaded:?}");
}

fn ran(code: u64, place: u64, table: u64) -> Ran {
    Ran { code, place, table }
}

fn at(runtime: u64) -> Interpreter {
    Interpreter { minor: 11, runtime }
}

/// A record as the program packs it.
fn record(status: i32, tree: u64, ending: u64, frames: &[u64]) -> Vec<u8> {
    let packed = status as u64 | tree << 8 | ending << 16;
    let head = [9, 41 << 32 | 42, 0x7f55_5678, 0x7f00_1234, packed];
    head.iter()
        .chain(frames)
        .flat_map(|word| word.to_ne_bytes())
        .collect()
}

#[test]
fn a_record_is_decoded_field_by_field() {
    let bytes = record(status::FRAMES, 1, 0b10, &[1, 2, 3, 4, 5, 6]);
    let decoded = Record::decode(&bytes).unwrap();
    assert_eq!((decoded.time, decoded.process, decoded.thread), (9, 41, 42));
    assert_eq!(
        (decoded.address, decoded.instruction),
        (0x7f55_5678, 0x7f00_1234)
    );
    assert_eq!(decoded.ending, 0b10);
    let stack = Stack {
        of: Some(at(8)),
        frames: Ok(vec![ran(1, 2, 3), ran(4, 5, 6)]),
    };
    assert_eq!(decoded.stack(&[Some(at(7)), Some(at(8))]), Some(stack));
    // A tree that nobody has told of.
    assert_eq!(decoded.stack(&[Some(at(7))]), None);
    assert!(Record::decode(&bytes[..39]).is_none());
}

#[test]
fn why_there_are_no_frames_is_told_and_those_before_one_that_cannot_be_read() {
    for (status, frames, expected) in [
        (status::NO_FRAME, &[][..], Err(NoLine::NoFrame)),
        (status::FRAMES, &[], Err(NoLine::NoFrame)),
        (status::SEVERAL, &[], Err(NoLine::SeveralInterpreters)),
        (status::UNREADABLE, &[], Err(NoLine::Unreadable)),
        (status::UNREADABLE, &[1, 2, 3], Ok(vec![ran(1, 2, 3)])),
        (status::NO_ROOM, &[], Err(NoLine::Missed)),
    ] {
        let bytes = record(status, 0, 0, frames);
        let stack = Record::decode(&bytes)
            .unwrap()
            .stack(&[Some(at(7))])
            .unwrap();
        assert_eq!(stack.frames, expected);
    }
    let bytes = record(status::NOT_LOOKED, 0, 0, &[]);
    assert_eq!(Record::decode(&bytes).unwrap().stack(&[Some(at(7))]), None);
}

/// An event of the calling thread at which the program runs.
fn event(program: &FaultProgram) -> perf_event::Counter {
    use std::os::fd::AsRawFd as _;
    let mut event = perf_event::Builder::new(perf_event::events::Software::PAGE_FAULTS_MIN);
    event.observe_self().any_cpu().sample_period(1);
    let mut event = event.build().unwrap();
    program.attach(event.as_raw_fd()).unwrap();
    event.enable().unwrap();
    event
}

/// An interpreter of one thread with two frames, in this process's memory, with which the program cannot tell it from a real one.
struct Made {
    words: Box<[u64; 32]>,
    way: Way,
}

impl Made {
    fn new(owner_of_inner: u64) -> Self {
        #[expect(unsafe_code, reason = "nix would need its feature for this alone")]
        // SAFETY: it always succeeds, and asks nothing of its caller.
        let this = unsafe { nix::libc::pthread_self() };
        let mut words = Box::new([0; 32]);
        let base = words.as_ptr().expose_provenance() as u64;
        let at = |word: u64| base + word * 8;
        // 0: the first interpreter, at 1, with its thread at 4.
        words[0] = at(1);
        words[2] = at(4);
        // The state: next, identity, frame.
        words[5] = this;
        words[6] = at(8);
        // Frames: previous, code with a tag, place, owner.
        words[8..12].copy_from_slice(&[at(12), at(16) + 3, 11, owner_of_inner]);
        words[12..16].copy_from_slice(&[0, at(20) + 1, 22, 0]);
        // Their tables of lines.
        (words[17], words[21]) = (77, 88);
        let way = Way {
            first_interpreter: at(0),
            threads: 8,
            next_interpreter: 0,
            next_thread: 0,
            thread_id: 8,
            current: 16,
            current_in: None,
            owner: Some(24),
            previous: 0,
            code: 8,
            place: 16,
            code_mask: !7,
            line_table: 8,
        };
        Self { words, way }
    }
}

/// What the program says of a page that this thread touches.
fn touched(program: &mut FaultProgram) -> Vec<(Fault, Vec<Interpreter>)> {
    let event = event(program);
    let page = untouched(1);
    page[0] = 1;
    drop(event);
    let mut incidents = Vec::new();
    program.take(&mut incidents);
    let address = page.as_ptr().addr() as u64;
    let mut ends = Vec::new();
    let mut found = Vec::new();
    for incident in incidents {
        match incident.what {
            Happened::InterpreterEnds { of } => ends.push(of),
            Happened::Fault(fault) if fault.address == address => {
                found.push((fault, std::mem::take(&mut ends)));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn the_program_goes_from_the_interpreter_to_the_frames_of_the_thread() {
    let Ok(mut program) = FaultProgram::load(1 << 16, Some(1)) else {
        return;
    };
    let own = std::process::id().cast_signed();
    let none = touched(&mut program);
    assert!(
        matches!(none[..], [(Fault { stack: None, .. }, _)]),
        "{none:?}"
    );
    // One whose memory is not there, and one that is.
    let mut elsewhere = Made::new(0).way;
    elsewhere.first_interpreter = 8;
    program.tell_frames(at(70), &elsewhere).unwrap();
    let both = Made::new(0);
    program.tell_frames(at(80), &both.way).unwrap();
    let found = touched(&mut program);
    let stack = program.stack(found[0].0.stack.unwrap()).unwrap();
    let code = |of: &Made, word: usize| (&raw const of.words[word]).addr() as u64;
    let frames = vec![ran(code(&both, 16), 11, 77), ran(code(&both, 20), 22, 88)];
    assert_eq!((stack.of, &stack.frames), (Some(at(80)), &Ok(frames)));
    assert_eq!(found[0].0.thread, nix::unistd::gettid().as_raw());

    // A frame of C is none of Python's; and the thread of another identity has none.
    let of_c = Made::new(3);
    program.tell_frames(at(80), &of_c.way).unwrap();
    let found = touched(&mut program);
    let stack = program.stack(found[0].0.stack.unwrap()).unwrap();
    assert_eq!(stack.frames, Ok(vec![ran(code(&of_c, 20), 22, 88)]));
    let mut other = Made::new(0);
    other.words[5] += 1;
    program.tell_frames(at(80), &other.way).unwrap();
    let found = touched(&mut program);
    let stack = program.stack(found[0].0.stack.unwrap()).unwrap();
    assert_eq!(stack.frames, Err(NoLine::NoFrame));

    // It has another state, with a frame of its own.
    let mut two = Made::new(0);
    two.words[4] = (&raw const two.words[24]).expose_provenance() as u64;
    two.words[25] = two.words[5];
    program.tell_frames(at(80), &two.way).unwrap();
    let found = touched(&mut program);
    let stack = program.stack(found[0].0.stack.unwrap()).unwrap();
    assert!(stack.frames.is_ok(), "{stack:?}");
    two.words[26] = std::hint::black_box(two.words[6]);
    let found = touched(&mut program);
    let stack = program.stack(found[0].0.stack.unwrap()).unwrap();
    assert_eq!(stack.frames, Err(NoLine::SeveralInterpreters));

    // An interpreter ends from when it says so on, which is told once.
    let mut ending = Box::new(0_u64);
    program
        .tell_ending(at(80), (&raw const *ending).expose_provenance() as u64)
        .unwrap();
    assert!(touched(&mut program)[0].1.is_empty());
    *ending = std::hint::black_box(1);
    assert_eq!(touched(&mut program)[0].1, [at(80)]);
    assert!(touched(&mut program)[0].1.is_empty());
    program.ended(own);
    assert_eq!(touched(&mut program)[0].1, [at(80)]);
}

#[test]
fn where_there_is_no_room_for_frames_the_fault_is_told_of_and_that_nobody_looked() {
    const BYTES: usize = 1 << 16;
    const PAGES: usize = 900;
    for (one_in, looked_at) in [(1, PAGES), (7, PAGES / 7)] {
        let Ok(mut program) = FaultProgram::load(BYTES, Some(one_in)) else {
            return;
        };
        let made = Made::new(0);
        program.tell_frames(at(80), &made.way).unwrap();
        let event = event(&program);
        let pages = untouched(PAGES);
        for page in pages.chunks_mut(pages.len() / PAGES) {
            page[0] = 1;
        }
        drop(event);
        let mut incidents = Vec::new();
        program.take(&mut incidents);
        let all = pages.as_ptr_range();
        let all = all.start.addr() as u64..all.end.addr() as u64;
        let mut stacks = FxHashMap::default();
        for incident in incidents {
            if let Happened::Fault(fault) = incident.what
                && all.contains(&fault.address)
            {
                let stack = fault.stack.and_then(|number| program.stack(number));
                *stacks.entry(stack.cloned()).or_insert(0) += 1;
            }
        }
        let missed: usize = stacks.remove(&Some(Stack::MISSED)).unwrap_or(0);
        let not_looked_at = stacks.remove(&None).unwrap_or(0);
        let seen: usize = stacks.values().sum();
        assert_eq!((seen + missed + not_looked_at, stacks.len()), (PAGES, 1));
        // Each processor counts by itself.
        let processors = std::thread::available_parallelism().unwrap().get();
        let differs = (seen + missed).abs_diff(looked_at);
        assert!(differs <= processors, "{seen} + {missed}, 1 in {one_in}");
        // Half of the ring is for faults alone.
        let with_frames = (HEAD + 2 * FRAME + 8) as usize;
        let without = (HEAD + 8) as usize;
        let each = (with_frames + (one_in as usize - 1) * without) / one_in as usize;
        let expected = BYTES / 2 / each / one_in as usize;
        assert!(
            seen.abs_diff(expected) <= 4,
            "{seen} of {expected}, 1 in {one_in}"
        );
        assert!(missed > 0);
    }
}

#[test]
fn more_trees_than_there_is_room_for_are_refused() {
    let Ok(mut program) = FaultProgram::load(1 << 16, None) else {
        return;
    };
    let most = MOST_TREES as u64;
    for root in 0..most {
        program.tell_ending(at(root), 0).unwrap();
    }
    assert!(program.tell_ending(at(most), 0).is_err());
    program.tell_ending(at(0), 0).unwrap();
    // Those whose processes have ended make room, as soon as no record means them any more.
    program.keep(&[at(3)]).unwrap();
    assert_eq!(program.interpreters(), 1);
    assert!(program.tell_ending(at(most), 0).is_err());
    program.take(&mut Vec::new());
    program.tell_ending(at(most), 0).unwrap();
    assert_eq!(program.interpreters(), 2);
}

#[test]
fn who_has_ended_is_looked_at_no_more_and_its_place_is_as_new() {
    let Ok(mut program) = FaultProgram::load(1 << 16, Some(1)) else {
        return;
    };
    let (made, ending) = (Made::new(0), Box::new(std::hint::black_box(1_u64)));
    let ends = (&raw const *ending).expose_provenance() as u64;
    program.tell_frames(at(80), &made.way).unwrap();
    program.tell_ending(at(80), ends).unwrap();
    let found = touched(&mut program);
    assert!(found[0].0.stack.is_some());
    assert_eq!(found[0].1, [at(80)]);
    program.keep(&[]).unwrap();
    let found = touched(&mut program);
    assert!(found[0].0.stack.is_none() && found[0].1.is_empty());
    // Another tree has its place.
    program.tell_ending(at(90), ends).unwrap();
    assert_eq!(touched(&mut program)[0].1, [at(90)]);
    // Of two in which the thread has a frame, the first counts as long as it is there.
    let other = Made::new(0);
    program.tell_frames(at(90), &made.way).unwrap();
    program.tell_frames(at(91), &other.way).unwrap();
    let of = |program: &mut FaultProgram| {
        let found = touched(program);
        program.stack(found[0].0.stack.unwrap()).unwrap().of
    };
    assert_eq!(of(&mut program), Some(at(90)));
    program.keep(&[at(91)]).unwrap();
    assert_eq!(of(&mut program), Some(at(91)));
}

#[test]
fn stacks_of_what_is_held_back_get_other_numbers_and_the_rest_is_forgotten() {
    let Ok(mut program) = FaultProgram::load(1 << 16, Some(1)) else {
        return;
    };
    let made = Made::new(0);
    program.tell_frames(at(80), &made.way).unwrap();
    let other = Stack {
        of: Some(at(1)),
        frames: Err(NoLine::NoFrame),
    };
    program.stacks.push(other);
    let (fault, _) = touched(&mut program).remove(0);
    let mut held_back = [Incident {
        time: fault.time,
        process: fault.thread,
        what: Happened::Fault(fault),
    }];
    assert_eq!(fault.stack, Some(StackNumber(1)));
    program.forget(&mut held_back);
    let Happened::Fault(fault) = held_back[0].what else {
        panic!("it is one");
    };
    assert_eq!(
        (fault.stack, program.stacks.len()),
        (Some(StackNumber(0)), 1)
    );
    program.forget(&mut []);
    assert!(program.stacks.is_empty() && program.numbers.is_empty());
}
