//! The commands, each in a file of its own: its flags, what it asks for, what it does.
//!
//! `cli` stands above them and is imported by none: what a command needs of the command line is
//! handed to it.

pub(crate) mod advise;
pub(crate) mod attach;
pub(crate) mod calibrate;
pub(crate) mod claims;
pub(crate) mod compare;
pub(crate) mod doctor;
pub(crate) mod error;
pub(crate) mod facts;
pub(crate) mod fixtures;
pub(crate) mod help;
mod lines;
pub(crate) mod measure;
pub(crate) mod merge;
pub(crate) mod new;
mod options;
pub(crate) mod packaging;
pub(crate) mod pythons;
mod recording;
pub(crate) mod report;
mod report_folder;
pub(crate) mod reproduce;
mod rules;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod sharing;
pub(crate) mod terminal;
pub(crate) mod trees;
mod trees_baseline;
pub(crate) mod words;
