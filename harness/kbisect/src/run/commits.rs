//! Commits as candidates: `--source git:PATH`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{
    CommitChoices, CommitsPlan, ConfigurationKind, Plan, PlannedCommit, PlannedKernel,
};
use kbisect_core::scenario::Scenario;
use kbisect_core::version::PackageVersion;
use kbisect_kernels::commits::config::{Derived, derive};
use kbisect_kernels::{
    BuildOrder, COMMITS, Candidate, CandidateState, Change, Commit, CommitRange, Commits,
    Configuration, QuiltBase, Recipe, Toolchain,
};

use kbisect_report::words;

use super::context::{Base, toolchain_root};
use super::files::write_whole;
use crate::cli::{CommitArgs, Global, Range};
use crate::errors;
use crate::ui::Ui;

/// The configuration's text in a run's folder.
const CONFIG: &str = "commits.config";

/// The commits of a range.
pub struct ChosenCommits {
    /// What the plan says of each.
    pub planned: Vec<PlannedCommit>,
    /// Where they come from.
    pub plan: CommitsPlan,
    /// What the user should know.
    pub notes: Vec<String>,
    commits: Commits,
}

impl ChosenCommits {
    /// Lists the commits of a range.
    ///
    /// # Errors
    /// A folder that is no git tree, ends that it does not have.
    pub fn find(
        tree: &Path,
        range: &Range,
        choices: &CommitChoices,
        configuration: ConfigurationKind,
    ) -> anyhow::Result<Self> {
        let wanted = CommitRange {
            old: range.old.clone(),
            new: range.new.clone(),
            first_parent: choices.first_parent,
            paths: choices.paths.clone(),
        };
        let tree = std::path::absolute(tree).unwrap_or_else(|_| tree.to_owned());
        let commits = Commits::between(&tree, &wanted)?;
        let planned = commits.commits.iter().map(|commit| PlannedCommit {
            id: commit.id.clone(),
            tag: commit.tag.clone(),
            parents: commit.parents.clone(),
            subject: commit.subject.clone(),
        });
        let plan = CommitsPlan {
            repository: tree.display().to_string(),
            choices: choices.clone(),
            configuration,
            without: Vec::new(),
        };
        let planned = planned.collect();
        let base = commits.merge_base.as_ref();
        let notes = base.map(|base| words::merge_base(&range.old, &range.new, base));
        let by_version = commits.by_version.iter();
        let notes = notes
            .into_iter()
            .chain(by_version.map(|(name, commit)| words::by_version(name, commit)))
            .chain(plan.choices.template.as_deref().map(words::built_elsewhere));
        let notes = notes.collect();
        Ok(Self { planned, plan, notes, commits })
    }

    /// The configuration that they are built with.
    ///
    /// # Errors
    /// A file that cannot be read; a tree whose files cannot be had.
    pub fn configuration(
        &self,
        config: Option<&Path>,
        scenario: &Scenario,
        base: &Base,
    ) -> anyhow::Result<Configuration> {
        if self.plan.configuration == ConfigurationKind::Elsewhere {
            return Ok(Configuration::Fragment(String::new()));
        }
        if let Some(path) = config {
            return given(path);
        }
        derived(&self.commits, scenario, base)
    }

    /// The commits as candidates.
    ///
    /// # Errors
    /// No compiler.
    pub fn candidates(
        &self,
        configuration: Configuration,
        base: &Base,
    ) -> anyhow::Result<Vec<Candidate>> {
        let recipe = self.recipe(configuration, base)?;
        let recipe = Arc::new(recipe);
        self.commits.commits.iter().map(|commit| candidate(commit, &recipe, base)).collect()
    }

    /// The commits as those of a run whose culprits are taken back in all that come after them.
    ///
    /// # Errors
    /// A version that is none.
    pub fn without(
        &mut self,
        without: &[String],
        configuration: Configuration,
        base: &Base,
    ) -> anyhow::Result<Vec<Candidate>> {
        let recipe = self.recipe(configuration, base)?;
        let recipe = &Arc::new(recipe);
        self.plan.without = without.to_vec();
        let parents: Vec<&[usize]> =
            self.commits.commits.iter().map(|commit| commit.parents.as_slice()).collect();
        let places = without.iter().map(|id| {
            (id.as_str(), self.commits.commits.iter().position(|commit| commit.id == *id))
        });
        let places: Vec<(&str, Option<usize>)> = places.collect();
        let commits = self.commits.commits.iter().enumerate();
        let all = commits.map(|(at, commit)| {
            let changes = taken_back(&places, &parents, at);
            let plain = candidate(commit, recipe, base)?;
            Ok(match changes.is_empty() {
                true => plain,
                false => changed(&plain, changes, recipe, base),
            })
        });
        all.collect()
    }

    /// The commits as they can be shown before there is a configuration.
    ///
    /// # Errors
    /// As [`ChosenCommits::candidates`].
    pub fn shown(&self, base: &Base) -> anyhow::Result<Vec<Candidate>> {
        let (tree, cache) = (&self.commits.repository, &base.settings.cache_dir);
        let nothing = Configuration::Fragment(String::new());
        let recipe = Arc::new(match &self.plan.choices.template {
            Some(template) => Recipe::elsewhere(tree, cache, template)?,
            None => Recipe::new(tree, cache, nothing, Toolchain::default())?,
        });
        self.commits.commits.iter().map(|commit| candidate(commit, &recipe, base)).collect()
    }

    fn recipe(&self, configuration: Configuration, base: &Base) -> anyhow::Result<Recipe> {
        recipe(&self.commits.repository, &self.plan.choices, configuration, base)
    }
}

/// How the kernels of a tree come about.
fn recipe(
    tree: &Path,
    choices: &CommitChoices,
    configuration: Configuration,
    base: &Base,
) -> anyhow::Result<Recipe> {
    let cache = &base.settings.cache_dir;
    if let Some(template) = &choices.template {
        return Ok(Recipe::elsewhere(tree, cache, template)?);
    }
    let toolchain = toolchain(choices.toolchain.as_deref(), base)?;
    Ok(Recipe::new(tree, cache, configuration, toolchain)?)
}

/// How a configuration comes about, given the file that was named.
#[must_use]
pub fn kind_of(config: Option<&Path>) -> ConfigurationKind {
    match config {
        Some(_) => ConfigurationKind::Given,
        None => ConfigurationKind::Derived,
    }
}

/// What was chosen of commits that are candidates, and how their configuration comes about.
///
/// # Errors
/// Choices about builds where somebody else builds.
pub fn choices(
    global: &Global,
    args: &CommitArgs,
) -> anyhow::Result<(CommitChoices, ConfigurationKind)> {
    let (choices, kind) = (args.choices(), kind_of(args.config.as_deref()));
    let Some(template) = &global.sources.template else { return Ok((choices, kind)) };
    if args.config.is_some() || args.toolchain.is_some() {
        return Err(errors::usage(
            "--config and --toolchain are about builds, and --source urls: names kernels that are built already",
            "leave them out, or --source urls:",
        ));
    }
    // A path counts from where the user is.
    let template = match template.contains("://") {
        true => template.clone(),
        false => std::path::absolute(template)?.display().to_string(),
    };
    let choices = CommitChoices { template: Some(template), ..choices };
    Ok((choices, ConfigurationKind::Elsewhere))
}

/// The git tree whose commits are candidates: the user's, or one that is made of patches; none where candidates are
/// released kernels.
///
/// # Errors
/// Both or half of them named; patches that do not apply.
pub fn tree(global: &Global, args: &CommitArgs) -> anyhow::Result<Option<PathBuf>> {
    let (git, quilt) = (&global.sources.git, &global.sources.quilt);
    let is_tree = git.is_some() || quilt.is_some();
    if global.sources.template.is_some() && !is_tree {
        return Err(errors::usage(
            "--source urls: names kernels of commits, and no git tree says which those are",
            "add --source git:PATH; with --drill, which builds what it tries, leave out --source urls:",
        ));
    }
    match (git, quilt, &args.base) {
        (git, None, None) => Ok(git.clone()),
        (None, Some(folder), Some(base)) => {
            let base =
                QuiltBase { repository: base.repository.clone(), commit: base.commit.clone() };
            let (settings, progress) = (global.settings()?, Ui::new(global).progress());
            let made = kbisect_kernels::commits::quilt(
                folder,
                &base,
                &settings.cache_dir,
                progress.as_ref(),
            )?;
            Ok(Some(made))
        }
        (None, Some(_), None) => Err(errors::usage(
            "patches are put upon a commit, and none is named",
            "add --base git:PATH@COMMIT",
        )),
        (_, None, Some(_)) => Err(errors::usage(
            "--base is what patches are put upon, and no patches are named",
            "add --source quilt:DIR",
        )),
        (Some(_), Some(_), _) => Err(errors::usage(
            "both a git tree and a folder of patches are named",
            "leave out one --source",
        )),
    }
}

/// The compiler of a release, in a root that is made first if it is not there; the host's without a name.
fn toolchain(name: Option<&str>, base: &Base) -> anyhow::Result<Toolchain> {
    let Some(suite) = name.and_then(|name| name.strip_prefix("debian:")) else {
        return Ok(Toolchain::default());
    };
    let image = toolchain_root(base, suite)?;
    let cache = &base.settings.cache_dir;
    Ok(Toolchain::unpacked(&image.path, &image.key, cache, base.progress().as_ref())?)
}

/// Keeps the configuration with the run, if there is one.
///
/// # Errors
/// A file that cannot be written.
pub fn keep(folder: &Path, configuration: &Configuration) -> anyhow::Result<()> {
    let (Configuration::Fragment(text) | Configuration::Whole(text)) = configuration;
    if text.is_empty() {
        return Ok(());
    }
    write_whole(&folder.join(CONFIG), text.as_bytes())
}

/// The configuration that was kept with a run.
///
/// # Errors
/// A file that is not there any more.
pub fn kept(folder: &Path, of: &CommitsPlan) -> anyhow::Result<Configuration> {
    let path = folder.join(CONFIG);
    let text = || {
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(match of.configuration {
        ConfigurationKind::Derived => Configuration::Fragment(text()?),
        ConfigurationKind::Given => Configuration::Whole(text()?),
        ConfigurationKind::Elsewhere => Configuration::Fragment(String::new()),
    })
}

/// The candidates of a run that is resumed.
///
/// # Errors
/// A tree that is gone, or lacks what was planned.
pub fn again(
    plan: &Plan,
    of: &CommitsPlan,
    folder: &Path,
    base: &Base,
) -> anyhow::Result<Vec<Candidate>> {
    let configuration = kept(folder, of)?;
    let tree = PathBuf::from(&of.repository);
    let recipe = Arc::new(recipe(&tree, &of.choices, configuration, base)?);
    let commits = plan.series.iter().map(|planned| planned.commit.as_ref());
    let commits: Vec<Option<&PlannedCommit>> = commits.collect();
    let parents: Vec<&[usize]> =
        commits.iter().map(|commit| commit.map_or(&[][..], |it| it.parents.as_slice())).collect();
    let places = of.without.iter().map(|id| {
        let at = commits.iter().position(|commit| commit.is_some_and(|it| it.id == *id));
        (id.as_str(), at)
    });
    let places: Vec<(&str, Option<usize>)> = places.collect();
    let one = |(at, planned): (usize, &PlannedKernel)| {
        let commit = planned.commit.as_ref().map(|commit| commit.id.clone()).unwrap_or_default();
        let changes = taken_back(&places, &parents, at);
        let id = recipe.id_of(&commit, &changes);
        if id != planned.kernel.id {
            return Err(errors::infrastructure(
                format!("commit {} would be built otherwise than before", planned.kernel.label()),
                "the compiler has changed since the run began; start a new run",
            ));
        }
        Ok(buildable(planned.kernel.clone(), (commit, changes), &recipe, base))
    };
    plan.series.iter().enumerate().map(one).collect()
}

/// What is taken back in the commit at `at`: of the given commits those that it contains, the newest first. One
/// that lies before the series is in all of them.
fn taken_back(given: &[(&str, Option<usize>)], parents: &[&[usize]], at: usize) -> Vec<Change> {
    let mut contained = std::collections::BTreeSet::from([at]);
    let mut left = vec![at];
    while let Some(at) = left.pop() {
        let of = parents.get(at).copied().unwrap_or_default();
        left.extend(of.iter().filter(|parent| contained.insert(**parent)));
    }
    let is_in = |place: &Option<usize>| place.is_none_or(|place| contained.contains(&place));
    let mut all: Vec<&(&str, Option<usize>)> =
        given.iter().rev().filter(|(_, place)| is_in(place)).collect();
    // Those before the series were found one after the other, the oldest first.
    all.sort_by_key(|(_, place)| std::cmp::Reverse(*place));
    all.into_iter().map(|(id, _)| Change::Without((*id).to_owned())).collect()
}

/// A commit with something changed in it, before what is changed already.
#[must_use]
pub fn changed_too(of: &Candidate, change: Change, base: &Base) -> Option<Candidate> {
    let order = of.build.as_ref()?;
    let changes = [vec![change], order.changes.clone()].concat();
    Some(changed(of, changes, &order.recipe, base))
}

fn changed(
    plain: &Candidate,
    changes: Vec<Change>,
    recipe: &Arc<Recipe>,
    base: &Base,
) -> Candidate {
    let commit = plain.build.as_ref().map(|order| order.commit.clone()).unwrap_or_default();
    let before = plain.build.as_ref().map(|order| order.changes.as_slice()).unwrap_or_default();
    let suffix: String = changes
        .iter()
        .filter(|change| !before.contains(change))
        .map(|change| {
            let short = change.commit().get(..7).unwrap_or(change.commit());
            match change {
                Change::Without(_) => format!("-without-{short}"),
                Change::With(_) => format!("-with-{short}"),
            }
        })
        .collect();
    let kernel = Kernel {
        id: recipe.id_of(&commit, &changes),
        name: Some(format!("{}{suffix}", plain.kernel.label())),
        ..plain.kernel.clone()
    };
    buildable(kernel, (commit, changes), recipe, base)
}

fn candidate(commit: &Commit, recipe: &Arc<Recipe>, base: &Base) -> anyhow::Result<Candidate> {
    let version = format!("{}+g{}", commit.version, commit.short());
    let kernel = Kernel {
        version: commit.version.clone(),
        package_version: PackageVersion::parse(&version)?,
        flavour: String::new(),
        source: COMMITS.to_owned(),
        id: recipe.id_of(&commit.id, &[]),
        release: None,
        name: Some(commit.label().to_owned()),
        variant: None,
    };
    Ok(buildable(kernel, (commit.id.clone(), Vec::new()), recipe, base))
}

fn buildable(
    kernel: Kernel,
    (commit, changes): (String, Vec<Change>),
    recipe: &Arc<Recipe>,
    base: &Base,
) -> Candidate {
    let state = match base.store.get(&kernel.id) {
        Some(_) => CandidateState::Stored,
        None => CandidateState::Buildable,
    };
    let build = Some(BuildOrder { commit, changes, recipe: Arc::clone(recipe) });
    Candidate { build, ..Candidate::new(kernel, state) }
}

fn given(path: &Path) -> anyhow::Result<Configuration> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        errors::usage(
            format!("cannot read the configuration `{}`: {error}", path.display()),
            "name a file as /boot/config-* are, or leave --config out",
        )
    })?;
    if !text.lines().any(|line| line.starts_with("CONFIG_")) {
        return Err(errors::usage(
            format!("`{}` is no configuration of a kernel: it sets no option", path.display()),
            "name a file as /boot/config-* are, or leave --config out",
        ));
    }
    Ok(Configuration::Whole(text))
}

/// What the machines and the scenario need in the trees of both ends: options come and go.
fn derived(commits: &Commits, scenario: &Scenario, base: &Base) -> anyhow::Result<Configuration> {
    let needs = scenario.kernel_needs();
    let ends = [commits.commits.first(), commits.commits.last()];
    let progress = base.progress();
    let mut both = Derived::default();
    for end in ends.into_iter().flatten() {
        let cache = &base.settings.cache_dir;
        let look = |src: &Path| derive(src, &needs);
        let found = commits.with_files(&end.id, cache, progress.as_ref(), look)?;
        base.go_on()?;
        both.options.extend(found.options);
        both.unknown = found.unknown;
    }
    if !both.unknown.is_empty() {
        base.ui.note(&words::no_option(&both.unknown));
    }
    Ok(Configuration::Fragment(both.fragment()))
}
