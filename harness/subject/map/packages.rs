//! The program around the dataset: which package leads to an object, or that the interpreter does.
//!
//! Modules lead to each other, and so each of them to everything. So one is walked after the other,
//! in the order in which they were imported, and stops at what is another's: its module and that
//! module's dict, and functions and classes, which say where they were made. Of what several
//! packages lead to, the first has it.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use super::blocks::Before;
use super::collector::Collector;
use super::layout;
use super::type_object;
use super::types::{lookup, type_of};
use super::walk::Walk;

/// What has no package: modules that are the interpreter itself.
const INTERPRETER: usize = 0;
const OF_INTERPRETER: [&str; 2] = ["sys", "builtins"];

fn top(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

impl Walk<'_> {
    /// Takes in all that is not the dataset's.
    pub(super) fn follow_program(
        &mut self,
        collector: &Collector,
        before: Option<&Before>,
    ) -> PyResult<()> {
        self.packages.in_map.push(None);
        self.packages.waiting.push(Vec::new());
        for name in OF_INTERPRETER {
            self.packages.numbers.insert(name.to_owned(), INTERPRETER);
        }
        #[expect(unsafe_code, reason = "PyO3 imports `sys`, and asks that")]
        // SAFETY: the thread is attached; the dict is borrowed from the interpreter.
        let modules = unsafe { Bound::from_borrowed_ptr(self.py, ffi::PyImport_GetModuleDict()) };
        // It may be another mapping (PEP 328 does not forbid that); then there are no packages.
        if let Ok(modules) = modules.cast::<PyDict>() {
            for (name, module) in modules.iter() {
                if let Ok(name) = name.cast_exact::<PyString>() {
                    self.add_module(&name.to_string_lossy(), module.as_ptr());
                }
            }
        }
        // Parts of the program that the data leads to are objects of the data. What they lead to is
        // not.
        let held_back = std::mem::take(&mut self.held_back);
        for object in &held_back {
            self.seen.remove(*object as usize);
            let owner = self.packages.owners.get(&(*object as usize)).copied();
            if let Some(owner) = owner.or_else(|| self.made_in(*object)) {
                self.packages.put_off(*object, owner);
            }
        }
        // What the interpreter leads to comes last: nearly all is what modules lead to.
        for package in INTERPRETER + 1..self.packages.waiting.len() {
            self.follow_package(package)?;
        }
        self.follow_put_off()?;
        self.packages.current = INTERPRETER;
        self.follow(modules.as_ptr())?;
        // What the walk does between two of them, it does while the collector goes through its
        // lists; so afterwards.
        let mut others = Vec::new();
        collector.each(|object| {
            if !self.seen.has(object as usize) {
                others.push(object);
            }
        });
        self.follow_what_c_holds(&others, before)?;
        for object in held_back.into_iter().chain(others) {
            self.follow(object)?;
        }
        self.follow_put_off()?;
        self.packages.current = INTERPRETER;
        Ok(())
    }

    fn follow_put_off(&mut self) -> PyResult<()> {
        while let Some(package) = self.packages.waiting.iter().position(|all| !all.is_empty()) {
            self.follow_package(package)?;
        }
        Ok(())
    }

    fn follow_package(&mut self, package: usize) -> PyResult<()> {
        self.packages.current = package;
        let mut next = 0;
        // It may come to wait for more of itself.
        while let Some(object) = self.packages.waiting[package].get(next).copied() {
            next += 1;
            self.follow(object)?;
        }
        self.packages.waiting[package].clear();
        Ok(())
    }

    fn add_module(&mut self, name: &str, module: *mut ffi::PyObject) {
        if self.packages.owners.contains_key(&(module as usize)) {
            return;
        }
        let name = top(name);
        let package = match self.packages.numbers.get(name) {
            Some(package) => *package,
            None => {
                let package = self.packages.waiting.len();
                self.packages.numbers.insert(name.to_owned(), package);
                self.packages.waiting.push(Vec::new());
                let in_map = self.objects.add_package(name.to_owned());
                self.packages.in_map.push(Some(in_map));
                package
            }
        };
        #[expect(unsafe_code, reason = "PyO3 would call what a subclass has made of it")]
        // SAFETY: the module is alive, and its dict, if it has one, is borrowed from it.
        let dict = unsafe {
            match ffi::PyModule_Check(module) != 0 {
                true => ffi::PyModule_GetDict(module),
                false => std::ptr::null_mut(),
            }
        };
        self.packages.owners.insert(module as usize, package);
        if !dict.is_null() {
            self.packages.owners.insert(dict as usize, package);
        }
        self.packages.put_off(module, package);
    }

    /// Whether an object is another package's than the one that is being walked. It will be
    /// followed with that.
    pub(super) fn is_elsewhere(&mut self, object: *mut ffi::PyObject) -> bool {
        if self.of_dataset {
            return false;
        }
        let owner = match self.packages.owners.get(&(object as usize)) {
            Some(owner) => Some(*owner),
            None => self.made_in(object),
        };
        match owner {
            Some(owner) if owner != self.packages.current => {
                if !self.seen.has(object as usize) {
                    self.packages.put_off(object, owner);
                }
                true
            }
            _ => false,
        }
    }

    /// The package in which a function or a class was made.
    fn made_in(&mut self, object: *mut ffi::PyObject) -> Option<usize> {
        let kind = type_of(object);
        if std::ptr::eq(kind, &raw mut type_object::PyFunction_Type) {
            // `func_globals`: the second word behind the head until 3.9, the first since.
            let globals = layout::words_behind_head(object);
            return globals
                .iter()
                .find_map(|word| self.packages.owners.get(word).copied());
        }
        if !type_object::is_metatype(kind) {
            return None;
        }
        if let Some(package) = self.packages.classes.get(&(object as usize)) {
            return *package;
        }
        #[expect(unsafe_code, reason = "a type comes as a pointer")]
        // SAFETY: an object that the walk was led to is alive, and what a metatype makes is a type.
        let class =
            unsafe { Bound::from_borrowed_ptr(self.py, object).cast_into_unchecked::<PyType>() };
        let module = lookup(&class, "__module__")
            .and_then(|name| name.cast_into_exact::<PyString>().ok())
            .map(|name| name.to_string_lossy().into_owned())
            .or_else(|| self.full_name(&class))
            .unwrap_or_else(|| "builtins".to_owned());
        let package = self.packages.numbers.get(top(&module)).copied();
        self.packages.classes.insert(object as usize, package);
        package
    }
}
