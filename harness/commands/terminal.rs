//! For whom something is written: how wide a terminal is, and whether it may be coloured.

use std::io::{self, IsTerminal};

use crate::output::Output;
use crate::report::Style;

/// Columns of the terminal, as clap's help and the tables' library find them.
pub fn width() -> Option<u16> {
    let mut table = comfy_table::Table::new();
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.width()
}

/// Columns of what is written to, if it is a terminal.
pub fn width_of(output: &Output) -> Option<u16> {
    match output {
        Output::Standard if io::stdout().is_terminal() => width(),
        _ => None,
    }
}

/// Columns of the terminal that standard error is, if it is one.
pub fn width_of_errors() -> Option<u16> {
    let errors = io::stderr();
    let size = errors
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(&errors));
    size?
        .ok()
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0)
}

/// Whether words may be coloured: on a terminal, unless NO_COLOR and the like forbid it.
pub fn colours(output: &Output) -> bool {
    let choice = anstream::AutoStream::choice(&io::stdout());
    matches!(output, Output::Standard) && choice != anstream::ColorChoice::Never
}

/// The style of what people read.
pub fn style(output: &Output) -> Style {
    Style::Terminal {
        width: width_of(output),
        colours: colours(output),
    }
}
