use super::*;
use crate::archive::index::SuiteIndex;
use crate::archive::packages::IndexEntry;
use crate::hash;
use crate::sources::candidates;
use kbisect_core::kernel::{Kernel, KernelId, Variant};

/// Suites as the archive had them in November 2026, shortened.
fn archive() -> Vec<SuiteIndex> {
    let image =
        |tag: &str, version: &str| (format!("linux-image-{tag}-cloud-amd64"), version.to_owned());
    let backport = |upstream: &str, tag: &str, revision: &str| {
        image(&format!("{upstream}+{tag}"), &format!("{upstream}-{revision}"))
    };
    let bpo = |upstream: &str, revision: &str| {
        let tag = if revision == "2" { "deb12.1" } else { "deb12" };
        backport(upstream, tag, &format!("{revision}~bpo12+1"))
    };
    let stable = |upstream: &str, revision: &str| {
        let tag = if revision == "2" { "deb13.1" } else { "deb13" };
        backport(upstream, tag, revision)
    };
    let suite = |name: &str, packages: Vec<(String, String)>| SuiteIndex {
        suite: name.to_owned(),
        base_url: "http://mirror.example/debian".to_owned(),
        entries: packages
            .into_iter()
            .map(|(name, version)| IndexEntry {
                sha256: hash::of_bytes(format!("{name} {version}").as_bytes()),
                filename: format!("pool/{name}_{version}.deb"),
                name,
                version,
                size: 30_000_000,
            })
            .collect(),
        stale: None,
    };
    vec![
        suite("bullseye", vec![image("5.10.0-30", "5.10.218-1"), image("5.10.0-32", "5.10.223-1")]),
        suite(
            "bullseye-security",
            vec![image("5.10.0-43", "5.10.251-5"), image("6.1.0-0.deb11.48", "6.1.172-1~deb11u1")],
        ),
        suite(
            "bookworm-security",
            vec![image("6.1.0-48", "6.1.172-1"), image("6.1.0-53", "6.1.187-1")],
        ),
        suite(
            "bookworm-backports",
            vec![
                bpo("6.12.43", "1"),
                bpo("6.12.57", "1"),
                bpo("6.12.69", "1"),
                bpo("6.12.90", "1"),
                bpo("6.12.90", "2"),
                bpo("6.12.94", "1"),
            ],
        ),
        suite("trixie", vec![stable("6.12.94", "1")]),
        suite(
            "trixie-security",
            vec![
                stable("6.12.90", "1"),
                stable("6.12.90", "2"),
                stable("6.12.94", "1"),
                stable("6.12.96", "1"),
            ],
        ),
        suite(
            "trixie-backports",
            vec![(
                "linux-binary-6.19.6+deb13-cloud-amd64".to_owned(),
                "6.19.6-2~bpo13+1".to_owned(),
            )],
        ),
        suite("experimental", vec![image("7.3", "7.3~rc7-1~exp1")]),
    ]
}

fn local(version: &str, flavour: &str, name: Option<&str>) -> Item {
    let kernel = Kernel {
        version: version.to_owned(),
        package_version: PackageVersion::parse(version).unwrap(),
        flavour: flavour.to_owned(),
        source: "local".to_owned(),
        id: KernelId(hash::of_bytes(format!("local {version} {flavour}").as_bytes())),
        release: None,
        name: name.map(str::to_owned),
        variant: None,
    };
    Item::new(Candidate::new(kernel, CandidateState::Stored))
}

fn variant(name: &str) -> Item {
    let mut item = local("5.10.223-1", "cloud-amd64", Some(name));
    let kernel = &mut item.candidate.kernel;
    let base_id = std::mem::replace(&mut kernel.id, KernelId(hash::of_bytes(name.as_bytes())));
    kernel.version = "5.10.223".to_owned();
    kernel.release = Some("5.10.0-32-cloud-amd64".to_owned());
    kernel.variant = Some(Variant {
        base: kernel.package_version.clone(),
        base_id,
        modules: vec!["vrf".to_owned()],
        cmdline: Vec::new(),
    });
    kernel.source = kernel.variant.as_ref().unwrap().to_string();
    item
}

fn catalog_with(more: Vec<Item>) -> Catalog {
    let flavour = "cloud-amd64";
    let mut items = load::merge(vec![(Trust::SignedIndex, candidates(&archive(), flavour))]);
    items.extend(more);
    Catalog {
        items,
        warnings: Vec::new(),
        flavour: flavour.to_owned(),
        sources: vec![Source::ARCHIVE],
        prefer_stored: false,
    }
}

fn catalog() -> Catalog {
    catalog_with(Vec::new())
}

fn versions(series: &[Candidate]) -> Vec<String> {
    series.iter().map(|c| c.kernel.package_version.to_string()).collect()
}

#[test]
fn rebuilds_are_one_candidate_and_revisions_are_not() {
    let series = catalog().series("6.12.43", "6.12.96").unwrap();
    assert_eq!(
        versions(&series),
        [
            "6.12.43-1~bpo12+1",
            "6.12.57-1~bpo12+1",
            "6.12.69-1~bpo12+1",
            "6.12.90-1",
            "6.12.90-2",
            "6.12.94-1",
            "6.12.96-1"
        ]
    );
    assert_eq!(series[3].other_builds[0].package_version.as_str(), "6.12.90-1~bpo12+1");
    assert_eq!(series[5].kernel.source, "debian:trixie");
    assert_eq!(series[5].also_in, ["trixie-security"]);
}

#[test]
fn an_exact_endpoint_chooses_the_family_of_the_others() {
    let series = catalog().series("6.12.43-1~bpo12+1", "6.12.96").unwrap();
    assert_eq!(
        versions(&series)[2..],
        [
            "6.12.69-1~bpo12+1",
            "6.12.90-1~bpo12+1",
            "6.12.90-2~bpo12+1",
            "6.12.94-1~bpo12+1",
            "6.12.96-1"
        ]
    );
    let series = catalog().series("6.12.43", "6.12.90-2~bpo12+1").unwrap();
    assert_eq!(versions(&series).last().unwrap(), "6.12.90-2~bpo12+1");
    let series = catalog().series("6.12.90-1~bpo12+1", "6.12.90-2").unwrap();
    assert_eq!(versions(&series), ["6.12.90-1~bpo12+1", "6.12.90-2"]);
}

#[test]
fn an_upstream_version_of_several_kernels_takes_in_all_of_them() {
    let catalog = catalog();
    assert_eq!(versions(&catalog.series("6.12.90", "6.12.94").unwrap())[0], "6.12.90-1");
    assert_eq!(
        versions(&catalog.series("6.12.69", "6.12.90").unwrap()).last().unwrap(),
        "6.12.90-2"
    );
    assert_eq!(
        versions(&catalog.series("6.12.90", "6.12.90").unwrap()),
        ["6.12.90-1", "6.12.90-2"]
    );
    let one = catalog.resolve("6.12.90").unwrap();
    assert_eq!(one.kernel.package_version.as_str(), "6.12.90-2");
    assert!(one.notes[0].contains("6.12.90-1 and 6.12.90-2"), "{:?}", one.notes);
}

#[test]
fn kernels_are_found_by_every_name_they_have() {
    let catalog = catalog_with(vec![local("6.12.57", "", Some("vrf-broken"))]);
    let found = |spec: &str| catalog.resolve(spec).unwrap().kernel.package_version.to_string();
    assert_eq!(found("6.12.90-2~bpo12+1"), "6.12.90-2~bpo12+1");
    assert_eq!(found("6.1.0-48-cloud-amd64"), "6.1.172-1");
    assert_eq!(found("vrf-broken"), "6.12.57");
    assert_eq!(found("v6.1.187"), "6.1.187-1");
    assert_eq!(found("7.3-rc7"), "7.3~rc7-1~exp1");
    let id = catalog.resolve("6.1.187").unwrap().kernel.id;
    assert_eq!(found(id.short()), "6.1.187-1");
    let rebuilt = catalog.resolve("6.12.57-1").unwrap();
    assert_eq!(rebuilt.kernel.package_version.as_str(), "6.12.57-1~bpo12+1");
    assert!(rebuilt.notes[0].contains("rebuild"), "{:?}", rebuilt.notes);
}

#[test]
fn an_unknown_kernel_names_its_neighbours() {
    let catalog = catalog();
    let error = catalog.resolve("5.10.240").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no kernel `5.10.240` in the archive or the local store; the nearest are 5.10.223 (before) \
         and 5.10.251 (after)"
    );
    let error = catalog.series("5.10.40", "5.10.70").unwrap_err();
    assert!(error.to_string().contains("5.10.218 (after), and none comes before"), "{error}");
    let error = catalog.resolve("6.12.90-7").unwrap_err();
    assert!(error.to_string().contains("6.12.90-2 (before) and 6.12.94-1 (after)"), "{error}");
    for text in ["5.1x", "", "hello", "deadbeef", "6..1"] {
        let error = catalog.resolve(text).unwrap_err();
        assert_eq!(error, ResolveError::NotAVersion(text.to_owned()));
        assert!(error.hint().is_some());
    }
}

#[test]
fn reversed_and_empty_ranges_say_what_to_write() {
    let catalog = catalog();
    let error = catalog.series("6.12.96", "6.12.43").unwrap_err();
    assert!(error.to_string().contains("reversed"), "{error}");
    assert!(error.hint().unwrap().contains("6.12.43..6.12.96"), "{:?}", error.hint());
    assert!(error.hint().unwrap().contains("--find-fix"));
    let error = catalog.series("6.12.57", "6.12.57").unwrap_err();
    assert!(matches!(error, ResolveError::SameKernel { .. }), "{error}");
    let error = catalog.series("6.12.57", "6.12.57-1~bpo12+1").unwrap_err();
    assert!(matches!(error, ResolveError::SameKernel { .. }), "{error}");
    let next = catalog.series("6.12.57", "6.12.69").unwrap();
    assert_eq!(next.len(), 2, "nothing in between is fine");
}

#[test]
fn two_exact_builds_of_one_source_are_a_range() {
    let catalog = catalog();
    let pair = catalog.series("6.12.90-1~bpo12+1", "6.12.90-1").unwrap();
    assert_eq!(versions(&pair), ["6.12.90-1~bpo12+1", "6.12.90-1"]);
    let error = catalog.series("6.12.90-1", "6.12.90-1~bpo12+1").unwrap_err();
    assert!(matches!(error, ResolveError::Reversed { .. }), "{error}");
}

#[test]
fn a_kernel_without_its_modules_is_known_and_untestable() {
    let one = catalog().resolve("6.19.6").unwrap();
    let CandidateState::Untestable { reason } = one.state else { panic!("{:?}", one.state) };
    assert!(reason.contains("modules"), "{reason}");
}

#[test]
fn kernels_of_ones_own_take_part_in_ranges_unless_of_another_flavour() {
    let own = vec![
        local("6.12.60", "", None),
        local("6.12.61", "amd64", Some("full")),
        local("6.12.94", "cloud-amd64", None),
    ];
    let catalog = catalog_with(own);
    let series = catalog.series("6.12.57", "6.12.96").unwrap();
    assert_eq!(
        versions(&series),
        [
            "6.12.57-1~bpo12+1",
            "6.12.60",
            "6.12.69-1~bpo12+1",
            "6.12.90-1",
            "6.12.90-2",
            "6.12.94",
            "6.12.94-1",
            "6.12.96-1"
        ]
    );
    assert_eq!(
        versions(&catalog.series("full", "6.12.69").unwrap()),
        ["6.12.61", "6.12.69-1~bpo12+1"]
    );
    let error = catalog.series("6.12.69", "full").unwrap_err();
    assert!(matches!(error, ResolveError::Reversed { .. }), "{error}");
}

#[test]
fn offline_a_stored_build_stands_for_its_source() {
    let mut catalog = catalog();
    catalog.prefer_stored = true;
    for item in &mut catalog.items {
        if item.candidate.kernel.package_version.as_str() == "6.12.90-1~bpo12+1" {
            item.candidate.state = CandidateState::Stored;
        }
    }
    let series = catalog.series("6.12.69", "6.12.90").unwrap();
    assert_eq!(versions(&series)[1..], ["6.12.90-1~bpo12+1", "6.12.90-2"]);
}

#[test]
fn the_whole_list_is_in_version_order() {
    let all = catalog().all();
    let versions: Vec<_> = all.iter().map(|c| c.kernel.package_version.source()).collect();
    assert!(versions.is_sorted(), "{versions:?}");
    assert_eq!(all.len(), 14);
}

#[test]
fn no_version_means_a_variant() {
    let catalog = catalog_with(vec![variant("lab-223")]);
    for spec in ["5.10.223", "5.10.223-1", "5.10.0-32-cloud-amd64"] {
        assert_eq!(catalog.resolve(spec).unwrap().kernel.source, "debian:bullseye", "{spec}");
    }
    let series = catalog.series("5.10.218", "5.10.251").unwrap();
    assert_eq!(versions(&series), ["5.10.218-1", "5.10.223-1", "5.10.251-5"]);
    // Nor when the archive no longer has the stock kernel.
    let mut alone = catalog_with(vec![variant("lab-223")]);
    alone.items.retain(|item| item.candidate.kernel.version != "5.10.223" || item.is_variant());
    for spec in ["5.10.223", "5.10.223-1", "5.10.0-32-cloud-amd64"] {
        assert!(alone.resolve(spec).is_err(), "{spec}");
    }
}

#[test]
fn a_variant_is_named_and_listed_after_its_base() {
    let catalog = catalog_with(vec![variant("lab-223")]);
    let candidate = catalog.resolve("lab-223").unwrap();
    assert_eq!(candidate.kernel.source, "variant of 5.10.223-1 (module vrf)");
    assert_eq!(catalog.resolve(candidate.kernel.id.short()).unwrap(), candidate);
    let labels: Vec<String> =
        catalog.all().iter().map(|candidate| candidate.kernel.label().to_owned()).collect();
    assert_eq!(labels[..4], ["5.10.218", "5.10.223", "lab-223", "5.10.251"]);
    let series = catalog.series("5.10.218", "lab-223").unwrap();
    assert_eq!(series.last().unwrap().kernel, candidate.kernel);
    assert_eq!(series.len(), 3);
}

fn series(text: &str) -> Result<Vec<String>, String> {
    let catalog = catalog_with(vec![variant("lab-223")]);
    let text = format!("schema = \"kbisect.series/1\"\nkernels = [{text}]\n");
    let file = crate::SeriesFile::parse("s.toml", &text).unwrap();
    let found = file.resolve(&catalog).map_err(|error| error.to_string())?;
    Ok(found.iter().map(|candidate| candidate.kernel.label().to_owned()).collect())
}

#[test]
fn a_series_mixes_kernels_of_all_sources() {
    let labels = series("\"6.12.57\", \"lab-223\", \"5.10.223-1\"").unwrap();
    assert_eq!(labels, ["6.12.57", "lab-223", "5.10.223"]);
}

#[test]
fn a_series_of_unknown_or_repeated_kernels_is_refused() {
    let error = series("\"5.10.218\", \"lab-232\", \"5.10.230\"").unwrap_err();
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].starts_with("s.toml:2:24: kernels[1]: `lab-232` is neither"), "{error}");
    assert!(lines[0].ends_with("did you mean `lab-223`?"), "{error}");
    assert!(lines[1].contains("the nearest are 5.10.223 (before) and 5.10.251"), "{error}");
    let error = series("\"5.10.218\", \"lab-223\", \"5.10.218\"").unwrap_err();
    assert_eq!(error, "s.toml:2:35: kernels[2]: `5.10.218` is listed twice, first as kernels[0]");
    let error = series("\"5.10.218\", \"5.10.0-30-cloud-amd64\"").unwrap_err();
    assert!(error.contains("is the same kernel as `5.10.218` in kernels[0]"), "{error}");
}

#[test]
fn the_newest_of_a_release_counts_its_security_suite_and_not_its_backports() {
    let newest = |suite: &str| {
        let newest = catalog().newest(Some(suite)).unwrap();
        let version = |candidate: &Candidate| candidate.kernel.package_version.to_string();
        (version(&newest.kernel), newest.before.as_ref().map(version))
    };
    let told = |newest: &str, before: Option<&str>| (newest.to_owned(), before.map(str::to_owned));
    assert_eq!(newest("bookworm"), told("6.1.187-1", Some("6.1.172-1")));
    assert_eq!(newest("bookworm-backports"), told("6.12.94-1~bpo12+1", Some("6.12.90-2~bpo12+1")));
    // Kernels of the next release, rebuilt for this one, are not what its machines upgrade to.
    assert_eq!(newest("bullseye"), told("5.10.251-5", Some("5.10.223-1")));
    // Two builds of one source are no two kernels to compare.
    assert_eq!(newest("trixie"), told("6.12.96-1", Some("6.12.94-1")));
    assert_eq!(newest("experimental"), told("7.3~rc7-1~exp1", None));
}

#[test]
fn the_newest_is_named_although_it_cannot_be_tested() {
    let newest = catalog().newest(Some("trixie-backports")).unwrap();
    assert_eq!(newest.kernel.kernel.version, "6.19.6");
    assert!(matches!(newest.kernel.state, CandidateState::Untestable { .. }), "{newest:?}");
}

#[test]
fn a_suite_that_offers_nothing_is_answered_with_those_that_do() {
    let error = catalog().newest(Some("forky")).unwrap_err();
    assert_eq!(error.to_string(), "the archive offers no kernel for the suite `forky`");
    assert!(error.hint().unwrap().contains("bookworm-backports, bookworm-security"));
    // What is only stored is not offered.
    let mut stored = catalog_with(vec![local("9.9.9-1", "cloud-amd64", None)]);
    assert_eq!(stored.newest(None).unwrap().kernel.kernel.version, "7.3~rc7");
    stored.items.retain(|item| item.candidate.packages.is_empty());
    assert_eq!(stored.newest(None).unwrap_err(), NewestError::Nothing);
}
