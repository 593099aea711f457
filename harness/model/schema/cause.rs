//! What the first write to a page changed; what pages can be grouped by.

use std::borrow::Cow;
use std::ops::AddAssign;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RegionName;

/// What the first write to a page changed, by its address.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The reference count of an object (`ob_refcnt`).
    Refcount,
    /// The GC header of an object: the two words in front of it (`PyGC_Head`).
    Gc,
    /// Memory of an object's out of line: a buffer, an array of pointers, a table. `payload` in documents of schema version 1
    /// and 2.
    Buffer,
    /// Another field of an object.
    Body,
    /// What the allocator has for itself: the header of a pool, a block that was free, the size of a chunk.
    Allocator,
    /// The kernel wrote, on behalf of a system call (`read(2)` into a buffer): there is a copy, and no fault of the
    /// program's own.
    Kernel,
    /// `khugepaged` made a huge page of pages here (or `madvise(MADV_COLLAPSE)` did): there is a copy, no fault of the program's own, and
    /// the page is part of a huge page when the visit has ended.
    Khugepaged,
    /// Something else, or nothing is known of it: a thread's stack, a library's variables, memory of an object's that
    /// refcow does not find, or a fault whose record was lost.
    Unattributed,
}

impl Cause {
    /// All causes, in the order of the tables.
    pub const ALL: [Self; 8] = [
        Self::Refcount,
        Self::Gc,
        Self::Buffer,
        Self::Body,
        Self::Allocator,
        Self::Kernel,
        Self::Khugepaged,
        Self::Unattributed,
    ];

    /// The name as the JSON and the tables spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refcount => "refcount",
            Self::Gc => "gc",
            Self::Buffer => "buffer",
            Self::Body => "body",
            Self::Allocator => "allocator",
            Self::Kernel => "kernel",
            Self::Khugepaged => "khugepaged",
            Self::Unattributed => "unattributed",
        }
    }
}

/// Unshared pages of one region by the cause of their first write. Together they are all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Causes {
    /// [`Cause::Refcount`].
    pub refcount: u64,
    /// [`Cause::Gc`].
    pub gc: u64,
    /// [`Cause::Buffer`].
    pub buffer: u64,
    /// [`Cause::Body`].
    pub body: u64,
    /// [`Cause::Allocator`].
    pub allocator: u64,
    /// [`Cause::Kernel`].
    pub kernel: u64,
    /// [`Cause::Khugepaged`]. Absent in documents of earlier versions, which looked for none.
    #[serde(default)]
    pub khugepaged: u64,
    /// [`Cause::Unattributed`].
    pub unattributed: u64,
}

impl Causes {
    /// The pages of one cause.
    pub fn of(&self, cause: Cause) -> u64 {
        match cause {
            Cause::Refcount => self.refcount,
            Cause::Gc => self.gc,
            Cause::Buffer => self.buffer,
            Cause::Body => self.body,
            Cause::Allocator => self.allocator,
            Cause::Kernel => self.kernel,
            Cause::Khugepaged => self.khugepaged,
            Cause::Unattributed => self.unattributed,
        }
    }

    /// The pages of one cause, to change.
    pub fn of_mut(&mut self, cause: Cause) -> &mut u64 {
        match cause {
            Cause::Refcount => &mut self.refcount,
            Cause::Gc => &mut self.gc,
            Cause::Buffer => &mut self.buffer,
            Cause::Body => &mut self.body,
            Cause::Allocator => &mut self.allocator,
            Cause::Kernel => &mut self.kernel,
            Cause::Khugepaged => &mut self.khugepaged,
            Cause::Unattributed => &mut self.unattributed,
        }
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        Cause::ALL.iter().map(|cause| self.of(*cause)).sum()
    }
}

impl AddAssign<&Causes> for Causes {
    fn add_assign(&mut self, other: &Causes) {
        for cause in Cause::ALL {
            *self.of_mut(cause) += other.of(cause);
        }
    }
}

/// Unshared pages whose first writes are alike: the same region, cause, type, function and line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Where the pages are.
    pub region: RegionName,
    /// What was written first on them.
    pub cause: Cause,
    /// The type of the object that was written, or whose buffer was. Absent: it is no object's that refcow found.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub of_type: Option<String>,
    /// The function of the interpreter, or of a library, that wrote; `LIBRARY+0xOFFSET` where it has no symbols. Absent
    /// where no fault was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The Python function and line that was running: `FUNCTION (FILE:LINE)`. Absent unless asked for, and where none
    /// was running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The innermost line of the user's own file that was running, or had called what was: `FUNCTION (FILE:LINE)`. Absent
    /// where that is `line`, and where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_line: Option<String>,
    /// Of an object of the region `modules`: the top-level package whose module leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// How many pages.
    pub pages: u64,
    /// Those of which the copy equals the parent's page. Absent when the memory could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identical: Option<u64>,
}

/// What pages are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The type of the object that was written first.
    Type,
    /// The region.
    Region,
    /// The cause.
    Cause,
    /// The function that wrote.
    Function,
    /// The Python line that was running.
    Line,
    /// The top-level package whose modules lead to the object.
    Package,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Type,
        Self::Region,
        Self::Cause,
        Self::Function,
        Self::Line,
        Self::Package,
    ];

    /// The name as tables and CSV spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Region => "region",
            Self::Cause => "cause",
            Self::Function => "function",
            Self::Line => "line",
            Self::Package => "package",
        }
    }
}

impl FromStr for By {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|by| by.as_str() == name)
            .ok_or_else(|| format!("copied pages cannot be grouped by {name}"))
    }
}

impl Written {
    /// Whether a neighbour was written: pages at the edge of a region that holds memory out of line alone may hold other objects, or
    /// the allocator's words. Those are none of the dataset's, as a page with a header of an object of the data is of that region.
    pub(crate) fn is_of_neighbour(&self) -> bool {
        let out_of_line = matches!(self.region, RegionName::Spine | RegionName::Payload);
        let elsewhere = [Cause::Refcount, Cause::Gc, Cause::Body, Cause::Allocator];
        out_of_line && elsewhere.contains(&self.cause)
    }

    /// What tells these pages from others; `None` where that is not known of them.
    pub(crate) fn key(&self, by: By) -> Option<Cow<'_, str>> {
        match by {
            By::Type => self.of_type.as_deref().map(Cow::Borrowed),
            By::Region => Some(self.region.as_str().into()),
            By::Cause => Some(self.cause.as_str().into()),
            By::Function => self.function.as_deref().map(Cow::Borrowed),
            By::Line => line_and_caller(self.line.as_deref(), self.own_line.as_deref()),
            By::Package => match (self.package.as_deref(), self.region) {
                (Some(package), _) => Some(package.into()),
                (None, region) if region.is_data() && !self.is_of_neighbour() => {
                    Some("(the data)".into())
                }
                (None, RegionName::Interpreter) => Some("(the interpreter)".into()),
                (None, _) => None,
            },
        }
    }
}

/// The innermost line and, where that is another, the innermost one of the user's own file.
pub(super) fn line_and_caller<'a>(
    line: Option<&'a str>,
    own_line: Option<&'a str>,
) -> Option<Cow<'a, str>> {
    match (line, own_line) {
        (Some(line), Some(own)) if line != own => Some(format!("{line}, from {own}").into()),
        (line, own) => line.or(own).map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_on_a_page_without_headers_of_the_data_is_a_neighbours() {
        let is_of_neighbour = |region, cause| {
            let written = Written {
                region,
                cause,
                of_type: None,
                function: None,
                line: None,
                own_line: None,
                package: None,
                pages: 1,
                identical: None,
            };
            written.is_of_neighbour()
        };
        for region in RegionName::ALL {
            let out_of_line = [RegionName::Spine, RegionName::Payload].contains(&region);
            assert_eq!(is_of_neighbour(region, Cause::Refcount), out_of_line);
            assert!(!is_of_neighbour(region, Cause::Buffer));
            assert!(!is_of_neighbour(region, Cause::Kernel));
        }
    }

    #[test]
    fn causes_are_spelled_alike_in_json_and_in_tables() {
        let mut causes = Causes::default();
        for (number, cause) in (1..).zip(Cause::ALL) {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
            *causes.of_mut(cause) = number;
        }
        let json = serde_json::to_value(causes).unwrap();
        for cause in Cause::ALL {
            assert_eq!(json[cause.as_str()], causes.of(cause));
        }
        assert_eq!(causes.sum(), 36);
    }
}
