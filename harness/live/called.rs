//! Which tree somebody means by a name: of its program, its script or its module. A word that a program is given to work on is none.

use std::path::Path;

use super::family::{Family, FamilyError, Member, families};
use super::python::python_of;

/// The one tree of which a process is called so. One in which Python runs is meant before any other.
///
/// # Errors
/// When there is none, or several.
pub fn called(name: &str) -> Result<Family, FamilyError> {
    let all = families().families.into_iter();
    let is_named = |family: &Family| {
        let mut members = family.members.iter();
        members.any(|member| is_called(member, name, || runs_scripts(member.pid)))
    };
    let named: Vec<Family> = all.filter(is_named).collect();
    let is_python = |family: &Family| {
        matches!(python_of(family.oldest().pid), Ok(Some(_))) || runs_scripts(family.oldest().pid)
    };
    let (python, others): (Vec<Family>, Vec<Family>) = named.into_iter().partition(is_python);
    let mut meant = if python.is_empty() { others } else { python };
    match meant.len() {
        0 => Err(FamilyError::NoName {
            name: name.to_owned(),
        }),
        1 => Ok(meant.remove(0)),
        _ => Err(FamilyError::Ambiguous {
            name: name.to_owned(),
            trees: meant.iter().map(in_words).collect(),
        }),
    }
}

fn in_words(family: &Family) -> String {
    let oldest = family.oldest();
    let others = family.members.len() - 1;
    let title = crate::model::printable(&oldest.title());
    let title: String = title.chars().take(60).collect();
    match others {
        0 => format!("{} {title}", oldest.pid),
        _ => format!("{} {title} (and {others} more)", oldest.pid),
    }
}

/// Whether its first words are a Python's: options, and then a script or a module.
fn runs_scripts(pid: i32) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe"));
    program.is_ok_and(|program| is_interpreter(&program))
}

fn is_interpreter(program: &Path) -> bool {
    let name = program.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.starts_with("python") || name.starts_with("pypy"))
}

/// By its kernel's name, its program or its title; and of a Python, by its script or its module.
fn is_called(member: &Member, name: &str, runs_scripts: impl FnOnce() -> bool) -> bool {
    let is_it = |word: &str| word == name || word.rsplit('/').next() == Some(name);
    let program = member.command.first();
    if member.name == name || program.is_some_and(|program| is_it(program)) {
        return true;
    }
    if let [title] = &member.command[..]
        && let Some((first, _)) = title.split_once(": ")
    {
        // `gunicorn: master [app:app]`, as a process calls itself.
        return is_it(first);
    }
    script(&member.command).is_some_and(is_it) && runs_scripts()
}

/// What the words of a Python's command line have it run.
fn script(words: &[String]) -> Option<&str> {
    let mut words = words.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--check-hash-based-pycs" => drop(words.next()),
            "--" => return words.next(),
            long if long.starts_with("--") => {}
            // Letters that stand for options, the last of which may have a value: behind it, or as the next word.
            short if short.starts_with('-') && short.len() > 1 => {
                let with_value = short.find(['c', 'm', 'W', 'X']);
                let Some(place) = with_value else { continue };
                let value = match &short[place + 1..] {
                    "" => words.next(),
                    value => Some(value),
                };
                match short.as_bytes()[place] {
                    b'm' => return value,
                    b'c' => return None,
                    _ => {}
                }
            }
            script => return Some(script),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn member(name: &str, line: &str) -> Member {
        Member {
            pid: 7,
            parent: 1,
            started: 1,
            name: name.to_owned(),
            command: line.split(' ').map(str::to_owned).collect(),
        }
    }

    #[rstest]
    #[case::program("python3 /srv/load.py", "python3")]
    #[case::script("/usr/bin/python3 /srv/bin/load.py --fast", "load.py")]
    #[case::path("/usr/bin/python3 /srv/bin/load.py --fast", "/srv/bin/load.py")]
    #[case::module("python3 -m celery worker", "celery")]
    #[case::options("python3 -I -X dev -Wd -W error -um celery", "celery")]
    #[case::long_option("python3 --check-hash-based-pycs never load.py", "load.py")]
    #[case::behind_the_options("python3 -- load.py", "load.py")]
    fn a_python_is_called_by_its_program_its_script_or_its_module(
        #[case] line: &str,
        #[case] name: &str,
    ) {
        assert!(is_called(&member("x", line), name, || true));
    }

    #[rstest]
    #[case::data("python3 tool.py load.py", "load.py")]
    #[case::part("python3 load.py", "load")]
    #[case::of_a_module("python3 -m coverage run load.py", "load.py")]
    #[case::of_code("python3 -c pass load.py", "load.py")]
    #[case::value("python3 -W load.py other.py", "load.py")]
    #[case::nothing("python3", "load.py")]
    #[case::standard_input("python3 - load.py", "load.py")]
    fn what_a_python_is_given_to_work_on_is_not_its_name(#[case] line: &str, #[case] name: &str) {
        assert!(!is_called(&member("x", line), name, || true));
    }

    #[rstest]
    #[case("timeout 60 python3 load.py")]
    #[case("timeout load.py")]
    #[case("tail -f load.py")]
    #[case("sudo python3 load.py")]
    #[case("env A=b python3 load.py")]
    #[case("nice python3 load.py")]
    #[case("sh -c load.py")]
    #[case("vim load.py")]
    fn of_what_is_no_python_only_the_program_is_a_name(#[case] line: &str) {
        let member = member("x", line);
        assert!(!is_called(&member, "load.py", || false));
        let (program, _) = line.split_once(' ').unwrap();
        assert!(is_called(&member, program, || false));
    }

    #[test]
    fn a_process_is_called_by_the_name_that_it_gives_itself() {
        let mut titled = member("python3", "x");
        titled.command = vec!["gunicorn: master [app:app]".to_owned()];
        assert!(is_called(&titled, "gunicorn", || false));
        assert!(!is_called(&titled, "master", || true));
        assert!(is_called(
            &member("gunicorn", "python3 x"),
            "gunicorn",
            || false
        ));
    }

    #[test]
    fn interpreters_are_known_by_their_files() {
        for (path, is_one) in [
            ("/usr/bin/python3.11", true),
            ("/opt/pypy/bin/pypy3", true),
            ("/usr/bin/vim", false),
            ("/usr/bin/timeout", false),
            ("/", false),
        ] {
            assert_eq!(is_interpreter(Path::new(path)), is_one, "{path}");
        }
    }

    #[test]
    fn a_name_that_nobody_has_is_an_error() {
        let none = called("no program has such a name").unwrap_err();
        assert!(matches!(none, FamilyError::NoName { .. }));
    }
}
