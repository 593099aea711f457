//! The enum of the commands and the dispatch, and nothing else. What a command does, and with which flags, is in `commands`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::error::CommandError;
use crate::commands::reproduce::Language;
use crate::commands::session::MeasureRequest;
use crate::commands::{
    advise, attach, calibrate, claims, compare, doctor, facts, fixtures, help, measure, merge, new,
    packaging, pythons, report, reproduce, run, schema, sharing, terminal, trees, words,
};
use crate::interrupt;
use crate::output::Output;

/// Measures which memory pages forked Python workers really share, and what made them copy the rest.
///
/// Without a command, refcow tests every claim of the article "Shared Memory in Multiprocessing: Unraveling Copy-On-Write
/// and Reference Counting" on this machine, and compares the ways to share data with worker processes.
#[derive(Debug, Parser)]
#[command(
    version,
    subcommand_required = true,
    override_usage = "refcow [COMMAND]",
    after_help = "Exit status:\n  0    done\n  1    an expectation failed\n  2    bad input: nothing was measured\n  \
                  3    could not measure everything: the message says why\n  130  interrupted (Ctrl-C; a second one ends it at once)\n\n\
                  A signal that is ignored when refcow starts stays ignored, such as SIGINT in a script's background job or SIGHUP \
                  under nohup; SIGTERM still ends refcow."
)]
struct Cli {
    #[command(subcommand)]
    command: Commands,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Commands {
    /// Test what the article says about copy-on-write, claim by claim
    ///
    /// The article is "Shared Memory in Multiprocessing: Unraveling Copy-On-Write and Reference Counting". refcow measures on
    /// this machine and gives each claim a verdict. Name a claim to have its verdict explained in full.
    Claims(claims::ClaimsArgs),
    /// Show what each forked worker copies of your data, and why
    ///
    /// refcow builds the data, forks workers that use it, and counts the memory pages that each one copied.
    Measure(measure::MeasureArgs),
    /// Try what could reduce the copying, and rank it by the memory saved
    #[command(long_about = advise::about())]
    Advise(advise::AdviseArgs),
    /// Create a starter file for measuring your own data
    New(new::NewArgs),
    /// Compare the ways to share the same data with worker processes
    ///
    /// With a file, what its `build` returns reaches the workers by each way that applies, and each worker makes the visit. refcow
    /// says what each way takes, whether the workers got what was put in, and why a way does not apply. Without a file, it hands
    /// over integers and bitarrays, which each worker reads.
    #[command(alias = "alternatives")]
    Sharing(sharing::SharingArgs),
    /// Check known differences between Python versions on this machine
    #[command(alias = "versions")]
    Facts(facts::FactsArgs),
    /// Compare what workers copy now with an earlier run
    ///
    /// refcow judges the bytes that each worker, and all workers together, copied and made in each visit; the verdicts on
    /// claims; and the facts. Pages by region, and what was edited in between, explain a change.
    #[command(after_help = compare::STATUS)]
    Compare(compare::CompareArgs),
    /// Turn a saved run into a page with charts and tables
    Report(report::ReportArgs),
    /// Measure a saved run again, and check that it comes out the same
    ///
    /// refcow runs the command that the document names, with interpreters of the same series (3.12) from `refcow pythons`, and
    /// compares page counts, verdicts and ways to share, but not times. The exit status is 1 if the run does not come out the
    /// same.
    ///
    /// Your own files, and what they import from their directory, must not have changed by a byte. Their code runs only with
    /// --run-code.
    Reproduce(reproduce::ReproduceArgs),
    /// Join saved runs of several machines or Pythons into one document
    Merge(merge::MergeArgs),
    /// List the built-in datasets; with a name, show what to expect of one
    Fixtures(fixtures::FixturesArgs),
    /// List the trees of Python processes on this machine, with the memory that each shares
    Trees(trees::TreesArgs),
    /// Show what a running program's processes share, and what they copy from now on
    ///
    /// refcow reads what the kernel says of the processes. It writes nothing to their memory, injects no code, and stops none of
    /// them, unless you ask for --lines where no BPF program may be loaded (see --no-bpf).
    Attach(attach::AttachArgs),
    /// Run a program, and show what it and all processes that it forks copy and make
    ///
    /// refcow passes on its signals and its exit status. Each process of CPython stands still for a moment when it ends
    /// (unless you say --no-last-look). With --lines, where no BPF program may be loaded (see --no-bpf), threads also stand
    /// still at some of their page faults.
    Run(run::RunArgs),
    /// List the Python interpreters here, and say which can be measured
    Pythons,
    /// Show what this machine allows, what is missing, and how to get it
    Doctor,
    /// Check refcow itself: a process without Python writes known pages, and refcow counts them
    #[command(hide = true)]
    Calibrate(calibrate::CalibrateArgs),
    /// Print the JSON Schema of the JSON format
    #[command(hide = true)]
    Schema(schema::SchemaArgs),
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions(packaging::CompletionsArgs),
    /// Print the manual page of refcow, or of one of its commands, in roff
    #[command(hide = true)]
    Man(packaging::ManArgs),
}

/// The program as it is parsed and shown.
fn program() -> Command {
    help::in_groups(Cli::command(), terminal::width())
}

/// Does what a command line says, the program's name first.
///
/// # Errors
/// As [`CommandError`] tells; nothing is left behind.
pub fn run(words: impl IntoIterator<Item = OsString>) -> Result<(), CommandError> {
    let words = with_command(words.into_iter().collect());
    match program().try_get_matches_from(&words) {
        Ok(matches) => {
            interrupt::install()
                .and_then(|()| interrupt::end_with_starter())
                .map_err(CommandError::Signals)?;
            let words = words::that_measure(&program(), &matches);
            command(&matches).run(words)
        }
        Err(said) if said.kind() == ErrorKind::DisplayHelp => help::show(&said, &words),
        Err(said) if said.kind() == ErrorKind::UnknownArgument && is_option(&words[1]) => {
            let option = words[1].to_string_lossy().into_owned();
            Err(CommandError::NoCommand(option))
        }
        // With 2 where it does not understand the command line, with 0 after --version.
        Err(said) => said.exit(),
    }
}

/// `refcow` alone is `refcow claims`.
fn with_command(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.len() < 2 {
        words.push("claims".into());
    }
    words
}

fn is_option(word: &OsStr) -> bool {
    word.as_bytes().starts_with(b"-") && word != "--"
}

fn command(matches: &ArgMatches) -> Commands {
    // What was parsed by these flags has their values.
    let cli = Cli::from_arg_matches(matches).unwrap_or_else(|said| said.exit());
    cli.command
}

impl Commands {
    /// Does it. These words would measure the same again.
    fn run(&self, words: Vec<String>) -> Result<(), CommandError> {
        let text = match self {
            Self::Measure(args) => return args.run(words),
            Self::Advise(args) => return args.run(words),
            Self::Claims(args) => return args.run(words),
            Self::Sharing(args) => return args.run(words),
            Self::Facts(args) => return args.run(words),
            Self::Report(args) => return args.run(),
            Self::Compare(args) => return args.run(),
            Self::Reproduce(args) => return args.run(Language { program, request }),
            Self::Merge(args) => return args.run(),
            Self::Trees(args) => return args.run(),
            Self::Attach(args) => return args.run(),
            Self::Run(args) => return args.run(),
            Self::New(args) => args.run()?.into_bytes(),
            Self::Fixtures(args) => args.run()?.into_bytes(),
            Self::Pythons => pythons::run()?.into_bytes(),
            Self::Doctor => doctor::run().into_bytes(),
            Self::Calibrate(args) => args.run()?.into_bytes(),
            Self::Schema(args) => args.run().into_bytes(),
            Self::Completions(args) => args.run(program()),
            Self::Man(args) => args.run(program())?,
        };
        Ok(Output::Standard.write(&text)?)
    }
}

/// What a command asks to be measured; nothing of one that does not measure.
fn request(matches: &ArgMatches) -> Result<Option<MeasureRequest>, CommandError> {
    match command(matches) {
        Commands::Measure(args) => args.request(),
        Commands::Advise(args) => args.request(),
        Commands::Claims(args) => args.request(),
        Commands::Sharing(args) => args.request(),
        Commands::Facts(args) => args.request(),
        _ => return Ok(None),
    }
    .map(Some)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn matches(words: &[OsString]) -> ArgMatches {
        let all = std::iter::once("refcow".into()).chain(words.iter().cloned());
        program().try_get_matches_from(all).unwrap()
    }

    fn that_measure(words: &[OsString]) -> Vec<String> {
        words::that_measure(&program(), &matches(words))
    }

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(Into::into).collect()
    }

    #[rstest]
    #[case::without_what_does_not_count(
        "claims --quick --format=json --output F --python 3.12",
        "claims --quick --python 3.12"
    )]
    #[case::an_older_name("versions a", "facts a")]
    #[case::another("alternatives --way list", "sharing --way list")]
    #[case::a_claim("claims shm-new --expect E --claims C -q", "claims shm-new --claims C")]
    #[case::in_the_order_of_the_command(
        "measure --children=4 ints --visit read lists --visit idle",
        "measure ints lists --visit read --visit idle --children 4"
    )]
    #[case::with_a_baseline(
        "measure ints --save-baseline B --prepare freeze",
        "measure ints --prepare freeze"
    )]
    #[case::matched_with_a_baseline("measure ints --baseline B --match lists=ints", "measure ints")]
    #[case::cut_by_type("measure ints --by type", "measure ints")]
    #[case::cut_by_line("measure ints --by line", "measure ints --lines")]
    #[case::cut_by_several("measure ints --by type,line", "measure ints --lines")]
    #[case::cut_by_line_with_lines("measure ints --by=line --lines", "measure ints --lines")]
    #[case::with_huge_pages(
        "measure ints --huge-pages=keep --report D",
        "measure ints --huge-pages keep"
    )]
    #[case::told_to_be_quiet("facts a b --report D --quiet --timeout 5", "facts a b --timeout 5")]
    #[case::words_of_the_files_own(
        "advise x.py:go --set n=-1 --format json -- --output F",
        "advise x.py:go --set n=-1 -- --output F"
    )]
    #[case::a_value_like_an_option("measure ints --python=-x", "measure ints --python=-x")]
    #[case::a_default_that_was_given("sharing --size 4194304", "sharing --size 4194304")]
    fn what_says_what_to_measure_stays(#[case] given: &str, #[case] measures: &str) {
        assert_eq!(that_measure(&words(given)).join(" "), measures);
    }

    #[rstest]
    #[case("claims")]
    #[case("claims --full --children 3 --format markdown")]
    #[case("claims entire-list shm-new --quick --force --output F")]
    #[case("measure ints small_ints:idle --visit=iterate --count 7 --python all --python 3.9")]
    #[case("measure ints --by line --format csv")]
    #[case("measure lists --no-causes --prepare freeze --save-baseline B")]
    #[case("measure tests/fixtures/acts.py:act --set count=3 --timeout 0.5 -- --format json -q")]
    #[case("advise lists --visit iterate --set count=3 --format json")]
    #[case("sharing --way args --start-method spawn --size 8192 --quiet")]
    #[case("facts --format json --report R")]
    fn the_words_make_the_same_plan(#[case] given: &str) {
        let plan = |words: &[OsString]| {
            let request = request(&matches(words)).unwrap();
            format!("{:?}", request.unwrap().plan)
        };
        let given = words(given);
        let again: Vec<OsString> = that_measure(&given).into_iter().map(Into::into).collect();
        assert_eq!(plan(&again), plan(&given));
        // And are words that stay.
        assert_eq!(that_measure(&again), that_measure(&given));
    }

    #[test]
    fn what_a_document_has_no_place_for_is_no_command() {
        use std::os::unix::ffi::OsStringExt;
        let no_text = OsString::from_vec(vec![b'a', 0xff]);
        let of = |path: OsString| that_measure(&["claims".into(), "--claims".into(), path]);
        assert_eq!(of("a".into()).len(), 3);
        assert!(of(no_text).is_empty());
        assert!(of("a\u{1b}[31m".into()).is_empty());
    }

    #[test]
    fn without_a_command_it_is_claims() {
        let of = |text| with_command(words(text));
        assert_eq!(of("refcow"), words("refcow claims"));
        assert_eq!(of("refcow --quick"), words("refcow --quick"));
    }

    #[test]
    fn the_flags_are_consistent() {
        program().debug_assert();
    }

    #[test]
    fn help_has_each_command_that_is_not_hidden_once_and_its_example_is_one_of_it() {
        let program = program();
        let mut shown: Vec<_> = program
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(|command| command.get_name())
            .collect();
        let examples = help::GROUPS.map(|(_, examples)| examples).join(" | ");
        let mut grouped: Vec<_> = examples
            .split(" | ")
            .map(|example| {
                matches(&words(example))
                    .subcommand_name()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        shown.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, shown);
    }

    #[test]
    fn help_is_as_wide_as_it_may_be() {
        for width in [50, 80] {
            let mut program = help::in_groups(Cli::command(), Some(width)).term_width(width.into());
            let text = program.render_long_help().to_string();
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width.into()), "{text}");
        }
    }

    /// Files with texts that tell what to do, and the commands that can print them. What `refcow reproduce` runs is a command of
    /// these.
    const ADVISING: [(&str, &[&str]); 10] = [
        ("driver/error.rs", &MEASURING),
        ("experiment/dataset.rs", &MEASURING),
        ("experiment/calibration.rs", &MEASURING),
        ("experiment/sharing/error.rs", &["sharing", "claims"]),
        ("python/error.rs", &MEASURING),
        ("python/probe.rs", &MEASURING),
        ("deadlock.rs", &MEASURING),
        // Of a user's own file and its parameters.
        ("raised.rs", &["measure", "advise", "sharing"]),
        ("fixtures/error.rs", &["measure", "advise", "sharing"]),
        ("variables.rs", &["measure", "advise", "sharing"]),
    ];
    const MEASURING: [&str; 5] = ["measure", "advise", "claims", "sharing", "facts"];

    #[test]
    fn an_option_that_a_text_names_is_one_of_the_command_that_prints_it() {
        let program = Cli::command();
        let has = |command: &str, option: &str| {
            let mut all = program.get_subcommands();
            let command = all.find(|one| one.get_name() == command).unwrap();
            command
                .get_arguments()
                .any(|one| one.get_long() == Some(option))
        };
        // Of docker, and what separates arguments.
        let others = ["shm-size", ""];
        for (file, commands) in ADVISING {
            let path = format!("{}/harness/{file}", env!("CARGO_MANIFEST_DIR"));
            let source = std::fs::read_to_string(path).unwrap();
            let mut named = 0;
            // What stands between quotation marks.
            let source = source.replace("\\\"", "'").replace("'\"'", "");
            for text in source.split('"').skip(1).step_by(2) {
                let of = text
                    .split_once("`refcow ")
                    .and_then(|(_, rest)| rest.split(['`', ' ']).next());
                let options = text.match_indices("--").filter(|(place, _)| {
                    !text[..*place]
                        .ends_with(|before: char| before.is_alphanumeric() || before == '-')
                });
                for (place, _) in options {
                    let end = |letter: char| !letter.is_ascii_lowercase() && letter != '-';
                    let option = text[place + 2..].split(end).next().unwrap();
                    let commands = of.map_or(commands.to_vec(), |one| vec![one]);
                    for command in commands.into_iter().filter(|_| !others.contains(&option)) {
                        assert!(
                            has(command, option),
                            "{file}: {command} has no --{option}: {text}"
                        );
                        named += 1;
                    }
                }
            }
            assert!(named > 0, "{file}");
        }
    }
}
