//! What there is to measure, read from the text of the fixtures: no Python is started.
//!
//! The files of `python_fixtures/` are part of the program. Each is a fixture, but for those whose
//! name begins with `_`: they are modules that fixtures import. A fixture can also be a file of the
//! user's own, named by its path.

mod annotation;
pub mod beside;
mod docstring;
mod embedded;
mod error;
mod find;
mod fixture;
mod literal;
mod names;
mod own;
mod parameter;
pub mod parameters;
mod syntax;
mod user_file;

pub use embedded::{TEMPLATE, has_program, program, program_module};
pub use error::FixtureError;
pub use find::{builtin, find};
pub use fixture::{Fixture, PROVIDED, Preparation, Visit};
pub use own::{EXIT, IDLE, steps_of};
pub use parameter::{Arity, Parameter};
pub use user_file::{absolute, split_visit};
