//! The mirror, its keyring, and what came from there already.

use kbisect_kernels::{Catalog, Settings, Silent, Store, SuiteChoice};
use kbisect_report::{DoctorCheck, DoctorStatus};
use kbisect_vm::image::{ImageDefinition, find_image};

use super::{advise, found};
use crate::{errors, output};

/// The root image.
pub fn image(definition: &ImageDefinition, settings: &Settings) -> DoctorCheck {
    match find_image(definition, &settings.cache_dir) {
        Some(image) => {
            let manifest = &image.manifest;
            let size = output::bytes(manifest.size_bytes);
            let detail = format!("{} of {}, {size}", manifest.suite, manifest.built_at);
            found("image", DoctorStatus::Ok, detail)
        }
        None if settings.offline => advise(
            "image",
            DoctorStatus::Fail,
            "the root image is not built, and cannot be with --offline",
            "run `kbisect image build` while there is a network",
        ),
        None => advise(
            "image",
            DoctorStatus::Warn,
            "the root image is not built yet; the first run builds it, in a minute or so",
            "run `kbisect image build`",
        ),
    }
}

/// The kernels of the store.
pub fn kernels(settings: &Settings) -> DoctorCheck {
    let stored = Store::open(&settings.cache_dir).and_then(|store| store.list());
    match stored {
        Ok(stored) => {
            let size = output::bytes(stored.iter().map(|ready| ready.size).sum());
            found("kernels", DoctorStatus::Ok, format!("{} in the store, {size}", stored.len()))
        }
        Err(error) => {
            let hint = error.hint();
            let detail = errors::message(&error.into());
            DoctorCheck { hint, ..found("kernels", DoctorStatus::Fail, detail) }
        }
    }
}

/// The keyring that the archive is verified with.
pub fn keyring(settings: &Settings) -> DoctorCheck {
    let files: Vec<String> =
        settings.keyrings.iter().map(|path| path.display().to_string()).collect();
    if files.is_empty() {
        return advise(
            "keyring",
            unless_offline(settings),
            "none is known: the archive cannot be verified",
            "install the package debian-archive-keyring, or name a keyring with --keyring",
        );
    }
    found("keyring", DoctorStatus::Ok, files.join(", "))
}

/// The mirror: a small signed index is fetched and verified.
pub fn mirror(settings: &Settings, release: &str) -> DoctorCheck {
    let Some(mirrors) = &settings.mirrors else {
        return advise(
            "mirror",
            unless_offline(settings),
            "none in apt's configuration",
            "name one with --mirror URL or in config.toml; --offline uses the local store alone",
        );
    };
    if settings.offline {
        return found(
            "mirror",
            DoctorStatus::Ok,
            format!("{}, not asked (--offline)", mirrors.main),
        );
    }
    // The updates suite has the smallest index that every Debian mirror holds.
    let suite = match &settings.suites {
        SuiteChoice::Named(names) => names.first().cloned(),
        SuiteChoice::Default => None,
    };
    let suite = suite.unwrap_or_else(|| format!("{release}-updates"));
    let asked = Settings {
        suites: SuiteChoice::Named(vec![suite.clone()]),
        refresh: true,
        ..settings.clone()
    };
    let answer = Store::open(&settings.cache_dir)
        .map_err(anyhow::Error::new)
        .and_then(|store| Ok(Catalog::load(&asked, &store, &Silent)?));
    match answer {
        Ok(catalog) if catalog.warnings().is_empty() => {
            let detail = format!("{} answers, {suite} is signed as it should be", mirrors.main);
            found("mirror", DoctorStatus::Ok, detail)
        }
        // Cached indexes were used in place of fresh ones.
        Ok(catalog) => advise(
            "mirror",
            DoctorStatus::Warn,
            catalog.warnings().join("; "),
            "check the network; kernels that are not in the store cannot be fetched",
        ),
        Err(error) => {
            let hint = errors::hint(&error);
            DoctorCheck { hint, ..found("mirror", DoctorStatus::Fail, errors::message(&error)) }
        }
    }
}

fn unless_offline(settings: &Settings) -> DoctorStatus {
    if settings.offline { DoctorStatus::Warn } else { DoctorStatus::Fail }
}
