//! Where the objects of a process are: a table from addresses to what stands there.
//!
//! The subject's mapper makes it ([`Builder`]), before there is a child; the observer keeps it
//! ([`ObjectMap`]) and asks it for the address of each page's first write. A record is an object, a
//! buffer of one's, or memory that the allocator has for itself. It takes four bytes, and a page on
//! which records begin takes eight more: the size and the type of what begins there are in a list
//! of [`RecordKind`]s, of which there are few, because many objects are alike. Where four or more
//! of a kind follow each other on a page at one distance, as in a pool of the allocator's, they
//! take twelve bytes together.

mod builder;
mod map;
mod record;

pub use builder::Builder;
pub use map::{ObjectMap, Occupant};
pub use record::{RecordKind, RecordPart};
