"""Explores one scenario in this process, which ends with a line of JSON: what was tried, and what went wrong first.

    python tests/explore/explored.py "read beside overwrite" --bound 2 --seconds 60
    python tests/explore/explored.py "read beside overwrite" --samples 10000 --depth 3 --seed 1
    python tests/explore/explored.py "read beside overwrite" --samples 1 --first 4711 --depth 3 --seed 1
    python tests/explore/explored.py "read beside overwrite" --replay=0,0,0,1,1,64

Where the process dies (a contract that is broken, a crash), `--note FILE` has the decisions of the schedule it died
in."""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import gc
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from harness.schedules import Explorer, Run, every_schedule  # noqa: E402
from planted import PLANTED  # noqa: E402
from scenarios import FAULTY, SCENARIOS  # noqa: E402
from shardmap import _core  # noqa: E402

# Where keys are in the tables, and what their stamps are, must be the same in every process.
REPEATABLE = {"PYTHONHASHSEED": "0", "SHARDMAP_STAMP": "counter"}


def explore(explorer: Explorer, options: argparse.Namespace, note: Note) -> dict[str, Any]:
    result: dict[str, Any] = {"schedules": 0, "most steps": 0, "wrong": None, "all": False}
    started = time.monotonic()

    def see(run: Run, how: str) -> bool:
        result["schedules"] += 1
        result["most steps"] = max(result["most steps"], len(run.steps))
        if run.wrong is not None:
            result.update({"wrong": run.wrong, "replay": how, "preemptions": run.preemptions(), "turns": str(run)})
        if not run.is_over:
            finish(result, started, 1)  # its threads never end
        return run.wrong is not None

    first = explorer.run(note.write([]))  # also makes what is made once
    if first.wrong is not None:
        see(first, as_option([]))
    elif options.replay is not None:
        see(explorer.run(note.write(options.replay)), as_option(options.replay))
    elif options.samples:
        for n in range(options.first, options.first + options.samples):
            how = f"--seed {options.seed} --depth {options.depth} --samples 1 --first {n}"
            note.write([], how)
            if see(explorer.sample(f"{options.seed}.{n}", len(first.steps), options.depth), how):
                break
            if time.monotonic() - started > options.seconds:
                break
    else:
        last = None
        for last in every_schedule(explorer, options.bound, options.seconds, note.write):
            if see(last, as_option(last.decisions())):
                break
        result["all"] = last is not None and time.monotonic() - started < options.seconds and result["wrong"] is None
    result["seconds"] = time.monotonic() - started
    return result


def as_option(decisions: list[int]) -> str:
    return "--replay=" + ",".join(map(str, decisions))


MOST_NOTED = 12_000  # characters: what as many decisions take as a schedule may have


class Note:
    """The schedule that is run, in a file that outlives the process."""

    def __init__(self, path: str | None) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if path else None

    def write(self, decisions: list[int], said: str | None = None) -> list[int]:
        if self.file is not None:
            os.pwrite(self.file, (said if said is not None else as_option(decisions)).encode().ljust(MOST_NOTED), 0)
        return decisions


def finish(result: dict[str, Any], started: float, status: int) -> None:
    result["seconds"] = time.monotonic() - started
    print(json.dumps(result), flush=True)
    if status:
        faulthandler.dump_traceback_later(0.001, exit=True)  # unlike dump_traceback(), it does not stop the world
        time.sleep(60)
    os._exit(status)  # not by the way of threads that wait for ever


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS | FAULTY)
    parser.add_argument("--bound", type=int, help="preemptions (default: the scenario's)")
    parser.add_argument("--seconds", type=float, default=60.0, help="at most")
    parser.add_argument("--samples", type=int, default=0, help="so many by random priorities in place of all")
    parser.add_argument("--first", type=int, default=0, help="the number of the first sample")
    parser.add_argument("--depth", type=int, default=3, help="of the bugs that samples are to find")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--replay", type=lambda text: [int(n) for n in text.split(",") if n])
    parser.add_argument("--plant", choices=list(PLANTED))
    parser.add_argument("--note")
    options = parser.parse_args()
    scenario = (SCENARIOS | FAULTY)[options.scenario]
    if options.bound is None:
        options.bound = scenario.bound
    if any(os.environ.get(name) != value for name, value in REPEATABLE.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **REPEATABLE})
    faulthandler.enable()
    faulthandler.dump_traceback_later(options.seconds + 60, exit=True)
    if options.plant:
        ctypes.c_int.in_dll(ctypes.CDLL(_core.__file__), "sm_planted").value = 1 + list(PLANTED).index(options.plant)
    gc.disable()  # it stops the world, and a thread that waits for its turn is attached
    gc.freeze()
    explorer = Explorer(scenario)

    def work() -> None:
        started = time.monotonic()
        try:
            result = explore(explorer, options, Note(options.note))
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(2)
        finish(result, started, 1 if result["wrong"] else 0)

    threading.Thread(target=work, daemon=True).start()
    explorer.serve(0)


if __name__ == "__main__":
    main()
