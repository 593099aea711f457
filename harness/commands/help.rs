//! What `refcow --help` shows: the commands in groups, each with an example.

use std::ffi::OsString;

use clap::Command;
use clap::builder::Styles;

use super::error::CommandError;
use super::fixtures::offered;
use super::terminal;
use crate::fixtures::{find, split_visit};
use crate::output::Output;

/// Columns where there is no terminal, as clap has it.
const WIDTH: usize = 100;
/// Where the words about a command begin.
const INDENT: &str = "             ";

/// The groups, in this order; of each command an example.
pub const GROUPS: [(&str, &str); 5] = [
    (
        "Measure",
        "new loader.py | measure loader.py | advise loader.py",
    ),
    (
        "Understand",
        "claims --quick | sharing --size 16777216 | facts --python all | fixtures three_lists",
    ),
    (
        "Running programs",
        "trees | attach gunicorn --for 30s | run -- python3 app.py",
    ),
    (
        "Keep and compare",
        "report run.json | compare base.json run.json | reproduce run.json | merge a.json b.json",
    ),
    ("This machine", "pythons | doctor"),
];

/// The program, with its commands in groups in its help, for so many columns.
pub fn in_groups(program: Command, width: Option<u16>) -> Command {
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let options = textwrap::Options::new(width.map_or(WIDTH, usize::from))
        .initial_indent(INDENT)
        .subsequent_indent(INDENT);
    let mut text = String::new();
    for (title, examples) in GROUPS {
        text += &format!("{header}{title}:{header:#}\n");
        for example in examples.split(" | ") {
            let name = example.split(' ').next().unwrap_or_default();
            let command = program.find_subcommand(name);
            let about = command
                .and_then(Command::get_about)
                .map(ToString::to_string);
            let about = textwrap::fill(&about.unwrap_or_default(), &options);
            let room = INDENT.len() - 2;
            let about = &about[INDENT.len()..];
            text +=
                &format!("  {literal}{name:<room$}{literal:#}{about}\n{INDENT}refcow {example}\n");
        }
        text.push('\n');
    }
    program.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}\
         {header}Options:{header:#}\n{{options}}{{after-help}}"
    ))
}

/// Shows what clap says to --help; of a user's own file that is named before it, what that offers, too.
///
/// # Errors
/// When that file is no fixture.
pub fn show(said: &clap::Error, words: &[OsString]) -> Result<(), CommandError> {
    let output = Output::Standard;
    let mut text = match terminal::colours(&output) {
        true => said.render().ansi().to_string(),
        false => said.render().to_string(),
    };
    let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
    if let [_, "measure" | "advise", words @ ..] = &words[..] {
        let named = words.iter().take_while(|word| **word != "--");
        let mut seen: Vec<&str> = Vec::new();
        for word in named.filter(|word| !word.starts_with('-')) {
            let (name, _) = split_visit(word);
            if name.ends_with(".py") && !seen.contains(&name) {
                seen.push(name);
                text += &format!("\n{}", offered(name, &find(name)?));
            }
        }
    }
    Ok(output.write(text.as_bytes())?)
}
