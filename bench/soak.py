#!/usr/bin/env python3
"""A thousand calls for minutes: the media thread relays as in calls (renumbered, RTCP of our own), and
nothing may be lost by it, nor its memory grow.

    bench/soak.py BUILD [SECONDS] [--calls 1000]

Prints one line every tenth of the time, then the verdict. On a machine that is too busy packets are lost
before the media thread (it was not run in time) or behind it (the load generator was not), which is told
apart. Exit status: 0 all that was sent has gone out again and memory is flat, 1 not."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench_relay  # noqa: E402

MOST_GROWTH_KB = 512  # of the whole process, after the first third


def own_kb(pid):
    """What the process shares with nobody; its part of the libraries changes with who else runs."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Anonymous:"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("build", help="directory of a release build")
    p.add_argument("seconds", nargs="?", type=int, default=600)
    p.add_argument("--calls", type=int, default=1000)
    args = p.parse_args()
    args.mode, args.coalesce_us, args.slot_us = "formats", 1000, 1000
    memory, step = [], max(1, args.seconds // 10)
    with tempfile.TemporaryDirectory(prefix="rd-soak-") as tmp:
        relay = bench_relay.Ringdown(args, tmp)
        cpu = bench_relay.cpu_ns(relay.proc.pid)
        load = subprocess.Popen([f"{args.build}/rtpload", relay.legs, str(args.seconds)],
                                stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(min(5, args.seconds / 2))
            relay.warm()
            begun = time.monotonic()
            while load.poll() is None:
                memory.append(own_kb(relay.proc.pid))
                used = (bench_relay.cpu_ns(relay.proc.pid) - cpu) / 1e9
                print(f"{time.monotonic() - begun:6.0f} s  memory {memory[-1]} KB  CPU {used:.1f} s",
                      flush=True)
                try:
                    load.wait(step)
                except subprocess.TimeoutExpired:
                    pass
            result = json.loads(load.stdout.read())
        finally:
            load.kill()
            load.wait()
            relay.stop()
    ours = relay.report
    before, behind = result["sent"] - ours["rx"], ours["rx"] - result["received"]
    inside = sum(ours[k] for k in ("no_stream", "malformed", "strangers", "one_way", "no_way", "flood",
                                   "unagreed", "out_lost", "tx_errors"))
    growth = memory[-1] - memory[len(memory) // 3]  # by then every ring has been used once
    good = inside == 0 and before == 0 and growth <= MOST_GROWTH_KB and ours["requests"] == 0
    print(f"{args.calls} calls, {args.seconds} s: sent {result['sent']}, lost in the media thread "
          f"{inside}, before it {before}, behind it {behind}; memory grew by {growth} KB, "
          f"{ours['requests']} requests of the heap: {'good' if good else 'NOT GOOD'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
