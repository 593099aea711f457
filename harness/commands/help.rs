//! What `refcow --help` shows: the commands in groups, each with an example.

use clap::Command;
use clap::builder::Styles;

/// Columns where there is no terminal, as clap has it.
const WIDTH: usize = 100;
/// Where the words about a command begin.
const INDENT: &str = "             ";

/// The groups, in this order; each command with an example.
pub const GROUPS: [(&str, &[(&str, &str)]); 4] = [
    (
        "Measure",
        &[
            ("new", "refcow new loader.py"),
            ("measure", "refcow measure loader.py"),
            ("advise", "refcow advise loader.py"),
        ],
    ),
    (
        "Understand",
        &[
            ("claims", "refcow claims --quick"),
            ("sharing", "refcow sharing --size 16777216"),
            ("facts", "refcow facts --python all"),
            ("fixtures", "refcow fixtures three_lists"),
        ],
    ),
    (
        "Keep and compare",
        &[
            ("report", "refcow report run.json"),
            ("compare", "refcow compare base.json run.json"),
            ("reproduce", "refcow reproduce run.json"),
            ("merge", "refcow merge a.json b.json"),
        ],
    ),
    (
        "This machine",
        &[("pythons", "refcow pythons"), ("doctor", "refcow doctor")],
    ),
];

/// The program, with its commands in groups in its help, for so many columns.
pub fn in_groups(program: Command, width: Option<u16>) -> Command {
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let options = textwrap::Options::new(width.map_or(WIDTH, usize::from))
        .initial_indent(INDENT)
        .subsequent_indent(INDENT);
    let mut text = String::new();
    for (title, commands) in GROUPS {
        text += &format!("{header}{title}:{header:#}\n");
        for (name, example) in commands {
            let command = program.find_subcommand(name);
            let about = command
                .and_then(Command::get_about)
                .map(ToString::to_string);
            let about = textwrap::fill(&about.unwrap_or_default(), &options);
            let room = INDENT.len() - 2;
            let about = &about[INDENT.len()..];
            text += &format!("  {literal}{name:<room$}{literal:#}{about}\n{INDENT}{example}\n");
        }
        text.push('\n');
    }
    program.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}\
         {header}Options:{header:#}\n{{options}}{{after-help}}"
    ))
}
