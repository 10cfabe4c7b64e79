"""Commands on a disk with a little room, and a little more each time; then, with enough, the same command again.

    sudo python benchmarks/full_disk.py [--only train,update] [--step 8] [--most 160]

Needs Linux and the right to mount: each disk is a tmpfs of its own. A command may end well, or with an error that says
what cannot be written; the next one, with room, must find nothing lost and leave nothing lying, as `kills.py` counts.
"""

import argparse
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from kill_ground import Ground
from killed_commands import COMMANDS, PRELOAD
from kills import TOLD, start


def mount(place: Path, kilobytes: int, *options: str) -> None:
    """A tmpfs at `place`; with "remount" the one that is there gets another size."""
    sized = ",".join([*options, f"size={kilobytes}k"])
    subprocess.run(["mount", "-t", "tmpfs", "-o", sized, "tmpfs", str(place)], check=True)


def fill(name: str, template: Ground, disk: Path, room_kb: int) -> tuple[str, list[str]]:
    """How the command ended with `room_kb` left, in a word; and the faults that are left after the next one."""
    mount(disk, 1 << 16)
    try:
        (disk / "template").symlink_to(template.path)
        ground = template.copy(disk / "ground", 0)
        used = shutil.disk_usage(disk).used >> 10
        mount(disk, used + room_kb, "remount")
        command = COMMANDS[name](ground)
        process = start(ground, command.arguments, told=disk.parent)
        process.join()
        said = (disk.parent / f"{TOLD}.err").read_text()
        faults = [f"while full: {fault}" for fault in command.check(0)] if process.exitcode == 0 else []
        if process.exitcode not in (0, 2) or (process.exitcode == 2 and "cannot write" not in said):
            faults.append(f"exit code {process.exitcode}: {said[-300:]}")
        faults += ground.litter()
        mount(disk, 1 << 16, "remount")
        again = start(ground, command.arguments, told=disk.parent)
        again.join()
        return "done" if process.exitcode == 0 else "told", [
            *faults,
            *command.check(again.exitcode or 0),
            *ground.litter(),
        ]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", default="inspect,train,update,export,freeze", help="commands, comma separated"
    )
    parser.add_argument("--step", type=int, default=8, help="kilobytes")
    parser.add_argument("--most", type=int, default=160, help="kilobytes")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory(prefix="full-") as scratch:
        os.environ["KIZU_CACHE"] = str(Path(scratch, "cache"))
        os.environ["KIZU_STATE"] = str(Path(scratch, "state"))
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
        template, disk = Ground.make_template(Path(scratch, "template")), Path(scratch, "disk")
        disk.mkdir()
        print("| command | disks | told that it is full | done | faults |\n| --- | --- | --- | --- | --- |")
        for name in options.only.split(","):
            ends: Counter[str] = Counter()
            found = []
            for room_kb in range(0, options.most, options.step):
                end, faults = fill(name, template, disk, room_kb)
                ends[end] += 1
                found += [f"{room_kb} kB: {fault}" for fault in faults]
            print(
                f"| {name} | {ends.total()} | {ends['told']} | {ends['done']} | {len(found)} |",
                *found,
                sep="\n",
            )
            failed |= bool(found)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
