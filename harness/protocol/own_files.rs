//! Which files are the user's own: the one that was measured, and modules beside it.

use crate::module_source::ModuleSource;

/// Names of files as code objects have them.
#[derive(Clone, Debug, Default)]
pub struct OwnFiles {
    /// The measured file's.
    file: String,
    /// What the names of those beside it begin with, if there can be any.
    beside: Option<String>,
}

impl OwnFiles {
    /// Of a measured file.
    pub fn of(fixture: &ModuleSource) -> Self {
        let beside = fixture.folder.as_deref();
        Self {
            file: fixture.file.clone(),
            beside: beside.map(|folder| format!("{}/", folder.trim_end_matches('/'))),
        }
    }

    /// Whether code of this file is the user's own. An environment may lie beside the file, too, or
    /// Python itself: what is installed there is not.
    pub fn contain(&self, file: &str) -> bool {
        if file == self.file {
            return true;
        }
        let beside = self.beside.as_deref();
        let Some(path) = beside.and_then(|beside| file.strip_prefix(beside)) else {
            return false;
        };
        !is_installed(path)
    }
}

/// Whether a file lies where Python and its packages are installed.
pub fn is_installed(path: &str) -> bool {
    let mut parts = path.split('/').peekable();
    let mut before = "";
    while let Some(part) = parts.next() {
        let is_folder = parts.peek().is_some();
        let installed = matches!(part, "site-packages" | "dist-packages")
            || part.starts_with("python3") && matches!(before, "lib" | "lib64");
        if is_folder && installed {
            return true;
        }
        before = part;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_is_the_file_and_what_lies_beside_it_but_what_is_installed_there() {
        let module = ModuleSource {
            name: "mine".into(),
            file: "mine.py".into(),
            folder: Some("/home/me/app".into()),
            source: String::new(),
        };
        let own = OwnFiles::of(&module);
        let all = [
            ("mine.py", true),
            ("/home/me/app/helper.py", true),
            ("/home/me/app/parts/lib/helper.py", true),
            (
                "/home/me/app/venv/lib/python3.11/site-packages/numpy/core.py",
                false,
            ),
            ("/home/me/app/python/lib/python3.11/json/decoder.py", false),
            ("/home/me/application/helper.py", false),
            ("/usr/lib/python3.11/json/decoder.py", false),
            ("<frozen importlib._bootstrap>", false),
        ];
        for (file, is_own) in all {
            assert_eq!(own.contain(file), is_own, "{file}");
        }
    }

    #[test]
    fn a_file_at_the_root_and_one_without_a_folder_have_their_own() {
        let mut module = ModuleSource {
            name: "mine".into(),
            file: "/mine.py".into(),
            folder: Some("/".into()),
            source: String::new(),
        };
        let own = OwnFiles::of(&module);
        assert!(own.contain("/helper.py") && !own.contain("/usr/lib/python3.11/json/decoder.py"));
        module.folder = None;
        assert!(!OwnFiles::of(&module).contain("/helper.py"));
    }
}
