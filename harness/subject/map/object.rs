//! One object: its own memory, and what it has out of line.

use std::ops::Range;

use pyo3::Borrowed;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use refcow_observe::objects::RecordPart;

use super::buffer::Buffer;
use super::known::Known;
use super::layout::{ObjectSize, OutOfLine};
use super::numpy;
use super::type_object::STATIC_TYPE_BYTES;
use super::types::{is_integer, type_of};
use super::untold::{self, Untold, Use};
use super::walk::Walk;

impl<'py> Walk<'py> {
    /// One object: itself, and what it has out of line.
    pub(super) fn object(&mut self, object: *mut ffi::PyObject) -> PyResult<Known> {
        let kind = type_of(object);
        let known = self.known(kind)?;
        let collected = known.layout.is_collected(object);
        let before = match collected == known.layout.collected {
            true => known.layout.before,
            false => 0,
        };
        #[expect(unsafe_code, reason = "an object comes as a pointer")]
        // SAFETY: what a container refers to lives as long as the container, and nothing ends here:
        // the walk runs no code but traverse, `__sizeof__` and the buffers of types that are
        // written in C, none of which lets go of anything else's. Not counted: writing the count
        // would copy the object's page.
        let bound = unsafe { Borrowed::from_ptr(self.py, object) };
        let address = object as usize;
        let start = address - before;
        let block = self
            .heap
            .block_bytes(start)
            .map(|bytes| bytes - before.min(bytes));
        let bytes = match (known.layout.bytes(object), known.layout.size) {
            (Some(bytes), ObjectSize::Struct { item: 0, .. }) => bytes,
            (Some(bytes), _) => block.map_or(bytes, |block| bytes.min(block)),
            // Of the base type, not of the object: a class of the user's may answer what it likes.
            (None, ObjectSize::Text) => {
                let says: usize = self.sizeof_text.call1((&bound,))?.extract()?;
                block.map_or(says, |block| says.min(block))
            }
            (None, ObjectSize::Integer) => self.layouts.integer_bytes(object),
            (None, ObjectSize::Block { basic }) => {
                block.unwrap_or_else(|| match is_integer(kind) {
                    // `True` and `False` are in no block.
                    true => self.layouts.integer_bytes(object),
                    false => basic,
                })
            }
            (None, ObjectSize::Struct { basic, .. }) => basic,
        };
        let bytes = match known.layout.collected && !collected {
            // A type of C code's own: not the struct of those that Python makes.
            true => bytes.min(STATIC_TYPE_BYTES),
            false => bytes,
        };
        let part = RecordPart::Object {
            before: before as u32,
            collected,
        };
        let of_type = Some(known.of_type);
        if self.of_dataset {
            self.regions.header.add(start, before + bytes);
        }
        self.record(start..address + bytes, part, of_type);
        let mut out_of_line = 0;
        if known.layout.table != OutOfLine::None {
            let what = match known.layout.table {
                OutOfLine::Text => Use::Content,
                _ => Use::Pointers,
            };
            let mut tables = Vec::new();
            self.layouts
                .tables(&bound, known.layout.table, &self.heap, |table| {
                    tables.push(table);
                });
            for table in tables {
                out_of_line += self.out_of_line(table, known.of_type, what);
            }
        }
        if known.besides.untold != Untold::Nothing {
            let mut blocks = Vec::new();
            untold::blocks(object, known.besides.untold, &self.heap, |block, what| {
                blocks.push((block, what));
            });
            for (block, what) in blocks {
                out_of_line += self.out_of_line(block, known.of_type, what);
            }
        }
        let exports = known.layout.may_export && self.buffer(&bound, kind, known)?;
        if self.of_dataset && known.may_hold && !exports {
            let own = start..(address + bytes).max(start + block.unwrap_or(0));
            self.compare(&bound, known, bytes + out_of_line, &own);
        }
        Ok(known)
    }

    /// A block that an object has out of line: how long it is, if it is new. A table of keys is
    /// often that of many dicts.
    fn out_of_line(&mut self, block: Range<usize>, of_type: u32, what: Use) -> usize {
        if block.is_empty() || !self.seen.insert(block.start) {
            return 0;
        }
        let bytes = block.len();
        if self.of_dataset {
            let region = match what {
                Use::Content => &mut self.regions.payload,
                Use::Pointers => &mut self.regions.spine,
            };
            region.add(block.start, bytes);
        }
        self.record(block, RecordPart::Buffer, Some(of_type));
        bytes
    }

    /// The same of a table of which only the address is known.
    pub(super) fn table(&mut self, start: usize, of_type: u32, what: Use) {
        if let Some(bytes) = self.heap.block_bytes(start) {
            self.out_of_line(start..start + bytes, of_type, what);
        }
    }

    /// The buffer of an object, if it exports one.
    fn buffer(
        &mut self,
        object: &Bound<'py, PyAny>,
        kind: *mut ffi::PyTypeObject,
        known: Known,
    ) -> PyResult<bool> {
        match Buffer::of(object) {
            Ok(buffer) => {
                // `bytes` exports what stands in its own struct; a header first, by the order of
                // regions.
                let extent = buffer.extent.clone();
                if self.of_dataset {
                    self.regions.payload.add(extent.start, extent.len());
                }
                if !extent.is_empty() {
                    self.record(extent, RecordPart::Buffer, Some(known.of_type));
                }
                // NumPy's arrays are not the collector's, and tell nobody else what they refer to.
                let offsets = if buffer.is_pointers {
                    vec![0]
                } else if let Some(descr) = self.descr(object, known) {
                    self.long_texts(&buffer, &descr, known);
                    numpy::object_offsets(&descr)
                } else {
                    // A view leads to what it is one of.
                    let is_view = std::ptr::eq(kind, &raw mut ffi::PyMemoryView_Type);
                    if self.of_dataset
                        && buffer.holds_more
                        && !known.besides.keeps_what_it_refers_to
                        && !is_view
                    {
                        self.note(object, 0);
                    }
                    Vec::new()
                };
                if !offsets.is_empty() {
                    for item in buffer.items() {
                        for offset in &offsets {
                            self.pending.push(pointer_at(item + offset));
                        }
                    }
                }
                Ok(true)
            }
            // No object of this type has one.
            Err(error) if error.is_instance_of::<PyTypeError>(self.py) => {
                let known = self.types.get_mut(&kind);
                if let Some(known) = known {
                    known.layout.may_export = false;
                }
                self.last = None;
                Ok(false)
            }
            // This one does not give it: a memoryview that was released, a mapping that was closed.
            // Or NumPy has no format for what is in an array.
            Err(_) => {
                self.unformatted(object, known);
                Ok(true)
            }
        }
    }

    /// The type of an array's items.
    fn descr(&self, object: &Bound<'py, PyAny>, known: Known) -> Option<Bound<'py, PyAny>> {
        let untold = known.besides.untold;
        if !matches!(untold, Untold::Array | Untold::Void) {
            return None;
        }
        let [_, descr] = untold::references(object.as_ptr(), untold);
        #[expect(unsafe_code, reason = "an object comes as a pointer")]
        // SAFETY: a NumPy array and a row of one have that at this place, and it lives as long as
        // they do.
        unsafe {
            Bound::from_borrowed_ptr_or_opt(self.py, descr)
        }
    }

    /// An array that NumPy does not export.
    fn unformatted(&mut self, object: &Bound<'py, PyAny>, known: Known) {
        let Some(descr) = self
            .descr(object, known)
            .filter(|_| known.besides.untold == Untold::Array)
        else {
            return;
        };
        let bytes = numpy::item_bytes(&descr).unwrap_or(0);
        let buffer = Buffer::of_array(object.as_ptr(), bytes);
        let extent = buffer.extent.clone();
        if self.of_dataset {
            self.regions.payload.add(extent.start, extent.len());
        }
        if extent.is_empty() {
            return;
        }
        self.record(extent, RecordPart::Buffer, Some(known.of_type));
        self.long_texts(&buffer, &descr, known);
    }

    /// What of an array of texts is too long for its items, and for the arena that they share, has
    /// a block of its own: the first word of the item is its address.
    fn long_texts(&mut self, buffer: &Buffer, descr: &Bound<'py, PyAny>, known: Known) {
        if numpy::is_text(descr) {
            for item in buffer.items() {
                self.table(pointer_at(item) as usize, known.of_type, Use::Content);
            }
        }
    }
}

/// The pointer at this address, which may be any within an item.
fn pointer_at(address: usize) -> *mut ffi::PyObject {
    #[expect(unsafe_code, reason = "a buffer is bare memory")]
    // SAFETY: the exporter's shape and strides led here, and its format or its type says that this
    // is a pointer. Nobody promises that a field of a packed struct is aligned.
    unsafe {
        (address as *const *mut ffi::PyObject).read_unaligned()
    }
}
