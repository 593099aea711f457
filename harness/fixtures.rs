//! What there is to measure, read from the text of the fixtures: no Python is started.
//!
//! The files of `python_fixtures/` are part of the program. Each is a fixture, but for those whose name begins with `_`:
//! they are modules that fixtures import. A fixture can also be a file of the user's own, named by its path.

pub mod beside;
mod literal;
pub mod parameters;
mod syntax;

use std::collections::HashMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use include_dir::{Dir, include_dir};
use miette::Diagnostic;
use thiserror::Error;

use self::parameters::Parameter;
use self::syntax::{Binding, Function, Module, Value};
use crate::deferred;
use crate::protocol::Deferred;

/// A fixture to begin with.
pub const TEMPLATE: &str = include_str!("fixtures/template.py");

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/python_fixtures");

/// Modules that refcow installs for a fixture that imports them.
pub const PROVIDED: [&str; 2] = ["bitarray", "numpy"];

/// The harness's own visit: the child is not even given the data.
pub const IDLE: &str = "idle";

/// The harness's other own visit: the child ends Python, as at the end of a script.
pub const EXIT: &str = "exit";

/// The harness's own visits, which no fixture may define: name and description.
const OWN_VISITS: [(&str, &str); 2] = [
    (
        IDLE,
        "Returns at once, without the data: what forking alone does.",
    ),
    (
        EXIT,
        "Finalises the interpreter, as the end of a script does whose global variable the data is.",
    ),
];

/// Preparations that every fixture has, unless it defines one of that name: name, functions of Python's module `gc`, and
/// description.
const OWN_PREPARATIONS: [(&str, &[&str], &str); 4] = [
    (
        "freeze",
        &["freeze"],
        "Runs gc.freeze(): no later collection looks at what exists now.",
    ),
    (
        "collect",
        &["collect"],
        "Runs gc.collect(): garbage is freed, and children are not due to collect it.",
    ),
    (
        "collect+freeze",
        &["collect", "freeze"],
        "Runs gc.collect(), then gc.freeze().",
    ),
    (
        "disable",
        &["disable"],
        "Runs gc.disable(): no collection begins by itself.",
    ),
];

/// The functions of `gc` that one of refcow's own preparations calls; none of another.
pub fn steps_of(preparation: &str) -> &'static [&'static str] {
    let mut all = OWN_PREPARATIONS.iter();
    all.find(|(name, ..)| *name == preparation)
        .map_or(&[], |(_, steps, _)| steps)
}

/// The name by which a fixture says how its data reaches the children.
const SHARING: &str = "SHARING";

/// One dataset and what can be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixture {
    /// The file's name without `.py`.
    pub name: String,
    /// The absolute path of a user's file. `None`: one of refcow's own.
    pub path: Option<PathBuf>,
    /// The whole text.
    pub source: String,
    /// The module's docstring, dedented: a summary in the first line, then the expected effect. Empty if there is none.
    pub doc: String,
    /// How the data reaches the children: the constant `SHARING` of the module, else `fork`.
    pub sharing: String,
    /// What can be done with the data: [`IDLE`] and [`EXIT`], then the fixture's own in the order of the text.
    pub visits: Vec<Visit>,
    /// What the parent can do with the data before it forks: the fixture's own in the order of the text, then those that it
    /// has anyway.
    pub preparations: Vec<Preparation>,
    /// Those of [`PROVIDED`] that the fixture, or a helper module it uses, imports.
    pub modules: Vec<String>,
    /// Name and text of the helper modules it uses, each after those that it imports itself.
    pub helpers: Vec<(String, String)>,
    /// Elements of each list, where `build` has a constant default.
    pub default_count: Option<u64>,
    /// Bytes of content of each element, where `build` has a constant default.
    pub default_item_bytes: Option<u64>,
    /// Functions of which the text says that a call runs nothing, each with what it is and its line.
    pub deferred: Vec<(String, Deferred, usize)>,
    /// What `build` takes, in the order of the text. `None` where its definition is not in a text that refcow knows.
    pub parameters: Option<Vec<Parameter>>,
}

/// Something a child can do with the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The function's name without `visit_`.
    pub name: String,
    /// The function's docstring, dedented. Empty if there is none, or if a module that refcow does not know defines it.
    pub doc: String,
}

/// Something the parent can do with the data before it forks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preparation {
    /// The function's name without `prepare_`, or that of refcow's own.
    pub name: String,
    /// The function's docstring, dedented. Empty if there is none, or if a module that refcow does not know defines it.
    pub doc: String,
}

/// Why there is nothing to measure.
#[derive(Debug, Error, Diagnostic)]
pub enum Error {
    /// No file of this name is part of refcow.
    #[error("there is no fixture `{name}`")]
    UnknownFixture {
        /// What was asked for.
        name: String,
        /// The nearest name and the list.
        #[help]
        help: String,
    },
    /// The fixture has no function of this name.
    #[error("the fixture `{fixture}` has no visit `{visit}`")]
    UnknownVisit {
        /// The fixture's name.
        fixture: String,
        /// What was asked for.
        visit: String,
        /// The nearest name and the list.
        #[help]
        help: String,
    },
    /// The fixture has no function of this name.
    #[error("the fixture `{fixture}` has no preparation `{preparation}`")]
    UnknownPreparation {
        /// The fixture's name.
        fixture: String,
        /// What was asked for.
        preparation: String,
        /// The nearest name and the list.
        #[help]
        help: String,
    },
    /// The user's file is not there, is a folder, or may not be read.
    #[error("the fixture {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
        /// The nearest fixture of refcow's own, if the file's name is like one.
        #[help]
        help: String,
    },
    /// The name does not end in `.py`.
    #[error("the fixture {} is not a Python file", path.display())]
    #[diagnostic(help("a fixture is a Python module in one file, and its name ends in .py"))]
    NotPython {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The text has another encoding.
    #[error("the fixture {} is not UTF-8 from line {line} on", path.display())]
    #[diagnostic(help("save it in UTF-8: other encodings are not read, whether declared or not"))]
    NotUtf8 {
        /// The path as it was given.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The text is not Python.
    #[error("the fixture {} is not understood from line {line} on", path.display())]
    #[diagnostic(help(
        "`python3 -m py_compile FILE` says what is wrong; if it finds nothing, this is newer Python than refcow can \
         read: put it into a module that the fixture imports"
    ))]
    Syntax {
        /// The path as it was given.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The module has nothing to build.
    #[error("the fixture {} has no function `build`", path.display())]
    #[diagnostic(help(
        "a fixture defines `def build(…)`, which returns the data, and functions `def visit_NAME(data)`; \
         `refcow new FILE.py` writes one"
    ))]
    NoBuild {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A function runs nothing when it is called.
    #[error("{}:{line}: {}", path.display(), deferred::reason(function, *kind))]
    #[diagnostic(help("{}", deferred::help(function, *kind)))]
    Deferred {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
        /// Its name.
        function: String,
        /// What it is.
        kind: Deferred,
    },
    /// `build` has no parameter of this name.
    #[error("`build` of {fixtures} has no parameter `{name}`")]
    UnknownParameter {
        /// Whose, each in backquotes.
        fixtures: String,
        /// What was to be set.
        name: String,
        /// The nearest name and the list.
        #[help]
        help: String,
    },
    /// A variable of the environment that cannot be had.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Variables(#[from] crate::variables::Error),
    /// A parameter has several values.
    #[error("`{name}` is set twice")]
    #[diagnostic(help(
        "--count and --item-bytes are --set count=… and --set item_bytes=…: leave one of them out"
    ))]
    SetTwice {
        /// Which.
        name: String,
    },
    /// A parameter takes other values.
    #[error(
        "--set {name}={value}: `build` of `{fixture}` takes something else as `{name}`: {takes}"
    )]
    #[diagnostic(help(
        "values are written as in Python: 5, 0.5, True, None, [1, 2]; a text without quotes"
    ))]
    BadValue {
        /// The fixture's name.
        fixture: String,
        /// The parameter's.
        name: String,
        /// What was set.
        value: String,
        /// What it takes.
        takes: String,
    },
    /// A parameter has no value.
    #[error("`build` of `{fixture}` has no default for `{name}`")]
    #[diagnostic(help("say what it is to be: --set {name}={}", takes.as_deref().unwrap_or("VALUE")))]
    NotSet {
        /// The fixture's name.
        fixture: String,
        /// The parameter's.
        name: String,
        /// Its annotation.
        takes: Option<String>,
    },
    /// refcow's own fixtures have no `sys.argv`.
    #[error(
        "`{first}` and what follows it is for a Python file of your own, and none is to be measured"
    )]
    #[diagnostic(help("options of refcow's stand before `--`"))]
    NoArguments {
        /// The first argument.
        first: String,
    },
    /// Measurements are told apart by their fixtures' names.
    #[error("two fixtures are called `{name}`")]
    #[diagnostic(help("measure them one after the other, or give one of the files another name"))]
    TwoOfOneName {
        /// Their name.
        name: String,
    },
    /// Nothing reads the data.
    #[error(
        "`{fixture}` has no visit of its own, and without one there is nothing to be advised on"
    )]
    #[diagnostic(help(
        "write one: a function `visit_NAME(data)`, which does what a child does with the data"
    ))]
    NoVisit {
        /// The fixture's name.
        fixture: String,
    },
    /// `idle` or `exit`.
    #[error("there is no advice on `{visit}`, which is refcow's own visit and none of the data")]
    #[diagnostic(help("name a visit that reads the data; `refcow fixtures FIXTURE` lists them"))]
    NotOfTheData {
        /// Its name.
        visit: String,
    },
    /// The module defines `visit_idle` or `visit_exit`.
    #[error("the fixture {} has a visit `{visit}` of its own", path.display())]
    #[diagnostic(help(
        "`{IDLE}` (a child is not given the data) and `{EXIT}` (it ends Python) are refcow's own visits: choose another name"
    ))]
    Reserved {
        /// The path as it was given.
        path: PathBuf,
        /// Its name.
        visit: String,
    },
}

/// refcow's own fixtures, in the order of their names.
pub fn builtin() -> &'static [Fixture] {
    static ALL: LazyLock<Vec<Fixture>> = LazyLock::new(|| {
        names()
            .map(|name| find(name).expect("a test reads every file that is part of the program"))
            .collect()
    });
    &ALL
}

/// One of refcow's own fixtures by its name, or a user's file by its path (anything with a `/`, or that ends in `.py`).
///
/// # Errors
/// There is no such fixture, or the file is none: each variant of [`enum@Error`] says what it needs to be one.
pub fn find(name_or_path: &str) -> Result<Fixture, Error> {
    if name_or_path.contains('/') || name_or_path.ends_with(".py") {
        return user(Path::new(name_or_path));
    }
    match files().find(|(stem, _)| *stem == name_or_path && !stem.starts_with('_')) {
        Some((name, source)) => read(name, None, source.to_owned(), Path::new(name)),
        None => Err(Error::UnknownFixture {
            name: name_or_path.to_owned(),
            help: format!(
                "{}, or the path of a .py file",
                offer(name_or_path, names(), "fixtures")
            ),
        }),
    }
}

/// The path of a user's file from the root, without `..`, as `os.path.abspath` gives it.
///
/// # Errors
/// When there is no working folder.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    let whole = std::path::absolute(path)?;
    let mut short = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => drop(short.pop()),
            part => short.push(part),
        }
    }
    // Behind a link to a folder `..` may lead elsewhere.
    match (whole.canonicalize(), short.canonicalize()) {
        (Ok(one), Ok(other)) if one != other => Ok(whole),
        _ => Ok(short),
    }
}

/// The fixture's name or path, and the visit behind its last colon, if that names one: `module.py:iterate`.
pub fn split_visit(word: &str) -> (&str, Option<&str>) {
    match word.rsplit_once(':') {
        Some((fixture, visit)) if !visit.contains('/') && !visit.ends_with(".py") => {
            (fixture, Some(visit))
        }
        _ => (word, None),
    }
}

impl Fixture {
    /// The visit of this name.
    ///
    /// # Errors
    /// [`Error::UnknownVisit`], with the nearest name and all there are.
    pub fn visit(&self, name: &str) -> Result<&Visit, Error> {
        self.visits
            .iter()
            .find(|visit| visit.name == name)
            .ok_or_else(|| Error::UnknownVisit {
                fixture: self.name.clone(),
                visit: name.to_owned(),
                help: offer(
                    name,
                    self.visits.iter().map(|visit| visit.name.as_str()),
                    "its visits",
                ),
            })
    }

    /// The preparation of this name.
    ///
    /// # Errors
    /// [`Error::UnknownPreparation`], with the nearest name and all there are.
    pub fn preparation(&self, name: &str) -> Result<&Preparation, Error> {
        let names = || self.preparations.iter().map(|known| known.name.as_str());
        self.preparations
            .iter()
            .find(|preparation| preparation.name == name)
            .ok_or_else(|| Error::UnknownPreparation {
                fixture: self.name.clone(),
                preparation: name.to_owned(),
                help: format!(
                    "{}; a file defines others as functions `def prepare_NAME(data)`",
                    offer(name, names(), "its preparations")
                ),
            })
    }

    /// Refuses functions, of those that are to be called, that run nothing when they are.
    ///
    /// # Errors
    /// [`Error::Deferred`], as far as the text tells.
    pub fn runs(&self, calls: &[String]) -> Result<(), Error> {
        let mut deferred = self.deferred.iter();
        match deferred.find(|(function, ..)| calls.contains(function)) {
            None => Ok(()),
            Some((function, kind, line)) => Err(Error::Deferred {
                path: self.path.clone().unwrap_or_else(|| (&self.name).into()),
                line: *line,
                function: function.clone(),
                kind: *kind,
            }),
        }
    }

    /// The first line of the docstring; empty if there is none.
    pub fn summary(&self) -> &str {
        self.doc.lines().next().unwrap_or_default()
    }
}

/// Stem and text of each embedded module, in the order of their names.
fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut files: Vec<_> = FILES
        .files()
        .filter_map(|file| {
            let stem = file.path().to_str()?.strip_suffix(".py")?;
            Some((stem, file.contents_utf8()?))
        })
        .collect();
    files.sort_unstable();
    files.into_iter()
}

/// The source of a program below a folder of python_fixtures/ that is no fixture: `facts/…`, `ways/…`.
///
/// # Panics
/// When there is none: these names are refcow's own.
pub fn program(name: &str) -> &'static str {
    let file = FILES.get_file(format!("{name}.py"));
    file.and_then(|file| file.contents_utf8())
        .unwrap_or_else(|| panic!("python_fixtures/{name}.py is part of the program"))
}

/// Whether there is a [`program`] of this name.
pub fn has_program(name: &str) -> bool {
    FILES.contains(format!("{name}.py"))
}

fn names() -> impl Iterator<Item = &'static str> {
    files()
        .map(|(stem, _)| stem)
        .filter(|stem| !stem.starts_with('_'))
}

fn user(path: &Path) -> Result<Fixture, Error> {
    let unreadable = |source: io::Error| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let help = match nearest(&stem, names()) {
            Some(name) => format!("refcow has a fixture `{name}` of its own: give its bare name"),
            None => "a fixture is a Python module in one file: give its path".to_owned(),
        };
        Error::Unreadable {
            path: path.to_owned(),
            source,
            help,
        }
    };
    let metadata = path.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    if path.extension().is_none_or(|extension| extension != "py") {
        return Err(Error::NotPython {
            path: path.to_owned(),
        });
    }
    if !metadata.is_file() {
        // A pipe could be waited for without end.
        return Err(unreadable(io::Error::other("not a regular file")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let source = String::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
        path: path.to_owned(),
        line: 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count(),
    })?;
    let absolute = absolute(path).map_err(unreadable)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    read(&name, Some(absolute), source, path)
}

fn read(name: &str, path: Option<PathBuf>, source: String, shown: &Path) -> Result<Fixture, Error> {
    // Python skips a byte order mark, and so must the grammar.
    let text = source.strip_prefix('\u{feff}').unwrap_or(&source);
    let module = syntax::read(text).map_err(|line| Error::Syntax {
        path: shown.to_owned(),
        line,
    })?;
    let mut names = Names::default();
    names.enter(&module);

    let build = names
        .function("build")
        .cloned()
        .ok_or_else(|| Error::NoBuild {
            path: shown.to_owned(),
        })?;
    let mut visits: Vec<_> = OWN_VISITS
        .iter()
        .map(|(name, doc)| Visit {
            name: (*name).to_owned(),
            doc: (*doc).to_owned(),
        })
        .collect();
    let mut preparations = Vec::new();
    for (name, function) in &names.functions {
        if let Some(name) = name
            .strip_prefix("prepare_")
            .filter(|name| !name.is_empty())
        {
            preparations.push(Preparation {
                name: name.to_owned(),
                doc: function.doc.clone(),
            });
        }
        let Some(name) = name.strip_prefix("visit_").filter(|name| !name.is_empty()) else {
            continue;
        };
        if OWN_VISITS.iter().any(|(own, _)| *own == name) {
            return Err(Error::Reserved {
                path: shown.to_owned(),
                visit: name.to_owned(),
            });
        }
        visits.push(Visit {
            name: name.to_owned(),
            doc: function.doc.clone(),
        });
    }
    for (name, _, doc) in OWN_PREPARATIONS {
        if !preparations.iter().any(|one| one.name == name) {
            preparations.push(Preparation {
                name: name.to_owned(),
                doc: doc.to_owned(),
            });
        }
    }
    Ok(Fixture {
        name: name.to_owned(),
        path,
        doc: module.doc.clone(),
        sharing: names.sharing.unwrap_or_else(|| "fork".to_owned()),
        visits,
        preparations,
        modules: PROVIDED
            .iter()
            .filter(|module| names.imports.iter().any(|import| import == *module))
            .map(|&module| module.to_owned())
            .collect(),
        helpers: helpers(&module),
        deferred: names
            .functions
            .iter()
            .filter_map(|(name, function)| {
                let (kind, line) = function.deferred?;
                Some((name.clone(), kind, line))
            })
            .collect(),
        default_count: build.count,
        default_item_bytes: build.item_bytes,
        parameters: build.parameters,
        source,
    })
}

/// The helpers that a module imports, and those that they do.
fn helpers(module: &Module) -> Vec<(String, String)> {
    fn add(module: &Module, entered: &mut Vec<String>, found: &mut Vec<(String, String)>) {
        for import in &module.imports {
            if entered.contains(import) {
                continue;
            }
            entered.push(import.clone());
            if let Some((_, source)) =
                files().find(|(stem, _)| stem == import && stem.starts_with('_'))
            {
                if let Some(helper) = helper_module(import) {
                    add(helper, entered, found);
                }
                found.push((import.clone(), source.to_owned()));
            }
        }
    }
    let mut found = Vec::new();
    add(module, &mut Vec::new(), &mut found);
    found
}

/// What a module's names mean, helper modules included.
#[derive(Default)]
struct Names {
    /// In the order in which the names were first bound.
    functions: Vec<(String, Function)>,
    sharing: Option<String>,
    imports: Vec<String>,
    /// Helpers whose imports are in `imports` already: they may import each other.
    entered: Vec<String>,
}

impl Names {
    fn enter(&mut self, module: &Module) {
        self.import(module);
        for binding in &module.bindings {
            match binding {
                Binding::Function { name, function } => self.bind(name, function.clone()),
                Binding::From {
                    module,
                    name,
                    alias,
                } => {
                    let known = helper(module, &self.entered);
                    let function = known.as_ref().and_then(|known| known.function(name));
                    self.bind(alias, function.cloned().unwrap_or_default());
                }
                Binding::All { module } => {
                    if let Some(known) = helper(module, &self.entered) {
                        for (name, function) in known.functions {
                            if !name.starts_with('_') {
                                self.bind(&name, function);
                            }
                        }
                        self.sharing = known.sharing.or(self.sharing.take());
                    }
                }
                Binding::Value { name, value } => match value {
                    Value::Text(text) if name == SHARING => self.sharing = Some(text.clone()),
                    Value::Name(other) => {
                        let function = self.function(other).cloned().unwrap_or_default();
                        self.bind(name, function);
                    }
                    Value::Text(_) => {}
                    Value::Other => self.bind(name, Function::default()),
                },
            }
        }
    }

    /// Adds what the module imports, and what the helpers among that import.
    fn import(&mut self, module: &Module) {
        for import in &module.imports {
            if self.imports.contains(import) {
                continue;
            }
            self.imports.push(import.clone());
            if let Some(module) = helper_module(import) {
                self.import(module);
            }
        }
    }

    fn function(&self, name: &str) -> Option<&Function> {
        let (_, function) = self.functions.iter().find(|(known, _)| known == name)?;
        Some(function)
    }

    fn bind(&mut self, name: &str, function: Function) {
        match self.functions.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = function,
            None => self.functions.push((name.to_owned(), function)),
        }
    }
}

/// A helper's names; `None` for a module that is none, or whose names are being looked up already.
fn helper(name: &str, entered: &[String]) -> Option<Names> {
    if entered.iter().any(|known| known == name) {
        return None;
    }
    let module = helper_module(name)?;
    let mut names = Names {
        entered: entered.to_vec(),
        ..Names::default()
    };
    names.entered.push(name.to_owned());
    names.enter(module);
    Some(names)
}

/// A helper module's text, read once however many names are imported from it.
fn helper_module(name: &str) -> Option<&'static Module> {
    static READ: LazyLock<HashMap<&str, LazyModule>> = LazyLock::new(|| {
        files()
            .filter(|(stem, _)| stem.starts_with('_'))
            .map(|(stem, source)| (stem, (source, OnceLock::new())))
            .collect()
    });
    let (source, module) = READ.get(name)?;
    module.get_or_init(|| syntax::read(source).ok()).as_ref()
}

/// A text and, once it was asked for, what it says.
type LazyModule = (&'static str, OnceLock<Option<Module>>);

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

pub(crate) fn offer<'a>(name: &str, known: impl Iterator<Item = &'a str>, what: &str) -> String {
    let known: Vec<&str> = known.collect();
    let list = format!("{what}: {}", known.join(", "));
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`? {list}"),
        None => list,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The harness's two, then what each fixture has.
    const VISITS: [&str; 11] = [
        "idle",
        "exit",
        "allocate",
        "collect",
        "copy",
        "index",
        "iterate",
        "length",
        "random",
        "read",
        "reference",
    ];
    /// What a fixture has if it makes sense there.
    const FURTHER_VISITS: [&str; 5] = ["hash", "contains", "pickle", "sum", "write"];

    fn sorted(visits: &[Visit]) -> Vec<&str> {
        let mut names: Vec<&str> = visits.iter().map(|visit| visit.name.as_str()).collect();
        names[2..].sort_unstable();
        names
    }

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (folder, path)
    }

    fn help(error: &Error) -> String {
        error.help().unwrap().to_string()
    }

    #[test]
    fn every_fixture_of_our_own_is_documented_and_offers_the_same_visits() {
        let names: Vec<&str> = builtin().iter().map(|f| f.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "bitarrays",
                "bytes_objects",
                "dataframe_like",
                "dicts",
                "floats",
                "int_arrays",
                "interned_strings",
                "ints",
                "lists",
                "memoryviews",
                "numpy_arrays",
                "objects",
                "packed_ints",
                "shared_numpy",
                "small_ints",
                "strings",
                "three_lists",
                "tuples"
            ]
        );
        for fixture in builtin() {
            let mut visits = sorted(&fixture.visits);
            visits.retain(|visit| !FURTHER_VISITS.contains(visit));
            assert_eq!(visits, VISITS, "{}", fixture.name);
            let preparations: Vec<_> = fixture.preparations.iter().collect();
            let names: Vec<_> = preparations.iter().map(|one| one.name.as_str()).collect();
            let all = ["disable", "freeze", "collect", "collect+freeze"];
            assert_eq!(names, all, "{}", fixture.name);
            assert!(preparations.iter().all(|one| !one.doc.is_empty()));
            assert!(fixture.summary().ends_with('.'), "{}", fixture.name);
            assert!(fixture.doc.contains("Expected"), "{}", fixture.name);
            for visit in &fixture.visits {
                assert!(!visit.doc.is_empty(), "{} {}", fixture.name, visit.name);
            }
            assert!(fixture.default_count.is_some());
            assert!(fixture.default_item_bytes.is_some());
        }
    }

    #[test]
    fn a_visit_that_makes_no_sense_is_not_offered() {
        let without = |visit: &str| -> Vec<&str> {
            let lacks = builtin().iter().filter(|f| f.visit(visit).is_err());
            lacks.map(|fixture| fixture.name.as_str()).collect()
        };
        assert_eq!(without("contains"), ["shared_numpy"]);
        assert_eq!(without("pickle"), ["memoryviews"]);
        let numbers = [
            "dataframe_like",
            "floats",
            "ints",
            "packed_ints",
            "small_ints",
        ];
        assert!(numbers.iter().all(|name| !without("sum").contains(name)));
        assert_eq!(without("sum").len() + numbers.len(), builtin().len());
    }

    #[test]
    fn modules_are_those_a_fixture_needs_also_by_way_of_its_helpers() {
        let modules = |name| find(name).unwrap().modules;
        assert_eq!(modules("three_lists"), ["bitarray"]);
        assert_eq!(modules("bitarrays"), ["bitarray"]);
        assert_eq!(modules("numpy_arrays"), ["numpy"]);
        assert_eq!(modules("shared_numpy"), ["numpy"]);
        for name in [
            "dataframe_like",
            "int_arrays",
            "ints",
            "lists",
            "small_ints",
        ] {
            assert!(modules(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn sizes_and_sharing_are_as_written() {
        let three = find("three_lists").unwrap();
        assert_eq!(
            (three.default_count, three.default_item_bytes),
            (Some(2000), Some(65536))
        );
        assert_eq!(three.sharing, "fork");
        assert_eq!(find("shared_numpy").unwrap().sharing, "shared_memory");
        assert_eq!(find("ints").unwrap().default_count, Some(1_000_000));
    }

    #[test]
    fn unknown_names_get_the_nearest_and_the_list() {
        let error = find("three_list").unwrap_err();
        assert!(help(&error).starts_with("did you mean `three_lists`? fixtures: bitarrays, "));
        // A helper is no fixture.
        let error = find("_visits").unwrap_err();
        assert!(matches!(error, Error::UnknownFixture { .. }));
        let error = find("zzz").unwrap_err();
        assert!(help(&error).starts_with("fixtures: bitarrays, "));

        let ints = find("ints").unwrap();
        assert_eq!(ints.visit("idle").unwrap().name, "idle");
        let error = ints.visit("iterat").unwrap_err();
        assert!(help(&error).starts_with("did you mean `iterate`? its visits: idle, exit, "));

        assert_eq!(ints.preparation("freeze").unwrap().name, "freeze");
        let error = ints.preparation("freez").unwrap_err();
        assert!(
            help(&error).starts_with("did you mean `freeze`? its preparations: disable, freeze, "),
            "{}",
            help(&error)
        );
        let text =
            b"def build(): pass\ndef prepare_(data): pass\ndef prepare_freeze(data): 'Mine.'\n";
        let (_folder, path) = file("mine.py", text);
        let mine = find(&path).unwrap();
        assert_eq!(mine.preparation("freeze").unwrap().doc, "Mine.");
        assert!(mine.preparation("collect+freeze").is_ok());
        assert!(mine.preparation("cold").is_err());
    }

    #[test]
    fn helpers_come_after_what_they_import() {
        let names = |fixture: &str| -> Vec<String> {
            let helpers = find(fixture).unwrap().helpers;
            assert!(helpers.iter().all(|(_, source)| !source.is_empty()));
            helpers.into_iter().map(|(name, _)| name).collect()
        };
        let three = names("three_lists");
        let place = |name: &str| three.iter().position(|known| known == name).unwrap();
        assert!(place("_contents") < place("_bitarrays"));
        // What needs bitarray must not be executed for a fixture that does not.
        assert!(!names("ints").iter().any(|name| name == "_bitarrays"));
    }

    #[test]
    fn a_users_file_is_read_with_the_helpers_it_imports() {
        let (_folder, path) = file(
            "mine.py",
            b"\xef\xbb\xbf'''Mine.'''\nfrom _visits import *\nfrom _visits import visit_read as visit_other\n\
              from _bitarrays import bitarrays as build\nvisit_twice = visit_iterate\nSHARING = 'mmap'\n\
              from _preparations import prepare_freeze as prepare_cold\n",
        );
        let fixture = find(&path).unwrap();
        assert_eq!(fixture.name, "mine");
        assert_eq!(fixture.path.as_deref(), Some(Path::new(&path)));
        assert_eq!(fixture.doc, "Mine.");
        assert_eq!(fixture.sharing, "mmap");
        assert_eq!(fixture.modules, ["bitarray"]);
        assert_eq!(
            sorted(&fixture.visits),
            [
                "idle",
                "exit",
                "allocate",
                "collect",
                "contains",
                "copy",
                "index",
                "iterate",
                "length",
                "other",
                "pickle",
                "random",
                "reference",
                "sum",
                "twice"
            ]
        );
        assert!(
            fixture
                .preparation("cold")
                .unwrap()
                .doc
                .contains("gc.freeze()")
        );
        assert_eq!(
            fixture.visit("twice").unwrap().doc,
            fixture.visit("iterate").unwrap().doc
        );
        assert_eq!(
            (fixture.default_count, fixture.default_item_bytes),
            (None, None)
        );
    }

    #[test]
    fn a_visit_stands_behind_the_last_colon() {
        assert_eq!(split_visit("ints"), ("ints", None));
        assert_eq!(split_visit("a.py:read"), ("a.py", Some("read")));
        assert_eq!(split_visit("C:/a.py"), ("C:/a.py", None));
        assert_eq!(split_visit("a:b.py"), ("a:b.py", None));
        assert_eq!(split_visit("a:b.py:c"), ("a:b.py", Some("c")));
        assert_eq!(split_visit("a.py:"), ("a.py", Some("")));
    }

    #[test]
    fn a_users_file_that_is_no_fixture_is_refused_with_the_reason() {
        let refused = |name, bytes: &[u8]| {
            let (_folder, path) = file(name, bytes);
            find(&path).unwrap_err()
        };
        assert!(matches!(refused("a.py", b"x = 1\n"), Error::NoBuild { .. }));
        assert!(matches!(
            refused("a.txt", b"def build(): pass\n"),
            Error::NotPython { .. }
        ));
        assert!(matches!(
            refused("a.py", b"# one\n# \xe4\n"),
            Error::NotUtf8 { line: 2, .. }
        ));
        assert!(matches!(
            refused("a.py", b"def build(): pass\n)\n"),
            Error::Syntax { line: 2, .. }
        ));
        for own in ["idle", "exit"] {
            let text = format!("def build(): pass\ndef visit_{own}(data): pass\n");
            let error = refused("a.py", text.as_bytes());
            assert!(matches!(error, Error::Reserved { visit, .. } if visit == own));
        }
        let error = find("nowhere/three_lists.py").unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }));
        assert!(help(&error).contains("`three_lists`"));
        assert!(matches!(find("/").unwrap_err(), Error::Unreadable { .. }));
    }
}
