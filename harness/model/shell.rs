//! Words as a shell reads them.

/// A word, in quotes where it needs them.
pub fn word(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+:@%,=".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// A command.
pub fn line(program: &str, words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let words = words.into_iter().map(|one| word(one.as_ref()));
    let all: Vec<String> = std::iter::once(word(program)).chain(words).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        let words = ["measure", "a b.py", "it's", "$(id)", "", "--size=4"];
        assert_eq!(
            line("refcow", words),
            r"refcow measure 'a b.py' 'it'\''s' '$(id)' '' --size=4"
        );
    }
}
