//! What refcow's own data names, and what its fixtures have.

use refcow::fixtures;
use refcow::mitigations::{Mitigations, mitigations};
use refcow::remedies::{Remedy, remedies};

#[test]
fn each_mitigation_is_of_a_fixture_with_these_visits_and_preparations() {
    let Mitigations { visits, all } = mitigations();
    assert!(!all.is_empty());
    for mitigation in all {
        let fixture = fixtures::find(&mitigation.fixture).unwrap();
        for visit in visits {
            fixture.visit(visit).unwrap();
        }
        if let Some(name) = &mitigation.prepare {
            fixture.preparation(name).unwrap();
        }
        assert!(mitigation.count(1 << 20) > 1);
        assert_eq!(mitigation.count(1), 1);
    }
}

#[test]
fn each_remedy_has_its_program_and_no_name_of_a_preparation() {
    for remedy in remedies() {
        let Remedy {
            program, function, ..
        } = remedy;
        if let Some(program) = program {
            let source = fixtures::program(&format!("remedies/{program}"));
            assert!(
                source.contains(&format!("\ndef {function}(data")),
                "{program}"
            );
            for helper in &remedy.helpers {
                assert!(fixtures::has_program(&format!("remedies/{helper}")));
                assert!(source.contains(&format!("\nfrom _refcow_{helper} import ")));
            }
        }
        let identifier = |letter: char| letter.is_alphanumeric() || letter == '_';
        assert!(!remedy.name.chars().all(identifier), "{}", remedy.name);
        assert!(remedy.title.chars().count() <= 18, "{}", remedy.title);
        let place = |name: &str| remedies().iter().position(|one| one.name == name);
        if let Some(after) = &remedy.after {
            assert!(place(after).unwrap() < place(&remedy.name).unwrap());
        }
        for words in [
            &remedy.does,
            &remedy.changes,
            &remedy.applies,
            &remedy.leaves,
        ] {
            assert!(!words.is_empty() && !words.ends_with('.'), "{words}");
        }
    }
}
