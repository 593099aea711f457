//! Finding and preparing interpreters, with shell scripts in their place: no network and no Python
//! needed.

mod chosen;
mod elsewhere;
mod environments;
mod fake;
mod interrupted;
mod remembered;
mod trusted;
mod usable;

use refcow::python;

#[expect(dead_code, reason = "the other tests use all of it")]
#[path = "../common/signals.rs"]
mod signals;

/// Not a test: what other tests have done in a process of its own, in words.
#[test]
#[ignore = "other tests run it, in an environment of their own"]
fn in_a_process_of_its_own() {
    let Ok(task) = std::env::var("TASK") else {
        return;
    };
    let selectors = std::env::var("SELECTORS").unwrap();
    let selectors: Vec<String> = selectors.lines().map(str::to_owned).collect();
    let one_line = |text: String| text.replace('\n', " ");
    if task == "discover" {
        for found in python::discover() {
            let words = match found.outcome {
                Ok(interpreter) => interpreter.version,
                Err(reason) => one_line(reason.to_string()),
            };
            println!("said: {}: {words}", found.path.display());
        }
        return;
    }
    if task == "packages" {
        let found = python::choose_all(&selectors).unwrap().interpreters;
        let modules = ["numpy".to_owned()];
        let packages = python::packages(&found.iter().collect::<Vec<_>>(), &modules).unwrap();
        for (one, packages) in found.iter().zip(packages) {
            println!("said: {}: {packages:?}", one.executable.display());
        }
        return;
    }
    let chosen = match python::choose_all(&selectors) {
        Ok(chosen) => chosen,
        Err(error) => {
            println!("said: error: {}", one_line(error.to_string()));
            return;
        }
    };
    for error in chosen.refused {
        println!("said: refused: {}", one_line(error.to_string()));
    }
    if task == "choose" {
        for one in chosen.interpreters {
            println!("said: {} {}", one.version, one.executable.display());
        }
        return;
    }
    let mut progress = |line: &str| eprintln!("progress: {line}");
    for ready in python::prepare_all(chosen.interpreters, &["numpy".to_owned()], &mut progress) {
        match ready {
            Ok(ready) => println!(
                "said: {} numpy {} in {}",
                ready.interpreter.version,
                ready.installed.versions["numpy"],
                ready.executable.parent().unwrap().display()
            ),
            Err(error) => println!("said: error: {}", one_line(error.to_string())),
        }
    }
}
