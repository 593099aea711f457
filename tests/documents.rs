//! README.md, docs/ and examples/ as their readers get them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use refcow::compare::TOLERANCE;

/// Every page.
fn files() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md"]
        .map(|name| top.join(name))
        .to_vec();
    for folder in ["docs", "examples"] {
        files.extend(below(&top.join(folder), "md"));
    }
    files
}

/// The files with this ending in a folder, and in those in it.
fn below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(end) if end == ending => files.push(path),
                _ => {}
            }
        }
    }
    files
}

/// Every page, by its path, as HTML.
fn pages() -> HashMap<PathBuf, String> {
    let mut options = comrak::Options::default();
    options.extension.table = true;
    // Headings have the ids that a forge and mdBook give them.
    options.extension.header_id_prefix = Some(String::new());
    let html = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        comrak::markdown_to_html(&text, &options)
    };
    files()
        .into_iter()
        .map(|path| (path.clone(), html(&path)))
        .collect()
}

/// The values of an attribute in a page.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let before = format!(" {attribute}=\"");
    let all = html.split(&before).skip(1);
    all.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    assert!(pages.len() > 10);
    for (path, html) in &pages {
        let links = [values(html, "href"), values(html, "src")].concat();
        for link in links.into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                _ => path
                    .parent()
                    .unwrap()
                    .join(file)
                    .canonicalize()
                    .unwrap_or_default(),
            };
            assert!(target.exists(), "{}: {link}", path.display());
            let anchors = pages.get(&target).map(|html| values(html, "id"));
            if let (false, Some(anchors)) = (anchor.is_empty(), anchors) {
                assert!(anchors.contains(&anchor), "{}: {link}", path.display());
            }
        }
    }
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let pages = pages();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let contents = &pages[&docs.join("SUMMARY.md")];
    let listed = values(contents, "href");
    for path in pages.keys() {
        if let Ok(path) = path.strip_prefix(&docs)
            && path != Path::new("SUMMARY.md")
        {
            assert!(
                listed.contains(&path.to_str().unwrap()),
                "{}",
                path.display()
            );
        }
    }
}

/// `text` and `console` are what refcow prints, and `.ci/outputs` pastes it by the comment above.
#[test]
fn each_output_stands_below_the_command_that_printed_it() {
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut outputs = 0;
        for (info, line) in code_blocks(&text) {
            let place = format!("{}:{line}", path.display());
            let above = line.checked_sub(2).map_or("", |above| lines[above]);
            let pasted = above.starts_with("<!-- output") && above.ends_with("-->");
            match info.as_str() {
                "console" | "text" => assert!(pasted, "{place}: nobody says what prints it"),
                "diagram" | "dockerfile" | "python" | "r" | "sh" | "yaml" => {
                    assert!(!pasted, "{place}: shown as {info}")
                }
                _ => panic!("{place}: `{info}` says neither an output nor a language"),
            }
            outputs += usize::from(pasted);
        }
        let comments = lines.iter().filter(|line| line.starts_with("<!-- output"));
        assert_eq!(outputs, comments.count(), "{}", path.display());
    }
}

/// What each block of code says that it is, and in which line it begins.
fn code_blocks(markdown: &str) -> Vec<(String, usize)> {
    let arena = comrak::Arena::new();
    let document = comrak::parse_document(&arena, markdown, &comrak::Options::default());
    let blocks = document.descendants().filter_map(|node| {
        let node = node.data.borrow();
        match &node.value {
            comrak::nodes::NodeValue::CodeBlock(block) => {
                Some((block.info.clone(), node.sourcepos.start.line))
            }
            _ => None,
        }
    });
    blocks.collect()
}

/// What a newcomer looks up first must be right.
#[test]
fn each_file_that_the_architecture_names_is_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let architecture = include_str!("../docs/architecture.md");
    let spans = architecture.split('`').skip(1).step_by(2);
    let is_path = |span: &&str| {
        let ends = [".py", ".rs", ".toml", ".txt", "/"];
        ends.iter().any(|end| span.ends_with(end)) && *span != "commands/COMMAND.rs"
    };
    let mut named = 0;
    for path in spans.filter(is_path) {
        let places = [top.join("harness").join(path), top.join(path)];
        assert!(places.iter().any(|place| place.exists()), "no {path}");
        named += 1;
    }
    assert!(named > 80, "{named}");
}

#[test]
fn each_source_says_what_it_is_in_a_room_that_the_architecture_names() {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness");
    let architecture = include_str!("../docs/architecture.md");
    let names = |path: &str| {
        let spans = [format!("`{path}`"), format!("`harness/{path}`")];
        spans.iter().any(|span| architecture.contains(span))
    };
    for file in below(&harness, "rs") {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{}", file.display());
        let path = file.strip_prefix(&harness).unwrap();
        // By itself, by the folder it is in, or by the file that the folder belongs to.
        let folder = match path.parent().unwrap() {
            // The room's own file.
            top if top.as_os_str().is_empty() => path.with_extension(""),
            folder => folder.to_owned(),
        };
        let [path, folder] = [path, &folder].map(|path| path.to_str().unwrap().to_owned());
        let rooms = [path, format!("{folder}/"), format!("{folder}.rs")];
        assert!(rooms.iter().any(|room| names(room)), "{rooms:?}");
    }
}

#[test]
fn noise_is_what_the_documents_say() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (pages, percent) = (TOLERANCE.pages, TOLERANCE.share * 100.0);
    let design = words(include_str!("../docs/design.md"));
    assert!(design.contains(&format!(
        "{pages} pages of each process, or {percent} % of what the workers copy and make,"
    )));
    let guide = words(include_str!("../docs/guide/regressions.md"));
    assert!(guide.contains(&format!(
        "{pages} pages per worker, or {percent} % of the base,"
    )));
}

#[test]
fn the_readme_is_read_in_three_minutes() {
    let readme = include_str!("../README.md");
    assert!(readme.lines().count() <= 150);
}
