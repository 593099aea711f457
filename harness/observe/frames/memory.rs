//! Words of another process's memory.

/// A function that fills a buffer from an address on, and says whether it could.
pub trait ReadMemory: FnMut(u64, &mut [u8]) -> bool {}
impl<Read: FnMut(u64, &mut [u8]) -> bool> ReadMemory for Read {}

/// No process of a user's has addresses from here on.
pub(super) const END_OF_ADDRESSES: u64 = 1 << 47;

fn word(read: &mut impl ReadMemory, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (is_address(address) && read(address, &mut bytes)).then(|| u64::from_ne_bytes(bytes))
}

/// A word of a struct.
pub(super) fn field(read: &mut impl ReadMemory, of: u64, at: u64) -> Option<u64> {
    word(read, of.checked_add(at)?)
}

pub(super) fn is_address(address: u64) -> bool {
    (4096..END_OF_ADDRESSES).contains(&address)
}
