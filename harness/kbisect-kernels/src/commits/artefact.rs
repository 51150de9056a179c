//! Kernels of commits that somebody else built: a file for each, by a template with the commit in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kbisect_core::kernel::Kernel;

use super::error::BuildError;
use super::order::{BuildOrder, Built, Elsewhere};
use crate::files::at;
use crate::hash;
use crate::http::{Checksum, Client, HttpError, Size, Wanted};
use crate::import::package;
use crate::import::prepare::{self, Modules};
use crate::import::sink::Sink;
use crate::import::tree::Tree;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::store::Meta;

/// What stands for the commit's id.
pub const COMMIT: &str = "{commit}";
/// Most bytes of a kernel: packages with debug information have about as many.
const MOST: u64 = 2 << 30;
/// Most bytes of a checksum's file.
const MOST_SUM: u64 = 4096;

/// Brings the kernel of a commit into `out`; `work` is for what is not kept.
pub(super) fn bring(
    order: &BuildOrder,
    template: &str,
    kernel: &Kernel,
    (settings, progress): (&Settings, &dyn Progress),
    (work, out): (&Path, &Path),
) -> Result<Meta, BuildError> {
    let began = Instant::now();
    let place = template.replace(COMMIT, &order.commit);
    let file = work.join(name_of(&place));
    let (sha256, sum) = match is_url(&place) {
        true => download(&place, &file, settings, progress)?,
        false => copy(Path::new(&place), &file)?,
    };
    if let Some(expected) = sum.as_ref().filter(|sum| **sum != sha256) {
        return Err(BuildError::Damaged { place, expected: expected.clone(), got: sha256 });
    }
    let mut sink = Sink::new(work);
    match package::Kind::of(&file)? {
        Some(_) => package::unpack(&file, &mut sink)?,
        None => Tree::of_image(&file, None)?.feed(&mut sink)?,
    }
    let prepared = prepare::prepare(work, &sink.finish()?, Modules::Optional, &place, out)?;
    let release = &prepared.banner.release;
    if !may_be_of(release, &kernel.version, &order.commit) {
        let (release, version) = (release.clone(), kernel.version.clone());
        return Err(BuildError::OtherKernel { place, release, version });
    }
    let mut kernel = kernel.clone();
    kernel.release = Some(prepared.banner.release.clone());
    let built = Built {
        commit: order.commit.clone(),
        compiler: String::new(),
        content: sha256.clone(),
        variables: Vec::new(),
        forced: Vec::new(),
        missing: Vec::new(),
        left: Vec::new(),
        elsewhere: Some(Elsewhere { place, sha256, is_checked: sum.is_some() }),
        seconds: began.elapsed().as_secs_f64(),
    };
    let meta = Meta::new(kernel, Vec::new(), prepared.banner.release, prepared.modules);
    Ok(meta.built(built))
}

/// Whether a kernel of this release can be that of a commit with this version in its Makefile. Distributions
/// leave out the third number (`5.10.0-8-amd64`); what a build's `LOCALVERSION_AUTO` appends names the commit.
fn may_be_of(release: &str, version: &str, commit: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        let plain =
            text.split(|c: char| c != '.' && !c.is_ascii_digit()).next().unwrap_or_default();
        plain.split('.').map_while(|number| number.parse().ok()).take(3).collect()
    };
    let third = |numbers: &[u32]| numbers.get(2).copied().unwrap_or(0);
    let (is, expected) = (numbers(release), numbers(version));
    // A tree without a version in its Makefile says nothing.
    let is_version = expected.len() < 2
        || (is.get(..2) == expected.get(..2) && [0, third(&expected)].contains(&third(&is)));
    let named = release.rsplit_once("-g").map(|(_, id)| id.split('-').next().unwrap_or_default());
    let is_id = |id: &&str| id.len() >= 7 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_version && named.filter(is_id).is_none_or(|id| commit.starts_with(id))
}

fn is_url(place: &str) -> bool {
    place.starts_with("http://") || place.starts_with("https://")
}

/// The file's name; its suffix tells what it is.
fn name_of(place: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.+~".contains(*c);
    let name: String = place.rsplit('/').next().unwrap_or_default().chars().filter(plain).collect();
    format!("artefact-{name}")
}

/// Downloads a file; gives its SHA-256, and the one beside it, where there is one.
fn download(
    url: &str,
    to: &Path,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<(String, Option<String>), BuildError> {
    let client = Client::new(&[url], &settings.proxies).staying_encrypted(url);
    let sum = match client.get(&format!("{url}.sha256"), MOST_SUM) {
        Ok(text) => Some(checksum(&text, url)?),
        // Object stores refuse what they do not have.
        Err(HttpError::NotFound { .. } | HttpError::Status { status: 403, .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut item = progress.begin(url, None);
    let wanted = Wanted { url, size: Size::AtMost(MOST), checksum: Checksum::None };
    match client.download(&wanted, to, item.as_mut(), progress) {
        Ok(sha256) => Ok((sha256, sum)),
        Err(HttpError::NotFound { .. }) => Err(BuildError::NoArtefact(url.to_owned())),
        Err(error) => Err(error.into()),
    }
}

/// As [`download`], of a file of this machine.
fn copy(from: &Path, to: &Path) -> Result<(String, Option<String>), BuildError> {
    if !from.is_file() {
        return Err(BuildError::NoArtefact(from.display().to_string()));
    }
    fs::copy(from, to).map_err(at(from))?;
    let beside = PathBuf::from(format!("{}.sha256", from.display()));
    let sum = match fs::read(&beside) {
        Ok(text) => Some(checksum(&text, &from.display().to_string())?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(at(&beside)(error).into()),
    };
    Ok((hash::of_file(to).map_err(at(to))?, sum))
}

/// The checksum in a text as `sha256sum` writes it.
fn checksum(text: &[u8], place: &str) -> Result<String, BuildError> {
    let text = String::from_utf8_lossy(text);
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    let is_sum = first.len() == 64 && first.bytes().all(|b| b.is_ascii_hexdigit());
    match is_sum {
        true => Ok(first.to_ascii_lowercase()),
        false => Err(BuildError::NoChecksum(format!("{place}.sha256"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_of_another_version_or_commit_is_not_that_of_the_commit() {
        let id = "3ee2c59c2910f7b0f8e6b8a3e4b1d2c3f4a5b6c7";
        let of = |release: &str, version: &str| may_be_of(release, version, id);
        for release in [
            "5.10.61",
            "5.10.61+",
            "5.10.0-8-amd64",
            "5.10.61-ci3-g3ee2c59c2910",
            "5.10.61-good1234",
        ] {
            assert!(of(release, "5.10.61"), "{release}");
        }
        for release in ["5.10.60", "5.11.61", "5.10.61-g1234567", "6.1.61", "none"] {
            assert!(!of(release, "5.10.61"), "{release}");
        }
        assert!(of("6.13.0-rc1", "6.13~rc1") && of("6.13.0", "6.13") && of("6.13.0", "0"));
        assert!(!of("6.12.0-rc1", "6.13~rc1"));
    }

    #[test]
    fn a_checksum_is_what_sha256sum_writes() {
        let sum = "0123456789abcdef".repeat(4);
        let text = format!("{}  bzImage\n", sum.to_uppercase());
        assert_eq!(checksum(text.as_bytes(), "x").unwrap(), sum);
        for wrong in ["", "<html>", "0123"] {
            let error = checksum(wrong.as_bytes(), "x").unwrap_err();
            assert!(error.to_string().contains("x.sha256"), "{error}");
        }
        assert_eq!(name_of("https://ci.example/a/../bzImage?x=/etc"), "artefact-etc");
        assert!(is_url("https://a/b") && !is_url("/srv/b"));
    }
}
