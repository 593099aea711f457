//! The `refcow-subject` program.
fn main() {}
