"""`ringdown ctl` against a server with a call, for people and for programs."""
import json
import os
import re

from case_call import callee, caller, finish, outside, phone, register
from lab import case, check, equal


def call_up(lab):
    """A call in progress: its two SIPps and what ctl says of it."""
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye(30))
    trk = caller(lab, outside(lab).invite().answered().ack().get_bye(30))
    lab.until(lambda: any(c["state"] == "up" for c in lab.ctl("calls")), 30, "the call is up")
    return p27, trk, lab.ctl("calls")[0]


def human(lab, *words, holds):
    done = lab.ctl_run(*words)
    equal(done.returncode, 0, f"exit status of ctl {words[0]}: {done.stderr}")
    check(holds in done.stdout, f"ctl {' '.join(words)} lacks {holds!r}: {done.stdout[:200]}")
    return done.stdout


def refused(lab, *words):
    done = lab.ctl_run(*words)
    check(done.returncode in (1, 2), f"ctl {words}: exit status {done.returncode}")
    check(done.stderr.startswith("ringdown"), f"ctl {words} says nothing: {done.stderr!r}")


@case("ctl", weight=2)
def ctl_case(lab):
    lab.start()
    register(lab, "1427")
    p27, trk, call = call_up(lab)
    equal((call["caller"], call["callee"]), ("01077141436", "1427"), "the call")
    call_ids = [leg["call_id"] for leg in call["legs"]]
    equal(len(set(call_ids)), 2, "Call-IDs of the call")
    equal(lab.ctl("status")["calls"], 1, "calls of the status")
    equal(lab.ctl("registrations")[0]["contact"], f"sip:109Q1427@{lab.ip(55)}:5060", "contact")
    equal(lab.ctl("trunks")[0]["name"], "carrier", "trunk")
    stats = lab.ctl("stats")
    for key in ("session_timer", "transaction_timer", "retransmissions_sent", "timeouts"):
        check(key in stats, f"stats lack {key}")
    check({"t1", "t2", "t4", "active_transactions"} <= set(stats["transaction_timer"]), "T13")
    check(lab.ctl("timers") and lab.ctl("timers", str(call["id"])) is not None, "timers")
    for name in call_ids + [str(call["id"])]:
        events = lab.ctl("trace", name)["events"]
        check(any(e.get("what") == "INVITE" for e in events), f"trace {name}: {events[:3]}")
    for words, holds in ((["status"], "version"), (["calls"], "01077141436"),
                         (["registrations"], "109Q1427"), (["trunks"], "carrier"),
                         (["stats"], "transactions"), (["timers"], "timer"),
                         (["trace", call_ids[1]], "INVITE")):
        human(lab, *words, holds=holds)
    invites = metrics(lab)
    done = lab.ctl_run("registrations", "--json")
    equal(len(json.loads(done.stdout or "[]")), 1, "ctl registrations --json")
    refused(lab, "trace", "no-such-call")
    refused(lab, "hangup", "no-such-call")
    refused(lab, "frobnicate")
    equal(lab.ctl("subscriptions"), [], "subscriptions")
    equal(lab.ctl("mailboxes"), [], "mailboxes")
    refused(lab, "mwi", "1427", "1", "0")  # it has none
    refused(lab, "mwi", "1427", "one", "0")
    refused(lab, "mwi", "1427", "1")
    lab.ctl("hangup", call_ids[1])
    finish(p27, trk)
    row, = lab.cdrs(1)
    equal((row["disposition"], row["ended_by"]), ("ANSWERED", "system"), "CDR of ctl hangup")
    human(lab, "cdr", holds="01077141436")
    equal(lab.ctl("cdr")[0]["id"], row["id"], "record")
    equal(lab.ctl("bots", row["id"]), [], "bots of a call that had none")
    refused(lab, "bots", "0" * 32)
    refused(lab, "quality", "0" * 32)
    check(lab.ctl("trace", call_ids[0])["events"], "no trace of a call that is over")
    if lab.capture:  # with those that were sent again
        came = [p for p in lab.messages() if p.message.request and p.message.method == "INVITE" and
                p.target[0] == lab.pbx]
        equal(invites, len(came), "INVITEs counted")


# M3 has these names; they are an interface.
TELEMETRY = ("sipProvisional", "sipInviteTimeouts", "sipError4xx", "sipError5xx", "sipError6xx",
             "sipAuthChallenges", "sipByeSent", "sipByeAcksMissing")


def metrics(lab):
    """Prometheus' text format: a name, labels perhaps, a number; each of them once."""
    text = human(lab, "metrics", holds="ringdown_active_calls 1")
    invites = int(re.search(r'\nringdown_rx_by_method\{of="INVITE"\} ([0-9]+)\n', text)[1])
    sample = r'[a-zA-Z_][a-zA-Z0-9_]*(\{of="[^"\n]*"(,state="[^"\n]*")?\})? -?[0-9.e+-]+'
    lines = [x for x in text.splitlines() if not x.startswith("# ")]
    bad = [x for x in lines if not re.fullmatch(sample, x)]
    equal(bad, [], "lines that are no sample")
    names = [x.rsplit(" ", 1)[0] for x in lines]
    equal(len(names), len(set(names)), "samples")
    check(any(x.startswith('ringdown_transactions{of="') for x in lines), "transactions")
    counters = lab.ctl("mrcp")
    for name in TELEMETRY:
        check(f"ringdown_mrcp_{name} 0" in lines, f"no {name}")
        check(f"# TYPE ringdown_mrcp_{name} counter" in text, f"no type of {name}")
        equal(counters[name], 0, name)
    human(lab, "mrcp", holds="sipByeAcksMissing")
    return invites


@case("ctl_ban")
def ctl_ban_case(lab):
    lab.start()
    lab.ctl("ban", "192.0.2.1", "30")
    bans = lab.ctl("bans")
    equal([b["address"] for b in bans], ["192.0.2.1"], "bans")
    check(0 < bans[0]["seconds_left"] <= 30, f"seconds left: {bans}")
    human(lab, "bans", holds="192.0.2.1")
    lab.ctl("unban", "192.0.2.1")
    equal(lab.ctl("bans"), [], "bans after unban")
    refused(lab, "unban", "192.0.2.1")
    refused(lab, "ban", "not-an-address")


@case("reload")
def reload_case(lab):
    """A sound file is applied whole, a wrong one not at all; calls go on."""
    config = lab.config()
    lab.start(config)
    register(lab, "1427")
    p27, trk, call = call_up(lab)
    config["extensions"].append({"number": "1429", "username": "109Q1429", "password": "new"})
    lab.put_config(config)
    lab.ctl("reload")
    equal(lab.ctl("status")["extensions"], 3, "extensions after a reload")
    equal(lab.ctl("calls")[0]["id"], call["id"], "the call in progress")
    wrong = json.loads(json.dumps(config))
    wrong["extensions"].append({"number": "1430", "password": "x", "pasword": "typo"})
    wrong["extensions"].pop(0)
    lab.put_config(wrong)
    with open(lab.path("ringdown.yaml"), encoding="utf-8") as f:
        line = next(i for i, text in enumerate(f, 1) if "pasword" in text)
    done = lab.ctl_run("reload")
    equal(done.returncode, 1, "exit status of a reload that failed")
    check(f"ringdown.yaml:{line}" in done.stderr, f"no file:line ({line}) in {done.stderr!r}")
    equal(lab.ctl("status")["extensions"], 3, "extensions after a refused reload")
    equal(len(lab.ctl("registrations")), 1, "registrations after a refused reload")
    lab.put_config(config)
    lab.server.signal(1)  # SIGHUP
    lab.until(lambda: lab.server.text().count(" applied") >= 2, 30, "SIGHUP is a reload")
    lab.ctl("hangup", str(call["id"]))
    finish(p27, trk)


@case("log_rotated")
def log_rotated_case(lab):
    """SIGHUP opens the log file again, also when the configuration has a mistake by then."""
    def written():
        if not os.path.exists(lab.path("ringdown.log")):
            return ""
        with open(lab.path("ringdown.log"), encoding="utf-8") as f:
            return f.read()

    config = lab.config()
    config["log"] = {"level": "info", "file": "ringdown.log"}
    lab.put_config(config)
    lab.server = lab.job("server", [lab.program, "serve", "-c", "ringdown.yaml"])
    lab.until(lambda: " serves " in written(), 30, "the first line")
    os.rename(lab.path("ringdown.log"), lab.path("ringdown.log.1"))
    lab.put_config(dict(config, pasword="typo"))
    lab.server.signal(1)  # SIGHUP
    lab.until(lambda: "pasword" in written(), 30, "the new log file")
