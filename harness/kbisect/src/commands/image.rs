//! `kbisect image`: root images.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kbisect_vm::image::{
    Image, ImageDefinition, ImageManifest, ImageProgress, ensure_image, find_image,
};
use serde::Serialize;

use crate::cli::{Global, ImageArgs, ImageCommand};
use crate::settings::global::{image_definition, image_sources};
use crate::ui::Ui;
use crate::{output, settings};

/// Carries out a command about root images.
///
/// # Errors
/// Those of the definition, the build and the cache.
pub fn image(args: &ImageArgs, global: &Global) -> anyhow::Result<()> {
    match &args.command {
        ImageCommand::Build { image, scenario } => {
            build(image.as_deref(), scenario.as_deref(), global)
        }
        ImageCommand::List => {
            let cache = global.settings()?.cache_dir;
            show(&images(&cache), None, global)
        }
        ImageCommand::Prune { all, dry_run } => prune(*all, *dry_run, global),
    }
}

fn build(folder: Option<&Path>, scenario: Option<&str>, global: &Global) -> anyhow::Result<()> {
    let mut definition = image_definition(folder)?;
    if let Some(name) = scenario {
        let needs = settings::scenario::load(name)?.scenario.image;
        definition = definition.with_packages(&needs.packages)?;
    }
    let settings = global.settings()?;
    let image = match find_image(&definition, &settings.cache_dir) {
        Some(image) => image,
        None => {
            let sources = image_sources(&settings)?;
            let ui = Ui::new(global);
            let image = ensure_image(&definition, &settings.cache_dir, &sources, &mut |progress| {
                ui.doing(&match progress {
                    ImageProgress::Waiting => {
                        "waiting for another kbisect that builds it".to_owned()
                    }
                    ImageProgress::Step(step) => format!("root image: {step}"),
                    ImageProgress::Packed { size_bytes } => {
                        format!("root image: packed, {}", output::bytes(size_bytes))
                    }
                });
            });
            ui.finish();
            image?
        }
    };
    show(&[listed(&image)], None, global)
}

/// Removes images. A machine that has one open keeps it until it ends.
fn prune(all: bool, dry_run: bool, global: &Global) -> anyhow::Result<()> {
    let cache = global.settings()?.cache_dir;
    let kept = ImageDefinition::built_in().key();
    let going: Vec<Listed> =
        images(&cache).into_iter().filter(|image| all || image.key != kept).collect();
    if !dry_run {
        for image in &going {
            let folder = image.path.parent().unwrap_or(&image.path);
            fs::remove_dir_all(folder)
                .with_context(|| format!("cannot remove `{}`", folder.display()))?;
        }
    }
    show(&going, Some(if dry_run { "would remove" } else { "removed" }), global)
}

/// One image in the cache.
#[derive(Serialize)]
struct Listed {
    key: String,
    suite: String,
    built_at: String,
    size_bytes: u64,
    sha256: String,
    packages: usize,
    path: PathBuf,
}

/// What `image build`, `image list` and `image prune` print with `--json`.
#[derive(Serialize)]
struct ImagesDocument<'a> {
    schema: &'static str,
    images: &'a [Listed],
}

fn listed(image: &Image) -> Listed {
    of_manifest(&image.manifest, image.path.clone())
}

fn of_manifest(manifest: &ImageManifest, path: PathBuf) -> Listed {
    Listed {
        key: manifest.key.clone(),
        suite: manifest.suite.clone(),
        built_at: manifest.built_at.clone(),
        size_bytes: manifest.size_bytes,
        sha256: manifest.sha256.clone(),
        packages: manifest.packages.len(),
        path,
    }
}

/// The complete images of the cache, oldest first.
fn images(cache: &Path) -> Vec<Listed> {
    let entries = fs::read_dir(cache.join("images")).into_iter().flatten().flatten();
    let mut images: Vec<Listed> = entries
        .filter_map(|entry| {
            let folder = entry.path();
            let text = fs::read(folder.join("image.json")).ok()?;
            let manifest: ImageManifest = serde_json::from_slice(&text).ok()?;
            let named = entry.file_name().to_str() == Some(manifest.key.as_str());
            named.then(|| of_manifest(&manifest, folder.join("root.squashfs")))
        })
        .collect();
    images.sort_by(|a, b| (&a.built_at, &a.key).cmp(&(&b.built_at, &b.key)));
    images
}

fn show(images: &[Listed], done: Option<&str>, global: &Global) -> anyhow::Result<()> {
    if global.json {
        return output::json(&ImagesDocument { schema: "kbisect.images/1", images });
    }
    if images.is_empty() {
        return output::print("no root images\n");
    }
    let built_in = ImageDefinition::built_in().key();
    let rows: Vec<Vec<String>> = images
        .iter()
        .map(|image| {
            let mut row = vec![
                image.key.chars().take(12).collect(),
                image.suite.clone(),
                output::bytes(image.size_bytes),
                format!("{} packages", image.packages),
                image.built_at.clone(),
                image.path.display().to_string(),
            ];
            if let Some(done) = done {
                row.insert(0, done.to_owned());
            }
            if image.key == built_in {
                row.push("(default)".to_owned());
            }
            row.iter().map(|cell| output::clean(cell)).collect()
        })
        .collect();
    output::print(&output::table(&rows))
}
