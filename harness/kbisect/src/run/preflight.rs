//! What a kernel must offer before it is worth a boot.

use kbisect_core::scenario::Requires;
use kbisect_core::trial::Untestable;
use kbisect_kernels::{Provided, ReadyKernel};

/// Says why a kernel cannot be tested with a scenario; `None` when nothing speaks against it.
pub fn missing(kernel: &ReadyKernel, requires: &Requires) -> Option<Untestable> {
    let for_boot = kernel.missing_for_boot();
    if !for_boot.is_empty() {
        let modules = for_boot.iter().map(ToString::to_string).collect();
        return Some(Untestable::LacksForBoot { modules });
    }
    let modules = requires
        .modules
        .iter()
        .filter(|module| kernel.provides(module, None) == Some(Provided::Missing))
        .cloned();
    let config_known = kernel.config.is_some();
    let options = requires
        .config
        .iter()
        .filter(|option| {
            config_known && !matches!(kernel.config_value(option).as_deref(), Some("y" | "m"))
        })
        .cloned();
    let features: Vec<String> = modules.chain(options).collect();
    (!features.is_empty()).then_some(Untestable::Lacks { features })
}
