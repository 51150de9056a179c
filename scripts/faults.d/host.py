"""The fault campaign of the host's side: breaks kbisect's own side in each phase of a trial, on a good
and on a bad kernel, and checks that no verdict is forged.

    scripts/faults host [--fault NAME,...] [--phase PHASE,...] [--good VERSION] [--bad VERSION]
                        [--scenario NAME] [--symptom KIND] [--repeats 2] [--results DIR]
    scripts/faults host --random TRIALS [--seed N] ...

stop-1, stop-4, stop-10, stop-40   kbisect is stopped for so many seconds
freeze-20                          kbisect and both QEMUs are stopped for 20 s
starved                            kbisect runs for 10 ms in each 100 ms, for 20 s
machines-stop-40                   both QEMUs are stopped for 40 s
candidate-stop, peer-stop          the QEMU of one machine is stopped for 10 s
candidate-held, peer-held          it is stopped, and does not go on
candidate-kill, peer-kill          it is killed
peer-memory                        the peer's QEMU can have no more memory
run-full, cache-full               the disk is full under the run, under the cache of saved states
read-error                         every read of the candidate's disks fails (QEMU's blkdebug); all phases at once
clock-step                         the clock of our processes, not the host's, jumps by an hour (libfaketime)
wire-blocked                       the peer's QEMU takes no frame and hands none over for 10 s

Right is `good` on the good kernel and `bad` with the symptom on the bad one. `infra` is no answer: the
trial is repeated without the fault, as a bisection would, and has to be right then. Everything else is
wrong. Prints one row a cell, and exits with 1 when one is wrong.

With --random, processes are stopped at random moments for 0.2 to 10 s instead, and the trials are not
repeated: none may be wrong.

Needs root for the full disks (private mounts) and the blocked wire (ptrace), and apt for libfaketime;
cells that cannot be made here are named and count as not made.
"""

import argparse
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

PHASES = ["boot", "setup", "workload", "replay", "checks", "collect"]


class Run:
    """One trial under way."""

    def __init__(self, command, environment, phases):
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.phases, self.lines = phases, []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            word = line.rpartition("]")[2].strip()  # behind the time
            if word in self.phases:
                self.phases[word].set()

    @property
    def pid(self):
        """Of kbisect itself, also behind a wrapper."""
        return find("kbisect", self.process.pid) or self.process.pid

    def machine(self, name, patience=20):
        """QEMU of a machine; waits until it is there."""
        end = time.monotonic() + patience
        while time.monotonic() < end and self.process.poll() is None:
            for pid in descendants(self.process.pid):
                try:
                    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if f"kbisect-{name}".encode() in words:
                    return pid
            time.sleep(0.01)
        return None

    def machines(self):
        return [pid for pid in (self.machine("candidate"), self.machine("peer")) if pid]


def descendants(pid):
    found, new = [], [pid]
    while new:
        parent = new.pop()
        for task in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                children = [int(word) for word in task.read_text().split()]
            except OSError:
                continue
            found += children
            new += children
    return found


def find(comm, pid):
    for process in [pid, *descendants(pid)]:
        try:
            if pathlib.Path(f"/proc/{process}/comm").read_text().strip() == comm:
                return process
        except OSError:
            pass
    return None


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, TypeError):
            pass


def stop(pids, seconds):
    send(pids, signal.SIGSTOP)
    time.sleep(seconds)
    send(pids, signal.SIGCONT)


def starve(run, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end and run.process.poll() is None:
        stop([run.pid], 0.09)
        time.sleep(0.01)


def no_memory(run):
    pid = run.machine("peer")
    size = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    subprocess.run(["prlimit", f"--pid={pid}", f"--as={size}"], check=False)


def fill(run, folder):
    """Fills a file system that only the run sees."""
    target = pathlib.Path(f"/proc/{run.pid}/root") / str(folder).lstrip("/") / "filler"
    try:
        with open(target, "wb") as file:
            while True:
                file.write(b"\0" * (1 << 20))
                file.flush()
    except OSError:
        pass


def block_wire(run, seconds=10):
    """Holds the main loop of the peer's QEMU, and nothing else of it."""
    pid = run.machine("peer")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    seize, interrupt, detach = 0x4206, 0x4207, 17
    if pid is None or libc.ptrace(seize, pid, None, None) != 0:
        return
    libc.ptrace(interrupt, pid, None, None)
    os.waitpid(pid, 0x40000000)
    time.sleep(seconds)
    libc.ptrace(detach, pid, None, None)


def step_clock(run):
    run.clock.write_text("+1h\n")


FAULTS = {
    "stop-1": lambda run: stop([run.pid], 1),
    "stop-4": lambda run: stop([run.pid], 4),
    "stop-10": lambda run: stop([run.pid], 10),
    "stop-40": lambda run: stop([run.pid], 40),
    "freeze-20": lambda run: stop([run.pid, *run.machines()], 20),
    "starved": starve,
    "machines-stop-40": lambda run: stop(run.machines(), 40),
    "candidate-stop": lambda run: stop([run.machine("candidate")], 10),
    "peer-stop": lambda run: stop([run.machine("peer")], 10),
    "candidate-held": lambda run: send([run.machine("candidate")], signal.SIGSTOP),
    "peer-held": lambda run: send([run.machine("peer")], signal.SIGSTOP),
    "candidate-kill": lambda run: send([run.machine("candidate")], signal.SIGKILL),
    "peer-kill": lambda run: send([run.machine("peer")], signal.SIGKILL),
    "peer-memory": no_memory,
    "run-full": lambda run: fill(run, run.results),
    "cache-full": lambda run: fill(run, run.states),
    "read-error": lambda run: None,
    "clock-step": step_clock,
    "wire-blocked": block_wire,
}
# Not made phase by phase: QEMU is started with it.
WHOLE = {"read-error"}


def say(text):
    print(f"faults: {text}", file=sys.stderr, flush=True)


def libfaketime(work):
    """The library: as installed, or from its package; nothing is installed."""
    for installed in pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
        return installed
    folder = work / "faketime"
    folder.mkdir(exist_ok=True)
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "libfaketime"]
    if subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode:
        return None
    for deb in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
    return next(iter(folder.rglob("libfaketime.so.1")), None)


def wrapper(work):
    """A QEMU whose candidate reads nothing from its disks."""
    path, rules = work / "qemu-read-error", work / "blkdebug.conf"
    rules.write_text('[inject-error]\nevent = "read_aio"\niotype = "read"\nerrno = "5"\nonce = "off"\n')
    path.write_text(f"""#!/usr/bin/env python3
import os, re, sys
words = sys.argv[1:]
if "kbisect-candidate" in words:
    words = [re.sub(r"file=(?=/)", "file=blkdebug:{rules}:", word).replace("file.locking", "file.image.locking")
             if "squashfs" in word else word for word in words]
qemu = {shutil.which("qemu-system-x86_64")!r}
os.execv(qemu, [qemu, *words])
""")
    path.chmod(0o755)
    return path


class Campaign:
    def __init__(self, kbisect, options, work):
        self.kbisect, self.options, self.work = kbisect, options, work
        self.results = pathlib.Path(options.results or work / "results").resolve()
        self.results.mkdir(parents=True, exist_ok=True)
        cache = os.environ.get("KBISECT_CACHE", "~/.cache/kbisect")
        self.states = pathlib.Path(cache).expanduser() / "states"

    def trial(self, kernel, strike=None, phase=None, fault=None):
        """Runs a trial; `strike` breaks it once the phase begins. Gives the document."""
        command = [self.kbisect, "run", kernel, "--scenario", self.options.scenario, "--json"]
        results, environment, mount = self.results, dict(os.environ), ""
        if fault in ("run-full", "cache-full"):
            if fault == "run-full":
                results = self.work / "small"
            target = results if fault == "run-full" else self.states
            target.mkdir(exist_ok=True)
            mount = f"mount -t tmpfs -o size=160m none '{target}' && exec \"$@\""
        if fault == "read-error":
            command += ["--qemu", str(wrapper(self.work))]
        clock = self.work / "clock"
        if fault == "clock-step":
            clock.write_text("+0\n")
            environment |= {
                "LD_PRELOAD": str(self.faketime),
                "FAKETIME_TIMESTAMP_FILE": str(clock),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
        command += ["--results", str(results)]
        if mount:
            command = ["unshare", "-m", "sh", "-c", mount, "sh", *command]
        phases = {name: threading.Event() for name in PHASES}
        run = Run(command, environment, phases)
        run.results, run.states, run.clock = results, self.states, clock
        if strike:
            breaker = threading.Thread(target=self.strike, args=(run, strike, phases.get(phase)), daemon=True)
            breaker.start()
        out = run.process.stdout.read()
        run.process.wait()
        run.reader.join(5)
        try:
            document = json.loads(out)
        except ValueError:
            document = {}
        document.setdefault("said", "".join(run.lines).strip())
        return document

    @staticmethod
    def strike(run, strike, phase):
        if phase:
            while not phase.wait(0.005):
                if run.process.poll() is not None:
                    return
        strike(run)

    def judge(self, document, good):
        """(verdict, what was said, whether it is right, wrong, or no answer)."""
        verdict, symptom = document.get("verdict", "infra"), document.get("symptom") or {}
        said = f"{symptom.get('kind', '')}: {symptom.get('title', '')}" if symptom else document.get("reason") or ""
        if not document.get("verdict"):
            said = document["said"].splitlines()[-1] if document["said"] else ""
        if verdict == "infra":
            return verdict, said, None
        right = verdict == "good" if good else (verdict, symptom.get("kind")) == ("bad", self.options.symptom)
        return verdict, said, right

    def cell(self, kernel, good, fault, phase):
        began = time.monotonic()
        first = self.trial(kernel, FAULTS[fault], phase, fault)
        verdict, said, right = self.judge(first, good)
        repeats, last = 0, right
        while last is None and repeats < self.options.repeats:
            repeats += 1
            last = self.judge(self.trial(kernel), good)[2]
        word = {True: "right", None: "none", False: "WRONG"}[right]
        if right is None:
            word += {True: f", right after {repeats}", None: ", and none after repeats", False: ", then WRONG"}[last]
        kind = "good" if good else "bad"
        seconds = f"{time.monotonic() - began:6.1f} s"
        print(f"{kind:4} {fault:17} {phase:9} {seconds}  {word:20} {verdict}: {said[:150]}", flush=True)
        return right is False or last is False, last is True

    def table(self, faults, phases):
        wrong, right, made = 0, 0, 0
        for fault in faults:
            if fault == "clock-step":
                self.faketime = libfaketime(self.work)
                if not self.faketime:
                    say("clock-step: not made, apt has no libfaketime")
                    continue
            if fault in ("run-full", "cache-full", "wire-blocked") and os.geteuid() != 0:
                say(f"{fault}: not made, it needs root")
                continue
            for phase in ["all"] if fault in WHOLE else phases:
                for kernel, good in [(self.options.good, True), (self.options.bad, False)]:
                    if not kernel:
                        continue
                    is_wrong, is_right = self.cell(kernel, good, fault, phase)
                    wrong, right, made = wrong + is_wrong, right + is_right, made + 1
        print(f"{made} cells: {wrong} wrong, {right} right in the end")
        return 1 if wrong or right < 0.95 * made else 0

    def random_stops(self, count):
        chance = random.Random(self.options.seed)
        tally = {}
        wrong = 0

        def strike(run):
            while run.process.poll() is None:
                time.sleep(chance.uniform(0.1, 4))
                all_of_them = [run.pid, *[pid for pid in descendants(run.process.pid)]]
                chosen = chance.sample(all_of_them, chance.randint(1, len(all_of_them)))
                stop(chosen, 0.2 * 50 ** chance.random())

        for number in range(1, count + 1):
            for kernel, good in [(self.options.good, True), (self.options.bad, False)]:
                if not kernel:
                    continue
                verdict, said, right = self.judge(self.trial(kernel, strike), good)
                key = f"{'good' if good else 'bad'} kernel: {verdict}"
                tally[key] = tally.get(key, 0) + 1
                wrong += right is False
                word = "WRONG" if right is False else ""
                print(f"{number:4} {kernel:12} {verdict:6} {word} {said[:150]}", flush=True)
        print("; ".join(f"{key} {number}" for key, number in sorted(tally.items())) + f"; {wrong} wrong")
        return 1 if wrong else 0


def main(arguments, kbisect):
    parser = argparse.ArgumentParser(
        prog="faults host", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fault", default=",".join(FAULTS))
    parser.add_argument("--phase", default=",".join(PHASES))
    parser.add_argument("--good", default="6.12.57", help="a kernel that passes; empty for none")
    parser.add_argument("--bad", default="6.12.69", help="a kernel that fails; empty for none")
    parser.add_argument("--scenario", default="connlimit")
    parser.add_argument("--symptom", default="lost-ingress", help="kind of the bad kernel's symptom")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--random", type=int, default=0, metavar="TRIALS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", help="folder for the trials; by default they are removed")
    options = parser.parse_args(arguments)
    faults, phases = options.fault.split(","), options.phase.split(",")
    for name in [*faults, *phases]:
        if name not in FAULTS and name not in PHASES:
            parser.error(f"`{name}` is no fault and no phase")
    with tempfile.TemporaryDirectory(prefix="faults.") as folder:
        campaign = Campaign(kbisect(), options, pathlib.Path(folder))
        for kernel in filter(None, [options.good, options.bad]):
            subprocess.run([campaign.kbisect, "-q", "kernels", "fetch", kernel], check=True, stdout=subprocess.DEVNULL)
        if options.random:
            return campaign.random_stops(options.random)
        return campaign.table(faults, phases)
