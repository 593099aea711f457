//! Which code is the user's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::observe::frames::IsOwn;
use crate::protocol::is_installed;

/// What is a user's own, who names these folders.
pub(super) fn is_own_among(folders: Arc<Vec<PathBuf>>) -> IsOwn {
    Box::new(move |file: &str| is_own(file, &folders))
}

/// Whether code of a file is the user's own: it lies in one of these folders, or where nothing is installed.
fn is_own(file: &str, folders: &[PathBuf]) -> bool {
    let path = Path::new(file);
    if folders.iter().any(|folder| path.starts_with(folder)) {
        return true;
    }
    // What Python has built in, and what was made at run time (by dataclasses, or in a file of `site`), is in brackets.
    if file.starts_with('<') {
        return file == "<stdin>";
    }
    let is_script = path.extension().is_none()
        && path
            .parent()
            .and_then(Path::file_name)
            .is_some_and(|name| name == "bin");
    !is_script && !is_installed(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_is_what_is_not_installed_and_what_lies_in_a_folder_that_was_named() {
        let folders = [PathBuf::from("/venv/lib/python3.12/site-packages/mine")];
        let all = [
            ("app.py", true),
            ("/srv/app/wsgi.py", true),
            ("<string>", false),
            ("<stdin>", true),
            ("<frozen importlib._bootstrap>", false),
            ("<__array_function__ internals>", false),
            ("/usr/lib/python3.11/json/decoder.py", false),
            ("/usr/lib/python3/dist-packages/yaml/loader.py", false),
            ("/venv/lib/python3.12/site-packages/flask/app.py", false),
            ("/venv/lib/python3.12/site-packages/mine/views.py", true),
            (
                "/venv/lib/python3.12/site-packages/mine_not/views.py",
                false,
            ),
            ("/venv/bin/gunicorn", false),
            ("/srv/bin/tool.py", true),
        ];
        for (file, expected) in all {
            assert_eq!(is_own(file, &folders), expected, "{file}");
        }
    }
}
