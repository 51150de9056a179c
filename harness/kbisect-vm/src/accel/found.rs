//! What was found out about a host and its QEMU.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::timing::Speed;

/// How QEMU runs guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// What was found out about this host and its QEMU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The accelerator to use.
    pub accelerator: Accelerator,
    /// Why KVM is not used, when it is not.
    pub no_kvm: Option<NoKvm>,
    /// Why kernels cannot be booted by their PVH entry, if they cannot.
    pub no_pvh: Option<String>,
    /// How long guests take for what they do.
    pub speed: Speed,
}

/// Why KVM is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NoKvm {
    /// The user wants emulation.
    #[error("asked for on the command line")]
    NotWanted,
    /// There is no device.
    #[error("/dev/kvm does not exist")]
    Absent,
    /// The device is for its owner alone.
    #[error("/dev/kvm is for its owner only")]
    OwnerOnly,
    /// The device is not for this user.
    #[error("/dev/kvm is for the group `{group}` only, and this user is not in it")]
    NoPermission {
        /// The device's group.
        group: String,
    },
    /// The device cannot be opened for another reason.
    #[error("/dev/kvm cannot be opened: {0}")]
    CannotOpen(String),
    /// QEMU runs under emulation what it does not run with KVM.
    #[error("{0}")]
    Unusable(String),
    /// What proves that KVM works did not run under emulation either, so nothing is known of KVM.
    #[error(
        "it could not be tried: the guest that proves it does not run under emulation either ({0})"
    )]
    Untried(String),
    /// A kernel that is known to work did not boot with it.
    #[error("{0}")]
    Distrusted(String),
}

impl NoKvm {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotWanted => "leave `--accel tcg` out to use KVM".to_owned(),
            Self::Absent => "switch on virtualisation in the firmware (or nested virtualisation on the \
                             host of this machine); trials work without, only slower"
                .to_owned(),
            Self::OwnerOnly => "give a group access: `sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm`, and be in \
                                that group"
                .to_owned(),
            Self::NoPermission { group } => {
                format!("run `sudo adduser $USER {group}`, and log in again")
            }
            Self::CannotOpen(_) | Self::Unusable(_) | Self::Distrusted(_) => {
                "trials work without, only slower; `kbisect doctor --again` tries KVM again".to_owned()
            }
            Self::Untried(_) => {
                "this is an error of kbisect or of this QEMU, not of KVM: please report it with the \
                 output of `kbisect doctor --again`"
                    .to_owned()
            }
        }
    }
}
