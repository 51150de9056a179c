//! Examples of the pages in docs/, as they stand there.

use std::fs;
use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    fs::read_to_string(path).unwrap()
}

/// The fenced blocks of a page in some language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let begins = page.match_indices(&fence).map(|(at, _)| &page[at + fence.len()..]);
    begins.map(|rest| rest.split_once("```").unwrap().0.to_owned()).collect()
}

/// The recipes: name and scenario.toml.
#[allow(dead_code, reason = "not every test that shares this file has recipes")]
pub fn recipes() -> Vec<(String, String)> {
    let named = |text: String| {
        let name = text.strip_prefix("# recipes/").and_then(|rest| rest.split_once('/')).unwrap().0;
        (name.to_owned(), text)
    };
    blocks(&page("recipes.md"), "toml").into_iter().map(named).collect()
}

/// Writes the example of docs/scenarios.md into a folder.
pub fn write_example(folder: &Path) {
    let page = page("scenarios.md");
    fs::create_dir_all(folder).unwrap();
    for (language, file) in [("toml", "scenario.toml"), ("iptables", "rules.v4")] {
        let blocks = blocks(&page, language);
        assert_eq!(blocks.len(), 1, "one example: {language}");
        fs::write(folder.join(file), &blocks[0]).unwrap();
    }
}
