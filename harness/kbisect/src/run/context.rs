//! Everything that trials need and that does not change between them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kbisect_core::kernel::Kernel;
use kbisect_core::options::MachineChoices;
use kbisect_core::run::{Environment, EvidenceChoices};
use kbisect_core::scenario::ImageNeeds;
use kbisect_kernels::{Candidate, Catalog, Progress, ReadyKernel, Settings, Source, Store};
use kbisect_report::words;
use kbisect_vm::accel::{self, Probe, Wish};
use kbisect_vm::image::{self, Image, ImageDefinition, ImageProgress};
use kbisect_vm::network::Placement;
use kbisect_vm::qemu::Qemu;
use kbisect_vm::session::Interrupt;
use kbisect_vm::states::{self, States};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::remote::{Content, Pools};
use super::reuse::{Earlier, Inputs};
use super::same_build::Builds;
use crate::cli::{self, AccelChoice, Global, MachineArgs, SettingArgs};
use crate::settings::global::{image_sources, run_folder};
use crate::ui::Ui;
use crate::{errors, exit};

/// What every command that runs trials begins with.
pub struct Base {
    /// Where to look for kernels.
    pub settings: Settings,
    /// The local store.
    pub store: Store,
    /// What there is.
    pub catalog: Catalog,
    /// The display.
    pub ui: Ui,
    /// Set by Ctrl-C and SIGTERM.
    pub interrupt: Interrupt,
    /// Ends waits that nobody else would end.
    preparing: Preparing,
}

/// The base plus the machines' part: QEMU, accelerator, image, scenario.
pub struct Context {
    /// The base.
    pub base: Base,
    /// QEMU.
    pub qemu: Qemu,
    /// Accelerator.
    pub probe: Probe,
    /// Root image.
    pub image: Image,
    /// Folder of its definition, where that is not the built-in one.
    pub image_folder: Option<PathBuf>,
    /// The kernel of the reference nodes.
    pub reference: ReadyKernel,
    /// Where nodes are put.
    pub placement: Placement,
    /// What is kept of failures.
    pub evidence: EvidenceChoices,
    /// Where states of machines are kept; nothing when kernels are to boot in every trial.
    pub states: Option<States>,
    /// What was chosen of how machines run.
    pub choices: MachineChoices,
    /// Whether saved states are to have the scenario's modules loaded.
    pub preload: bool,
    /// Trials of earlier runs that may stand for new ones.
    pub earlier: Option<Earlier>,
    /// Answers of kernels that were built, of this run.
    pub builds: Builds,
    /// Workers that are other processes.
    pub pools: Pools,
    /// What these may ask for, looked at once.
    pub content: Arc<Mutex<Content>>,
}

impl Base {
    /// Opens the store, loads the catalog, listens for signals.
    ///
    /// # Errors
    /// Those of the settings, the store and the catalog.
    pub fn new(global: &Global) -> anyhow::Result<Self> {
        let ui = Ui::new(global);
        let interrupt = listen(&ui)?;
        let preparing = Preparing::watch(&ui, &interrupt, global.json);
        let settings = global.settings()?;
        let store = global.store(&settings)?;
        let progress = ui.progress();
        let catalog = Catalog::load(&settings, &store, progress.as_ref())?;
        Ok(Self { settings, store, catalog, ui, interrupt, preparing })
    }

    /// Says that there is something now which must be ended in order.
    pub fn begin_run(&self) {
        self.preparing.end();
    }

    /// Looks into the sources that these kernels came from, too.
    pub fn look_where<'a>(
        &mut self,
        kernels: impl IntoIterator<Item = &'a Kernel>,
    ) -> anyhow::Result<()> {
        self.look_into(kernels.into_iter().filter_map(Source::of))
    }

    /// Looks into these sources, too.
    pub fn look_into(&mut self, more: impl IntoIterator<Item = Source>) -> anyhow::Result<()> {
        let sources = &mut self.settings.sources;
        let before = sources.len();
        for source in more {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        if sources.len() > before {
            self.catalog = Catalog::load(&self.settings, &self.store, self.ui.progress().as_ref())?;
        }
        Ok(())
    }

    /// Says which kernels of a series would have to be downloaded although no network is to be used.
    pub fn note_missing(&self, series: &[Candidate]) {
        if !self.settings.offline {
            return;
        }
        let missing: Vec<&Kernel> = series
            .iter()
            .filter(|candidate| candidate.download_bytes() > 0)
            .map(|candidate| &candidate.kernel)
            .collect();
        for source in Source::all() {
            let versions: Vec<&str> = missing
                .iter()
                .filter(|kernel| Source::of(kernel) == Some(source))
                .map(|kernel| kernel.package_version.as_str())
                .collect();
            if !versions.is_empty() {
                self.ui.note(&format!(
                    "not in the store, and --offline was given: {} (in {})",
                    versions.join(", "),
                    source.title
                ));
            }
        }
    }

    /// Where downloads tell how far they are.
    pub fn progress(&self) -> Arc<dyn Progress> {
        self.ui.progress()
    }

    /// Fails if the user wants to stop.
    pub fn go_on(&self) -> anyhow::Result<()> {
        if self.interrupt.is_set() {
            return Err(errors::interrupted("interrupted", None));
        }
        Ok(())
    }
}

/// The time before a run: its waits (locks, the archive, the root image) have nothing to lose, and the
/// process ends soon after the user wants it to, also where nobody looks at the flag.
pub struct Preparing(Arc<AtomicBool>);

impl Preparing {
    /// How long after the flag was set: who looks at it says more.
    const GRACE: Duration = Duration::from_millis(500);
    const LOOK: Duration = Duration::from_millis(50);

    fn watch(ui: &Ui, interrupt: &Interrupt, json: bool) -> Self {
        let armed = Arc::new(AtomicBool::new(true));
        let (ui, interrupt, watched) = (ui.clone(), interrupt.clone(), Arc::clone(&armed));
        std::thread::spawn(move || {
            while watched.load(Ordering::SeqCst) {
                if interrupt.is_set() {
                    std::thread::sleep(Self::GRACE);
                    // Swapped, so that a run which begins at this moment is not ended.
                    if watched.swap(false, Ordering::SeqCst) {
                        ui.finish();
                        errors::report(&errors::interrupted("interrupted", None), json);
                        std::process::exit(exit::INTERRUPTED.into());
                    }
                }
                std::thread::sleep(Self::LOOK);
            }
        });
        Self(armed)
    }

    fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Drop for Preparing {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sets the display's flag at Ctrl-C and SIGTERM. A second Ctrl-C ends the process at once; the
/// machines die with it.
fn listen(ui: &Ui) -> anyhow::Result<Interrupt> {
    let flag = ui.stop_flag();
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&flag))?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, kbisect_process::stop_flag())?;
    }
    Ok(Interrupt(flag))
}

/// Finds QEMU and the accelerator that works.
///
/// # Errors
/// QEMU missing, too old, or KVM asked for and not usable.
pub fn machines(base: &Base, args: &MachineArgs) -> anyhow::Result<(Qemu, Probe)> {
    let qemu = Qemu::find(args.qemu.as_deref())?;
    let wish = match args.accel {
        AccelChoice::Auto => Wish::Auto,
        AccelChoice::Tcg => Wish::Tcg,
        AccelChoice::Kvm => Wish::AutoAgain,
    };
    let probe = accel::probe(&qemu.path, &base.settings.cache_dir, wish);
    match &probe.no_kvm {
        Some(why) if args.accel == AccelChoice::Kvm => {
            return Err(errors::infrastructure(
                format!("KVM is not usable: {why}"),
                format!("{}; without --accel, emulation is used", why.hint()),
            ));
        }
        Some(why) => base.ui.note(&format!("machines are emulated (TCG): {why}")),
        None => {}
    }
    Ok((qemu, probe))
}

/// Finds the root image, or builds it.
pub fn root_image(
    base: &Base,
    args: &MachineArgs,
    needs: &ImageNeeds,
    name: &str,
) -> anyhow::Result<Image> {
    let plain = args.image_definition()?;
    let definition = plain.clone().with_packages(&needs.packages)?;
    let cache = &base.settings.cache_dir;
    if let Some(found) = image::find_image(&definition, cache) {
        return Ok(found);
    }
    // A scenario can come from anybody, and the scripts of packages run as whoever builds.
    if definition != plain && rustix::process::geteuid().is_root() {
        let folder = args.image.as_ref().map(|folder| format!(" --image {}", folder.display()));
        return Err(errors::usage(
            format!(
                "scenario {name} needs packages in the root image, which root would build: {}",
                needs.packages.join(", ")
            ),
            format!(
                "run `kbisect image build --scenario {name}{}` if that is what you want, or run \
                 kbisect as another user",
                folder.unwrap_or_default()
            ),
        ));
    }
    base.ui.note("the root image is not there yet: it is built now, once (a minute or so)");
    made(base, &definition, "root image")
}

/// Finds the root with the compiler of a Debian release, or makes it.
///
/// # Errors
/// What is no release, or none that the mirror has; those of making it.
pub fn toolchain_root(base: &Base, suite: &str) -> anyhow::Result<Image> {
    let definition = ImageDefinition::toolchain(suite)?;
    if let Some(found) = image::find_image(&definition, &base.settings.cache_dir) {
        return Ok(found);
    }
    base.ui.note(&words::makes_toolchain(suite));
    made(base, &definition, "toolchain")
}

fn made(base: &Base, definition: &ImageDefinition, what: &str) -> anyhow::Result<Image> {
    let sources = image_sources(&base.settings)?;
    let (ui, what) = (base.ui.clone(), what.to_owned());
    let mut tell =
        move |progress: ImageProgress| ui.doing(&format!("{what}: {}", describe(&progress)));
    let image = image::ensure_image(definition, &base.settings.cache_dir, &sources, &mut tell)?;
    base.go_on()?;
    Ok(image)
}

fn describe(progress: &ImageProgress) -> String {
    match progress {
        ImageProgress::Waiting => "waiting for another kbisect that builds it".to_owned(),
        ImageProgress::Step(step) => (*step).to_string(),
        ImageProgress::Packed { size_bytes } => format!("packed, {} MiB", size_bytes >> 20),
    }
}

impl Context {
    /// Completes a base with a root image that has what a scenario of that name needs.
    ///
    /// # Errors
    /// Whatever is missing: QEMU, the image, the reference kernel.
    pub fn new(
        base: Base,
        args: &MachineArgs,
        (needs, name): (&ImageNeeds, &str),
        reference: ReadyKernel,
        placement: cli::Placement,
    ) -> anyhow::Result<Self> {
        let (qemu, probe) = machines(&base, args)?;
        let image = root_image(&base, args, needs, name)?;
        let choices = args.choices(&base.settings);
        let states =
            (!args.cold).then(|| States::new(&base.settings.cache_dir, states::DEFAULT_LIMIT));
        Ok(Self {
            base,
            qemu,
            probe,
            image,
            reference,
            placement: placement_of(placement),
            image_folder: args.image.clone(),
            evidence: EvidenceChoices::default(),
            states,
            choices,
            preload: true,
            earlier: None,
            builds: Builds::default(),
            pools: Pools::default(),
            content: Arc::default(),
        })
    }

    /// Has trials made by other processes as well.
    #[must_use]
    pub fn with_pools(self, pools: Pools) -> Self {
        Self { pools, ..self }
    }

    /// Says what is kept of failures.
    #[must_use]
    pub fn keeping(self, evidence: &EvidenceChoices) -> Self {
        Self { evidence: evidence.clone(), ..self }
    }

    /// Looks for trials of earlier runs that may stand for new ones, if that was asked for.
    #[must_use]
    pub fn reusing(self, setting: &SettingArgs) -> Self {
        if !setting.reuse {
            return self;
        }
        let version = env!("CARGO_PKG_VERSION");
        let inputs =
            Inputs::new(&self.environment(), version, &self.reference.kernel, self.choices);
        let earlier = Earlier::find(&setting.results, &inputs, self.evidence.vmcore);
        let count = earlier.count();
        let trials = if count == 1 {
            "1 earlier trial".to_owned()
        } else {
            format!("{count} earlier trials")
        };
        let folder = setting.results.display();
        self.base.ui.note(&format!(
            "--reuse: {trials} below {folder} had the same host, image, QEMU and reference kernel"
        ));
        Self { earlier: Some(earlier), ..self }
    }

    /// What a plan is made from.
    #[must_use]
    pub fn ground(&self) -> Ground<'_> {
        Ground {
            base: &self.base,
            qemu: &self.qemu,
            probe: &self.probe,
            image: &self.image.key,
            reference: &self.reference.kernel,
            placement: self.placement,
            choices: self.choices,
        }
    }

    /// Where and with what trials run, for the record.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.ground().environment()
    }
}

/// What a plan is made from: nothing has to be built or fetched for it.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The base.
    pub base: &'a Base,
    /// QEMU.
    pub qemu: &'a Qemu,
    /// Accelerator.
    pub probe: &'a Probe,
    /// Key of the root image.
    pub image: &'a str,
    /// The kernel of the reference nodes.
    pub reference: &'a Kernel,
    /// Where nodes are put.
    pub placement: Placement,
    /// What was chosen of how machines run.
    pub choices: MachineChoices,
}

impl Ground<'_> {
    /// Where and with what trials run, for the record.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let host = rustix::system::uname();
        Environment {
            qemu: self.qemu.version.clone(),
            accelerator: self.probe.accelerator.to_string(),
            accelerator_reason: self.probe.no_kvm.as_ref().map(ToString::to_string),
            image: self.image.to_owned(),
            host: format!(
                "{} {}",
                host.sysname().to_string_lossy(),
                host.release().to_string_lossy()
            ),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            placement: match self.placement {
                Placement::Split => "split".to_owned(),
                Placement::Single => "single".to_owned(),
            },
        }
    }
}

/// Where nodes are put, as it was asked for.
#[must_use]
pub fn placement_of(asked: cli::Placement) -> Placement {
    match asked {
        cli::Placement::Split => Placement::Split,
        cli::Placement::Single => Placement::Single,
    }
}

/// Finds the folder of a run.
///
/// # Errors
/// When there is none.
pub fn existing_run(name: &std::path::Path, results: &std::path::Path) -> anyhow::Result<PathBuf> {
    run_folder(name, results)
}
