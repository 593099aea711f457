//! Instructions of BPF, with names for the places that are jumped to
//! (Documentation/bpf/standardization/instruction-set.rst).

use super::kernel::Map;

/// A register of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R6 = 6,
    R7,
    R8,
    R9,
    /// The end of the stack.
    R10,
}

/// A place in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// Opcodes of linux/bpf.h and linux/bpf_common.h, as they are used here.
mod code {
    pub(super) const LOAD_WIDE: u8 = 0x18;
    pub(super) const LOAD: u8 = 0x79;
    pub(super) const STORE: u8 = 0x7b;
    pub(super) const STORE_NUMBER: u8 = 0x7a;
    pub(super) const ADD_NUMBER: u8 = 0x07;
    pub(super) const ADD: u8 = 0x0f;
    pub(super) const MULTIPLY_NUMBER: u8 = 0x27;
    pub(super) const OR: u8 = 0x4f;
    pub(super) const AND: u8 = 0x5f;
    pub(super) const AND_NUMBER: u8 = 0x57;
    pub(super) const SHIFT: u8 = 0x6f;
    pub(super) const SHIFT_NUMBER: u8 = 0x67;
    pub(super) const SET: u8 = 0xb7;
    pub(super) const COPY: u8 = 0xbf;
    pub(super) const JUMP: u8 = 0x05;
    pub(super) const JUMP_IF_NUMBER: u8 = 0x15;
    pub(super) const JUMP_UNLESS_NUMBER: u8 = 0x55;
    pub(super) const JUMP_UNLESS: u8 = 0x5d;
    pub(super) const JUMP_FROM_NUMBER: u8 = 0x35;
    pub(super) const CALL: u8 = 0x85;
    pub(super) const EXIT: u8 = 0x95;
}

/// What stands behind the wide load: `BPF_PSEUDO_MAP_FD` and `BPF_PSEUDO_FUNC`.
const OF_MAP: u8 = 1;
const OF_FUNCTION: u8 = 4;

/// `struct bpf_insn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    /// The target in the lower half.
    registers: u8,
    offset: i16,
    number: i32,
}

/// A program that is being written. The calling convention is that of C: a call keeps R6 to R9 alone.
#[derive(Default)]
pub(crate) struct Assembler {
    code: Vec<Instruction>,
    places: Vec<Option<usize>>,
    /// Instructions that name a place.
    naming: Vec<(usize, Label)>,
    /// Where each function begins that the kernel calls.
    functions: Vec<Label>,
}

impl Assembler {
    /// A place that is still to come.
    pub(crate) fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// It is here.
    pub(crate) fn here(&mut self, label: Label) {
        self.places[label.0] = Some(self.code.len());
    }

    /// A function that the kernel calls begins here.
    pub(crate) fn function(&mut self, label: Label) {
        self.here(label);
        self.functions.push(label);
    }

    fn push(&mut self, code: u8, to: Register, from: u8, offset: i16, number: i32) {
        self.code.push(Instruction {
            code,
            registers: to as u8 | from << 4,
            offset,
            number,
        });
    }

    pub(crate) fn set(&mut self, to: Register, number: i32) {
        self.push(code::SET, to, 0, 0, number);
    }

    pub(crate) fn copy(&mut self, to: Register, from: Register) {
        self.push(code::COPY, to, from as u8, 0, 0);
    }

    /// Eight bytes at an address.
    pub(crate) fn load(&mut self, to: Register, from: Register, offset: i16) {
        self.push(code::LOAD, to, from as u8, offset, 0);
    }

    pub(crate) fn store(&mut self, to: Register, offset: i16, from: Register) {
        self.push(code::STORE, to, from as u8, offset, 0);
    }

    pub(crate) fn store_number(&mut self, to: Register, offset: i16, number: i32) {
        self.push(code::STORE_NUMBER, to, 0, offset, number);
    }

    pub(crate) fn add(&mut self, to: Register, from: Register) {
        self.push(code::ADD, to, from as u8, 0, 0);
    }

    pub(crate) fn add_number(&mut self, to: Register, number: i32) {
        self.push(code::ADD_NUMBER, to, 0, 0, number);
    }

    pub(crate) fn multiply_number(&mut self, to: Register, number: i32) {
        self.push(code::MULTIPLY_NUMBER, to, 0, 0, number);
    }

    pub(crate) fn or(&mut self, to: Register, from: Register) {
        self.push(code::OR, to, from as u8, 0, 0);
    }

    pub(crate) fn and(&mut self, to: Register, from: Register) {
        self.push(code::AND, to, from as u8, 0, 0);
    }

    pub(crate) fn and_number(&mut self, to: Register, number: i32) {
        self.push(code::AND_NUMBER, to, 0, 0, number);
    }

    /// To the left.
    pub(crate) fn shift(&mut self, to: Register, by: Register) {
        self.push(code::SHIFT, to, by as u8, 0, 0);
    }

    pub(crate) fn shift_number(&mut self, to: Register, by: i32) {
        self.push(code::SHIFT_NUMBER, to, 0, 0, by);
    }

    pub(crate) fn jump(&mut self, to: Label) {
        self.naming.push((self.code.len(), to));
        self.push(code::JUMP, Register::R0, 0, 0, 0);
    }

    pub(crate) fn jump_if(&mut self, one: Register, number: i32, to: Label) {
        self.naming.push((self.code.len(), to));
        self.push(code::JUMP_IF_NUMBER, one, 0, 0, number);
    }

    pub(crate) fn jump_if_not(&mut self, one: Register, number: i32, to: Label) {
        self.naming.push((self.code.len(), to));
        self.push(code::JUMP_UNLESS_NUMBER, one, 0, 0, number);
    }

    pub(crate) fn jump_if_other(&mut self, one: Register, other: Register, to: Label) {
        self.naming.push((self.code.len(), to));
        self.push(code::JUMP_UNLESS, one, other as u8, 0, 0);
    }

    /// Without a sign.
    pub(crate) fn jump_if_at_least(&mut self, one: Register, number: i32, to: Label) {
        self.naming.push((self.code.len(), to));
        self.push(code::JUMP_FROM_NUMBER, one, 0, 0, number);
    }

    /// `enum bpf_func_id` of linux/bpf.h.
    pub(crate) fn call(&mut self, helper: i32) {
        self.push(code::CALL, Register::R0, 0, 0, helper);
    }

    pub(crate) fn exit(&mut self) {
        self.push(code::EXIT, Register::R0, 0, 0, 0);
    }

    pub(crate) fn give(&mut self, number: i32) {
        self.set(Register::R0, number);
        self.exit();
    }

    pub(crate) fn map(&mut self, to: Register, map: &Map) {
        self.push(code::LOAD_WIDE, to, OF_MAP, 0, map.number());
        self.code.push(Instruction::default());
    }

    /// The address of a function.
    pub(crate) fn address(&mut self, to: Register, function: Label) {
        self.naming.push((self.code.len(), function));
        self.push(code::LOAD_WIDE, to, OF_FUNCTION, 0, 0);
        self.code.push(Instruction::default());
    }

    /// The whole program, and where its functions begin.
    pub(super) fn finish(mut self) -> (Vec<Instruction>, Vec<u32>) {
        let place =
            |label: Label| self.places[label.0].expect("each label that is named is placed");
        for (at, label) in &self.naming {
            // From the instruction behind it.
            let distance = place(*label).cast_signed() - at.cast_signed() - 1;
            let instruction = &mut self.code[*at];
            match instruction.code {
                code::LOAD_WIDE => {
                    instruction.number = i32::try_from(distance).expect("it is short");
                }
                _ => instruction.offset = i16::try_from(distance).expect("it is short"),
            }
        }
        let mut functions: Vec<u32> = self
            .functions
            .iter()
            .map(|one| place(*one) as u32)
            .collect();
        functions.sort_unstable();
        (self.code, functions)
    }
}

#[cfg(test)]
mod tests {
    use super::Register::{R0, R1, R2};
    use super::*;

    #[test]
    fn jumps_go_from_the_instruction_behind_them_to_the_place_that_is_named() {
        let mut asm = Assembler::default();
        let (back, forth, each) = (asm.label(), asm.label(), asm.label());
        asm.here(back);
        asm.jump_if(R1, 7, forth);
        asm.address(R2, each);
        asm.jump(back);
        asm.here(forth);
        asm.give(0);
        asm.function(each);
        asm.give(1);
        let (code, functions) = asm.finish();
        // The address takes two.
        assert_eq!((code[0].offset, code[0].number), (3, 7));
        assert_eq!(
            (code[1].number, code[1].registers),
            (4, 2 | OF_FUNCTION << 4)
        );
        assert_eq!(code[3].offset, -4);
        assert_eq!(functions, [6]);
        assert_eq!((code[6].code, code[6].number), (code::SET, 1));
        assert_eq!(code[4].registers, R0 as u8);
    }
}
