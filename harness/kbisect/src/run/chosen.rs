//! The kernels of a check: those named, those of ranges, the newest of a suite; the baseline.

use kbisect_core::gate::{GatePlan, LeftOutKernel};
use kbisect_core::kernel::Kernel;
use kbisect_kernels::{Candidate, CandidateState, Catalog, Newest, NewestError};

use super::context::Base;
use super::plan::check_testable;
use crate::cli::{CheckArgs, Global, Kernels};
use crate::errors;

/// The kernels that were asked for.
pub struct Chosen {
    /// To be tried, in the plan's order of rows.
    pub rows: Vec<Candidate>,
    /// Those of them that the check is about.
    pub under_test: Vec<Kernel>,
    /// What they are compared with.
    pub baseline: Option<Kernel>,
    /// Kernels of a range that cannot be tested.
    pub left_out: Vec<LeftOutKernel>,
}

impl Chosen {
    /// Finds the kernels; one that is named outright must be testable.
    ///
    /// # Errors
    /// Kernels and suites that are unknown, or cannot be tested.
    pub fn of(args: &CheckArgs, base: &mut Base, global: &Global) -> anyhow::Result<Self> {
        let (mut rows, mut left_out): (Vec<Candidate>, Vec<LeftOutKernel>) = Default::default();
        let mut before = None;
        if let Some(suite) = &args.newest {
            let newest = newest(base, suite.as_deref(), global)?;
            let (label, source) =
                (&newest.kernel.kernel.package_version, &newest.kernel.kernel.source);
            let of = suite.as_deref().map(|suite| format!(" of {suite}")).unwrap_or_default();
            base.ui.note(&format!("the newest kernel{of} is {label} ({source})"));
            check_testable(&newest.kernel)?;
            rows.push(newest.kernel);
            if args.baseline.is_none() {
                match &newest.before {
                    Some(kernel) => {
                        let version = &kernel.kernel.package_version;
                        base.ui.note(&format!("baseline: the one before it, {version}"));
                    }
                    None => base.ui.note(
                        "no baseline: there is none before it, so every failure is a regression",
                    ),
                }
                before = newest.before;
            }
        }
        for asked in &args.kernels {
            let candidates = match asked {
                Kernels::One(spec) => {
                    let candidate = base.catalog.resolve(spec)?;
                    check_testable(&candidate)?;
                    vec![candidate]
                }
                Kernels::Between(range) => base.catalog.series(&range.old, &range.new)?,
            };
            for candidate in candidates {
                let id = &candidate.kernel.id;
                let known = rows.iter().any(|row| row.kernel.id == *id)
                    || left_out.iter().any(|left| left.kernel.id == *id);
                match &candidate.state {
                    _ if known => {}
                    CandidateState::Untestable { reason } => left_out.push(LeftOutKernel {
                        kernel: candidate.kernel.clone(),
                        reason: reason.clone(),
                    }),
                    _ => rows.push(candidate),
                }
            }
        }
        if rows.is_empty() {
            return Err(errors::usage(
                "none of these kernels can be tested",
                "name others; `kbisect kernels list` says which can be tested",
            ));
        }
        let under_test: Vec<_> = rows.iter().map(|row| row.kernel.clone()).collect();
        let baseline = match (&args.baseline, before) {
            (None, None) => None,
            (Some(spec), _) => Some(base.catalog.resolve(spec)?),
            (None, before) => before,
        };
        let Some(candidate) = baseline else {
            return Ok(Self { rows, under_test, baseline: None, left_out });
        };
        check_testable(&candidate)?;
        let kernel = candidate.kernel.clone();
        if !under_test.iter().any(|other| other.id == kernel.id) {
            rows.insert(0, candidate);
        }
        Ok(Self { rows, under_test, baseline: Some(kernel), left_out })
    }

    /// Finds the kernels of a plan again.
    ///
    /// # Errors
    /// When one is neither in the store nor in its source.
    pub fn again(plan: &GatePlan, base: &Base) -> anyhow::Result<Vec<Candidate>> {
        let find = |kernel: &Kernel| {
            let found = base.catalog.resolve(&kernel.id.0).or_else(|error| match kernel.variant {
                // Its version is that of the stock kernel, which is another one.
                Some(_) => Err(error),
                None => base.catalog.resolve(kernel.package_version.as_str()),
            });
            match found {
                Ok(candidate) if candidate.kernel.id == kernel.id => Ok(candidate),
                _ => Err(errors::infrastructure(
                    format!(
                        "kernel {} of the check is neither in the store nor in its source",
                        kernel.label()
                    ),
                    "start a new run: the archive may have dropped it",
                )),
            }
        };
        plan.rows().into_iter().map(|(kernel, _)| find(kernel)).collect()
    }
}

/// Finds the newest kernel of a suite. One that is none of the default suites, or that was left out for
/// its age, is loaded by its name, which tells why it cannot be used.
fn newest(base: &mut Base, suite: Option<&str>, global: &Global) -> anyhow::Result<Newest> {
    let error = match base.catalog.newest(suite) {
        Ok(newest) => return Ok(newest),
        Err(error) => error,
    };
    let NewestError::NoSuite { suite, .. } = &error else { return Err(error.into()) };
    if !base.settings.offline {
        let named = Global { suites: vec![suite.clone()], ..global.clone() };
        let catalog = Catalog::load(&named.settings()?, &base.store, base.progress().as_ref())?;
        if let Ok(newest) = catalog.newest(Some(suite)) {
            // The others are still needed: for a baseline, and for the reference.
            return Ok(newest);
        }
    }
    Err(error.into())
}
