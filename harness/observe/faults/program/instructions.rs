//! The instructions of the program.

use crate::bpf::Register::{self, R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};
use crate::bpf::{Assembler, Label, Map};

/// So many trees have an interpreter that is looked into.
pub(super) const MOST_TREES: usize = 16;
/// As many as are looked through from outside.
const MOST_FRAMES: i32 = 500;
/// A list that is longer is none.
const MOST_STATES: i32 = 10_000;

/// Words of a record before its frames: time, process and thread, address, instruction, and what is packed.
pub(super) const HEAD: i32 = 5 * 8;
/// A frame: its code, its place there, and the address of the table of lines of that.
pub(super) const FRAME: i32 = 24;

/// What the program has for itself on each processor: a record, and behind it what counts.
///
/// What counts is not on its stack, where the kernel would follow each number that it can have.
pub(super) const SCRATCH: usize = RECORD + 3 * 8 + LONGEST_FRAME as usize;
const RECORD: usize = (HEAD + MOST_FRAMES * FRAME) as usize;

/// More bytes of a frame are not read.
const LONGEST_FRAME: i32 = 120;

/// Places in it.
mod counted {
    use super::RECORD;

    /// How many faults more are not looked at.
    pub(super) const LEFT: i16 = RECORD as i16;
    /// How many states of the thread have a frame.
    pub(super) const FOUND: i16 = LEFT + 8;
    pub(super) const FRAMES: i16 = LEFT + 16;
    /// A frame as it was read.
    pub(super) const READ: i16 = LEFT + 24;
}

/// What is told to the program: of how many faults one is looked at, or 0; how many trees there are; and each of these.
pub(super) const TOLD: usize = TREES + MOST_TREES * TREE;
/// Words before the first tree.
pub(super) const TREES: usize = 2;
/// Words of a tree.
pub(super) const TREE: usize = 15;

/// Words of a tree, in bytes from its start.
pub(super) mod of_tree {
    /// Where its interpreter says that it ends; 0: nobody asks.
    pub(crate) const ENDING: i16 = 0;
    /// The address of its first interpreter; 0: nobody asks for frames.
    pub(crate) const FIRST: i16 = 8;
    pub(crate) const THREADS: i16 = 16;
    pub(crate) const NEXT_INTERPRETER: i16 = 24;
    pub(crate) const NEXT_THREAD: i16 = 32;
    pub(crate) const IDENTITY: i16 = 40;
    pub(crate) const CURRENT: i16 = 48;
    /// These two with one more than they are, and 0 if there is none.
    pub(crate) const CURRENT_IN: i16 = 56;
    pub(crate) const OWNER: i16 = 64;
    pub(crate) const PREVIOUS: i16 = 72;
    pub(crate) const CODE: i16 = 80;
    pub(crate) const PLACE: i16 = 88;
    /// Which bits of the address of a code count.
    pub(crate) const MASK: i16 = 96;
    /// How many bytes of a frame hold all that is wanted of it.
    pub(crate) const LENGTH: i16 = 104;
    /// Where a code has its table of lines, by which it is known again.
    pub(crate) const TABLE: i16 = 112;
}

/// What the program found.
pub(super) mod status {
    /// It did not look.
    pub(crate) const NOT_LOOKED: i32 = 0;
    pub(crate) const FRAMES: i32 = 1;
    pub(crate) const NO_FRAME: i32 = 2;
    pub(crate) const SEVERAL: i32 = 3;
    pub(crate) const UNREADABLE: i32 = 4;
    /// It was to look, and there was no room for frames.
    pub(crate) const NO_ROOM: i32 = 5;
}

/// What the program is made of.
pub(super) struct Parts<'a> {
    pub(super) told: &'a Map,
    pub(super) scratch: &'a Map,
    pub(super) ring: &'a Map,
    /// From so many bytes on that have not been taken up, no frames are written: they would leave no room for faults.
    pub(super) enough: i32,
    /// Where `task_struct` has it.
    pub(super) thread_pointer: i32,
}

/// `enum bpf_func_id` of linux/bpf.h.
mod helper {
    pub(super) const LOOKUP: i32 = 1;
    pub(super) const TIME: i32 = 5;
    pub(super) const PROCESS_AND_THREAD: i32 = 14;
    pub(super) const CURRENT_TASK: i32 = 35;
    pub(super) const READ_USER: i32 = 112;
    pub(super) const READ_KERNEL: i32 = 113;
    pub(super) const RING_OUTPUT: i32 = 130;
    pub(super) const RING_QUERY: i32 = 134;
    pub(super) const LOOP: i32 = 181;
}

/// Places in `struct bpf_perf_event_data` (asm/ptrace.h, linux/bpf_perf_event.h) of x86-64.
mod context {
    pub(super) const INSTRUCTION: i16 = 128;
    pub(super) const ADDRESS: i16 = 176;
}

/// What all functions of the program see on the first one's stack, from the address that each is given.
mod seen {
    pub(super) const RECORD: i16 = 0;
    pub(super) const TOLD: i16 = 8;
    pub(super) const TREE: i16 = 16;
    pub(super) const IDENTITY: i16 = 24;
    pub(super) const INTERPRETER: i16 = 32;
    pub(super) const STATE: i16 = 40;
    pub(super) const FRAME: i16 = 48;
    pub(super) const STATUS: i16 = 56;
    /// The number of the tree that has them.
    pub(super) const OF: i16 = 64;
    pub(super) const ENDING: i16 = 72;
    pub(super) const IS_WANTED: i16 = 80;
    pub(super) const BYTES: i16 = 88;
}

/// Where each function has what it reads.
const READ: i16 = -8;
/// Where the first function has what all see, and the key of a map.
const SEEN: i16 = -16 - seen::BYTES;
const KEY: i16 = -16;

/// Eight bytes at an address in R3 of the process, or a jump.
fn read_user(asm: &mut Assembler, to: Register, otherwise: Label) {
    asm.copy(R1, R10);
    asm.add_number(R1, READ.into());
    asm.set(R2, 8);
    asm.call(helper::READ_USER);
    asm.jump_if_not(R0, 0, otherwise);
    asm.load(to, R10, READ);
}

/// The same at an address and a word of the tree in R7 together.
fn read_field(asm: &mut Assembler, to: Register, of: Register, field: i16, otherwise: Label) {
    asm.load(R3, R7, field);
    asm.add(R3, of);
    read_user(asm, to, otherwise);
}

impl Parts<'_> {
    pub(super) fn program(&self) -> Assembler {
        let mut asm = Assembler::default();
        let (tree, state, frame) = (asm.label(), asm.label(), asm.label());
        self.record(&mut asm, tree);
        Self::each_tree(&mut asm, tree, state, frame);
        Self::each_state(&mut asm, state);
        Self::each_frame(&mut asm, frame);
        asm
    }

    fn lookup(asm: &mut Assembler, map: &Map, otherwise: Label) {
        asm.map(R1, map);
        asm.copy(R2, R10);
        asm.add_number(R2, KEY.into());
        asm.call(helper::LOOKUP);
        asm.jump_if(R0, 0, otherwise);
    }

    /// Writes a record. Where that cannot be, the kernel writes its own.
    fn record(&self, asm: &mut Assembler, tree: Label) {
        let (kernels, walk, look) = (asm.label(), asm.label(), asm.label());
        let see = |field: i16| SEEN + field;
        asm.copy(R6, R1);
        asm.store_number(R10, KEY, 0);
        Self::lookup(asm, self.scratch, kernels);
        asm.copy(R7, R0);
        Self::lookup(asm, self.told, kernels);
        asm.copy(R8, R0);
        asm.store(R10, see(seen::RECORD), R7);
        asm.store(R10, see(seen::TOLD), R8);
        for field in [
            seen::TREE,
            seen::IDENTITY,
            seen::INTERPRETER,
            seen::STATE,
            seen::FRAME,
            seen::STATUS,
            seen::OF,
            seen::ENDING,
            seen::IS_WANTED,
        ] {
            asm.store_number(R10, see(field), 0);
        }
        asm.store_number(R7, counted::FRAMES, 0);
        asm.call(helper::TIME);
        asm.store(R7, 0, R0);
        asm.call(helper::PROCESS_AND_THREAD);
        asm.store(R7, 8, R0);
        asm.load(R1, R6, context::ADDRESS);
        asm.store(R7, 16, R1);
        asm.load(R1, R6, context::INSTRUCTION);
        asm.store(R7, 24, R1);

        // Whether this one is looked at.
        asm.load(R1, R8, 0);
        asm.jump_if(R1, 0, walk);
        asm.load(R2, R7, counted::LEFT);
        asm.jump_if(R2, 0, look);
        asm.add_number(R2, -1);
        asm.store(R7, counted::LEFT, R2);
        asm.jump(walk);
        asm.here(look);
        asm.add_number(R1, -1);
        asm.store(R7, counted::LEFT, R1);
        asm.store_number(R10, see(seen::STATUS), status::NO_ROOM);
        asm.map(R1, self.ring);
        asm.set(R2, 0);
        asm.call(helper::RING_QUERY);
        asm.jump_if_at_least(R0, self.enough, walk);
        asm.store_number(R10, see(seen::STATUS), status::NOT_LOOKED);
        asm.call(helper::CURRENT_TASK);
        asm.copy(R3, R0);
        asm.add_number(R3, self.thread_pointer);
        asm.copy(R1, R10);
        asm.add_number(R1, see(seen::IDENTITY).into());
        asm.set(R2, 8);
        asm.call(helper::READ_KERNEL);
        asm.jump_if_not(R0, 0, walk);
        asm.store_number(R10, see(seen::IS_WANTED), 1);

        asm.here(walk);
        asm.load(R1, R8, 8);
        asm.address(R2, tree);
        asm.copy(R3, R10);
        asm.add_number(R3, SEEN.into());
        asm.set(R4, 0);
        asm.call(helper::LOOP);

        asm.load(R1, R10, see(seen::STATUS));
        asm.load(R2, R10, see(seen::OF));
        asm.shift_number(R2, 8);
        asm.or(R1, R2);
        asm.load(R2, R10, see(seen::ENDING));
        asm.shift_number(R2, 16);
        asm.or(R1, R2);
        asm.store(R7, 32, R1);
        asm.map(R1, self.ring);
        asm.copy(R2, R7);
        asm.load(R3, R7, counted::FRAMES);
        asm.jump_if_at_least(R3, MOST_FRAMES + 1, kernels);
        asm.multiply_number(R3, FRAME);
        asm.add_number(R3, HEAD);
        // Nobody is woken: refcow comes in any case.
        asm.set(R4, 1);
        asm.call(helper::RING_OUTPUT);
        asm.jump_if_not(R0, 0, kernels);
        asm.give(0);
        asm.here(kernels);
        asm.give(1);
    }

    /// Of each tree: whether an interpreter ends where that one has its own, and the frames of the thread if it is one of that.
    fn each_tree(asm: &mut Assembler, tree: Label, state: Label, frame: Label) {
        let (next, frames, no_frame, several, unreadable) = (
            asm.label(),
            asm.label(),
            asm.label(),
            asm.label(),
            asm.label(),
        );
        let stop = asm.label();
        asm.function(tree);
        asm.copy(R6, R2);
        asm.copy(R8, R1);
        asm.jump_if_at_least(R8, MOST_TREES as i32, stop);
        asm.load(R7, R6, seen::TOLD);
        asm.add_number(R7, TREES as i32 * 8);
        asm.copy(R1, R8);
        asm.multiply_number(R1, TREE as i32 * 8);
        asm.add(R7, R1);
        asm.store(R6, seen::TREE, R7);

        asm.load(R3, R7, of_tree::ENDING);
        asm.jump_if(R3, 0, frames);
        read_user(asm, R1, frames);
        asm.jump_if(R1, 0, frames);
        asm.set(R1, 1);
        asm.shift(R1, R8);
        asm.load(R2, R6, seen::ENDING);
        asm.or(R2, R1);
        asm.store(R6, seen::ENDING, R2);

        asm.here(frames);
        asm.load(R1, R6, seen::IS_WANTED);
        asm.jump_if(R1, 0, next);
        asm.load(R3, R7, of_tree::FIRST);
        asm.jump_if(R3, 0, next);
        read_user(asm, R9, next);
        asm.store(R6, seen::INTERPRETER, R9);
        read_field(asm, R1, R9, of_tree::THREADS, next);
        asm.store(R6, seen::STATE, R1);
        asm.load(R1, R6, seen::RECORD);
        asm.store_number(R1, counted::FOUND, 0);
        asm.set(R1, MOST_STATES);
        asm.address(R2, state);
        asm.copy(R3, R6);
        asm.set(R4, 0);
        asm.call(helper::LOOP);
        asm.load(R1, R6, seen::INTERPRETER);
        asm.jump_if_not(R1, 0, unreadable);
        asm.load(R1, R6, seen::RECORD);
        asm.load(R1, R1, counted::FOUND);
        asm.jump_if(R1, 0, no_frame);
        asm.store(R6, seen::OF, R8);
        asm.store_number(R6, seen::IS_WANTED, 0);
        asm.jump_if_not(R1, 1, several);
        asm.store_number(R6, seen::STATUS, status::FRAMES);
        asm.set(R1, MOST_FRAMES);
        asm.address(R2, frame);
        asm.copy(R3, R6);
        asm.set(R4, 0);
        asm.call(helper::LOOP);
        asm.here(next);
        asm.give(0);
        asm.here(stop);
        asm.give(1);

        asm.here(no_frame);
        // Of another tree it may have one.
        asm.load(R1, R6, seen::STATUS);
        asm.jump_if_not(R1, status::NOT_LOOKED, next);
        asm.store_number(R6, seen::STATUS, status::NO_FRAME);
        asm.store(R6, seen::OF, R8);
        asm.give(0);
        asm.here(several);
        asm.store_number(R6, seen::STATUS, status::SEVERAL);
        asm.give(0);
        asm.here(unreadable);
        asm.store_number(R6, seen::STATUS, status::UNREADABLE);
        asm.store(R6, seen::OF, R8);
        asm.give(0);
    }

    /// Of each state of a thread: whether it is this thread's, and has a frame.
    fn each_state(asm: &mut Assembler, state: Label) {
        let (next, last_state, next_interpreter, last, none) = (
            asm.label(),
            asm.label(),
            asm.label(),
            asm.label(),
            asm.label(),
        );
        let directly = asm.label();
        asm.function(state);
        asm.copy(R6, R2);
        asm.load(R7, R6, seen::TREE);
        asm.load(R8, R6, seen::STATE);
        asm.jump_if(R8, 0, next_interpreter);
        read_field(asm, R1, R8, of_tree::IDENTITY, next);
        asm.load(R2, R6, seen::IDENTITY);
        asm.jump_if_other(R1, R2, next);
        read_field(asm, R9, R8, of_tree::CURRENT, next);
        asm.jump_if(R9, 0, next);
        asm.load(R3, R7, of_tree::CURRENT_IN);
        asm.jump_if(R3, 0, directly);
        asm.add(R3, R9);
        asm.add_number(R3, -1);
        read_user(asm, R9, next);
        asm.jump_if(R9, 0, next);
        asm.here(directly);
        asm.store(R6, seen::FRAME, R9);
        asm.load(R2, R6, seen::RECORD);
        asm.load(R1, R2, counted::FOUND);
        asm.add_number(R1, 1);
        asm.store(R2, counted::FOUND, R1);
        asm.here(next);
        read_field(asm, R1, R8, of_tree::NEXT_THREAD, last_state);
        asm.store(R6, seen::STATE, R1);
        asm.give(0);
        asm.here(last_state);
        asm.store_number(R6, seen::STATE, 0);
        asm.give(0);

        asm.here(next_interpreter);
        asm.load(R8, R6, seen::INTERPRETER);
        read_field(asm, R9, R8, of_tree::NEXT_INTERPRETER, last);
        asm.store(R6, seen::INTERPRETER, R9);
        asm.jump_if(R9, 0, none);
        read_field(asm, R1, R9, of_tree::THREADS, last);
        asm.store(R6, seen::STATE, R1);
        asm.give(0);
        asm.here(last);
        asm.store_number(R6, seen::INTERPRETER, 0);
        asm.here(none);
        asm.give(1);
    }

    /// Writes down each frame that is Python's.
    fn each_frame(asm: &mut Assembler, frame: Label) {
        /// `FRAME_OWNED_BY_CSTACK` and those behind it.
        const OF_C: i32 = 3;
        let (broken, last, of_python, skip) = (asm.label(), asm.label(), asm.label(), asm.label());
        asm.function(frame);
        asm.copy(R6, R2);
        asm.load(R7, R6, seen::TREE);
        asm.load(R8, R6, seen::FRAME);
        asm.jump_if(R8, 0, last);
        asm.load(R9, R6, seen::RECORD);
        // All of it at once: what is asked for costs more than what is read.
        asm.copy(R1, R9);
        asm.add_number(R1, counted::READ.into());
        asm.load(R2, R7, of_tree::LENGTH);
        asm.jump_if_at_least(R2, LONGEST_FRAME + 1, broken);
        asm.copy(R3, R8);
        asm.call(helper::READ_USER);
        asm.jump_if_not(R0, 0, broken);
        let word = |asm: &mut Assembler, to: Register, at: Register| {
            asm.jump_if_at_least(at, LONGEST_FRAME - 7, broken);
            asm.copy(to, R9);
            asm.add(to, at);
            asm.load(to, to, counted::READ);
        };
        asm.load(R1, R7, of_tree::PREVIOUS);
        word(asm, R2, R1);
        asm.store(R6, seen::FRAME, R2);
        asm.load(R1, R7, of_tree::OWNER);
        asm.jump_if(R1, 0, of_python);
        asm.add_number(R1, -1);
        word(asm, R2, R1);
        asm.and_number(R2, 0xff);
        asm.jump_if_at_least(R2, OF_C, skip);
        asm.here(of_python);
        asm.load(R1, R7, of_tree::CODE);
        word(asm, R3, R1);
        asm.load(R1, R7, of_tree::MASK);
        asm.and(R3, R1);
        asm.load(R1, R7, of_tree::PLACE);
        word(asm, R4, R1);
        asm.load(R1, R9, counted::FRAMES);
        asm.jump_if_at_least(R1, MOST_FRAMES, last);
        asm.copy(R8, R1);
        asm.multiply_number(R8, FRAME);
        asm.add(R8, R9);
        asm.store(R8, HEAD as i16, R3);
        asm.store(R8, HEAD as i16 + 8, R4);
        asm.load(R1, R7, of_tree::TABLE);
        asm.add(R3, R1);
        read_user(asm, R1, broken);
        asm.store(R8, HEAD as i16 + 16, R1);
        asm.load(R1, R9, counted::FRAMES);
        asm.add_number(R1, 1);
        asm.store(R9, counted::FRAMES, R1);
        asm.here(skip);
        asm.give(0);
        asm.here(broken);
        asm.store_number(R6, seen::STATUS, status::UNREADABLE);
        asm.here(last);
        asm.give(1);
    }
}
