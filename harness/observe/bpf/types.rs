//! What the kernel wants to know of the functions of a program that it is to call: that each is one
//! (Documentation/bpf/btf.rst).

/// `BTF_KIND_*` of linux/btf.h.
const NUMBER: u32 = 1;
const FUNCTION: u32 = 12;
const PROTOTYPE: u32 = 13;

const HEADER: u32 = 24;
const MAGIC: u16 = 0xeb9f;
/// A signed number of 32 bits, as `BTF_KIND_INT` has it.
const SIGNED_32: u32 = 1 << 24 | 32;

/// Types of a program and of so many functions that take two words each, and the number of each one's type, the program's first.
pub(super) fn types(functions: usize) -> (Vec<u8>, Vec<u32>) {
    let mut names = vec![0];
    let mut name = |text: &str| {
        let at = names.len() as u32;
        names.extend_from_slice(text.as_bytes());
        names.push(0);
        at
    };
    let parameter = name("a");
    let mut types: Vec<u32> = Vec::new();
    // 1: the number; 2: what is given one; 3: what is given two.
    types.extend([name("int"), NUMBER << 24, 4, SIGNED_32]);
    types.extend([0, PROTOTYPE << 24 | 1, 1, parameter, 1]);
    types.extend([0, PROTOTYPE << 24 | 2, 1, parameter, 1, parameter, 1]);
    let mut of_functions = Vec::new();
    for index in 0..=functions {
        types.extend([
            name(&format!("f{index}")),
            FUNCTION << 24,
            if index == 0 { 2 } else { 3 },
        ]);
        of_functions.push(4 + index as u32);
    }
    let types: Vec<u8> = types.into_iter().flat_map(u32::to_ne_bytes).collect();
    let (length, names_length) = (types.len() as u32, names.len() as u32);
    let mut all = MAGIC.to_ne_bytes().to_vec();
    // Version 1, no flags.
    all.extend([1, 0]);
    let head = [HEADER, 0, length, length, names_length];
    all.extend(head.into_iter().flat_map(u32::to_ne_bytes));
    all.extend(types);
    all.extend(names);
    (all, of_functions)
}
