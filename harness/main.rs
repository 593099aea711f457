//! The `refcow` program.
fn main() {}
