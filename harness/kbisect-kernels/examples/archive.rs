//! Looks at the real archive: lists a series, and fetches kernels.
//!
//!     cargo run -p kbisect-kernels --example archive -- series 6.12.43 6.12.96
//!     cargo run -p kbisect-kernels --example archive -- ensure 6.12.57 7.2.12
//!     cargo run -p kbisect-kernels --example archive -- all
//!
//! `KBISECT_CACHE` names another cache directory, `KBISECT_EXPIRED` accepts expired indexes.

use std::error::Error;
use std::time::Instant;

use kbisect_kernels::{
    Candidate, Catalog, Options, Progress, ProgressItem, Settings, Silent, Store,
};

struct Lines;

impl Progress for Lines {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn ProgressItem> {
        println!("  .. {what} ({total:?})");
        Box::new(Silent)
    }
    fn note(&self, line: &str) {
        println!("  note: {line}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = Options {
        cache_dir: std::env::var_os("KBISECT_CACHE").map(Into::into),
        allow_expired: std::env::var_os("KBISECT_EXPIRED").is_some(),
        ..Options::default()
    };
    let start = Instant::now();
    let settings = Settings::discover(&options)?;
    let store = Store::open(&settings.cache_dir)?;
    let catalog = Catalog::load(&settings, &store, &Lines)?;
    println!("catalog: {:.3} s", start.elapsed().as_secs_f64());
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["series", good, bad] => catalog.series(good, bad)?.iter().for_each(show),
        ["ensure", specs @ ..] => {
            for spec in specs {
                let candidate = catalog.resolve(spec)?;
                show(&candidate);
                let start = Instant::now();
                let ready = store.ensure(&candidate, &settings, &Lines)?;
                let tree = ready.modules.as_ref();
                println!(
                    "  {:.2} s, {} MiB, release {:?}, missing {:?}, boot {:?}",
                    start.elapsed().as_secs_f64(),
                    ready.size >> 20,
                    ready.kernel.release,
                    ready.missing_for_boot(),
                    tree.map(|tree| &tree.boot_order),
                );
            }
        }
        _ => catalog.all().iter().for_each(show),
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("{line}"));
    Ok(())
}

fn show(candidate: &Candidate) {
    let kernel = &candidate.kernel;
    let others: Vec<_> =
        candidate.other_builds.iter().map(|build| build.package_version.as_str()).collect();
    println!(
        "{:10} {:22} {} {:26} {:?} also {:?} others {others:?} {:?}",
        kernel.version,
        kernel.package_version.as_str(),
        kernel.id.short(),
        kernel.source,
        candidate.state,
        candidate.also_in,
        candidate.notes,
    );
}
