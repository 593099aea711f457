//! Options of `attach` and `run` for lines of Python, and for how pages are grouped.

use std::path::{Path, PathBuf};

use clap::ValueHint;
use clap::builder::TypedValueParser as _;

use crate::live::lines::Wanted;
use crate::live::table::TreeBy;

#[derive(Debug, clap::Args)]
pub struct LinesOptions {
    /// Also name the Python lines that copy and make pages, of one page fault in N [default N: 1; 7 where threads stand still for it, see
    /// --no-bpf]
    #[arg(
        long, value_name = "N", num_args = 0..=1, require_equals = true,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000)
    )]
    lines: Option<Option<u64>>,
    /// Count files in DIR as your own code, although they are installed
    #[arg(long, value_name = "DIR", requires = "lines", value_hint = ValueHint::DirPath, value_parser = directory())]
    own: Vec<PathBuf>,
    /// Group pages by cause, type, function, line or thread; several with commas (`--by type,line`)
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub by: Vec<TreeBy>,
}

impl LinesOptions {
    /// Which lines are asked for.
    pub fn wanted(&self) -> Option<Wanted> {
        let one_in = match self.lines {
            None if self.by.contains(&TreeBy::Line) => None,
            asked => asked?,
        };
        // As code has it: by the name under which a folder was found, or by its own.
        let own = self.own.iter();
        let own = own.flat_map(|folder| [std::path::absolute(folder), folder.canonicalize()]);
        Some(Wanted {
            one_in,
            own: own.flatten().collect(),
        })
    }
}

fn directory() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    clap::builder::PathBufValueParser::new().try_map(|path| match Path::new(&path).is_dir() {
        true => Ok(path),
        false => Err("this is no directory"),
    })
}
