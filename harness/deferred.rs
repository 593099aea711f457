//! Functions that run nothing when they are called: why they are refused, and how to write them.

use crate::protocol::Deferred;

/// Words that no function can be called by.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Why a function is refused.
pub fn reason(function: &str, kind: Deferred) -> String {
    let (is, gives) = match kind {
        Deferred::Generator => ("a generator function (it has a `yield`)", "a generator"),
        Deferred::Coroutine => ("an `async def`", "a coroutine"),
        Deferred::AsyncGenerator => ("an `async def` with a `yield`", "an asynchronous generator"),
        Deferred::ContextManager => (
            "a function decorated as a context manager",
            "a context manager",
        ),
    };
    format!("`{function}` is {is}: a call returns {gives} and runs none of its code")
}

/// How to write it.
pub fn help(function: &str, kind: Deferred) -> String {
    let (parameters, short) = match function.split_once('_') {
        Some((_, name)) if KEYWORDS.contains(&name) => ("data", format!("{name}_")),
        Some((_, name)) if !name.is_empty() => ("data", name.to_owned()),
        _ => ("", "items".to_owned()),
    };
    let call = format!("{short}({parameters})");
    let written = match kind {
        Deferred::Generator => format!("`return list({call})`, or a loop over {call}"),
        Deferred::Coroutine => format!("`return asyncio.run({call})`"),
        Deferred::AsyncGenerator => {
            format!("`return asyncio.run(collect(data))` with an `async for` over {call} in it")
                .replace("collect(data)", &format!("collect({parameters})"))
        }
        Deferred::ContextManager => format!("`with {call}: …`"),
    };
    format!(
        "rename it to `{short}`, and write `def {function}({parameters}):` with {written} as its body"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_renamed_to_can_be_a_name() {
        let of = |function| help(function, Deferred::Coroutine);
        assert!(of("visit_all").contains("`return asyncio.run(all(data))`"));
        assert!(of("visit_async").contains("rename it to `async_`"));
        assert!(of("visit_async").contains("`return asyncio.run(async_(data))`"));
        assert!(of("build").contains("`return asyncio.run(items())`"));
    }
}
