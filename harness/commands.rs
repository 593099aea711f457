//! What each command does: a parsed command line in, bytes out.

mod again;
pub mod help;
mod published;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use miette::Diagnostic;

use crate::cli::{
    Advise, Calibrate, Claims, ClaimsFormat, Cli, Command, Compare, ComparisonFormat, Document,
    Facts, Format, Measure, Merge, PlanError, RunOptions, Sharing,
};
use crate::command_line::{command_words, with_command};
use crate::documents::{self, Baseline};
use crate::experiment::{self, calibration};
use crate::machine::{self, State};
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::python::Packages;
use crate::{claims, compare, fixtures, interrupt, merge, model, python, report, shell};

/// A calibration takes milliseconds; one that does not end in this time never will.
const CALIBRATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a command failed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// An unknown fixture, visit or preparation.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Fixtures(#[from] fixtures::Error),
    /// The output cannot be written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Output(#[from] output::Error),
    /// Nothing could be measured.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Experiment(#[from] experiment::Error),
    /// The report lacks datasets.
    #[error("{}", experiment::told(.0))]
    #[diagnostic(help("the report has everything else; you can measure these again alone"))]
    Partly(Vec<experiment::Error>),
    /// So does what was to be a baseline.
    #[error("{}", experiment::told(.0))]
    #[diagnostic(help(
        "the report has everything else, but it is not kept as a baseline: that would lack these"
    ))]
    NotKept(Vec<experiment::Error>),
    /// The run was ended, and something of it is complete.
    #[error("{}interrupted: {kept}", above(failures))]
    #[diagnostic(help("run the same command again to measure everything"))]
    Interrupted {
        /// Why some of it was not measured.
        failures: Vec<experiment::Error>,
        /// Where what is complete is.
        kept: String,
    },
    /// An unknown claim, or a file of expectations that is none.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Claims(#[from] claims::Error),
    /// Claims have other verdicts than expected.
    #[error("{}", .0.join("\nerror: "))]
    #[diagnostic(help(
        "refcow claims ID shows what a verdict follows from; where it is right, expect it: --expect FILE with lines id = \"verdict\""
    ))]
    Unexpected(Vec<String>),
    /// Facts about versions came out otherwise than predicted.
    #[error("{}", .0.join("\nerror: "))]
    #[diagnostic(help(
        "either refcow is wrong about these versions, or they have changed: see harness/claims/versions.toml"
    ))]
    NotAsPredicted(Vec<String>),
    /// More bytes are copied and made than in the base, or a verdict is no longer as expected.
    #[error("{0}")]
    #[diagnostic(help("where that is meant to be, make a new base of the new run"))]
    Regressed(String),
    /// A comparison without a row.
    #[error("the two have nothing in common that could have regressed")]
    #[diagnostic(help(
        "visits of the same fixture are compared, verdicts, and facts; ways to share are not{remedy}"
    ))]
    NothingInCommon {
        /// What to do if it has another name.
        remedy: String,
    },
    /// Something has another name than --match says.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Match(#[from] compare::MatchError),
    /// A file is no document, or cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Documents(#[from] documents::Error),
    /// Documents that make no one document.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Merge(#[from] merge::Error),
    /// Pages were to be told apart by what wrote to them, which is not known.
    #[error("cannot tell what caused the copies: page faults could not be recorded")]
    #[diagnostic(help(
        "the warning in the report says why and what helps, and so does `refcow doctor`"
    ))]
    NoCauses,
    /// The report has no form.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Report(#[from] report::Error),
    /// A comparison is no part of these formats.
    #[error(
        "--baseline prints a comparison below the report, which JSON and CSV have no place for"
    )]
    #[diagnostic(help(
        "write the report with --format json --output NEW.json, then: refcow compare baselines/NAME.json NEW.json --format json"
    ))]
    NoPlaceForComparison,
    /// An option that belongs to no command.
    #[error("`{0}` stands before any command, and refcow alone takes no options")]
    #[diagnostic(help(
        "put it behind its command, as in `refcow claims --quick`; `refcow COMMAND --help` lists a command's options"
    ))]
    NoCommand(String),
    /// Nothing to print a page of.
    #[error("refcow has no command `{0}`")]
    #[diagnostic(help("`refcow --help` lists them"))]
    NoSuchCommand(String),
    /// What is to be written would be no fixture.
    #[error("{} is no name of a Python file", .0.display())]
    #[diagnostic(help("a fixture is a Python module in one file, and its name ends in .py"))]
    NotPython(PathBuf),
    /// Nor can it be written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NotCreated(#[from] output::CreateError),
    /// Several files, and no folder for them.
    #[error("{what} are several files, and --output names no folder for them")]
    #[diagnostic(help("{remedy}"))]
    NoFolder {
        /// What was asked for.
        what: &'static str,
        /// How to ask for it.
        remedy: &'static str,
    },
    /// A chart that this report does not have.
    #[error("there is no chart `{name}` of this run")]
    #[diagnostic(help("{offer}"))]
    NoSuchChart {
        /// As the user wrote it.
        name: String,
        /// Those that there are.
        offer: String,
    },
    /// Of other formats than charts.
    #[error("--chart names a chart, and --format is none of svg and png")]
    #[diagnostic(help("add --format svg, or --format png"))]
    NoChart,
    /// A document could not be repeated.
    #[error("{}: {answer}", path.display())]
    #[diagnostic(help("the answer above says where; --report DIR keeps what was measured now"))]
    NotReproduced {
        /// The document.
        path: PathBuf,
        /// Whether it differs, or cannot be compared.
        answer: model::Answer,
    },
    /// A document names files, and their code was not asked to be run.
    #[error("{}: its command, `{measures}`, {does}", path.display())]
    #[diagnostic(help("if you have read this and would run it as you, say so: {command}"))]
    RunsCode {
        /// The document.
        path: PathBuf,
        /// The document's command.
        measures: String,
        /// Whose code it runs, and what that finds in its environment.
        does: String,
        /// The command with --run-code.
        command: String,
    },
    /// Ctrl-C would go unheard.
    #[error("cannot listen for signals: {0}")]
    #[diagnostic(help("raise the limit of open files (ulimit -n)"))]
    Signals(io::Error),
}

/// Errors above another one.
fn above(errors: &[experiment::Error]) -> String {
    match errors {
        [] => String::new(),
        errors => format!("{}\nerror: ", experiment::told(errors)),
    }
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Claims(error) => Self::Claims(error),
            PlanError::Fixtures(error) => Self::Fixtures(error),
            PlanError::Alternatives(error) => Self::Experiment(error.into()),
        }
    }
}

impl Error {
    /// The documented exit status.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unexpected(_)
            | Self::NotAsPredicted(_)
            | Self::Regressed(_)
            | Self::NotReproduced { .. } => 1,
            Self::Fixtures(_)
            | Self::Documents(_)
            | Self::Merge(_)
            | Self::Claims(_)
            | Self::NoCommand(_)
            | Self::NoSuchCommand(_)
            | Self::NoPlaceForComparison
            | Self::NoFolder { .. }
            | Self::NoSuchChart { .. }
            | Self::NoChart
            | Self::NothingInCommon { .. }
            | Self::Match(_)
            | Self::RunsCode { .. }
            | Self::NotPython(_)
            | Self::NotCreated(_)
            | Self::Output(
                output::Error::NotWritable { .. }
                | output::Error::NotAFolder { .. }
                | output::Error::Occupied { .. }
                | output::Error::Manifest { .. }
                | output::Error::Busy { .. },
            ) => 2,
            Self::Interrupted { .. } => interrupt::STATUS,
            Self::Experiment(error) => exit_code_of(error.first()),
            Self::Partly(_)
            | Self::NotKept(_)
            | Self::NoCauses
            | Self::Output(_)
            | Self::Report(_)
            | Self::Signals(_) => 3,
        }
    }
}

/// That of what keeps everything from being measured.
fn exit_code_of(error: &experiment::Error) -> u8 {
    use experiment::Error as E;
    use python::Error as P;
    match error {
        error if error.is_interruption() => interrupt::STATUS,
        E::Interpreter { .. } => 3,
        error if error.is_bad_input() => 2,
        E::Python(
            P::NoSuchVersion { .. }
            | P::NotFound { .. }
            | P::NotAnEnvironment { .. }
            | P::NotExecutable { .. }
            | P::Unreadable { .. }
            | P::Unusable { .. },
        ) => 2,
        _ => 3,
    }
}

/// Does what the command line says.
///
/// # Errors
/// As [`Error`] tells; nothing is left behind.
pub fn run(cli: &Cli) -> Result<(), Error> {
    interrupt::install().map_err(Error::Signals)?;
    let text = match &cli.command {
        Command::Claims(options) => return claims(options),
        Command::Measure(options) => return measure(options),
        Command::Advise(options) => return advise(options),
        Command::New(options) => new(&options.path)?.into_bytes(),
        Command::Sharing(options) => return sharing(options),
        Command::Facts(options) => return facts(options),
        Command::Compare(options) => return compare_documents(options),
        Command::Report(options) => return published::report(options),
        Command::Reproduce(options) => return again::reproduce(options),
        Command::Merge(options) => return merge_documents(options),
        Command::Fixtures(which) if which.names.is_empty() && !which.long => {
            fixtures_list().into_bytes()
        }
        Command::Fixtures(which) => fixtures_text(&which.names)?.into_bytes(),
        Command::Pythons(_) => pythons()?.into_bytes(),
        Command::Doctor(_) => doctor().into_bytes(),
        Command::Calibrate(options) => calibrate(options)?.into_bytes(),
        Command::Schema { of } => {
            let schema = match of {
                Document::Report => model::schema(),
                Document::Comparison => model::comparison_schema(),
                Document::Reproduction => model::reproduction_schema(),
            };
            let mut text = format!("{:#}", schema.to_value());
            text.push('\n');
            text.into_bytes()
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::program(), "refcow", &mut text);
            text
        }
        Command::Man { command } => man(command.as_deref())?,
    };
    Ok(Output::Standard.write(&text)?)
}

/// This program as it was called, whatever bytes that is made of.
fn program() -> String {
    let called = std::env::args_os().next();
    called.map_or_else(
        || "refcow".to_owned(),
        |called| called.to_string_lossy().into_owned(),
    )
}

/// What clap says to --help; of a user's own file that is named before it, what that offers, too.
///
/// # Errors
/// When that file is no fixture.
pub fn show_help(said: &clap::Error, words: impl Iterator<Item = OsString>) -> Result<(), Error> {
    let output = Output::Standard;
    let mut text = match colours(&output) {
        true => said.render().ansi().to_string(),
        false => said.render().to_string(),
    };
    let words: Vec<_> = words.filter_map(|word| word.into_string().ok()).collect();
    if words
        .get(1)
        .is_some_and(|command| ["measure", "advise"].contains(&&command[..]))
    {
        let named = words.iter().skip(2).take_while(|word| *word != "--");
        let mut seen: Vec<&str> = Vec::new();
        for word in named.filter(|word| !word.starts_with('-')) {
            let (name, _) = fixtures::split_visit(word);
            if name.ends_with(".py") && !seen.contains(&name) {
                seen.push(name);
                let _ = write!(text, "\n{}", offered(name, &fixtures::find(name)?));
            }
        }
    }
    Ok(output.write(text.as_bytes())?)
}

/// What a user's own file offers.
fn offered(path: &str, fixture: &fixtures::Fixture) -> String {
    let summary = match fixture.summary() {
        "" => "(no docstring)",
        summary => summary,
    };
    let mut text = format!("{path}: {summary}\n\n");
    add_parameters(&mut text, "", fixture);
    let _ = writeln!(text, "\nVisits ({path}:NAME or --visit NAME):");
    add_offers(&mut text, "  ", fixture, "\nPreparations (--prepare NAME):");
    text
}

/// The visits, and below these words the preparations.
fn add_offers(text: &mut String, margin: &str, fixture: &fixtures::Fixture, words: &str) {
    let visits = fixture.visits.iter();
    add_entries(text, margin, visits.map(|one| (&one.name, &one.doc)));
    let _ = writeln!(text, "{words}");
    let all = fixture.preparations.iter();
    add_entries(text, margin, all.map(|one| (&one.name, &one.doc)));
}

/// Names, each with the first line of what is said of it, in columns.
fn add_entries<'a>(
    text: &mut String,
    margin: &str,
    all: impl Iterator<Item = (&'a String, &'a String)> + Clone,
) {
    let longest = all.clone().map(|(name, _)| name.chars().count()).max();
    let width = longest.unwrap_or(0).max(10);
    for (name, doc) in all {
        let first = doc.lines().next().unwrap_or_default();
        let line = format!("{margin}{name:<width$} {first}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// The parameters of a user's `build`, in columns.
fn add_parameters(text: &mut String, margin: &str, fixture: &fixtures::Fixture) {
    let all = fixtures::parameters::described(fixture);
    let _ = writeln!(text, "{margin}Parameters of build (--set NAME=VALUE):");
    if all.is_empty() {
        let words = match fixture.parameters {
            Some(_) => "none",
            None => "known to Python alone: it is defined in another module",
        };
        let _ = writeln!(text, "{margin}  {words}");
    }
    let width = |column: usize| {
        let cells = all.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let (names, annotations) = (width(0).max(10), width(1));
    for [name, annotation, default] in &all {
        let _ = writeln!(
            text,
            "{margin}  {name:<names$} {annotation:<annotations$} {default}"
        );
    }
}

/// Writes a fixture to begin with; how to go on.
fn new(path: &Path) -> Result<String, Error> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if path.extension().is_none_or(|extension| extension != "py") || stem.is_empty() {
        return Err(Error::NotPython(path.to_owned()));
    }
    output::create(path, fixtures::TEMPLATE.as_bytes())?;
    let word = shell::word(&match path.to_string_lossy() {
        // It would be taken for an option.
        name if name.starts_with('-') => format!("./{name}"),
        name => name.into_owned(),
    });
    let program = shell::word(&program());
    Ok(format!(
        "{word} is written, and can be measured as it is:\n\n    {program} measure {word}\n\n\
         What it can be told: {program} measure {word} --help\n"
    ))
}

fn claims(command: &Claims) -> Result<(), Error> {
    let Claims { ids, options } = command;
    let others = options.claims.as_deref().map(other_claims).transpose()?;
    let (others, read) = others.unzip();
    let claims = others.as_ref().unwrap_or(claims::Claims::builtin());
    let plan = options.plan(claims, ids)?;
    let expectations = match &options.expect {
        Some(path) => expectations(claims, path)?,
        None => claims::Expectations::new(),
    };
    let output = Output::open(options.run.output.as_deref())?;
    let folder = published::place(options.run.report.as_deref())?;
    let mut measured = measured(&plan, &options.run, read)?;
    for run in &mut measured.report.runs {
        run.claims = claims.judge(ids, run, &expectations)?;
        if measured.report.interrupted {
            claims::keep_settled(run);
        }
    }
    let explained = if ids.is_empty() {
        Vec::new()
    } else {
        claims.choose(ids)?
    };
    let bytes = match style(options.format, &output) {
        None => report::render(&measured.report, report::Format::Json)?,
        Some(style) => report::render_claims(&measured.report, &explained, style),
    };
    let kept = where_kept(options.format == ClaimsFormat::Json, &output, &options.run);
    write(output, &bytes, folder, &measured.report)?;
    complete(&measured.report, measured.failures, kept)?;
    let runs = &measured.report.runs;
    let unexpected: Vec<_> = of_all(runs, |run| &run.claims)
        .filter(|(_, claim)| claim.verdict != claim.expected)
        .map(|(of, claim)| {
            format!(
                "{of}{}: {}, expected: {}",
                claim.id, claim.verdict, claim.expected
            )
        })
        .collect();
    if unexpected.is_empty() {
        Ok(())
    } else {
        Err(Error::Unexpected(unexpected))
    }
}

/// Measures, and shows how far it is. `read` is what else was read of the user's.
fn measured(
    plan: &experiment::Plan,
    options: &RunOptions,
    read: Option<model::Source>,
) -> Result<experiment::Outcome, Error> {
    let command = command_words(&with_command(std::env::args_os())[1..]);
    let sources = sources(plan, read, &command);
    let mut progress = Progress::new(plan.steps(), options.quiet);
    let mut measured = experiment::run(plan, &mut |step| progress.show(&step))?;
    measured.report.command = command;
    measured.report.sources = sources;
    Ok(measured)
}

/// Writes what was measured: to where it is asked for, and as a report. That one cannot be written does not keep the other from it.
fn write(
    output: Output,
    bytes: &[u8],
    folder: Option<output::Folder>,
    report: &model::Report,
) -> Result<(), Error> {
    // The report first: the other may be asked for in its folder.
    let published = published::write(folder, report);
    output.write(bytes)?;
    published
}

/// Where what is complete is, once it is written.
fn where_kept(is_document: bool, output: &Output, options: &RunOptions) -> String {
    let file = match (is_document, output, &options.output, &options.report) {
        (true, Output::File { .. }, Some(path), _) => Some(path.clone()),
        (.., Some(folder)) => Some(folder.join(report::DOCUMENT)),
        _ => None,
    };
    match file {
        Some(path) => format!("what is complete is in {}", path.display()),
        None => "what is complete has been written".to_owned(),
    }
}

/// The files of the user's that a plan is made from, each by the word that names it, if one does.
fn sources(
    plan: &experiment::Plan,
    read: Option<model::Source>,
    words: &[String],
) -> Vec<model::Source> {
    let mut sources: Vec<_> = read.into_iter().collect();
    for fixture in plan.fixtures() {
        let Some(path) = &fixture.path else {
            continue;
        };
        let named = words.iter().map(|word| fixtures::split_visit(word).0);
        let mut named = named.filter(|name| name.ends_with(".py"));
        let is_path =
            |name: &&str| fixtures::absolute(Path::new(name)).is_ok_and(|one| one == *path);
        let name = named.find(is_path).map_or(path.as_path(), Path::new);
        let mut source = model::Source::of(name, fixture.source.as_bytes());
        match fixtures::beside::imports(fixture) {
            Ok(imports) => source.imports = imports,
            Err(why) => source.imports_unknown = Some(why),
        }
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

/// An error if something was not measured.
fn complete(
    report: &model::Report,
    failures: Vec<experiment::Error>,
    kept: String,
) -> Result<(), Error> {
    if report.interrupted {
        return Err(Error::Interrupted { failures, kept });
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(Error::Partly(failures)),
    }
}

/// All entries of a kind, each with the interpreter that it is of, if there are several.
fn of_all<'a, T: 'a>(
    runs: &'a [model::Run],
    entries: fn(&model::Run) -> &Vec<T>,
) -> impl Iterator<Item = (String, &'a T)> {
    let several = runs.len() > 1;
    runs.iter().flat_map(move |run| {
        let of = match several {
            true => format!("CPython {}: ", run.python.version),
            false => String::new(),
        };
        entries(run).iter().map(move |entry| (of.clone(), entry))
    })
}

/// For whom a document is; `None` for programs.
fn style(format: ClaimsFormat, output: &Output) -> Option<report::Style> {
    match format {
        ClaimsFormat::Json => None,
        ClaimsFormat::Markdown => Some(report::Style::Markdown),
        ClaimsFormat::Table => Some(terminal(output)),
    }
}

fn terminal(output: &Output) -> report::Style {
    report::Style::Terminal {
        width: width_of(output),
        colours: colours(output),
    }
}

fn facts(options: &Facts) -> Result<(), Error> {
    let others = options.facts.as_deref().map(other_claims).transpose()?;
    let (others, read) = others.unzip();
    let facts = others.as_ref().unwrap_or(claims::Claims::versions());
    let plan = options.plan(facts)?;
    let output = Output::open(options.run.output.as_deref())?;
    let folder = published::place(options.run.report.as_deref())?;
    let mut measured = measured(&plan, &options.run, read)?;
    for run in &mut measured.report.runs {
        run.facts = facts.judge_facts(&options.ids, run)?;
        if measured.report.interrupted {
            claims::keep_settled(run);
        }
    }
    let bytes = match style(options.format, &output) {
        None => report::render(&measured.report, report::Format::Json)?,
        Some(style) => report::render_facts(&measured.report, facts, style),
    };
    let kept = where_kept(options.format == ClaimsFormat::Json, &output, &options.run);
    write(output, &bytes, folder, &measured.report)?;
    complete(&measured.report, measured.failures, kept)?;
    let otherwise: Vec<_> = of_all(&measured.report.runs, |run| &run.facts)
        .filter(|(_, fact)| fact.outcome == model::Outcome::Otherwise)
        .map(|(of, fact)| {
            let found = fact.found.as_deref().unwrap_or_default();
            format!("{of}{}: not as predicted: {found}", fact.id)
        })
        .collect();
    match otherwise.is_empty() {
        true => Ok(()),
        false => Err(Error::NotAsPredicted(otherwise)),
    }
}

fn compare_documents(options: &Compare) -> Result<(), Error> {
    let base = documents::read(&options.base)?.report;
    let new = documents::read(&options.new)?.report;
    let renamed = &options.renamed;
    let (names, names_now) = (compare::names(&base), compare::names(&new));
    compare::check_names(renamed, &names, &names_now)?;
    let output = Output::open(options.output.as_deref())?;
    let facts = claims::Claims::versions();
    let tolerance = options.tolerance.tolerance();
    let comparison = compare::compare(&base, &new, tolerance, renamed, facts);
    let bytes = match options.format {
        ComparisonFormat::Json => report::render_json(&comparison)?,
        ComparisonFormat::Markdown => {
            report::render_comparison(&comparison, report::Style::Markdown)
        }
        ComparisonFormat::Table => report::render_comparison(&comparison, terminal(&output)),
        ComparisonFormat::Github => report::github(&comparison),
    };
    output.write(&bytes)?;
    if options.format == ComparisonFormat::Github {
        let summary = report::render_comparison(&comparison, report::Style::Markdown);
        documents::append_to_summary(&summary)?;
    }
    regressions(&comparison, || other_names(&names, &names_now))
}

/// An error if there are any, or if none could have been found.
fn regressions(comparison: &model::Comparison, remedy: impl Fn() -> String) -> Result<(), Error> {
    if comparison.common() == 0 {
        return Err(Error::NothingInCommon { remedy: remedy() });
    }
    let several = comparison.compared.len() > 1;
    let subjects: Vec<String> = comparison
        .compared
        .iter()
        .flat_map(|runs| runs.judged().map(move |(row, _)| (runs, row)))
        .filter(|(_, row)| row.status == model::Status::Regressed)
        .map(|(runs, row)| match several {
            true => format!("{} with CPython {}", row.key.subject(), runs.new.version),
            false => row.key.subject(),
        })
        .collect();
    match &subjects[..] {
        [] => Ok(()),
        [one] => Err(Error::Regressed(format!("{one} regressed"))),
        [one, another] => Err(Error::Regressed(format!("{one} and {another} regressed"))),
        [one, others @ ..] => Err(Error::Regressed(format!(
            "{one} and {} others regressed",
            others.len()
        ))),
    }
}

/// How to compare all the same what has one name in the base and another now, if it is clear which.
fn other_names(base: &[(String, String)], new: &[(String, String)]) -> String {
    let only = |names: &[(String, String)]| {
        let mut fixtures: Vec<String> = names.iter().map(|(fixture, _)| fixture.clone()).collect();
        fixtures.dedup();
        <[String; 1]>::try_from(fixtures).ok()
    };
    match (only(base), only(new)) {
        (Some([old]), Some([new])) if old != new => {
            format!("; if {new} is what {old} was: --match {old}={new}")
        }
        _ => String::new(),
    }
}

fn merge_documents(options: &Merge) -> Result<(), Error> {
    let documents: Result<Vec<_>, _> = options
        .files
        .iter()
        .map(|path| documents::read(path))
        .collect();
    let output = Output::open(options.output.as_deref())?;
    let report = merge::merge(documents?)?;
    let bytes = match options.format {
        Format::Json => report::render(&report, report::Format::Json)?,
        Format::Csv => report::render(&report, report::Format::Csv)?,
        Format::Markdown => report::render_document(&report, report::Style::Markdown),
        Format::Table => report::render_document(&report, terminal(&output)),
    };
    Ok(output.write(&bytes)?)
}

/// Claims or facts of the user's, and what they were read from.
fn other_claims(path: &Path) -> Result<(claims::Claims, model::Source), claims::Error> {
    let fail = |reason: String| claims::Error::File {
        path: path.display().to_string(),
        reason,
    };
    let text = read_text(path).map_err(|error| fail(error.to_string()))?;
    let claims = claims::Claims::parse(&text).map_err(|error| fail(error.to_string()))?;
    Ok((claims, model::Source::of(path, text.as_bytes())))
}

fn expectations(
    claims: &claims::Claims,
    path: &Path,
) -> Result<claims::Expectations, claims::Error> {
    let shown = path.display().to_string();
    match read_text(path) {
        Ok(text) => claims.expectations(&shown, &text),
        Err(error) => Err(claims::Error::Expectations {
            path: shown,
            reason: error.to_string(),
        }),
    }
}

/// A text that the user named. A pipe or a device could be waited for without end.
fn read_text(path: &Path) -> io::Result<String> {
    match path.metadata() {
        Ok(there) if !there.is_file() => Err(io::Error::other("not a regular file")),
        _ => std::fs::read_to_string(path),
    }
}

fn measure(command: &Measure) -> Result<(), Error> {
    let options = &command.options;
    let plan = command.plan()?;
    let base = match &options.baseline {
        Some(name) => Some(Baseline::named(name).read()?),
        None => None,
    };
    if base.is_some() && matches!(options.format, Format::Json | Format::Csv) {
        return Err(Error::NoPlaceForComparison);
    }
    let planned: Vec<_> = plan
        .datasets
        .iter()
        .flat_map(|dataset| {
            let visits = dataset.visits.iter();
            visits.map(|visit| (dataset.fixture.name.clone(), visit.clone()))
        })
        .collect();
    if let Some(base) = &base {
        let names = compare::names(base);
        compare::check_names(&options.renamed, &names, &planned)?;
        if !compare::any_common(&options.renamed, &names, &planned) {
            return Err(Error::NothingInCommon {
                remedy: other_names(&names, &planned),
            });
        }
    }
    let output = Output::open(options.run.output.as_deref())?;
    let folder = published::place(options.run.report.as_deref())?;
    let kept = match &options.save_baseline {
        Some(name) => Some(Baseline::named(name).open()?),
        None => None,
    };
    let measured = measured(&plan, &options.run, None)?;
    let format = format(options.format, &output);
    let mut bytes = match options.by.is_empty() {
        false => report::render_by(&measured.report, &options.by, format)?,
        true => report::render(&measured.report, format)?,
    };
    let comparison = base.map(|base| {
        let facts = claims::Claims::versions();
        let renamed = &options.renamed;
        compare::compare(&base, &measured.report, compare::TOLERANCE, renamed, facts)
    });
    if let Some(comparison) = &comparison {
        let style = match options.format {
            Format::Markdown => report::Style::Markdown,
            _ => terminal(&output),
        };
        bytes.push(b'\n');
        bytes.extend(report::render_comparison(comparison, style));
    }
    let written = where_kept(options.format == Format::Json, &output, &options.run);
    write(output, &bytes, folder, &measured.report)?;
    if kept.is_some() && !measured.failures.is_empty() && !measured.report.interrupted {
        return Err(Error::NotKept(measured.failures));
    }
    complete(&measured.report, measured.failures, written)?;
    let mut all = measured
        .report
        .runs
        .iter()
        .flat_map(|run| &run.measurements);
    if !options.by.is_empty() && !all.all(model::Measurement::has_causes) {
        return Err(Error::NoCauses);
    }
    if let Some(kept) = kept {
        let path = kept.keep(&report::render(&measured.report, report::Format::Json)?)?;
        if !options.run.quiet {
            // If nobody reads it, nothing is lost.
            let _ = writeln!(
                io::stderr(),
                "refcow: the run is saved in {}: compare with it by --baseline {}",
                path.display(),
                options.save_baseline.as_deref().unwrap_or_default()
            );
        }
    }
    comparison.map_or(Ok(()), |comparison| regressions(&comparison, String::new))
}

fn advise(options: &Advise) -> Result<(), Error> {
    let plan = options.plan()?;
    let output = Output::open(options.run.output.as_deref())?;
    let folder = published::place(options.run.report.as_deref())?;
    let measured = measured(&plan, &options.run, None)?;
    let bytes = match style(options.format, &output) {
        None => report::render(&measured.report, report::Format::Json)?,
        Some(style) => report::render_advice(&measured.report, style),
    };
    let kept = where_kept(options.format == ClaimsFormat::Json, &output, &options.run);
    write(output, &bytes, folder, &measured.report)?;
    complete(&measured.report, measured.failures, kept)
}

fn sharing(options: &Sharing) -> Result<(), Error> {
    let plan = options.plan()?;
    let output = Output::open(options.run.output.as_deref())?;
    let folder = published::place(options.run.report.as_deref())?;
    let measured = measured(&plan, &options.run, None)?;
    let bytes = match options.format {
        ClaimsFormat::Json => report::render(&measured.report, report::Format::Json)?,
        ClaimsFormat::Markdown => report::render_alternatives_markdown(&measured.report),
        ClaimsFormat::Table => report::render_alternatives(&measured.report, width_of(&output)),
    };
    let kept = where_kept(options.format == ClaimsFormat::Json, &output, &options.run);
    write(output, &bytes, folder, &measured.report)?;
    complete(&measured.report, measured.failures, kept)
}

fn format(format: Format, output: &Output) -> report::Format {
    match format {
        Format::Json => report::Format::Json,
        Format::Markdown => report::Format::Markdown,
        Format::Csv => report::Format::Csv,
        Format::Table => report::Format::Table {
            width: width_of(output),
        },
    }
}

/// Columns of what is written to, if it is a terminal.
fn width_of(output: &Output) -> Option<u16> {
    match output {
        Output::Standard if io::stdout().is_terminal() => width(),
        _ => None,
    }
}

/// Whether words may be coloured: on a terminal, unless NO_COLOR and the like forbid it.
fn colours(output: &Output) -> bool {
    let choice = anstream::AutoStream::choice(&io::stdout());
    matches!(output, Output::Standard) && choice != anstream::ColorChoice::Never
}

/// Columns of the terminal, as clap's help and the tables' library find them.
pub fn width() -> Option<u16> {
    let mut table = comfy_table::Table::new();
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.width()
}

/// A line for each fixture that refcow brings.
fn fixtures_list() -> String {
    let all = fixtures::builtin();
    let longest = all.iter().map(|fixture| fixture.name.chars().count()).max();
    let width = longest.unwrap_or(0);
    let mut text = String::new();
    for fixture in all {
        let _ = writeln!(text, "{:<width$}  {}", fixture.name, fixture.summary());
    }
    text += "\nrefcow fixtures NAME shows its visits, preparations and sizes, and the effect to expect; --long those of all.\n";
    text
}

fn fixtures_text(names: &[String]) -> Result<String, fixtures::Error> {
    let chosen: Vec<fixtures::Fixture> = if names.is_empty() {
        fixtures::builtin().to_vec()
    } else {
        let chosen: Result<_, _> = names.iter().map(|name| fixtures::find(name)).collect();
        chosen?
    };
    let mut text = String::new();
    for (index, fixture) in chosen.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let _ = writeln!(text, "{} (by {})", fixture.name, fixture.sharing);
        let default = |value: Option<u64>| value.map_or_else(|| "–".into(), report::count);
        let needs = if fixture.modules.is_empty() {
            "nothing".into()
        } else {
            fixture.modules.join(", ")
        };
        indent(&mut text, &fixture.doc);
        if fixture.path.is_none() {
            let _ = writeln!(
                text,
                "\n  Default: --count {} --item-bytes {}. Needs: {needs}.",
                default(fixture.default_count),
                default(fixture.default_item_bytes),
            );
        } else {
            text.push('\n');
            add_parameters(&mut text, "  ", fixture);
            let _ = writeln!(text, "  Needs: {needs}.");
        }
        let _ = writeln!(text, "  Visits:");
        add_offers(&mut text, "    ", fixture, "  Preparations:");
    }
    Ok(text)
}

fn indent(text: &mut String, lines: &str) {
    for line in lines.lines() {
        let line = format!("  {line}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Every interpreter with what can be done with it, those first that refcow would choose.
fn pythons() -> Result<String, experiment::Error> {
    let modules = fixtures::PROVIDED.map(str::to_owned);
    let found = python::discover();
    let usable: Vec<_> = found
        .iter()
        .filter_map(|found| found.outcome.as_ref().ok())
        .collect();
    let mut packages = python::packages(&usable, &modules)?.into_iter();
    let mut text = String::new();
    for found in &found {
        let path = found.path.display();
        let _ = match &found.outcome {
            Ok(interpreter) => writeln!(text, "{:<8} {path}", interpreter.version),
            Err(reason) => writeln!(text, "no       {path}: {reason}"),
        };
        let mut line = |name: &str, words: &str| {
            let _ = writeln!(text, "         {name}: {words}");
        };
        match &found.outcome {
            Ok(interpreter) => {
                let packages = match packages.next() {
                    Some(Packages::Own) => "its own".to_owned(),
                    Some(Packages::Ready(path)) => format!("ready in {}", path.display()),
                    Some(Packages::Nowhere(why)) => format!("none: {why}"),
                    _ => "a private environment is made on first use".to_owned(),
                };
                line("program", &interpreter.program.display().to_string());
                line(&modules.join(", "), &packages);
            }
            Err(reason) => {
                if let Some(help) = reason.help() {
                    line("remedy", &help.to_string());
                }
            }
        }
    }
    Ok(text)
}

fn doctor() -> String {
    let mut text = String::new();
    let mut say =
        |state: State, name: &str, found: &str, lost: Option<&str>, help: Option<&str>| {
            let mark = match state {
                State::Good => "ok",
                State::Limited => "part",
                State::Unavailable => "no",
                State::Unknown => "?",
            };
            let _ = writeln!(text, "{mark:<5}{name}: {found}");
            for (label, words) in [("lost", lost), ("remedy", help)] {
                if let Some(words) = words {
                    let _ = writeln!(text, "       {label}: {words}");
                }
            }
        };
    for finding in machine::findings() {
        let (lost, remedy) = (finding.lost.as_deref(), finding.remedy.as_deref());
        say(finding.state, finding.name, &finding.found, lost, remedy);
    }
    let mut usable = false;
    for found in python::discover() {
        let path = found.path.display().to_string();
        match found.outcome {
            Ok(interpreter) => {
                usable = true;
                let words = format!(
                    "CPython {}, {}",
                    interpreter.version,
                    interpreter.program.display()
                );
                say(State::Good, &path, &words, None, None);
            }
            Err(reason) => {
                let help = reason.help().map(|help| help.to_string());
                let lost = "this interpreter";
                say(
                    State::Unavailable,
                    &path,
                    &reason.to_string(),
                    Some(lost),
                    help.as_deref(),
                );
            }
        }
    }
    let calibrated = if usable {
        experiment::calibrate(None, calibration::Options::default(), CALIBRATION_TIMEOUT)
            .map_err(|error| (error.to_string(), error.help().map(|help| help.to_string())))
    } else {
        Err(("no usable CPython".into(), None))
    };
    match calibrated {
        Ok(calibration) => say(
            State::Good,
            "calibration",
            &format!(
                "{} pages written, {} counted",
                calibration.pages_written, calibration.pages_counted
            ),
            None,
            None,
        ),
        Err((reason, help)) => say(
            State::Unavailable,
            "calibration",
            &reason,
            Some("every measurement"),
            help.as_deref(),
        ),
    }
    text
}

fn calibrate(options: &Calibrate) -> Result<String, experiment::Error> {
    let python = options.python.as_deref();
    let calibration = experiment::calibrate(python, options.options(), CALIBRATION_TIMEOUT)?;
    Ok(format!(
        "pages written {}, pages counted {}\n",
        calibration.pages_written, calibration.pages_counted
    ))
}

/// A page for the program, or for one command.
fn man(name: Option<&str>) -> Result<Vec<u8>, Error> {
    let mut program = Cli::program();
    program.build();
    let command = match name {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(command) => command.clone(),
            None => return Err(Error::NoSuchCommand(name.to_owned())),
        },
    };
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = clap_mangen::Man::new(command).render(&mut text);
    Ok(text)
}
