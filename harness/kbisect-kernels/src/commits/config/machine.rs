//! What every machine of kbisect needs of its kernel: QEMU's `pc` without graphics, virtio devices, a root
//! file system of squashfs, overlay and tmpfs, and nodes that are name spaces.

/// Options that are set: what a tree does not have is left out.
pub const SET: &[&[&str]] = &[PROCESSOR, START, DEVICES, STORAGE, PROCESSES, NETWORK, FAILURES];

const PROCESSOR: &[&str] = &[
    "64BIT",
    "SMP",
    // QEMU boots the uncompressed kernel by this entry.
    "HYPERVISOR_GUEST",
    "PVH",
    "PARAVIRT",
    "KVM_GUEST",
    "HIGH_RES_TIMERS",
    // An idle guest leaves its processor to others.
    "NO_HZ_IDLE",
    "HZ_250",
    // As distributions have it: what hangs in the kernel depends on it.
    "PREEMPT_VOLUNTARY",
    "HPET_TIMER",
    "RANDOM_TRUST_CPU",
    "X86_X2APIC",
    "X86_VERBOSE_BOOTUP",
];

const START: &[&str] = &[
    // Without it, everything that only experts can leave out would be there.
    "EXPERT",
    "KERNEL_GZIP",
    "BLK_DEV_INITRD",
    "BINFMT_ELF",
    "BINFMT_SCRIPT",
    "PRINTK",
    "PRINTK_TIME",
    "EARLY_PRINTK",
    "TTY",
    "UNIX98_PTYS",
    "SERIAL_8250",
    "SERIAL_8250_CONSOLE",
    "SERIAL_8250_PNP",
    // The guest tells what the kernel lacks by its configuration.
    "IKCONFIG",
    "IKCONFIG_PROC",
];

const DEVICES: &[&str] = &[
    "PCI",
    "PCI_MSI",
    "ACPI",
    "PNP",
    "VIRTIO_MENU",
    "VIRTIO_PCI",
    "VIRTIO_BLK",
    "VIRTIO_NET",
    "VIRTIO_CONSOLE",
    "HW_RANDOM",
    "HW_RANDOM_VIRTIO",
    "WATCHDOG",
    "I6300ESB_WDT",
    "PVPANIC",
    "PVPANIC_MMIO",
    // Tells QEMU where the kernel describes its memory, for dumps (docs/specs/vmcoreinfo.rst).
    "FW_CFG_SYSFS",
    "PROC_KCORE",
];

const STORAGE: &[&str] = &[
    "BLOCK",
    "BLK_DEV",
    "MISC_FILESYSTEMS",
    "SQUASHFS",
    "SQUASHFS_LZ4",
    "SQUASHFS_ZSTD",
    "OVERLAY_FS",
    "SHMEM",
    "TMPFS",
    // An overlay keeps what it removed in attributes of its upper files.
    "TMPFS_XATTR",
    "TMPFS_POSIX_ACL",
    "DEVTMPFS",
    "PROC_FS",
    "PROC_SYSCTL",
    "PROC_PAGE_MONITOR",
    "SYSCTL",
    "SYSFS",
    "DEBUG_FS",
    "FILE_LOCKING",
    "INOTIFY_USER",
    "FANOTIFY",
];

const PROCESSES: &[&str] = &[
    "MULTIUSER",
    "POSIX_TIMERS",
    "FUTEX",
    "EPOLL",
    "SIGNALFD",
    "TIMERFD",
    "EVENTFD",
    "AIO",
    "ADVISE_SYSCALLS",
    "MEMBARRIER",
    "RSEQ",
    "FHANDLE",
    "SYSVIPC",
    "POSIX_MQUEUE",
    "BASE_FULL",
    "SECCOMP",
    "COREDUMP",
    "NAMESPACES",
    "UTS_NS",
    "IPC_NS",
    "PID_NS",
    "NET_NS",
    "USER_NS",
    "CGROUPS",
];

const NETWORK: &[&str] = &[
    "NET",
    "NETDEVICES",
    "NET_CORE",
    "UNIX",
    "PACKET",
    "INET",
    "IPV6",
    "IP_MULTICAST",
    "IP_ADVANCED_ROUTER",
    "IP_MULTIPLE_TABLES",
    "IP_ROUTE_MULTIPATH",
    "IPV6_MULTIPLE_TABLES",
    "SYN_COOKIES",
    "INET_DIAG",
    "UNIX_DIAG",
    "PACKET_DIAG",
    "ETHTOOL_NETLINK",
];

/// What the console classifier reads, and what ends a hang.
const FAILURES: &[&str] = &[
    "BUG",
    "DEBUG_BUGVERBOSE",
    "KALLSYMS",
    "DEBUG_KERNEL",
    // A stack that is used up is told as such, and destroys nothing.
    "VMAP_STACK",
    "SCHED_STACK_END_CHECK",
    "SOFTLOCKUP_DETECTOR",
    "DETECT_HUNG_TASK",
    "MAGIC_SYSRQ",
    "MAGIC_SYSRQ_SERIAL",
    // Traces without objtool, which today's tools build from old trees with difficulty.
    "UNWINDER_FRAME_POINTER",
    "FRAME_POINTER",
];

/// Options with another value.
pub const VALUES: &[(&str, &str)] = &[
    ("NR_CPUS", "8"),
    ("LOG_BUF_SHIFT", "18"),
    ("LOCALVERSION", "\"\""),
    ("SERIAL_8250_NR_UARTS", "4"),
    ("SERIAL_8250_RUNTIME_UARTS", "4"),
];

/// Options that nothing may turn on, and that would be on.
pub const OFF: &[&str] = &[
    "MODULES",
    "LOCALVERSION_AUTO",
    "KALLSYMS_ALL",
    "DEBUG_INFO",
    "RANDOMIZE_BASE",
    "WERROR",
    "VT",
    "UNWINDER_ORC",
    "COMPILE_TEST",
    "GCC_PLUGINS",
];

/// A kernel that tests its cryptography boots later. Newer kernels have an option that turns the tests on instead.
pub const NO_CRYPTO_TESTS: &str = "CRYPTO_MANAGER_DISABLE_TESTS";
/// For scenarios that ask for these tests.
pub const CRYPTO_TESTS: &[&str] = &["CRYPTO", "CRYPTO_MANAGER", "CRYPTO_SELFTESTS"];
