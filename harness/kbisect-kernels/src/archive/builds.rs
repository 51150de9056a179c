//! From packages to kernels: which packages make up one kernel, and which are the same kernel.

use std::collections::{BTreeMap, BTreeSet};

use kbisect_core::kernel::KernelId;
use kbisect_core::version::PackageVersion;

use crate::archive::index::SuiteIndex;
use crate::candidate::PackageRef;
use crate::hash;

/// Below this an image package holds no kernel: it only pulls in others.
const META_PACKAGE_BYTES: u64 = 16 * 1024;

/// One build of a kernel in the archives.
#[derive(Clone, Debug)]
pub struct ArchiveBuild {
    pub version: PackageVersion,
    /// `uname -r` by Debian's naming rule.
    pub release: String,
    pub packages: Vec<PackageRef>,
    /// Suites that hold it, in the order in which they were given.
    pub suites: Vec<String>,
    pub id: KernelId,
    pub untestable: Option<String>,
}

/// Groups the packages of all suites to kernels of one flavour.
pub fn find(suites: &[SuiteIndex], flavour: &str) -> Vec<ArchiveBuild> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for suite in suites {
        for entry in &suite.entries {
            let Some(part) = Part::of(&entry.name, flavour) else { continue };
            let package = PackageRef {
                name: entry.name.clone(),
                version: entry.version.clone(),
                sha256: entry.sha256.clone(),
                sha1: None,
                size: entry.size,
                url: format!("{}/{}", suite.base_url, entry.filename),
                suite: suite.suite.clone(),
            };
            groups
                .entry((part.tag.to_owned(), entry.version.clone()))
                .or_default()
                .put(part, package);
        }
    }
    groups
        .into_iter()
        .filter_map(|((tag, version), group)| {
            group.finish(PackageVersion::parse(&version).ok()?, format!("{tag}-{flavour}"))
        })
        .collect()
}

/// Flavours that suites have kernels of, sorted.
pub fn flavours(suites: &[SuiteIndex]) -> Vec<String> {
    let names = suites.iter().flat_map(|suite| &suite.entries).map(|entry| entry.name.as_str());
    let known: BTreeSet<String> = names.filter_map(flavour_of).collect();
    known.into_iter().collect()
}

/// The flavour of an image, by its package's name: what follows the words of the version.
fn flavour_of(name: &str) -> Option<String> {
    let rest = name.strip_prefix("linux-image-")?;
    let bare = rest.strip_prefix("unsigned-").unwrap_or(rest);
    let words = bare.strip_suffix("-unsigned").unwrap_or(bare).split('-');
    let is_version =
        |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) || word.starts_with("rc");
    if !bare.starts_with(|c: char| c.is_ascii_digit())
        || bare.ends_with("-dbg")
        || bare.ends_with("-template")
    {
        return None;
    }
    let flavour = words.skip_while(is_version).collect::<Vec<_>>().join("-");
    (!flavour.is_empty()).then_some(flavour)
}

/// Whether a package, by its name, is a part of a kernel of the flavour.
pub fn is_part_of(name: &str, flavour: &str) -> bool {
    Part::of(name, flavour).is_some()
}

/// Content hash of a kernel that is made of packages.
pub fn id_of_packages<'a>(hashes: impl Iterator<Item = &'a str>) -> KernelId {
    let mut hashes: Vec<&str> = hashes.collect();
    hashes.sort_unstable();
    KernelId(hash::of_bytes(hashes.join("\n").as_bytes()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Image,
    Binary,
    Modules,
    Base,
}

struct Part<'a> {
    kind: Kind,
    unsigned: bool,
    tag: &'a str,
}

impl<'a> Part<'a> {
    fn of(name: &'a str, flavour: &str) -> Option<Self> {
        let (kind, rest) = [
            ("linux-image-", Kind::Image),
            ("linux-binary-", Kind::Binary),
            ("linux-modules-", Kind::Modules),
            ("linux-base-", Kind::Base),
        ]
        .iter()
        .find_map(|(prefix, kind)| Some((*kind, name.strip_prefix(prefix)?)))?;
        let bare = rest.strip_prefix("unsigned-").unwrap_or(rest);
        let bare = bare.strip_suffix("-unsigned").unwrap_or(bare);
        let tag = bare.strip_suffix(flavour)?.strip_suffix('-')?;
        // `6.12.57+deb12-rt` is another flavour's tag; ours are numbers all along.
        let ours = tag
            .split('-')
            .all(|word| word.starts_with(|c: char| c.is_ascii_digit()) || word.starts_with("rc"));
        ours.then_some(Self { kind, unsigned: bare.len() != rest.len(), tag })
    }
}

#[derive(Default)]
struct Group {
    parts: Vec<(Kind, bool, PackageRef)>,
}

impl Group {
    fn put(&mut self, part: Part<'_>, package: PackageRef) {
        self.parts.push((part.kind, part.unsigned, package));
    }

    /// The best package of a kind: the signed one, from the first suite.
    fn best(&self, kind: Kind) -> Option<&PackageRef> {
        let of_kind = || self.parts.iter().filter(move |part| part.0 == kind);
        of_kind().find(|part| !part.1).or_else(|| of_kind().next()).map(|part| &part.2)
    }

    fn finish(self, version: PackageVersion, release: String) -> Option<ArchiveBuild> {
        let image = self.best(Kind::Image).filter(|image| image.size >= META_PACKAGE_BYTES);
        let binary = self.best(Kind::Binary);
        let (main, packages, untestable) = match (binary, image) {
            (Some(binary), _) => {
                let modules = self.best(Kind::Modules);
                let packages: Vec<PackageRef> = [Some(binary), modules, self.best(Kind::Base)]
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect();
                let reason = modules
                    .is_none()
                    .then(|| "its modules package is not in the archive".to_owned());
                (binary, packages, reason)
            }
            (None, Some(image)) => (image, vec![image.clone()], None),
            // A meta package, or modules that lost their kernel.
            (None, None) => return None,
        };
        let mut suites: Vec<String> = Vec::new();
        for (_, _, package) in &self.parts {
            if package.sha256 == main.sha256 && !suites.contains(&package.suite) {
                suites.push(package.suite.clone());
            }
        }
        let id = id_of_packages(packages.iter().map(|package| package.sha256.as_str()));
        Some(ArchiveBuild { version, release, packages, suites, id, untestable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::packages::IndexEntry;

    fn suite(name: &str, packages: &[(&str, &str, u64)]) -> SuiteIndex {
        let entries = packages
            .iter()
            .map(|(package, version, size)| IndexEntry {
                name: (*package).to_owned(),
                version: (*version).to_owned(),
                filename: format!("pool/{package}.deb"),
                size: *size,
                sha256: hash::of_bytes(format!("{package} {version}").as_bytes()),
            })
            .collect();
        SuiteIndex { suite: name.to_owned(), base_url: "http://m".to_owned(), entries, stale: None }
    }

    const BIG: u64 = 20_000_000;

    #[test]
    fn one_package_up_to_6_18() {
        let builds = find(
            &[
                suite(
                    "bookworm",
                    &[
                        ("linux-image-6.1.0-50-cloud-amd64", "6.1.176-1", BIG),
                        ("linux-image-6.1.0-50-cloud-amd64-unsigned", "6.1.176-1", BIG),
                        ("linux-image-6.1.0-50-amd64", "6.1.176-1", BIG),
                        ("linux-image-6.1.0-50-rt-amd64", "6.1.176-1", BIG),
                        ("linux-image-6.1-cloud-amd64", "6.1.176-1", 1_500),
                    ],
                ),
                suite(
                    "bookworm-security",
                    &[
                        ("linux-image-6.1.0-50-cloud-amd64", "6.1.176-1", BIG),
                        ("linux-image-6.1.0-0.deb11.50-cloud-amd64", "6.1.176-1~deb11u1", BIG),
                    ],
                ),
            ],
            "cloud-amd64",
        );
        let names: Vec<_> = builds.iter().map(|b| b.packages[0].name.as_str()).collect();
        assert_eq!(
            names,
            ["linux-image-6.1.0-0.deb11.50-cloud-amd64", "linux-image-6.1.0-50-cloud-amd64"]
        );
        assert_eq!(builds[1].suites, ["bookworm", "bookworm-security"]);
        assert_eq!(builds[1].release, "6.1.0-50-cloud-amd64");
        assert_eq!(builds[1].untestable, None);
    }

    #[test]
    fn the_flavour_is_what_follows_the_version() {
        let of = |name: &str| flavour_of(name).unwrap_or_default();
        assert_eq!(of("linux-image-6.12.57+deb12-cloud-amd64"), "cloud-amd64");
        assert_eq!(of("linux-image-6.12.57+deb12-cloud-amd64-unsigned"), "cloud-amd64");
        assert_eq!(of("linux-image-6.1.0-rc7-amd64"), "amd64");
        assert_eq!(of("linux-image-unsigned-5.10.0-40-rt-amd64"), "rt-amd64");
        assert_eq!(of("linux-image-6.12.57+deb12-amd64-dbg"), "");
        assert_eq!(of("linux-image-amd64"), "");
    }

    #[test]
    fn the_plain_flavour_is_neither_cloud_nor_rt() {
        let packages = [
            ("linux-image-6.12.57+deb12-amd64", "6.12.57-1~bpo12+1", BIG),
            ("linux-image-6.12.57+deb12-cloud-amd64", "6.12.57-1~bpo12+1", BIG),
            ("linux-image-6.12.57+deb12-rt-amd64", "6.12.57-1~bpo12+1", BIG),
        ];
        let builds = find(&[suite("s", &packages)], "amd64");
        assert_eq!(builds.len(), 1);
        assert_eq!(builds[0].packages[0].name, "linux-image-6.12.57+deb12-amd64");
    }

    #[test]
    fn split_packages_from_6_19_on() {
        let builds = find(
            &[suite(
                "trixie-backports",
                &[
                    ("linux-image-7.2.12+deb13-cloud-amd64", "7.2.12-1~bpo13+1", 1_924),
                    ("linux-binary-7.2.12+deb13-cloud-amd64", "7.2.12-1~bpo13+1", BIG),
                    ("linux-binary-unsigned-7.2.12+deb13-cloud-amd64", "7.2.12-1~bpo13+1", BIG),
                    ("linux-modules-7.2.12+deb13-cloud-amd64", "7.2.12-1~bpo13+1", BIG),
                    ("linux-base-7.2.12+deb13-cloud-amd64", "7.2.12-1~bpo13+1", 1_000_000),
                    ("linux-image-6.19.6+deb13-cloud-amd64", "6.19.6-2~bpo13+1", 2_060),
                    ("linux-binary-6.19.6+deb13-cloud-amd64", "6.19.6-2~bpo13+1", BIG),
                ],
            )],
            "cloud-amd64",
        );
        assert_eq!(builds.len(), 2);
        assert!(builds[0].untestable.as_ref().unwrap().contains("modules"), "6.19.6");
        let names: Vec<_> = builds[1].packages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "linux-binary-7.2.12+deb13-cloud-amd64",
                "linux-modules-7.2.12+deb13-cloud-amd64",
                "linux-base-7.2.12+deb13-cloud-amd64"
            ]
        );
    }

    #[test]
    fn an_unsigned_image_is_used_when_it_is_the_only_one() {
        let packages = [("linux-image-6.1.0-50-cloud-amd64-unsigned", "6.1.176-1", BIG)];
        let builds = find(&[suite("s", &packages)], "cloud-amd64");
        assert_eq!(builds.len(), 1);
        assert_eq!(builds[0].release, "6.1.0-50-cloud-amd64");
    }

    #[test]
    fn a_rebuild_is_the_same_source_and_a_revision_is_not() {
        let source = |text: &str| PackageVersion::parse(text).unwrap().source().to_string();
        assert_eq!(source("6.12.57-1~bpo12+1"), "6.12.57-1");
        assert_eq!(source("6.1.172-1~deb11u1"), "6.1.172-1");
        assert_eq!(source("6.12.90-2"), "6.12.90-2");
        assert_eq!(source("7.3~rc7-1~exp1"), "7.3~rc7-1~exp1");
        assert_eq!(source("6.1.170-3+deb12u1"), "6.1.170-3+deb12u1");
    }

    #[test]
    fn the_id_does_not_depend_on_the_order_of_packages() {
        let (a, b) = ("aa", "bb");
        assert_eq!(id_of_packages([a, b].into_iter()), id_of_packages([b, a].into_iter()));
        assert_ne!(id_of_packages([a].into_iter()), id_of_packages([a, b].into_iter()));
    }
}
