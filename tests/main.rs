//! The tests that spawn refcow or look at what it prints, in one program: it is linked once, and no
//! core waits for the end of a file. `cargo test --test all -- NAME::` runs those of one file.
//!
//! What changes the process that it runs in, by its environment or by a signal, is in `python/`, a
//! program of its own.

mod common;

mod advise;
mod advise_code;
mod advise_documents;
mod alternatives;
mod any_bytes;
mod bad_input;
mod browser;
mod causes;
mod charts;
mod claims;
mod compare;
mod consistency;
mod doctor;
mod documents;
mod effects;
mod examples;
mod faults;
mod formats;
mod hostile;
mod huge;
mod instrument;
mod interrupted;
mod leftovers;
mod lines;
mod live;
mod live_ends;
mod live_findings;
mod live_lines;
mod live_named;
mod live_options;
mod live_recorded;
mod live_report;
mod live_run;
mod live_servers;
mod live_view;
mod mapper;
mod native;
mod new_memory;
mod own_data;
mod own_modules;
mod page;
mod preload;
mod processes;
mod published;
mod recorder;
mod reproduce;
mod second_version;
mod surroundings;
mod trust;
mod versions;
mod visits;
mod walked;
mod ways_alike;
mod ways_compared;
mod ways_for_data;
mod ways_for_packages;
mod words;
