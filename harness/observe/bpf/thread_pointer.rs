//! Where the kernel keeps the address by which a thread knows itself (pthread_self(3), in FS), which the interpreter writes into a thread's
//! state.
//!
//! Nothing says where in `task_struct` that is but the kernel's own types, which take long to read. So a program looks for an address that
//! is known: of two threads, each of which has another one.

use std::io;

use super::assembler::{
    Assembler,
    Register::{R0, R1, R2, R3, R4, R6, R7, R10},
};
use super::kernel::{Kind, Map, MapKind, Program};

/// `task_struct` has fewer words than this.
const WORDS: i32 = 4096;
/// It is told of so many places that have the address.
const PLACES: usize = 8;

/// The address, how many places have it, and the first of these.
const VALUE: usize = 2 + PLACES;

/// The place in `task_struct`, in bytes.
pub(crate) fn thread_pointer_place() -> io::Result<i32> {
    let map = Map::new(MapKind::Array, VALUE * 8, 1)?;
    let program = Program::load(Kind::Asked, program(&map))?;
    let mut found = places(&map, &program)?;
    let others = std::thread::scope(|scope| {
        let other = scope.spawn(|| places(&map, &program));
        other
            .join()
            .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    })?;
    found.retain(|place| others.contains(place));
    match found[..] {
        [place] => i32::try_from(place * 8).map_err(io::Error::other),
        _ => Err(io::Error::other("the kernel's place for FS was not found")),
    }
}

/// The places that have the calling thread's.
fn places(map: &Map, program: &Program) -> io::Result<Vec<u64>> {
    let mut value = [0; VALUE];
    #[expect(unsafe_code, reason = "nix would need its feature for this alone")]
    // SAFETY: it always succeeds, and asks nothing of its caller.
    let this = unsafe { nix::libc::pthread_self() };
    value[0] = this;
    map.write(&value)?;
    program.run()?;
    map.read(&mut value)?;
    let number = usize::try_from(value[1]).unwrap_or(usize::MAX);
    Ok(value[2..].iter().copied().take(number).collect())
}

fn program(map: &Map) -> Assembler {
    const CURRENT: i32 = 35;
    const LOOKUP: i32 = 1;
    const READ: i32 = 113;
    const LOOP: i32 = 181;
    /// On the stack of the program: where the value is, and the thread.
    const VALUE_AT: i16 = -16;
    const TASK: i16 = -8;
    const KEY: i16 = -24;

    let mut asm = Assembler::default();
    let (each, end, next) = (asm.label(), asm.label(), asm.label());
    asm.store_number(R10, KEY, 0);
    asm.map(R1, map);
    asm.copy(R2, R10);
    asm.add_number(R2, KEY.into());
    asm.call(LOOKUP);
    asm.jump_if(R0, 0, end);
    asm.store(R10, VALUE_AT, R0);
    asm.call(CURRENT);
    asm.store(R10, TASK, R0);
    asm.set(R1, WORDS);
    asm.address(R2, each);
    asm.copy(R3, R10);
    asm.add_number(R3, VALUE_AT.into());
    asm.set(R4, 0);
    asm.call(LOOP);
    asm.here(end);
    asm.give(0);

    // Of each word: its number, and what is on the stack.
    asm.function(each);
    asm.copy(R6, R1);
    asm.copy(R7, R2);
    asm.copy(R1, R10);
    asm.add_number(R1, -8);
    asm.set(R2, 8);
    asm.load(R3, R7, TASK - VALUE_AT);
    asm.copy(R4, R6);
    asm.multiply_number(R4, 8);
    asm.add(R3, R4);
    asm.call(READ);
    asm.jump_if_not(R0, 0, next);
    asm.load(R1, R10, -8);
    asm.load(R2, R7, 0);
    asm.load(R3, R2, 0);
    asm.jump_if_other(R1, R3, next);
    asm.load(R1, R2, 8);
    asm.jump_if_at_least(R1, PLACES as i32, next);
    asm.copy(R3, R1);
    asm.multiply_number(R3, 8);
    asm.add_number(R1, 1);
    asm.store(R2, 8, R1);
    asm.add(R2, R3);
    asm.store(R2, 16, R6);
    asm.here(next);
    asm.give(0);
    asm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_has_it_in_one_place_or_lets_nobody_look() {
        match thread_pointer_place() {
            Ok(place) => assert!((1..WORDS * 8).contains(&place)),
            // Whether it has to be there is tried where the program is loaded that needs it.
            Err(error) => eprintln!("{error}"),
        }
    }
}
