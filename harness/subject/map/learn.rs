//! What the walk learns of each type, once.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use super::known::Known;
use super::type_object;
use super::types::{is_subtype, lookup};
use super::unreached;
use super::untold::{Besides, Untold, Use};
use super::walk::Walk;

/// Objects of a type whose size is compared with what was found of them.
const COMPARED: u32 = 8;

impl<'py> Walk<'py> {
    pub(super) fn known(&mut self, kind: *mut ffi::PyTypeObject) -> PyResult<Known> {
        if let Some((last, known)) = self.last
            && last == kind
        {
            return Ok(known);
        }
        let known = match self.types.get(&kind) {
            Some(known) => *known,
            None => {
                let known = self.learn(kind)?;
                self.types.insert(kind, known);
                // The names of attributes, which objects without a dict have in common.
                if let Some(table) = self.layouts.shared_keys(kind) {
                    self.table(table, known.of_type, Use::Pointers);
                    self.keys(table)?;
                }
                known
            }
        };
        self.last = Some((kind, known));
        Ok(known)
    }

    fn learn(&mut self, kind: *mut ffi::PyTypeObject) -> PyResult<Known> {
        #[expect(unsafe_code, reason = "a type comes as a pointer")]
        // SAFETY: the type of an object that is alive is alive, and is a type.
        let class = unsafe { Bound::from_borrowed_ptr(self.py, kind.cast()) };
        let class = class.cast_into::<PyType>()?;
        let name = self.name_of(&class);
        self.asked.add_type(&name);
        let mut layout = self.layouts.of(kind);
        // A buffer that Python code would make (PEP 688) is not looked for: that code may do
        // anything.
        let makes = lookup(&class, "__buffer__");
        if self.py.version_info() >= (3, 12) && makes.is_some_and(|makes| !self.is_of_c(&makes)) {
            layout.may_export = false;
        }
        let besides = Besides::of(kind, &self.layouts);
        let is_kind_of = |other| is_subtype(kind, other);
        let is_program = is_kind_of(&raw mut ffi::PyModule_Type)
            || is_kind_of(&raw mut type_object::PyCode_Type);
        // What Python code says of a size may be anything, too. Of code and classes the walk knows
        // better.
        let says = lookup(&class, "__sizeof__").filter(|says| self.is_of_c(says));
        let says_more = says.is_some_and(|says| !says.is(&self.plain_sizeof))
            && !is_program
            && besides.untold != Untold::Class;
        self.to_compare.push(match (besides.is_foreign, says_more) {
            (true, _) => u32::MAX,
            (false, true) => COMPARED,
            (false, false) => 0,
        });
        Ok(Known {
            basic_bytes: layout.basic_bytes(),
            is_plain: unreached::is_plain(kind),
            is_program,
            besides,
            may_hold: besides.is_foreign || says_more,
            of_type: self.objects.add_type(name),
            layout,
        })
    }

    /// Whether this is a function of C code, which a type has in its dict.
    pub(super) fn is_of_c(&self, function: &Bound<'py, PyAny>) -> bool {
        let kind = function.get_type_ptr();
        self.of_c.iter().any(|of_c| of_c.as_type_ptr() == kind)
    }

    /// `array.array`, `bitarray.bitarray`, `mine.Record`: with the module, but for Python's own and
    /// the main one. Asked of `type` itself: a metaclass may answer what it likes.
    pub(super) fn name_of(&self, class: &Bound<'py, PyType>) -> String {
        let text = |name: Bound<'py, PyAny>| {
            let name = name.cast_into_exact::<PyString>().ok()?;
            Some(name.to_string_lossy().into_owned())
        };
        let qualified = self.qualname.call1((class,)).ok().and_then(text);
        let Some(qualified) = qualified else {
            return "a type without a name".to_owned();
        };
        let own_name = self.full_name(class);
        let module = lookup(class, "__module__").and_then(text).or(own_name);
        match module {
            Some(module) if module != "builtins" && module != "__main__" => {
                format!("{module}.{qualified}")
            }
            _ => qualified,
        }
    }

    /// The module in the name of a type of C code, whose `__module__` is made of it: `collections`
    /// of `collections.deque`.
    pub(super) fn full_name(&self, class: &Bound<'py, PyType>) -> Option<String> {
        let name = self.layouts.type_name(class.as_type_ptr());
        let (module, _) = name.rsplit_once('.')?;
        Some(module.to_owned())
    }
}
