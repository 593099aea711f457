//! CSV: one row a region of a child, one a group of its copied pages, one a child, or one a claim.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::error::Error;
use refcow_model::{
    By, Cause, Child, Measurement, Region, RegionName, Report, Run, Verdict, share_of,
};

/// A text in a cell. One that a spreadsheet would take for a formula has an apostrophe before it
/// (OWASP, "CSV Injection"): fixtures and types have any names, and a document may be anybody's.
#[derive(Clone)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl<'a, T: Into<Cow<'a, str>>> From<T> for Text<'a> {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&no_formula(&self.0))
    }
}

/// Letters that begin a formula, those of Chinese and Japanese keyboards too.
const BEGIN_FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

fn no_formula(text: &str) -> Cow<'_, str> {
    // Where a spreadsheet divides by semicolons or tabs, what is behind one is a cell, quoted or
    // not.
    let divides = |letter: char| matches!(letter, ';' | '\t' | '\r' | '\n');
    let is_plain = text
        .split(divides)
        .all(|part| !part.starts_with(BEGIN_FORMULA));
    if is_plain && !text.starts_with(BEGIN_FORMULA) {
        return Cow::Borrowed(text);
    }
    let mut guarded = String::with_capacity(text.len() + 1);
    let mut begins = true;
    for letter in text.chars() {
        if begins && BEGIN_FORMULA.contains(&letter) {
            guarded.push('\'');
        }
        guarded.push(letter);
        begins = divides(letter);
    }
    Cow::Owned(guarded)
}

/// Of which data and visit a row is, with the words of the JSON.
#[derive(Serialize)]
struct VisitColumns<'a> {
    fixture: Text<'a>,
    visit: Text<'a>,
    prepare: Option<Text<'a>>,
    sharing: Text<'a>,
    count: Option<u64>,
    item_bytes: Option<u64>,
    parameters: Option<Text<'a>>,
    arguments: Option<Text<'a>>,
    python: Text<'a>,
}

/// Where it was measured.
#[derive(Serialize)]
struct MachineColumns<'a> {
    executable: Text<'a>,
    architecture: Text<'a>,
    kernel: Text<'a>,
}

/// Of which child it is.
#[derive(Serialize)]
struct Number {
    child: usize,
}

impl<'a> VisitColumns<'a> {
    fn of(run: &'a Run, measurement: &'a Measurement) -> Self {
        let Measurement {
            fixture,
            visit,
            prepare,
            sharing,
            parameters,
            arguments,
            ..
        } = measurement;
        Self {
            fixture: fixture.into(),
            visit: visit.into(),
            prepare: prepare.as_ref().map(Text::from),
            sharing: sharing.into(),
            count: measurement.count,
            item_bytes: measurement.item_bytes,
            parameters: in_json(parameters, parameters.is_empty()),
            arguments: in_json(arguments, arguments.is_empty()),
            python: (&run.python.version).into(),
        }
    }
}

impl<'a> MachineColumns<'a> {
    fn of(run: &'a Run) -> Self {
        Self {
            executable: run.python.executable.to_string_lossy().into(),
            architecture: (&run.environment.architecture).into(),
            kernel: (&run.environment.kernel).into(),
        }
    }
}

/// What has more than one value, in one field.
fn in_json(values: &impl Serialize, none: bool) -> Option<Text<'static>> {
    match none {
        true => None,
        false => serde_json::to_string(values).ok().map(Text::from),
    }
}

/// What the kernel says of a child, and its clock: another in each run.
#[derive(Serialize)]
struct OfChild {
    visit_seconds: f64,
    minor_faults: u64,
    uss_bytes_before: Option<u64>,
    uss_bytes_after: Option<u64>,
    pages_copied_by_fork: u64,
    copied_bytes: u64,
    new_bytes: Option<u64>,
    file_bytes: Option<u64>,
    sum_bytes: Option<u64>,
    uss_growth_bytes: Option<i64>,
    peak_bytes: Option<u64>,
}

impl OfChild {
    fn of(child: &Child, page_size_bytes: u64) -> Self {
        let bytes = child.visit_bytes(page_size_bytes);
        Self {
            visit_seconds: child.visit_seconds,
            minor_faults: child.minor_faults,
            uss_bytes_before: child.uss_bytes_before,
            uss_bytes_after: child.uss_bytes_after,
            pages_copied_by_fork: child.pages_copied_by_fork,
            copied_bytes: bytes.copied,
            new_bytes: bytes.new,
            file_bytes: bytes.file,
            sum_bytes: bytes.sum,
            uss_growth_bytes: bytes.uss_growth,
            peak_bytes: child.peak.map(|peak| peak.bytes),
        }
    }
}

/// What a child has of the process around the dataset: how many pages of libraries are there to be
/// shared depends on the page cache.
#[derive(Serialize)]
struct OfRest {
    rest_pages: Option<u64>,
    rest_unshared: Option<u64>,
    rest_identical: Option<u64>,
}

impl OfRest {
    fn of(child: &Child) -> Self {
        let rest = child.around();
        Self {
            rest_pages: Some(rest.pages),
            rest_unshared: Some(rest.unshared),
            rest_identical: rest.identical,
        }
    }
}

/// How long the data of a child took.
#[derive(Serialize)]
struct BuildTime {
    build_seconds: f64,
}

/// A verdict.
#[derive(Serialize)]
struct OfClaim<'a> {
    python: Text<'a>,
    id: Text<'a>,
    statement: Text<'a>,
    verdict: Verdict,
    expected: Verdict,
}

/// A region of a child.
#[derive(Serialize)]
struct OfRegion {
    region: RegionName,
    pages: u64,
    unshared: u64,
    unshared_bytes: u64,
    identical: Option<u64>,
    refcount: Option<u64>,
    gc: Option<u64>,
    buffer: Option<u64>,
    body: Option<u64>,
    allocator: Option<u64>,
    /// The machine's kernel has the shorter name.
    by_kernel: Option<u64>,
    khugepaged: Option<u64>,
    unattributed: Option<u64>,
}

impl OfRegion {
    fn of(region: &Region, page_size_bytes: u64) -> Self {
        let of = |cause| region.causes.map(|causes| causes.of(cause));
        Self {
            region: region.name,
            pages: region.pages,
            unshared: region.unshared,
            unshared_bytes: region.unshared.saturating_mul(page_size_bytes),
            identical: region.identical,
            refcount: of(Cause::Refcount),
            gc: of(Cause::Gc),
            buffer: of(Cause::Buffer),
            body: of(Cause::Body),
            allocator: of(Cause::Allocator),
            by_kernel: of(Cause::Kernel),
            khugepaged: of(Cause::Khugepaged),
            unattributed: of(Cause::Unattributed),
        }
    }
}

/// Copied pages of a child that have something in common. Of several things, each has a column of
/// its name.
#[derive(Serialize)]
struct OfGroup<'a> {
    by: Text<'a>,
    /// Empty where that is not known of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Option<Text<'a>>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    of_type: Option<Option<Text<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Option<Text<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Option<Text<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<Option<Text<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<Option<Text<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<Option<Text<'a>>>,
    unshared: u64,
    unshared_bytes: u64,
    /// Of all that the child copied, if that is enough for a part to say anything.
    share: Option<f64>,
    identical: Option<u64>,
}

/// All regions under a line of names. What is absent is an empty field.
pub(crate) fn render(report: &Report) -> Result<Vec<u8>, Error> {
    table(children(report).flat_map(|of| {
        let all = of.child.regions.iter();
        all.map(move |region| {
            (
                of.whose(),
                OfChild::of(of.child, of.page_size()),
                OfRegion::of(region, of.page_size()),
            )
        })
    }))
}

/// Copied pages that have something in common, the most first.
pub(crate) fn render_by(report: &Report, by: &[By]) -> Result<Vec<u8>, Error> {
    let names: Vec<_> = by.iter().map(|by| by.as_str()).collect();
    let names = names.join(",");
    table(children(report).flat_map(|of| {
        let copied = of.child.totals().unshared;
        let names = names.clone();
        let all = of.child.written_by(by).into_iter();
        all.map(move |(key, unshared, identical)| {
            let page_size = of.page_size();
            let mut parts = key.into_iter().map(|part| part.map(Text::from));
            let mut column = |wanted: By| {
                let is_there = by.len() > 1 && by.contains(&wanted);
                is_there.then(|| {
                    let place = by.iter().position(|by| *by == wanted)?;
                    parts.clone().nth(place).flatten()
                })
            };
            let [of_type, region, cause, function, line, package] = By::ALL.map(&mut column);
            let key = (by.len() == 1).then(|| parts.next().flatten());
            let group = OfGroup {
                by: names.clone().into(),
                key,
                of_type,
                region,
                cause,
                function,
                line,
                package,
                unshared,
                unshared_bytes: unshared.saturating_mul(page_size),
                share: share_of(unshared, copied, page_size),
                identical,
            };
            (of.whose(), group)
        })
    }))
}

/// The dataset's regions, with nothing that is another when the same command runs again on the same
/// machine.
///
/// # Errors
/// None that is known of.
pub fn render_pages(report: &Report) -> Result<Vec<u8>, Error> {
    table(children(report).flat_map(|of| {
        let all = of.child.regions.iter();
        let all = all.filter(|region| region.name.is_data());
        all.map(move |region| {
            (
                of.visited(),
                of.number(),
                OfRegion::of(region, of.page_size()),
            )
        })
    }))
}

/// What [`render_pages`] leaves out, one row a child.
///
/// # Errors
/// When a time is no number.
pub fn render_times(report: &Report) -> Result<Vec<u8>, Error> {
    table(children(report).map(|of| {
        let built = BuildTime {
            build_seconds: of.measurement.build_seconds,
        };
        let machine = MachineColumns::of(of.run);
        (
            of.visited(),
            of.number(),
            OfChild::of(of.child, of.page_size()),
            OfRest::of(of.child),
            built,
            machine,
        )
    }))
}

/// The verdict on each claim, one row an interpreter.
///
/// # Errors
/// None that is known of.
pub fn render_claims_csv(report: &Report) -> Result<Vec<u8>, Error> {
    table(report.runs.iter().flat_map(|run| {
        run.claims.iter().map(|claim| OfClaim {
            python: (&run.python.version).into(),
            id: (&claim.id).into(),
            statement: (&claim.statement).into(),
            verdict: claim.verdict,
            expected: claim.expected,
        })
    }))
}

/// A child, with all that it is of.
#[derive(Clone, Copy)]
struct Of<'a> {
    run: &'a Run,
    measurement: &'a Measurement,
    number: usize,
    child: &'a Child,
}

impl<'a> Of<'a> {
    fn visited(self) -> VisitColumns<'a> {
        VisitColumns::of(self.run, self.measurement)
    }

    fn page_size(self) -> u64 {
        self.run.environment.page_size_bytes
    }

    fn number(self) -> Number {
        Number { child: self.number }
    }

    fn whose(self) -> (VisitColumns<'a>, MachineColumns<'a>, Number) {
        (self.visited(), MachineColumns::of(self.run), self.number())
    }
}

fn children(report: &Report) -> impl Iterator<Item = Of<'_>> {
    let measurements = report
        .runs
        .iter()
        .flat_map(|run| run.measurements.iter().map(move |one| (run, one)));
    measurements.flat_map(|(run, measurement)| {
        let children = (1..).zip(&measurement.children);
        children.map(move |(number, child)| Of {
            run,
            measurement,
            number,
            child,
        })
    })
}

/// Rows under a line of their names.
pub(crate) fn table<Row: Serialize>(rows: impl Iterator<Item = Row>) -> Result<Vec<u8>, Error> {
    let fail = |error: csv::Error| Error(error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(fail)?;
    }
    writer
        .into_inner()
        .map_err(|error| Error(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")")]
    #[case("+1", "'+1")]
    #[case("-1+1", "'-1+1")]
    #[case("@SUM(1)", "'@SUM(1)")]
    #[case("\t=1", "'\t'=1")]
    #[case("\r=1", "'\r'=1")]
    #[case("＝1", "'＝1")]
    #[case("a;=1;b", "a;'=1;b")]
    #[case("three_lists", "three_lists")]
    #[case("a=b-c", "a=b-c")]
    #[case("", "")]
    fn a_text_begins_no_formula(#[case] text: &str, #[case] cell: &str) {
        assert_eq!(no_formula(text), cell);
    }
}
