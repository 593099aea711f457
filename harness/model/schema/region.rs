//! Parts of a process's memory.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A named part of the dataset, or the rest of the process.
///
/// A page that holds parts of several counts for the first of them in this order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RegionName {
    /// GC header and object struct of the containers and of each element.
    Header,
    /// The lists' arrays of pointers.
    Spine,
    /// Buffers out of line: what an array holds.
    Payload,
    /// Memory that was allocated while the dataset was built, is still there, and that no object was found to hold: C code owns
    /// it (SQLite, tries, Arrow).
    Native,
    /// A mapping that is shared by nature (`MAP_SHARED`): never copied on write.
    Segment,
    /// Objects that only modules and classes lead to: the program.
    Modules,
    /// Objects that the interpreter itself leads to, and its variables.
    Interpreter,
    /// Writable pages of other files: variables of libraries.
    Libraries,
    /// Stacks of threads. On other processors than x86-64, of the first thread alone: those of the others are part of `rest`.
    Stack,
    /// Every other page of the process that could be shared at the fork. In documents of schema version 1 and 2 the four before
    /// it, and `native`, are part of it.
    Rest,
}

impl RegionName {
    /// All regions, in the order of precedence.
    pub const ALL: [Self; 10] = [
        Self::Header,
        Self::Spine,
        Self::Payload,
        Self::Native,
        Self::Segment,
        Self::Modules,
        Self::Interpreter,
        Self::Libraries,
        Self::Stack,
        Self::Rest,
    ];

    /// Whether it is part of the dataset, and not of the process around it.
    pub fn is_data(self) -> bool {
        match self {
            Self::Header | Self::Spine | Self::Payload | Self::Native | Self::Segment => true,
            Self::Modules | Self::Interpreter | Self::Libraries | Self::Stack | Self::Rest => false,
        }
    }

    /// The name as the JSON and the tables spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Spine => "spine",
            Self::Payload => "payload",
            Self::Native => "native",
            Self::Segment => "segment",
            Self::Modules => "modules",
            Self::Interpreter => "interpreter",
            Self::Libraries => "libraries",
            Self::Stack => "stack",
            Self::Rest => "rest",
        }
    }
}

/// Where the regions of a dataset are: page numbers (address divided by page size) as ranges.
///
/// They may overlap: several objects share a page. Who gets it is [`RegionName`]'s order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionMap {
    /// GC headers and object structs.
    pub header: Vec<Range<u64>>,
    /// Arrays of pointers.
    pub spine: Vec<Range<u64>>,
    /// Buffers.
    pub payload: Vec<Range<u64>>,
    /// Allocated while building, owned by C.
    #[serde(default)]
    pub native: Vec<Range<u64>>,
    /// Objects that only modules and classes lead to.
    #[serde(default)]
    pub modules: Vec<Range<u64>>,
    /// Objects of the interpreter's own, and its variables.
    #[serde(default)]
    pub interpreter: Vec<Range<u64>>,
    /// Variables of libraries that stand in no file's pages.
    #[serde(default)]
    pub libraries: Vec<Range<u64>>,
    /// Stacks of threads but the first.
    #[serde(default)]
    pub stack: Vec<Range<u64>>,
    /// Memory that C code holds for objects of the dataset, and that was not looked for.
    pub not_walked: Vec<NotWalked>,
    /// Modules of the standard library and of packages that Python compiled, as they have no byte code that fits.
    #[serde(default)]
    pub compiled: Vec<String>,
}

/// Objects of one type that hold more than the walk finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotWalked {
    /// Their type.
    pub of_type: String,
    /// How many of the dataset's objects.
    pub objects: u64,
    /// What they hold besides: what they say themselves, or the blocks that their structs lead to. There may be more behind those.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_spelled_alike_in_json_and_in_tables() {
        for name in RegionName::ALL {
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
        }
    }
}
