//! Which tree somebody means: by the number of a process, or by the name of its program, its script or its module. A word that a program is given to
//! work on is no name.

use std::path::Path;

use super::family::{Families, Family, FamilyError, LARGEST, Member, families, of_process};
use super::python::python_of;

/// The family that a user means: by the number of a process, or by a name.
///
/// # Errors
/// When there is none, several have the name, or this user may not look at it.
pub fn named(given: &str) -> Result<Family, FamilyError> {
    let word = given.trim();
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    if word.is_empty() {
        return Err(FamilyError::Empty {
            given: given.to_owned(),
        });
    }
    if digits.is_empty() || !digits.bytes().all(|letter| letter.is_ascii_digit()) {
        return called(given);
    }
    match word.parse() {
        Ok(pid @ 1..=LARGEST) => of_process(pid),
        _ => Err(FamilyError::NoNumber {
            number: word.to_owned(),
        }),
    }
}

/// The one tree of which a process is called so. One in which Python runs is meant before any other.
///
/// # Errors
/// When there is none, or several.
fn called(name: &str) -> Result<Family, FamilyError> {
    let Families {
        families,
        closed,
        others,
    } = families();
    let all = families.into_iter();
    let is_named = |family: &Family| {
        let mut members = family.members.iter();
        members.any(|member| is_called(member, name, || runs_scripts(member.pid)))
    };
    let named: Vec<Family> = all.filter(is_named).collect();
    let is_python = |family: &Family| {
        matches!(python_of(family.oldest().pid), Ok(Some(_))) || runs_scripts(family.oldest().pid)
    };
    let (python, rest): (Vec<Family>, Vec<Family>) = named.into_iter().partition(is_python);
    let mut meant = if python.is_empty() { rest } else { python };
    match meant.len() {
        // Why nobody can look at one that is called so, says more than that there is none.
        0 => match closed
            .iter()
            .chain(&others)
            .find(|one| is_named_so(one, name))
        {
            Some(member) => of_process(member.pid),
            None => Err(FamilyError::NoName {
                name: name.to_owned(),
            }),
        },
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

/// The same of one whose program cannot be seen: its command line can.
fn is_named_so(member: &Member, name: &str) -> bool {
    let program = member.command.first().map(Path::new);
    is_called(member, name, || program.is_some_and(is_interpreter))
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

    #[rstest]
    #[case::too_large(
        "4194304",
        "no process has the number 4194304: they have numbers from 1 to 4194303"
    )]
    #[case::larger("99999999999", "no process has the number 99999999999: they")]
    #[case::nothing("0", "no process has the number 0: they")]
    #[case::negative("-1", "no process has the number -1: they")]
    #[case::with_blanks(" -12 ", "no process has the number -12: they")]
    #[case::empty("", "the number or name of a process is missing: \"\" is empty")]
    #[case::blank(" \t", "the number or name of a process is missing: \" \\t\" is empty")]
    #[case::name("no program has it", "no process is called \"no program has it\"")]
    #[case::no_number("12x", "no process is called \"12x\"")]
    #[case::sign("-", "no process is called \"-\"")]
    #[case::hexadecimal("0x1F", "no process is called \"0x1F\"")]
    fn what_means_no_tree_is_an_error(#[case] given: &str, #[case] said: &str) {
        let error = named(given).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }

    #[test]
    fn the_number_and_the_name_of_this_process_are_its_own() {
        let pid = std::process::id();
        let itself = format!("process {pid} is this refcow itself");
        for given in [pid.to_string(), format!(" {pid}\n")] {
            assert_eq!(named(&given).unwrap_err().to_string(), itself);
        }
    }
}
