//! Flags in, a plan out.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint, value_parser,
};
use clap_complete::Shell;

use crate::claims::{self, Effort, Evidence, HANDED_OVER_BYTES, LEAST_HANDED_OVER_BYTES};
use crate::commands::{self, help};
use crate::compare::{Renamed, Subject, TOLERANCE};
use crate::experiment::calibration::{self, Pattern};
use crate::experiment::sharing::{self, Selection as WantedWays};
use crate::experiment::{Dataset, Plan, Wanted};
use crate::fixtures::parameters::{self, Setting};
use crate::fixtures::{self, EXIT, Fixture, IDLE};
use crate::mitigations::{Mitigation, mitigations};
use crate::model::{By, StartMethod, Tolerance};
use crate::protocol::MOST_CHILDREN;
use crate::variables::{Variable, Variables};

/// How long a step may take by default.
const TIMEOUT_SECONDS: f64 = 300.0;

/// The visits of `refcow measure` without --visit, in this order, as far as a fixture has them.
const DEFAULT_VISITS: [&str; 4] = ["idle", "reference", "iterate", "read"];

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
                  3    could not measure, or not everything: the message says why\n  130  interrupted (Ctrl-C; a second one ends it at once)\n\n\
                  A signal that is ignored when refcow starts stays ignored, such as SIGINT in a script's background job or SIGHUP \
                  under nohup; SIGTERM still ends refcow."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Test what the article says of copy-on-write, claim by claim
    ///
    /// The article is "Shared Memory in Multiprocessing: Unraveling Copy-On-Write and Reference Counting". Each claim gets a
    /// verdict from what is measured on this machine; with an id, refcow explains one in full.
    Claims(Claims),
    /// Show what each forked worker copies of your data, and why
    ///
    /// refcow builds the data, forks workers that use it, and counts the memory pages that each one copied.
    Measure(Measure),
    /// Try what could reduce the copying, and rank it by the bytes saved
    ///
    /// Each visit is measured with the data as it is, and then with each remedy in a process of its own: gc.collect(),
    /// gc.disable() or gc.freeze() before the fork; immortal objects, where this Python has a call for it; lists as a few packed
    /// arrays; and the same in shared memory, by NumPy. Where other objects take the data's place, it must be lists whose elements
    /// are all alike, and the visit must return the same with them: let it return what it found. The best is measured
    /// twice. What saves less than 16 pages, or 2 % of what is copied, does not help; where nothing does, one line says why.
    Advise(Advise),
    /// Create a starter file for measuring your own data
    New(New),
    /// Compare the ways to share the same data with worker processes
    #[command(alias = "alternatives")]
    Sharing(Sharing),
    /// Check known differences between Python versions on this machine
    #[command(alias = "versions")]
    Facts(Facts),
    /// Show what workers copy more or less of than in an earlier run
    ///
    /// Judged are the bytes that a worker copied and made in each visit, and those of all workers; verdicts on claims; and what
    /// facts say. The pages of regions, and what was edited, explain a change.
    #[command(after_help = COMPARE_STATUS)]
    Compare(Compare),
    /// Turn a saved run into a page with charts and tables
    Report(ReportOptions),
    /// Measure a saved run again, and check that it comes out the same
    ///
    /// The exit status is 1 if it does not. The document says by which command. Interpreters are looked for by their series (3.12) among those that `refcow pythons`
    /// lists, and files of the user's own must be those that were measured, to the byte, with what they import from beside them.
    /// Their code is run only with --run-code. Page counts, verdicts and what ways to share do are compared, times are not.
    Reproduce(Reproduce),
    /// Join saved runs of several machines or Pythons into one document
    Merge(Merge),
    /// List the built-in datasets; with a name, show what to expect of one
    Fixtures(Fixtures),
    /// List the Python interpreters here, and say which can be measured
    Pythons(Pythons),
    /// Show what this machine allows, what is missing, and how to get it
    Doctor(Doctor),
    /// Check refcow itself: a child without Python writes known pages, which are counted
    #[command(hide = true)]
    Calibrate(Calibrate),
    /// Print the JSON Schema of the JSON format
    #[command(hide = true)]
    Schema {
        /// Of which document
        #[arg(value_enum, default_value_t)]
        of: Document,
    },
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page of refcow, or of one of its commands, in roff
    #[command(hide = true)]
    Man {
        /// Which command's
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
}

/// `refcow claims`.
#[derive(Debug, Args)]
pub struct Claims {
    /// Only these, each explained in full [default: all, and the alternatives]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// How.
    #[command(flatten)]
    pub options: ClaimsOptions,
}

/// Options of claims.
#[derive(Debug, Args)]
pub struct ClaimsOptions {
    /// Small data, in a few seconds
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Large data, in minutes
    #[arg(long)]
    full: bool,
    /// A file of lines `id = "verdict"`: what to expect in place of what refcow expects [status 1 if it is otherwise]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub expect: Option<PathBuf>,
    /// Other claims than refcow's own, in the form of harness/claims/claims.toml
    #[arg(long, value_name = "FILE", hide = true)]
    pub claims: Option<PathBuf>,
    /// How to write the verdicts
    #[arg(long, value_enum, default_value_t)]
    pub format: ClaimsFormat,
    /// How to run.
    #[command(flatten)]
    pub run: RunOptions,
}

/// Formats of verdicts and of alternatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClaimsFormat {
    /// For people
    #[default]
    Table,
    /// For programs: one document, as `refcow schema` describes it
    Json,
    /// For a page or a pull request
    Markdown,
}

/// Documents of refcow's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// What was measured
    #[default]
    Report,
    /// What `refcow compare --format json` writes
    Comparison,
    /// What `refcow reproduce --format json` writes
    Reproduction,
}

/// `refcow facts`.
#[derive(Debug, Args)]
pub struct Facts {
    /// Only these facts [default: all]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Other facts than refcow's own, in the form of harness/claims/versions.toml
    #[arg(long, value_name = "FILE", hide = true)]
    pub facts: Option<PathBuf>,
    /// How to write them
    #[arg(long, value_enum, default_value_t)]
    pub format: ClaimsFormat,
    /// How to run.
    #[command(flatten)]
    pub run: RunOptions,
}

/// What the status of a comparison means.
const COMPARE_STATUS: &str = "Exit status:
  0    nothing regressed: it improved, is unchanged or within noise, or what it was does not compare (the reason is printed)
  1    regressed: more bytes are copied and made than in the base, or a verdict or fact is no longer as expected
  2    bad input: a file that is no run, a name that a run does not have, or two runs with nothing in common";

/// `refcow compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// The earlier run, as --format json wrote it
    #[arg(value_name = "BASE.json", value_hint = ValueHint::FilePath)]
    pub base: PathBuf,
    /// The run to compare with it
    #[arg(value_name = "NEW.json", value_hint = ValueHint::FilePath)]
    pub new: PathBuf,
    /// Compare OLD of the base with NEW, where a file or a visit has another name now: `loader.py=fast.py`, or
    /// `loader.py:epoch=fast.py:read`; repeat for several
    #[arg(long = "match", value_name = "OLD=NEW", value_parser = renamed)]
    pub renamed: Vec<Renamed>,
    /// How to write the comparison
    #[arg(long, value_enum, default_value_t)]
    pub format: ComparisonFormat,
    /// What is noise. On one machine, of one build, and with the same code and data nothing is.
    #[command(flatten)]
    pub tolerance: ToleranceOptions,
    /// Where to write, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// Formats of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ComparisonFormat {
    /// For people
    #[default]
    Table,
    /// For a page or a pull request
    Markdown,
    /// For programs: one document, as `refcow schema comparison` describes it
    Json,
    /// Annotations of a GitHub workflow; the Markdown table goes to $GITHUB_STEP_SUMMARY, if that is set
    Github,
}

/// `refcow report`.
#[derive(Debug, Args)]
pub struct ReportOptions {
    /// The run, as --format json wrote it, or the run.json of a report
    #[arg(value_name = "RUN.json", value_hint = ValueHint::FilePath)]
    pub run: PathBuf,
    /// Only this [default: all of them, in a folder]
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// Only this chart, of --format svg or png [default: all, in a folder]
    #[arg(long, value_name = "NAME", requires = "format")]
    pub chart: Option<String>,
    /// Where to write, whole or not at all: a folder, where there are several files; else a file [default: of everything, the
    /// folder of a report's run.json, or RUN-report beside another RUN.json; of one file, standard output]
    #[arg(long, value_name = "PATH|DIR", value_hint = ValueHint::AnyPath)]
    pub output: Option<PathBuf>,
}

/// Formats of a report that people publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One file with everything in it, for a browser
    Html,
    /// For a blog or a pull request
    Markdown,
    /// The document itself, in this refcow's shape
    Json,
    /// The page counts: one row a region of a child
    Csv,
    /// The charts
    Svg,
    /// The charts, as pictures
    Png,
}

/// `refcow reproduce`.
#[derive(Debug, Args)]
pub struct Reproduce {
    /// The run, as --format json wrote it, or the run.json of a report
    #[arg(value_name = "RUN.json", value_hint = ValueHint::FilePath)]
    pub run: PathBuf,
    /// An interpreter that is not on PATH, to measure runs of its series with; repeat for several
    #[arg(long = "python", value_name = "PYTHON", value_hint = ValueHint::AnyPath)]
    pub pythons: Vec<String>,
    /// Run the code of the Python files that the document names, which are those that were measured. Without, it is refused
    #[arg(long)]
    pub run_code: bool,
    /// Seconds that each step may take, whatever the document's command says
    #[arg(long, value_name = "S", default_value_t = TIMEOUT_SECONDS, value_parser = seconds)]
    pub timeout: f64,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: AnswerFormat,
    /// Where to write it, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Write what was measured now to this folder, as `refcow report` would
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub report: Option<PathBuf>,
    /// Say nothing while it runs: errors alone go to standard error
    #[arg(long, short)]
    pub quiet: bool,
    /// How far page counts may be apart.
    #[command(flatten)]
    pub tolerance: ToleranceOptions,
}

/// Formats of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AnswerFormat {
    /// For people
    #[default]
    Table,
    /// For programs: one document, as `refcow schema reproduction` describes it
    Json,
}

/// How far page counts may be apart.
#[derive(Debug, Args)]
pub struct ToleranceOptions {
    /// Pages a worker that are noise between two machines or builds, or where other code or data was measured
    #[arg(long, value_name = "N", default_value_t = TOLERANCE.pages)]
    tolerance_pages: u64,
    /// Per cent of the earlier pages that are noise there, if that is more
    #[arg(long, value_name = "P", default_value_t = TOLERANCE.share * 100.0, value_parser = per_cent)]
    tolerance_percent: f64,
}

impl ToleranceOptions {
    /// What is noise between machines or builds.
    pub fn tolerance(&self) -> Tolerance {
        Tolerance {
            pages: self.tolerance_pages,
            share: self.tolerance_percent / 100.0,
        }
    }
}

/// `refcow merge`.
#[derive(Debug, Args)]
pub struct Merge {
    /// Documents that --format json wrote
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// How to write the whole
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub format: Format,
    /// Where to write, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// `refcow measure`.
#[derive(Debug, Args)]
pub struct Measure {
    /// Names from `refcow fixtures`, or paths of Python files with a function `build`; behind a colon one of its visits
    #[arg(required = true, value_name = "FIXTURE[:VISIT]", value_hint = ValueHint::FilePath)]
    fixtures: Vec<String>,
    /// Arguments for your own Python files (their sys.argv[1:])
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
    /// How.
    #[command(flatten)]
    pub options: MeasureOptions,
}

/// Options of `refcow measure`.
#[derive(Debug, Args)]
pub struct MeasureOptions {
    /// What each worker does with the data; repeat for several [default: idle, reference, iterate and read, or all of a file's but exit]
    #[arg(long = "visit", value_name = "VISIT")]
    visits: Vec<String>,
    /// What the parent does after building the data and before forking: freeze, collect, collect+freeze or disable (functions
    /// of the module gc), or a function `prepare_NAME` of the file's own [default: nothing]
    #[arg(long, value_name = "NAME")]
    prepare: Option<String>,
    /// Elements in each list [default: the fixture's]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Bytes of content in each element [default: the fixture's]
    #[arg(long, value_name = "B", value_parser = value_parser!(u64).range(1..))]
    item_bytes: Option<u64>,
    /// Count pages only; do not record what caused the copies
    #[arg(long)]
    no_causes: bool,
    /// Group copied pages by type, region, cause, function, line or package; several with commas (`--by type,line`)
    #[arg(
        long, value_name = "WHAT", value_parser = by(), value_delimiter = ',',
        conflicts_with_all = ["no_causes", "baseline"]
    )]
    pub by: Vec<By>,
    /// An argument of `build`, written as in Python; repeat for several (`refcow measure FILE.py --help` lists a file's)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<Setting>,
    /// What the measured processes find in their environment.
    #[command(flatten)]
    variables: VariableOptions,
    /// Transparent huge pages in the measured processes: `keep` has them as your own program would
    #[arg(long, value_enum, default_value_t)]
    huge_pages: HugePages,
    /// Name the Python line behind each copied page, too: one more worker makes each visit, several times slower
    #[arg(long, conflicts_with = "no_causes")]
    lines: bool,
    /// How to write the report
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Save the run as baselines/NAME.json, to compare later runs with it
    #[arg(long, value_name = "NAME", value_parser = baseline_name, conflicts_with = "baseline")]
    pub save_baseline: Option<String>,
    /// Compare the run with baselines/NAME.json [status 1 if something regressed]
    #[arg(long, value_name = "NAME", value_parser = baseline_name)]
    pub baseline: Option<String>,
    /// Compare OLD of the baseline with NEW, where a file or a visit has another name now: `loader.py=fast.py`, or
    /// `loader.py:epoch=fast.py:read`; repeat for several
    #[arg(long = "match", value_name = "OLD=NEW", value_parser = renamed, requires = "baseline")]
    pub renamed: Vec<Renamed>,
    /// How to run.
    #[command(flatten)]
    pub run: RunOptions,
}

/// `refcow advise`.
#[derive(Debug, Args)]
pub struct Advise {
    /// The path of a Python file with a function `build`, or a name from `refcow fixtures`; behind a colon one of its visits
    #[arg(value_name = "FIXTURE[:VISIT]", value_hint = ValueHint::FilePath)]
    fixture: String,
    /// For a Python file of one's own: its sys.argv[1:]
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
    /// What each child does; repeat for several [default: all that a file defines; of refcow's own: reference, iterate, read]
    #[arg(long = "visit", value_name = "VISIT")]
    visits: Vec<String>,
    /// An argument of `build`, written as in Python; repeat for several (`refcow advise FILE.py --help` lists a file's)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<Setting>,
    /// What the measured processes find in their environment.
    #[command(flatten)]
    variables: VariableOptions,
    /// Transparent huge pages in the measured processes: `keep` has them as your own program would
    #[arg(long, value_enum, default_value_t)]
    huge_pages: HugePages,
    /// How to write the advice
    #[arg(long, value_enum, default_value_t)]
    pub format: ClaimsFormat,
    /// How to run.
    #[command(flatten)]
    pub run: RunOptions,
}

impl Advise {
    /// What is to be measured.
    ///
    /// # Errors
    /// An unknown fixture or visit, one without a visit of its own, or arguments that it does not take.
    pub fn plan(&self) -> Result<Plan, fixtures::Error> {
        let (name, visit) = fixtures::split_visit(&self.fixture);
        let fixture = fixtures::find(name)?;
        let named = visit.into_iter().map(str::to_owned);
        let mut visits: Vec<String> = named.chain(self.visits.iter().cloned()).collect();
        for visit in &visits {
            fixture.visit(visit)?;
            if [IDLE, EXIT].contains(&&visit[..]) {
                let visit = visit.clone();
                return Err(fixtures::Error::NotOfTheData { visit });
            }
        }
        if visits.is_empty() {
            visits = default_visits(&fixture);
            visits.retain(|visit| visit != IDLE);
        }
        if visits.is_empty() {
            let fixture = fixture.name;
            return Err(fixtures::Error::NoVisit { fixture });
        }
        let mut seen = HashSet::new();
        visits.retain(|visit| seen.insert(visit.clone()));
        if let Some(unknown) = self.set.iter().find(|one| !fixture.takes(&one.name)) {
            return Err(parameters::unknown(&[&fixture], &unknown.name));
        }
        if let (None, Some(first)) = (&fixture.path, self.arguments.first()) {
            let first = first.clone();
            return Err(fixtures::Error::NoArguments { first });
        }
        let dataset = Dataset {
            given: fixture.give(&self.set)?,
            prepare: None,
            visits,
            fixture,
        };
        dataset.fixture.runs(&dataset.calls())?;
        Ok(Plan {
            advise: vec![dataset],
            arguments: self.arguments.clone(),
            variables: self.variables.variables().resolve()?,
            keep_huge_pages: self.huge_pages == HugePages::Keep,
            asked: self.variables.variables(),
            // Why nothing helps, where nothing does.
            causes: true,
            causes_of_advice: self.run.report.is_some(),
            ..self.run.plan()
        })
    }
}

/// What becomes of transparent huge pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HugePages {
    /// None, so that each copy is one page of 4 KiB
    #[default]
    Off,
    /// As the user's own program would have them; the kernel may unshare pages to make one (the cause `khugepaged`)
    Keep,
}

/// Variables of the environment.
#[derive(Debug, Args)]
pub struct VariableOptions {
    /// Set a variable in the environment of the measured processes, before Python starts, or pass yours on; repeat for
    /// several [default: of yours only HOME, TMPDIR and LD_LIBRARY_PATH are passed on, to files of your own]
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = Variable::parse)]
    env: Vec<Variable>,
    /// Pass on all of your variables but those that would break the measurement: LD_PRELOAD, LD_AUDIT, PYTHONHOME,
    /// PYTHONHASHSEED and the like
    #[arg(long)]
    env_all: bool,
}

impl VariableOptions {
    fn variables(&self) -> Variables {
        Variables {
            given: self.env.clone(),
            all: self.env_all,
        }
    }
}

/// Options of everything that measures.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Children that get the data, all alive to the end
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = value_parser!(u64).range(1..=MOST_CHILDREN as u64))]
    children: u64,
    /// A version (3.12), the path of an interpreter, the folder of an environment, or `all` that can be used here; repeat
    /// for several, side by side [default: the first usable one]
    #[arg(long = "python", value_name = "PYTHON", value_hint = ValueHint::AnyPath)]
    pythons: Vec<String>,
    /// Where to write the report, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Write a report to this folder as well: a page, its charts, tables, and the run itself. Your own files in it are left
    /// alone
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub report: Option<PathBuf>,
    /// Say nothing while it runs: errors alone go to standard error
    #[arg(long, short)]
    pub quiet: bool,
    /// Seconds that each step may take: building a dataset, one visit, a hand-over
    #[arg(long, value_name = "S", default_value_t = TIMEOUT_SECONDS, value_parser = seconds)]
    timeout: f64,
    /// Measure even if the data seems not to fit into memory
    #[arg(long)]
    force: bool,
}

impl RunOptions {
    /// Takes back what is for whoever runs a command to say, and not for a document of somebody else's: how long a step may
    /// take, which programs are started, and to measure what does not fit into memory.
    fn not_the_documents(&mut self, timeout: f64) {
        self.timeout = timeout;
        self.force = false;
        self.pythons.clear();
    }

    fn children(&self) -> usize {
        usize::try_from(self.children).unwrap_or(MOST_CHILDREN)
    }

    /// A plan in which nothing is measured yet.
    fn plan(&self) -> Plan {
        Plan {
            datasets: Vec::new(),
            advise: Vec::new(),
            observations: Vec::new(),
            arguments: Vec::new(),
            variables: Vec::new(),
            asked: Variables::default(),
            alternatives: None,
            children: self.children(),
            pythons: self.pythons.clone(),
            timeout: Duration::from_secs_f64(self.timeout),
            force: self.force,
            causes: false,
            causes_of_advice: false,
            lines: false,
            keep_huge_pages: false,
        }
    }
}

/// Formats of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs: one document, as `refcow schema` describes it
    Json,
    /// For a page or a pull request
    Markdown,
    /// One row for each region of each worker
    Csv,
}

/// `refcow new`.
#[derive(Debug, Args)]
pub struct New {
    /// The file to write: a new one, whose name ends in .py
    #[arg(value_name = "FILE.py", value_hint = ValueHint::FilePath)]
    pub path: PathBuf,
}

/// `refcow sharing`.
#[derive(Debug, Args)]
pub struct Sharing {
    /// Bytes to hand over, eight for each integer
    #[arg(long, value_name = "BYTES", default_value_t = HANDED_OVER_BYTES, value_parser = value_parser!(u64).range(LEAST_HANDED_OVER_BYTES..))]
    size: u64,
    /// Only this way; repeat for several [default: all]
    #[arg(long = "way", value_name = "WAY")]
    ways: Vec<String>,
    /// How multiprocessing starts the children [default: fork; of some ways each]
    #[arg(long, value_name = "METHOD", value_parser = start_methods())]
    start_method: Option<StartMethod>,
    /// How to write the report
    #[arg(long, value_enum, default_value_t)]
    pub format: ClaimsFormat,
    /// How to run.
    #[command(flatten)]
    pub run: RunOptions,
}

impl Sharing {
    /// What is to be compared.
    ///
    /// # Errors
    /// An unknown way, or one that does not exist under the start method.
    pub fn plan(&self) -> Result<Plan, PlanError> {
        let method = self.start_method;
        let RunOptions { force, .. } = self.run;
        let children = self.run.children();
        let ways = WantedWays::new(&self.ways, method, self.size, children, force)?;
        // Whoever chooses among the ways wants those alone.
        let datasets = if self.ways.is_empty() && method.is_none() {
            mitigated(self.size)?
        } else {
            Vec::new()
        };
        Ok(Plan {
            datasets,
            alternatives: Some(ways),
            ..self.run.plan()
        })
    }
}

/// The datasets of all mitigations, made of so many bytes.
fn mitigated(size_bytes: u64) -> Result<Vec<Dataset>, fixtures::Error> {
    let mitigations = mitigations();
    let dataset = |mitigation: &Mitigation| {
        let fixture = fixtures::find(&mitigation.fixture)?;
        Ok(Dataset {
            given: fixture.give(&Setting::of_sizes(
                Some(mitigation.count(size_bytes)),
                mitigation.item_bytes,
            ))?,
            prepare: mitigation.prepare.clone(),
            visits: mitigations.visits.clone(),
            fixture,
        })
    };
    mitigations.all.iter().map(dataset).collect()
}

fn start_methods() -> impl TypedValueParser<Value = StartMethod> {
    PossibleValuesParser::new(StartMethod::NAMES).try_map(|name| name.parse::<StartMethod>())
}

fn by() -> impl TypedValueParser<Value = By> {
    PossibleValuesParser::new(By::ALL.map(By::as_str)).try_map(|name| name.parse::<By>())
}

/// `refcow fixtures`.
#[derive(Debug, Args)]
pub struct Fixtures {
    /// All of these: the effect to expect, sizes, visits, preparations [default: a line for each there is]
    #[arg(value_name = "FIXTURE")]
    pub names: Vec<String>,
    /// All of each
    #[arg(long)]
    pub long: bool,
}

/// `refcow pythons`.
#[derive(Debug, Args)]
pub struct Pythons {}

/// `refcow doctor`.
#[derive(Debug, Args)]
pub struct Doctor {}

/// `refcow calibrate`.
#[derive(Debug, Args)]
pub struct Calibrate {
    /// Pages to map
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = value_parser!(u64).range(1..=1 << 24))]
    pages: u64,
    /// Which of them the child writes: scattered, none, one, all or every:N
    #[arg(long, value_name = "WHICH", default_value = "scattered", value_parser = pattern)]
    write: Pattern,
    /// Write so many pages more without saying so, to see the calibration fail
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    unreported: u64,
    /// The interpreter whose program the subject runs in
    #[arg(long, value_name = "PATH_OR_VERSION", value_hint = ValueHint::AnyPath)]
    pub python: Option<String>,
}

impl Cli {
    /// The program as it is parsed and shown.
    pub fn program() -> clap::Command {
        help::in_groups(Self::command(), commands::width())
    }

    /// What a command line says, the program's name first.
    ///
    /// # Errors
    /// What clap says of one that is not understood, or that asks for help.
    pub fn of(words: &[OsString]) -> Result<Self, clap::Error> {
        let mut matches = Self::program().try_get_matches_from(words)?;
        Self::from_arg_matches_mut(&mut matches)
    }

    /// A document's command as it is run again: what it says about limits does not count.
    pub fn of_a_document(mut self, timeout: f64) -> Self {
        let run = match &mut self.command {
            Command::Claims(claims) => Some(&mut claims.options.run),
            Command::Facts(options) => Some(&mut options.run),
            Command::Measure(measure) => Some(&mut measure.options.run),
            Command::Advise(advise) => Some(&mut advise.run),
            Command::Sharing(options) => Some(&mut options.run),
            _ => None,
        };
        if let Some(run) = run {
            run.not_the_documents(timeout);
        }
        self
    }
}

impl Measure {
    /// What is to be measured.
    ///
    /// # Errors
    /// An unknown fixture, visit or preparation.
    pub fn plan(&self) -> Result<Plan, fixtures::Error> {
        let plan = self.options.plan(&self.fixtures)?;
        let own = plan.datasets.iter().any(|one| one.fixture.path.is_some());
        match own || self.arguments.is_empty() {
            true => Ok(Plan {
                arguments: self.arguments.clone(),
                ..plan
            }),
            false => Err(fixtures::Error::NoArguments {
                first: self.arguments[0].clone(),
            }),
        }
    }
}

impl ClaimsOptions {
    fn effort(&self) -> Effort {
        match (self.quick, self.full) {
            (true, _) => Effort::Quick,
            (_, true) => Effort::Full,
            _ => Effort::Default,
        }
    }

    /// All that has to be measured to judge these claims.
    ///
    /// # Errors
    /// An unknown claim; a fixture or a visit of a claim's that does not exist.
    pub fn plan(&self, claims: &claims::Claims, ids: &[String]) -> Result<Plan, PlanError> {
        let effort = self.effort();
        let RunOptions { force, .. } = self.run;
        let children = self.run.children();
        let size_bytes = claims.alternatives.with(effort);
        // All of them stand below all of refcow's own claims; but quick they are not.
        let all = ids.is_empty() && self.claims.is_none() && effort != Effort::Quick;
        let mut ways = if all {
            WantedWays::new(&[], None, size_bytes, children, force)?
        } else {
            WantedWays::none(size_bytes, children, force)
        };
        let mut plan = self.run.plan();
        add_evidence(&mut plan, &mut ways, claims, effort, claims.evidence(ids)?)?;
        if all {
            plan.datasets.extend(mitigated(size_bytes)?);
        }
        // No claim is about the time of a visit, which recording makes longer.
        plan.causes = true;
        plan.alternatives = (!ways.chosen.is_empty()).then_some(ways);
        Ok(plan)
    }
}

impl Facts {
    /// All that has to be measured to test these facts.
    ///
    /// # Errors
    /// An unknown fact; a fixture or a visit of a fact's that does not exist.
    pub fn plan(&self, facts: &claims::Claims) -> Result<Plan, PlanError> {
        let effort = Effort::Default;
        let size_bytes = facts.alternatives.with(effort);
        let mut ways = WantedWays::none(size_bytes, self.run.children(), self.run.force);
        let mut plan = self.run.plan();
        let evidence = facts.evidence_of_facts(&self.ids)?;
        add_evidence(&mut plan, &mut ways, facts, effort, evidence)?;
        plan.alternatives = (!ways.chosen.is_empty()).then_some(ways);
        Ok(plan)
    }
}

/// Adds to a plan what this evidence takes.
fn add_evidence(
    plan: &mut Plan,
    ways: &mut WantedWays,
    claims: &claims::Claims,
    effort: Effort,
    evidence: Vec<Evidence>,
) -> Result<(), PlanError> {
    let dataset = |name: &str, prepare: Option<String>| -> Result<Dataset, fixtures::Error> {
        let fixture = fixtures::find(name)?;
        if let Some(name) = &prepare {
            fixture.preparation(name)?;
        }
        let elements = claims.elements(&fixture.name, effort);
        let mut set = Setting::of_sizes(elements.count, elements.item_bytes);
        set.retain(|one| fixture.takes(&one.name));
        Ok(Dataset {
            given: fixture.give(&set)?,
            visits: Vec::new(),
            prepare,
            fixture,
        })
    };
    for evidence in evidence {
        match evidence {
            Evidence::Visit {
                fixture,
                prepare,
                visit,
            } => {
                let mut there = plan.datasets.iter();
                let place = there.position(|one| one.is(&fixture) && one.prepare == prepare);
                let place = match place {
                    Some(place) => place,
                    None => {
                        plan.datasets.push(dataset(&fixture, prepare)?);
                        plan.datasets.len() - 1
                    }
                };
                let dataset = &mut plan.datasets[place];
                dataset.fixture.visit(&visit)?;
                dataset.visits.push(visit);
            }
            Evidence::Observed(name) => {
                let (fixture, bytes) = claims.for_observation(&name, effort);
                plan.observations.push(match (&name[..], fixture) {
                    ("at_fork", Some(fixture)) => Wanted::AtFork(dataset(fixture, None)?.into()),
                    ("one_byte", _) => Wanted::OneByte,
                    ("older_pythons", _) => Wanted::OlderPythons,
                    _ if !fixtures::has_program(&format!("facts/{name}")) => {
                        let reason = format!("\"observed/{name}\" names no evidence");
                        return Err(claims::Error::Data(reason).into());
                    }
                    _ => Wanted::Facts {
                        program: name,
                        arguments: bytes.into_iter().map(Into::into).collect(),
                    },
                });
            }
            Evidence::Alternative { way, start_method } => ways.add(&way, start_method)?,
        }
    }
    Ok(())
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum PlanError {
    /// An unknown claim.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Claims(#[from] claims::Error),
    /// An unknown fixture or visit.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Fixtures(#[from] fixtures::Error),
    /// An unknown way, or one that does not exist under a start method.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Alternatives(#[from] sharing::Error),
}

/// A fixture of the command line, and the visits that it was named with.
struct Named {
    fixture: Fixture,
    visits: Vec<String>,
    /// Whether it was also named without one.
    whole: bool,
}

impl MeasureOptions {
    fn plan(&self, words: &[String]) -> Result<Plan, fixtures::Error> {
        let mut all: Vec<Named> = Vec::new();
        for word in words {
            let (name, visit) = fixtures::split_visit(word);
            let fixture = fixtures::find(name)?;
            let place = match all.iter().position(|one| one.fixture.name == fixture.name) {
                Some(place) if all[place].fixture.path == fixture.path => place,
                // A report tells measurements apart by it.
                Some(_) => return Err(fixtures::Error::TwoOfOneName { name: fixture.name }),
                None => {
                    all.push(Named {
                        fixture,
                        visits: Vec::new(),
                        whole: false,
                    });
                    all.len() - 1
                }
            };
            all[place].visits.extend(visit.map(str::to_owned));
            all[place].whole |= visit.is_none();
        }
        let mut set = Setting::of_sizes(self.count, self.item_bytes);
        set.extend(self.set.iter().cloned());
        for one in &set {
            if !all.iter().any(|named| named.fixture.takes(&one.name)) {
                let fixtures: Vec<_> = all.iter().map(|named| &named.fixture).collect();
                return Err(parameters::unknown(&fixtures, &one.name));
            }
        }
        let datasets: Result<Vec<_>, _> = all
            .into_iter()
            .map(|named| self.dataset(named, &set))
            .collect();
        Ok(Plan {
            datasets: datasets?,
            causes: !self.no_causes,
            variables: self.variables.variables().resolve()?,
            keep_huge_pages: self.huge_pages == HugePages::Keep,
            asked: self.variables.variables(),
            // Nothing else is asked for by it.
            lines: self.lines || self.by.contains(&By::Line),
            ..self.run.plan()
        })
    }

    fn dataset(&self, named: Named, set: &[Setting]) -> Result<Dataset, fixtures::Error> {
        let Named {
            fixture,
            mut visits,
            whole,
        } = named;
        if whole && self.visits.is_empty() {
            visits.extend(default_visits(&fixture));
        }
        visits.extend(self.visits.iter().cloned());
        for visit in &visits {
            fixture.visit(visit)?;
        }
        if let Some(name) = &self.prepare {
            fixture.preparation(name)?;
        }
        let mut seen = HashSet::new();
        visits.retain(|visit| seen.insert(visit.clone()));
        // What one of several does not take is meant for another.
        let set = set.iter().filter(|one| fixture.takes(&one.name));
        let dataset = Dataset {
            given: fixture.give(&set.cloned().collect::<Vec<_>>())?,
            prepare: self.prepare.clone(),
            visits,
            fixture,
        };
        dataset.fixture.runs(&dataset.calls())?;
        Ok(dataset)
    }
}

/// The visits that are made when none is named.
fn default_visits(fixture: &Fixture) -> Vec<String> {
    match fixture.path {
        // Ending Python runs whatever the file, or what it imports, does at exit: not unless asked for.
        Some(_) => {
            let all = fixture.visits.iter().map(|visit| visit.name.clone());
            all.filter(|name| name != EXIT).collect()
        }
        None => {
            let has = |visit: &&str| fixture.visit(visit).is_ok();
            let all = DEFAULT_VISITS.into_iter().filter(has);
            all.map(str::to_owned).collect()
        }
    }
}

impl Calibrate {
    /// What to calibrate with.
    pub fn options(&self) -> calibration::Options {
        calibration::Options {
            pages: self.pages,
            pattern: self.write,
            unreported: self.unreported,
        }
    }
}

/// An argument of `build`.
fn setting(text: &str) -> Result<Setting, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("an argument is set by NAME=VALUE".into());
    };
    let letters = |letter: char| letter == '_' || letter.is_alphanumeric();
    match name.chars().all(letters)
        && !name.starts_with(|first: char| first.is_numeric())
        && !name.is_empty()
    {
        true => Ok(Setting {
            name: name.to_owned(),
            value: value.to_owned(),
        }),
        false => Err("the name of an argument has letters, digits and _".into()),
    }
}

/// What has another name now.
fn renamed(text: &str) -> Result<Renamed, String> {
    let Some((old, new)) = text.split_once('=') else {
        return Err("a name in the base and its name now: OLD=NEW".into());
    };
    let (old, new) = (subject(old)?, subject(new)?);
    match old.visit.is_some() == new.visit.is_some() {
        true => Ok(Renamed { old, new }),
        false => Err("name a visit on both sides of `=`, or on none".into()),
    }
}

/// A fixture as documents name it: of a path the file's name without `.py`; behind a colon one of its visits.
fn subject(text: &str) -> Result<Subject, String> {
    let (name, visit) = fixtures::split_visit(text);
    let stem = name.rsplit('/').next().unwrap_or(name);
    let stem = stem.strip_suffix(".py").unwrap_or(stem);
    match stem.is_empty() || visit.is_some_and(str::is_empty) {
        true => Err(format!("`{text}` names no file or fixture")),
        false => Ok(Subject {
            fixture: stem.to_owned(),
            visit: visit.map(str::to_owned),
        }),
    }
}

/// A time limit: more than nothing, at most a year.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 31_536_000.0 => Ok(seconds),
        Ok(_) => Err("a time limit is more than 0 and at most 31536000 seconds".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// A part in per cent.
fn per_cent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=100.0).contains(&number) => Ok(number),
        Ok(_) => Err("a tolerance is from 0 to 100 per cent".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// The name of a baseline, which becomes that of a file in one folder.
fn baseline_name(text: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if text.ends_with(".json") {
        return Err("a name, not that of its file: without .json".into());
    }
    match !text.is_empty() && !text.starts_with('.') && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("a name has letters, digits, and -, _ or . behind the first".into()),
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    match text {
        "scattered" => Ok(Pattern::Scattered),
        "none" => Ok(Pattern::None),
        "one" => Ok(Pattern::One),
        "all" => Ok(Pattern::All),
        _ => match text.strip_prefix("every:").map(str::parse) {
            Some(Ok(step)) if step > 0 => Ok(Pattern::Every(step)),
            _ => Err("one of scattered, none, one, all, or every:N with N from 1".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_file_is_named_by_its_path_or_as_documents_name_it() {
        let one = |text| renamed(text).map(|one| (one.old.to_string(), one.new.to_string()));
        let names = |old: &str, new: &str| Ok((old.to_owned(), new.to_owned()));
        assert_eq!(one("loader=fast"), names("loader", "fast"));
        assert_eq!(one("a/loader.py=./b/fast.py"), names("loader", "fast"));
        assert_eq!(
            one("loader.py:epoch=loader:read"),
            names("loader:epoch", "loader:read")
        );
        assert!(one("loader").unwrap_err().contains("OLD=NEW"));
        assert!(
            one("loader:epoch=fast")
                .unwrap_err()
                .contains("on both sides")
        );
        for nothing in ["=fast", "loader=", "=", "a/.py=fast"] {
            assert!(
                one(nothing).unwrap_err().contains("names no file"),
                "{nothing}"
            );
        }
    }

    #[test]
    fn the_flags_are_consistent() {
        Cli::program().debug_assert();
    }

    #[test]
    fn help_has_each_command_that_is_not_hidden_once_and_its_example_is_one_of_it() {
        let program = Cli::program();
        let mut shown: Vec<_> = program
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(|command| command.get_name())
            .collect();
        let entries = help::GROUPS.iter().flat_map(|(_, commands)| *commands);
        let mut grouped: Vec<_> = entries.clone().map(|(name, _)| *name).collect();
        shown.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, shown);
        for (name, example) in entries {
            let matches = program.clone().try_get_matches_from(example.split(' '));
            assert_eq!(matches.unwrap().subcommand_name(), Some(*name));
        }
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
}
