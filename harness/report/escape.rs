//! Text from outside, as a page shows it and not as the page's own markup.

/// Within a paragraph or a cell of GitHub's Markdown: text that formats nothing, links to nothing,
/// and calls nobody.
///
/// Source: GitHub Flavored Markdown Spec, "Backslash escapes", "Emphasis and strong emphasis",
/// "Autolinks (extension)". Mentions, numbers of issues and formulas are no part of it; github.com
/// finds the first two in what has been made of the text, where an empty comment keeps them apart.
pub(crate) fn markdown(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut escaped = String::with_capacity(text.len());
    for (place, letter) in letters.iter().copied().enumerate() {
        let before = place.checked_sub(1).map(|place| letters[place]);
        let after = letters.get(place + 1).copied();
        let within_a_word = || {
            before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric)
        };
        // A list or a quotation, where this begins a line: no letter but these and digits was
        // before it.
        let leads = || letters[..place].iter().all(|one| one.is_whitespace());
        let numbers = || {
            let mut before = letters[..place]
                .iter()
                .skip_while(|one| one.is_whitespace());
            place > 0 && before.all(char::is_ascii_digit)
        };
        let ends = after.is_none_or(char::is_whitespace);
        let plain = match letter {
            '\n' | '\r' => {
                escaped.push(' ');
                continue;
            }
            '\\' | '|' | '[' | ']' | '`' | '*' | '~' | '$' | '&' => false,
            // `< 0.01 %` begins no HTML.
            '<' => ends,
            '_' => within_a_word(),
            // Of `https://`, whatever the scheme.
            ':' => after != Some('/'),
            '.' => !(www(&letters[..place]) || numbers() && ends),
            ')' => !(numbers() && ends),
            '>' | '=' => !leads(),
            '+' => !(leads() && ends),
            '-' => !(leads() && (ends || after == Some('-'))),
            '#' | '@' => {
                let calls = after.is_some_and(char::is_alphanumeric);
                escaped.push_str(if letter == '#' { "\\#" } else { "@" });
                if calls {
                    escaped.push_str("<!-- -->");
                }
                continue;
            }
            _ => true,
        };
        if !plain {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

fn www(before: &[char]) -> bool {
    let last: String = before[before.len().saturating_sub(3)..].iter().collect();
    last.eq_ignore_ascii_case("www")
}

/// The same within an element of HTML that Markdown lets stand, in one line.
pub(crate) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\r' => escaped.push(' '),
            '@' | '#' => {
                escaped.push(letter);
                escaped.push_str("<!-- -->");
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Code within a cell of a Markdown table.
pub(crate) fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ").replace('|', "\\|");
    let fence = fence(&text, 1);
    // One space at each end goes away again; it keeps backticks of the text's from those around it.
    match text.trim().is_empty() {
        true => String::new(),
        false if text.contains('`') => format!("{fence} {text} {fence}"),
        false => format!("{fence}{text}{fence}"),
    }
}

/// Lines of code in Markdown.
pub(crate) fn block(text: &str) -> String {
    let fence = fence(text, 3);
    format!("{fence}\n{text}\n{fence}")
}

/// More backticks than follow each other in the text, and at least so many.
fn fence(text: &str, least: usize) -> String {
    let runs = text.split(|letter| letter != '`').map(str::len);
    "`".repeat(runs.max().map_or(least, |most| least.max(most + 1)))
}

/// The name of a file in a link: what is not of plain names is written in percents.
pub(crate) fn file(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "three_lists < 0.01 % of 3.8.18, −3",
        "three_lists < 0.01 % of 3.8.18, −3"
    )]
    #[case("a|b.<Kind>", r"a\|b.\<Kind>")]
    #[case("<script>alert(1)</script>", r"\<script>alert(1)\</script>")]
    #[case("[x](javascript:alert(1))", r"\[x\](javascript:alert(1))")]
    #[case(
        "see https://a.example and www.a.example",
        r"see https\://a.example and www\.a.example"
    )]
    #[case(
        "__init__ *bold* `code` ~~no~~",
        r"\_\_init\_\_ \*bold\* \`code\` \~\~no\~\~"
    )]
    #[case("&lt; \\ $x$", r"\&lt; \\ \$x\$")]
    #[case("@octocat #12", r"@<!-- -->octocat \#<!-- -->12")]
    #[case("# title", r"\# title")]
    #[case("- item", r"\- item")]
    #[case("---", r"\---")]
    #[case("+248, -8", "+248, -8")]
    #[case("> quoted", r"\> quoted")]
    #[case("12. item", r"12\. item")]
    #[case("12) item", r"12\) item")]
    #[case("one\n- two\r\n", "one - two  ")]
    fn text_stays_text(#[case] text: &str, #[case] escaped: &str) {
        assert_eq!(markdown(text), escaped);
    }

    #[test]
    fn no_text_ends_the_code_that_it_is_in() {
        assert_eq!(code("a b"), "`a b`");
        assert_eq!(code("a``|`\nb"), "``` a``\\|` b ```");
        assert_eq!(block("a\n```\n<b>"), "````\na\n```\n<b>\n````");
    }

    #[test]
    fn what_stands_in_a_line_of_html_begins_no_element() {
        assert_eq!(
            html("<b a=\"'\">&\n@x"),
            "&lt;b a=&quot;&#39;&quot;&gt;&amp; @<!-- -->x"
        );
        assert_eq!(file("a b/(\")"), "a%20b%2F%28%22%29");
    }
}
