//! Prints the configuration fragment of a scenario for a kernel's source tree:
//! `cargo run --example derive-config -- TREE SCENARIO_FOLDER`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use kbisect_core::scenario::{FILE_NAME, Scenario};
use kbisect_kernels::commits::config::derive;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tree, folder] = arguments.as_slice() else {
        return Err("TREE and SCENARIO_FOLDER are needed".into());
    };
    let folder = Path::new(folder);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)?.flatten().filter(|entry| entry.path().is_file()) {
        files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
    }
    let text = files.remove(FILE_NAME).ok_or("no scenario.toml")?;
    let parsed = Scenario::parse("scenario", FILE_NAME, &String::from_utf8(text)?)?;
    let (scenario, _) = parsed.with_assets(files)?;
    let derived = derive(Path::new(tree), &scenario.kernel_needs())?;
    for name in &derived.unknown {
        eprintln!("not in this tree: {name}");
    }
    print!("{}", derived.fragment());
    Ok(())
}
