//! The longer texts of `--help`.

/// What begins the examples of a text, and what begins its exit codes.
const EXAMPLES: &str = "Examples:\n";
const EXIT_CODES: &str = "Exit codes:";

/// The parts of a text below: examples with what else is said, and exit codes; either may be empty.
pub fn parts(text: &str) -> (&str, &str) {
    let (examples, codes) = text.split_once(EXIT_CODES).unwrap_or((text, ""));
    (examples.strip_prefix(EXAMPLES).unwrap_or(examples), codes)
}

pub const AFTER_HELP: &str = "\
Examples:
  kbisect doctor                                   is this machine ready?
  kbisect 6.12.43..6.12.96 --scenario connlimit    which version broke it?
  kbisect 6.12.69..6.12.101 --scenario connlimit --find-fix
                                                   which version fixed it?
  kbisect run 6.12.69 --scenario connlimit --shell one trial, and a look at the failure
  kbisect check 6.12.96 --scenario connlimit,smoke --baseline 6.12.57
                                                   may we upgrade?
  kbisect report RUN --bundle                      everything about a run in one file, for a ticket
  kbisect detect console.log                       what crashed in this log?
`kbisect bisect --help all` has all options of a search, such as --dry-run and --results.

Exit codes:
    0  found (run, check: good; other commands: done)
    1  ended without a culprit (run: bad; check: something regressed, or could not be tested)
    2  the command line, a scenario or a version cannot be used (run: 200)
   69  kbisect or the host failed, no answer (run: 201)
  125  run only: the kernel cannot answer
  130  interrupted; `kbisect resume RUN` goes on
  `git bisect run kbisect run ...` is safe: no failure of kbisect counts as bad or skip.

With --json, standard output is exactly one JSON document, errors included; `kbisect schema` lists
the schemas. Settings of one's own: $XDG_CONFIG_HOME/kbisect/config.toml.";

pub const BISECT: &str = "\
Find the kernel of GOOD..BAD that broke a scenario

Both ends are tried first, then the range is cut in half until one kernel is left. A kernel that
cannot answer is skipped; when skipped kernels lie around the change, all that are left are named.
The left end is always the older kernel; with --find-fix it is the bad one.

An end is an upstream version (6.12.57), a package version (6.12.90-2~bpo12+1), a release as
`uname -r` says it, or the name or id of a kernel that was added to the store.

In place of a range a file can list the kernels, from any source and in any order of versions, the
older end first:

    schema = \"kbisect.series/1\"
    kernels = [\"5.10.218\", \"my-vrf\", \"5.10.262\"]";

pub const BISECT_AFTER: &str = "\
Examples:
  kbisect 6.12.43..6.12.96 --scenario connlimit
  kbisect 6.12.43..6.12.96 --scenario connlimit --dry-run      what would be tried and downloaded
  kbisect 6.12.69..6.12.101 --scenario connlimit --find-fix    the first kernel that heals it
  kbisect 5.10.40..mine --scenario ./our-gateway --json        own kernel, own scenario
  kbisect series.toml --scenario cloudgw                       kernels listed in a file
  kbisect 5.10.40..5.10.70 --scenario cloudgw --source snapshot
                                                               versions that left the archive long ago

Exit codes: 0 found, 1 ended without a culprit, 2 usage, 69 kbisect or the host failed,
130 interrupted (kbisect resume RUN goes on).";

pub const CONFIG_AFTER: &str = "\
Everything that it names is built in. Use it with
  make KCONFIG_ALLCONFIG=FILE allnoconfig

Examples:
  kbisect config cloudgw --source git:linux --kernel v5.10.61
  kbisect config ./our-gateway --source git:linux >ours.config
  kbisect v5.10.60..v5.10.61 --source git:linux --scenario cloudgw   derives it by itself";

pub const STOP_AFTER: &str = "\
Examples:
  kbisect stop                        all runs below results/ that are under way
  kbisect stop RUN
  touch results/stop                  the same for all, without kbisect; no run begins while it is there

Runs end in order within two seconds, machines included, and tell how they are resumed.";

pub const WATCH_AFTER: &str = "\
Examples:
  kbisect watch                       the newest run in results/
  kbisect watch RUN --once            as it is now
  kbisect watch RUN --json            wait for its end, then its result

A run is not disturbed by those who watch it. It is shown until its process ends, however that ends.

Exit codes: 0 it found a culprit (--once: or it goes on), 1 it ended or was stopped without one,
2 there is no such run, 69 its journal cannot be read, 130 watched no longer (the run goes on).";

pub const SCORE_AFTER: &str = "\
Examples:
  kbisect score RUN                   probability of each version, also for a run that halved
  kbisect score RUN --robust --json   with other settings, as a document like that of a bisection

Runs are counted again from the journal, and judged by the model of this kbisect; nothing is tried, and
the run stays as it is.";

pub const RUN: &str = "\
Run one trial: one boot of one kernel through one scenario

The kernel is named as in a range. With --shell a shell is opened in the guest at the point of
failure, with everything as the failure left it.";

pub const RUN_AFTER: &str = "\
Examples:
  kbisect run 6.12.69 --scenario connlimit
  kbisect run 6.12.69 --scenario connlimit --shell             a shell where it failed
  kbisect run 6.12.57 --scenario connlimit --shell=server --shell-on always
  git bisect run sh -c 'make -j8 bzImage || exit 125
      kbisect kernels add arch/x86/boot/bzImage --as mine --replace || exit 200
      kbisect run mine --scenario smoke'

Exit codes: 0 good, 1 bad, 125 the kernel cannot answer (skip), 130 interrupted, 200 usage,
201 kbisect or the host failed, 202 the scenario is wrong.";

pub const CHECK: &str = "\
Test kernels with scenarios, against a baseline: the gate before an upgrade

Each kernel is tried once with each scenario. How it stands then:

    good            it passes
    fixed           it passes, and the baseline fails
    already broken  it fails as the baseline does, in the same checks
    regressed       it fails; without a baseline every failure is one
    not tested      it cannot answer: it does not boot, or lacks what the scenario requires

What could not be tested is never taken for good: unless --allow-skips is given, the check fails. A
kernel that gave no answer at all fails it in any case. What is broken already fails it unless
--allow-broken names the checks. A scenario that is wrong (a program that the root image lacks, a typing
error in rules, what the reference kernel refuses as well) says nothing of any kernel: exit code 2. A failure that differs from the baseline's, or that
the baseline gives no answer for, is a regression.";

pub const CHECK_AFTER: &str = "\
Examples:
  kbisect check 6.12.96 --scenario connlimit,smoke --baseline 6.12.57
  kbisect check 6.12.96 -s connlimit -s ./our-gateway --baseline 6.12.57 --junit check.xml
  kbisect check --newest bookworm-backports --scenario smoke --junit check.xml
                                                               the nightly job
  kbisect check 5.10.218..7.2.12 --scenario connlimit --workers 2
                                                               the map: where it fails, where not
  kbisect report RUN --format html --output check.html         its report, at any later time
  kbisect check mine --scenario smoke --json | jq .counts

Exit codes: 0 nothing regressed, 1 something regressed or could not be tested, 2 usage,
69 kbisect or the host failed (a trial is repeated twice before that), 130 interrupted;
after the last two `kbisect resume RUN` goes on.";

pub const DETECT_AFTER: &str = "\
Examples:
  kbisect detect /var/log/console.log
  kbisect detect consoles/*.log --json           each report names its file
  journalctl -k -o cat | kbisect detect - --json";

pub const DECODE_AFTER: &str = "\
Examples:
  kbisect decode RUN                                   with the debug package of the kernel that failed
  kbisect decode RUN --vmlinux ../linux/vmlinux        with a kernel of one's own
  kbisect decode console.log --kernel 6.1.176

The trace becomes a part of the run's record, and of its reports.";

pub const CHANGES_AFTER: &str = "\
Examples:
  kbisect changes RUN                                  by the changelog in the distribution's package
  kbisect changes RUN --git ../linux                   by the log of a repository that has the tags
  kbisect changes 6.12.57..6.12.69 --scenario connlimit
  kbisect changes 6.12.57..6.12.69 --scenario connlimit --changelog changelog.Debian.gz

Changes are ranked by the names that they have in common with the failure's trace and with what the
scenario uses; a name counts the more, the fewer changes have it. It is an order to read them in, no
proof. The ranking becomes a part of the run's record, and of its reports. Without --no-changes, a
bisection makes it at its end.";

pub const REPORT_AFTER: &str = "\
Examples:
  kbisect report RUN                                   the report as Markdown, for a ticket
  kbisect report RUN --format html --output report.html
  kbisect report RUN --format text                     a mail to a kernel list
  kbisect report RUN --format junit --output junit.xml
  kbisect report RUN --format svg --output map.svg     the map of a check
  kbisect report RUN --format bisect-log > log; git bisect replay log
  kbisect report RUN --bundle                          reports, consoles, frames, reproduce.sh in one file
  kbisect report RUN --bundle all.tar.zst --with-kernel --with-image --with-tool
  kbisect report RUN --bundle --redact --redact-pattern 'INC-[0-9]+' --secret 'BEGIN .* KEY'

All forms are made from the run's folder. Patterns can also stand in config.toml: redact-patterns, secret-patterns.";

pub const RESUME_AFTER: &str = "\
Examples:
  kbisect resume results/20261120-102627-connlimit-6.12.57..6.12.96
  kbisect resume 20261120-102627-connlimit-6.12.57..6.12.96    a name below results/
`kbisect` alone names the newest run here that can go on.";

pub const SCHEMA_AFTER: &str = "\
Examples:
  kbisect schema                       the names
  kbisect schema bisect > bisect.schema.json";

pub const DOCTOR_AFTER: &str = "\
Examples:
  kbisect doctor                       what is missing, and what to do about it
  kbisect doctor --again               after KVM was set up
  kbisect doctor --json | jq .ready";

pub const COMPLETIONS_AFTER: &str = "\
Examples:
  kbisect completions bash > ~/.local/share/bash-completion/completions/kbisect
  kbisect completions zsh > ~/.zfunc/_kbisect
  kbisect completions fish > ~/.config/fish/completions/kbisect.fish";

pub const MAN_AFTER: &str = "\
Examples:
  kbisect man ~/.local/share/man/man1      then: man kbisect, man kbisect-report";

pub const WORKER_AFTER: &str = "\
A worker is started by a run, with --pool 'COMMAND': whatever gives it a process there will do. It says what it is,
asks for kernels, scenario and root image where it lacks them, and ends with its standard input.

Examples:
  kbisect 6.12.43..6.12.96 --scenario connlimit --pool 4x'ssh lab kbisect worker'
  kbisect pool check 'ssh lab kbisect worker'";

pub const POOL_AFTER: &str = "\
Examples:
  kbisect pool check 'ssh lab kbisect worker'       is it there, and what is it?
  kbisect pool check slurm:debug                    the same by srun --partition=debug

In config.toml:
  [pools.lab]
  command = \"ssh lab kbisect worker\"
  count = 4";

pub const LIST_AFTER: &str = "\
Examples:
  kbisect kernels list 6.12.43..6.12.96              a range
  kbisect kernels list 5.10 --source snapshot        a series, with every version Debian released
  kbisect kernels list 6.12 --source ubuntu-mainline every upstream release, as Ubuntu built it
  kbisect kernels list --stored                      what needs no network

Sizes of what a list merely names are estimates.";

pub const ADD_AFTER: &str = "\
Examples:
  kbisect kernels add linux-image-6.12.0_amd64.deb
  kbisect kernels add kernel-core-*.rpm kernel-modules-core-*.rpm kernel-modules-6*.rpm
  kbisect kernels add arch/x86/boot/bzImage --modules /tmp/mods/lib/modules/6.12.0 --as mine
  kbisect kernels add /srv/kernels/6.12.57       a directory with vmlinuz, config, lib/modules
  kbisect kernels add --base 5.10.262 --module ./vrf.ko --as my-vrf
                                                 a stock kernel with one module replaced
  kbisect kernels add --base 6.12.57 --cmdline mitigations=off --as no-mitigations";

pub const MINIMIZE: &str = "\
Find out what a failure needs: leave out whatever it shows without

Takes the failed trial of a run, and tries its kernel with less and less of the scenario: checks,
nodes, services, steps, single rules of rule files, repetitions, links, sysctls, routes, addresses.
What is left is all needed: without any of it the failure is another one, or none. It is written
out as a scenario that can be run.";

pub const MINIMIZE_AFTER: &str = "\
Examples:
  kbisect minimize results/20261120-102627-synproxy-6.12.43..6.12.96
  kbisect minimize RUN --workers 2 --json

Exit codes: 0 reduced, 1 the failure did not show again, 2 usage, 69 kbisect or the host failed,
130 interrupted (resumable).";

pub const SELFTEST: &str = "\
Prove that its checks can fail, and say which ingredients its failure needs

Runs the scenario and each of its flavours on one kernel, and compares the verdicts with what the
scenario expects. A flavour that is good where the scenario is bad leaves out what the failure needs.
Then all wires are cut when the checks begin: a check of traffic that still passes is blind. Then
one thing at a time is broken: links, answers of servers, carriers, services, packet filters, the
kernel, and what the scenario declares; which checks notice is told.";

pub const SELFTEST_AFTER: &str = "\
Examples:
  kbisect scenario selftest ./our-gateway                      on the kernel of the reference nodes
  kbisect scenario selftest duplicate-rules --kernel 6.12.57
  kbisect scenario selftest cloudgw:stateful --json            one flavour alone

Exit codes: 0 as expected, 1 a blind check, a fault that is not noticed or an unexpected verdict,
2 usage, 69 kbisect or the host failed, 130 interrupted (resumable).";

pub const NEW_AFTER: &str = "\
Examples:
  kbisect scenario new --template gateway                      writes scenarios/gateway, which runs as it is
  kbisect scenario new                                         asks, on a terminal
  scripts/host-dump gw1                                        on the gateway, as root
  kbisect scenario new --from-host gw1                         writes scenarios/gw1
  kbisect scenario new --from-host gw1 --ignore-interface wg0 --output ./without-wg

Of dumps, the host's interfaces, addresses, routes, rules and packet filters are taken over as they are;
who is around it, and what they run, is guessed and to be edited. Ports that are passed on and addresses
that are translated get a check each; what has none is listed at the top of the file. Nothing is
overwritten.";

pub const IMPORT: &str = "\
Take over existing checks unchanged, as checks of a scenario

Nothing of the file is run here: commands become shell text for guests. A command that calls another
host by ssh runs on the node that stands for that host: one with its name or address, or one named
with --map. What cannot be taken over is left out and named with its line, and with what to do.";

pub const IMPORT_AFTER: &str = "\
Examples:
  kbisect scenario import cmd-checklist checks.yaml                         prints the checks
  kbisect scenario import cmd-checklist checks.yaml --into ./our-gateway --map gw1=gateway
  kbisect scenario import plugins nrpe.cfg --output ./monitored --env ARG1=5
  kbisect scenario import ktap net_test.sh --into ./our-gateway --node gateway
  kbisect scenario import goss goss.yaml --binary ./goss --into ./our-gateway --node gateway
  kbisect scenario import kselftest net/fib_tests.sh net/pmtu.sh --output ./net
  kbisect scenario import kselftest net --tree linux-source-6.1 --learn 6.1.170 --output ./net

Self-tests of the kernel come from a `linux-source` package, verified as kernels are. Their scripts are read
here and run in guests; helpers in C are compiled here. They run once, so that each of their cases becomes a
check: `--scenario ./net:CHECK` tries one alone, `kbisect run KERNEL --scenario ./net --repeat 20` shows how
often each fails.

Variables of this shell are not used: what a list takes from its environment is given with --env.";
