//! A type, and what is known of it.

use super::layout::Layout;
use super::untold::Besides;

/// A type, and what was learned of it.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) layout: Layout,
    /// Its place in the table's list of types.
    pub(super) of_type: u32,
    /// Bytes of its struct, and whether there is nothing in it but what is looked for.
    pub(super) basic_bytes: usize,
    pub(super) is_plain: bool,
    /// Whether it is the program: what an object of the dataset refers to is then no data.
    pub(super) is_program: bool,
    /// What it has that the collector is not told of.
    pub(super) besides: Besides,
    /// Whether to look for memory that it has, and the walk has not found.
    pub(super) may_hold: bool,
}
