"""Commands killed with SIGKILL at random points and run again to the end: what is lost, doubled, stale or left lying.

    python benchmarks/kills.py [--kills 200] [--seconds 900] [--seed 0] [--only inspect,train] [--json FILE]

A cycle takes one command in a folder of its own, kills it one to three times, and lets it end. Half of the kills come
at a random moment of its measured time, half at a random one of its own steps on the disk (a file opened to write, a
rename, a removal); with --every-step each of those steps is taken once. In half of the cycles files change underneath,
while it runs or before it runs again: pictures come, are replaced under their name, are touched, or go. Beside one in
four that are killed the same command runs and is not. Small drawn pictures and the smallest network: nothing that is
counted here depends on scores being good. Then is counted, strictly:

lost      a picture without a line that stands, an image that was not learned, a run, a file that is not there
doubled   a picture with two lines that stand, an image learned twice, a second run
stale     a line, a mask or a file that is not about what is there now: verdict, score and mask are computed afresh
litter    hidden, temporary or lock files and half-built folders anywhere, scratch folders, versions never in force
failed    the last call did not end as it should

Told beside these, and no fault, are unclaimed pictures: a mask or an overlay that was written just before a kill, of a
picture that was gone by the next call, so that no line names it. They are whole, and nothing reads them.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kill_ground import Ground
from killed_commands import COMMANDS, PRELOAD

FAULTS = ("lost", "doubled", "stale", "litter", "failed")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
STEPS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
TOLD = "told"
ENDS = (0, 2, 3)
"""How a command beside another may end: done; told why not, such as that another is at it; a picture was gone."""


@dataclass
class Tally:
    """What came of one command."""

    cycles: int = 0
    changed: int = 0
    """Cycles in which files changed underneath."""
    rivals: int = 0
    """Times that the same command ran beside the one that was killed."""
    kills: int = 0
    seconds: float = 0.0
    """How long the command takes, unkilled."""
    steps: int = 0
    """On the disk, unkilled."""
    unclaimed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


def run_command(arguments: list[str], ground: str, told: str, kill_at: int | None) -> None:
    """In a process of its own: the command line, with its steps on the disk counted; killed before the `kill_at`-th."""
    place = Path(ground)
    count = 0

    def watch(event: str, what: tuple[object, ...]) -> None:
        nonlocal count
        if event == "open":
            if not (isinstance(what[2], int) and what[2] & WRITING):
                return
        elif event not in STEPS:
            return
        path = os.path.join(ground, os.fsdecode(what[0])) if isinstance(what[0], str | bytes | Path) else ""  # noqa: PTH118
        if path.startswith(ground) and TOLD not in path:
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    os.chdir(place)
    os.environ["TMPDIR"] = tempfile.tempdir = str(
        place / "tmp"
    )  # Python need not try it out with a file of its own
    for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
        stream.flush()
        os.dup2(os.open(Path(told, f"{TOLD}.{name}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    from kizu.cli.main import app

    sys.addaudithook(watch)
    try:
        app(arguments)
    finally:
        Path(told, f"{TOLD}.steps").write_text(str(count))


def start(
    ground: Ground, arguments: list[str], kill_at: int | None = None, told: Path | None = None
) -> multiprocessing.Process:
    """`told`: the folder for what it says; None: the ground's."""
    process = multiprocessing.get_context("forkserver").Process(
        target=run_command, args=(arguments, str(ground.path), str(told or ground.path), kill_at)
    )
    process.start()
    return process  # type: ignore[return-value]


@dataclass(frozen=True)
class Kill:
    """When a command is killed: before that step on the disk, or after so many seconds."""

    step: int | None = None
    seconds: float = 0.0


def draw_kills(tally: Tally, rng: random.Random, most: int) -> list[Kill]:
    """One to three, half of them by the clock."""
    return [
        Kill(step=rng.randint(1, tally.steps))
        if rng.random() < 0.5
        else Kill(seconds=rng.uniform(0, 1.05 * tally.seconds))
        for _ in range(min(rng.choice((1, 1, 2, 3)), most))
    ]


def cycle(name: str, ground: Ground, tally: Tally, rng: random.Random, kills: list[Kill]) -> None:
    """One command, its kills, its end, and what is there then."""
    command = COMMANDS[name](ground)
    changing = rng.random() < 0.5
    tally.changed += changing
    rivals = []
    for kill in kills:
        process = start(ground, command.arguments, kill.step)
        if rng.random() < 0.25:
            rivals.append(start(ground, command.arguments))
            tally.rivals += 1
        timers = []
        if kill.step is None:
            timers.append(threading.Timer(kill.seconds, process.kill))
        if changing and command.may_change_meanwhile and rng.random() < 0.5:
            timers.append(threading.Timer(rng.uniform(0, tally.seconds), command.change, (rng,)))
        for timer in timers:
            timer.start()
        process.join()
        for timer in timers:
            timer.join()
        tally.kills += process.exitcode == -signal.SIGKILL
        if changing:
            command.change(rng)
    for rival in rivals:
        rival.join()
    process = start(ground, command.arguments)
    process.join()
    found = Counter(command.check(process.exitcode or 0))
    found["failed"] += sum(rival.exitcode not in ENDS for rival in rivals)
    found["litter"] += len(litter := ground.litter())
    tally.unclaimed += found.pop("unclaimed", 0)
    tally.faults += found
    tally.cycles += 1
    if found.total():
        said = (ground.path / f"{TOLD}.err").read_text().splitlines()[-2:]
        tally.examples.append(f"{ground.path.name}: {dict(+found)} {command.notes} {litter[:3]} {said}")


def measure(name: str, ground: Ground, tally: Tally) -> None:
    """How long the command takes and how many steps it makes; it must find nothing wrong when nobody kills it."""
    command = COMMANDS[name](ground)
    begin = time.perf_counter()
    process = start(ground, command.arguments)
    process.join()
    tally.seconds = time.perf_counter() - begin
    tally.steps = int((ground.path / f"{TOLD}.steps").read_text())
    found = Counter(command.check(process.exitcode or 0))
    if found.total() or ground.litter():
        told = (ground.path / f"{TOLD}.err").read_text()
        raise SystemExit(
            f"error: {name} is not whole even unkilled: {found} {command.notes} {ground.litter()}\n{told}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200, help="end after so many")
    parser.add_argument(
        "--every-step", action="store_true", help="one kill at each step, in order; no --kills"
    )
    parser.add_argument("--seconds", type=float, default=900, help="end after so long, whatever was reached")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(COMMANDS), help="commands, comma separated")
    parser.add_argument("--keep", type=Path, help="keep the folders of cycles with faults there")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = options.only.split(",")
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        os.environ["KIZU_CACHE"] = str(Path(scratch, "cache"))
        os.environ["KIZU_STATE"] = str(Path(scratch, "state"))
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
        template = Ground.make_template(Path(scratch, "template"))
        tallies = {name: Tally() for name in names}
        number = 0

        def ground() -> Ground:
            nonlocal number
            number += 1
            return template.copy(Path(scratch, f"{number:04}"), seed=options.seed * 100_000 + number)

        for name in [*names, *names]:  # the first time warms up
            measure(name, here := ground(), tallies[name])
            shutil.rmtree(here.path)
        steps = ((name, [Kill(step + 1)]) for name in names for step in range(tallies[name].steps))
        while (
            killed := sum(tally.kills for tally in tallies.values())
        ) < options.kills or options.every_step:
            if time.perf_counter() - begin > options.seconds:
                break
            here = ground()
            rng = random.Random(here.seed)
            name = names[number % len(names)]
            kills = draw_kills(tallies[name], rng, options.kills - killed)
            if options.every_step:
                name, kills = next(steps, ("", []))
                if not name:
                    break
            faults = tallies[name].faults.total()
            cycle(name, here, tallies[name], rng, kills)
            if options.keep and tallies[name].faults.total() > faults:
                shutil.copytree(here.path, options.keep / f"{name}-{here.path.name}", dirs_exist_ok=True)
            shutil.rmtree(here.path)
    print(table(tallies))
    for name, tally in tallies.items():
        for example in tally.examples:
            print(f"{name}, folder {example}")
    print(f"{killed} kills, seed {options.seed}, {time.perf_counter() - begin:.0f} s")
    if options.json:
        rows = {name: vars(tally) | {"faults": dict(tally.faults)} for name, tally in tallies.items()}
        options.json.write_text(json.dumps({"seed": options.seed, "commands": rows}, indent=2))
    if any(tally.faults.total() for tally in tallies.values()):
        raise SystemExit(1)


def table(tallies: dict[str, Tally]) -> str:
    head = ["command", "s unkilled", "cycles", "files changing", "rivals", "kills", *FAULTS, "unclaimed"]
    rows = []
    for name, t in tallies.items():
        faults = [t.faults[fault] for fault in FAULTS]
        counts = [t.cycles, t.changed, t.rivals, t.kills, *faults, t.unclaimed]
        rows.append([name, f"{t.seconds:.2f}", *counts])
    rows.append(["all", "", *(sum(int(row[at]) for row in rows) for at in range(2, len(head)))])
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
