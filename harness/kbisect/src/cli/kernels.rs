//! `kbisect kernels`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::{Kernels, words};

/// Arguments of `kbisect kernels`.
#[derive(Args, Debug)]
pub struct KernelsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KernelsCommand,
}

/// What can be done with kernels.
#[derive(Subcommand, Debug)]
pub enum KernelsCommand {
    /// List what the sources and the local store hold
    #[command(after_help = words::LIST_AFTER)]
    List(ListArgs),
    /// Download kernels into the local store
    Fetch(FetchArgs),
    /// Add a kernel of one's own to the local store
    Add(AddArgs),
    /// Fetch the debug information of an archive kernel, and say where its vmlinux is
    Debug(DebugArgs),
    /// Remove kernels and debug packages from the local store
    Prune(PruneArgs),
}

/// Arguments of `kbisect kernels debug`.
#[derive(Args, Debug)]
pub struct DebugArgs {
    /// The kernel: a version, a release, or the name or id of a stored kernel
    #[arg(value_name = "KERNEL")]
    pub kernel: String,
    /// Module whose debug information is wanted as well; may be repeated
    #[arg(long = "module", value_name = "NAME")]
    pub modules: Vec<String>,
}

/// Arguments of `kbisect kernels list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Only the kernels from GOOD to BAD, of a series (5.10), or of one version
    #[arg(value_name = "GOOD..BAD|VERSION")]
    pub kernels: Option<Kernels>,
    /// Only the kernels in the local store; needs no archive
    #[arg(long, conflicts_with = "kernels")]
    pub stored: bool,
}

/// Arguments of `kbisect kernels fetch`.
#[derive(Args, Debug)]
pub struct FetchArgs {
    /// Versions or ranges GOOD..BAD
    #[arg(required = true, value_name = "VERSION|GOOD..BAD")]
    pub kernels: Vec<String>,
}

/// Arguments of `kbisect kernels add`.
#[derive(Args, Debug)]
#[command(
    after_help = words::ADD_AFTER,
    override_usage = "kbisect kernels add PATH... [OPTIONS]\n       \
        kbisect kernels add --base KERNEL [--module FILE] [--cmdline WORDS] --as NAME"
)]
pub struct AddArgs {
    /// A kernel image, .deb or .rpm packages, or a directory
    #[arg(required_unless_present = "base", conflicts_with = "base", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Module tree of a kernel image: lib/modules/RELEASE, or a directory that holds it
    #[arg(long, conflicts_with = "base", value_name = "DIR")]
    pub modules: Option<PathBuf>,
    /// Make a variant of this kernel in place of adding a kernel
    #[arg(long, value_name = "KERNEL", requires = "name", help_heading = "Variants")]
    pub base: Option<String>,
    /// Module that replaces the base's one of the same name (.ko, .ko.xz, .ko.zst); may be repeated
    #[arg(long = "module", value_name = "FILE", requires = "base", help_heading = "Variants")]
    pub replacements: Vec<PathBuf>,
    /// Words added to the base's command line; may be repeated
    #[arg(long, value_name = "WORDS", requires = "base", help_heading = "Variants")]
    pub cmdline: Vec<String>,
    /// Name to find the kernel by
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
    /// Take the name away from the kernel that has it, which is called NAME.ID from then on
    #[arg(long, requires = "name")]
    pub replace: bool,
    /// Version, in place of the one in the image: it is the kernel's place in a range
    #[arg(long = "version", conflicts_with = "base", value_name = "VERSION")]
    pub kernel_version: Option<String>,
}

/// Arguments of `kbisect kernels prune`: a kernel goes when any rule says so.
#[derive(Args, Debug)]
#[group(skip)]
#[command(group(ArgGroup::new("rule").required(true).multiple(true)))]
pub struct PruneArgs {
    /// Remove these: name of a variant or of an added kernel, package version, or id
    #[arg(value_name = "KERNEL", group = "rule")]
    pub kernels: Vec<String>,
    /// Keep the N most recently used kernels
    #[arg(long, value_name = "N", group = "rule")]
    pub keep: Option<usize>,
    /// Remove kernels that were not used for so many days
    #[arg(long, value_name = "DAYS", group = "rule")]
    pub older_than: Option<u64>,
    /// Keep at most so much, such as 500M or 2G
    #[arg(long, value_name = "SIZE", group = "rule", value_parser = size)]
    pub max_size: Option<u64>,
    /// Remove all kernels, saved states and sources
    #[arg(long, group = "rule")]
    pub all: bool,
    /// Only say what would go
    #[arg(long)]
    pub dry_run: bool,
}

/// Reads a size in bytes, with an optional unit of 1024: `K`, `M`, `G`, `T`.
fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1_u64 << 40,
        _ => return Err("a size is a number with K, M, G or T, such as 500M".to_owned()),
    };
    let number: u64 =
        digits.parse().map_err(|_| "a size is a whole number, such as 500M".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "the size is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        assert_eq!(size("500M"), Ok(500 << 20));
        assert_eq!(size("2 GiB"), Ok(2 << 30));
        assert_eq!(size("17"), Ok(17));
        for bad in ["", "M", "1.5G", "-1", "3X", "99999999999T"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
