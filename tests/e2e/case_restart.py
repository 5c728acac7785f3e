"""The end of the program, asked for and not, and what it finds again."""
import itertools
import json
import os
import signal
import socket
import time

import sip
from case_call import callee, caller, finish, outside, phone, register
from case_ctl import call_up
from ladder import Ladder
from lab import case, check, equal
from phone import Baresip

USERS = 200


def many(lab):
    config = lab.config()
    config["extensions"] += [{"number": str(5000 + i), "password": f"pass{i}"}
                             for i in range(USERS)]
    return config


def kill(lab):
    lab.server.signal(signal.SIGKILL)
    lab.server.wait(5, None)


@case("kill", weight=4)
def kill_case(lab):
    """kill -9 among registrations: each that was answered with 200 is back, and phones are called
    without having to register again."""
    lab.start(many(lab))
    register(lab, "1427")
    sure = []
    with sip.Peer(lab.ip(60), (lab.pbx, 5060), "udp", 0) as peer:
        for i in range(USERS):
            if i == USERS * 3 // 4:  # this one and those after it are answered by nobody
                late = peer.build("REGISTER", "sip:pbx.test", user=str(5000 + i))
                peer.send(late)
                kill(lab)
                break
            contact = f"Contact: <sip:{5000 + i}@{peer.ip}:{peer.port};line={i}>"
            _, last = peer.register(str(5000 + i), f"pass{i}", fields=[contact])
            equal(last and last.status, 200, f"REGISTER of {5000 + i}")
            sure.append(f"sip:{5000 + i}@pbx.test")
    lab.start()
    back = {r["aor"]: r for r in lab.ctl("registrations")}
    lost = [aor for aor in sure + ["sip:109Q1427@pbx.test"] if aor not in back]
    check(not lost, f"{len(lost)} of {len(sure) + 1} registrations are lost: {lost[:3]}")
    check(all(3500 < back[aor]["expires_s"] <= 3600 for aor in sure), "times of the registrations")
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye())
    finish(caller(lab, outside(lab).invite().answered().ack().bye()), p27)


@case("kill_call", weight=2)
def kill_call_case(lab):
    """kill -9 during a call: ports and the control socket are there for the next one."""
    config = lab.config()
    config["media"]["ports"] = "20000-20003"  # two pairs: what one call takes
    lab.start(config)
    register(lab, "1427")
    p27, trk, _ = call_up(lab)
    kill(lab)
    for job in (p27, trk):
        job.end()
    lab.start()
    equal(lab.ctl("calls"), [], "calls after the restart")
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye())
    finish(caller(lab, outside(lab).invite().answered().ack().bye(), name="trunk2"), p27)
    equal(len(lab.cdrs(1)), 1, "records")


def sidecars(lab):
    found = []
    for folder, _, names in os.walk(lab.path("recordings")):
        for name in names:
            if name.endswith(".json"):
                with open(os.path.join(folder, name), encoding="utf-8") as f:
                    found.append(json.load(f))
    return found


def sound_bytes(lab):
    return sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(lab.path("recordings"))
               for name in names if name.endswith("-track1.wav"))


@case("kill_recording", weight=2)
def kill_recording_case(lab):
    """kill -9 while a call is recorded: the next start finishes the recording, and gives the call the
    record that it never had."""
    config = lab.config()
    config["recording"] = {"dir": lab.path("recordings"), "mode": "both"}
    lab.start(config)
    register(lab, "1427")
    p27, trk, _ = call_up(lab)
    lab.until(lambda: sound_bytes(lab) > 16000, 30, "a second of the recording")
    kill(lab)
    for job in (p27, trk):
        job.end()
    lab.start()
    row = lab.cdrs(1)[0]
    equal((row["disposition"], row["ended_by"], row["reason"]), ("ANSWERED", "system", "killed"),
          "the record")
    check(500 <= row["talk_ms"] <= 10000, f"talk_ms is {row['talk_ms']}")
    about = sidecars(lab)
    equal([a["state"] for a in about], ["interrupted"], "the sidecars")
    equal((about[0]["call"]["cdr"], about[0]["stopped"]), (row["id"], "killed"), "the sidecar")


@case("kill_phones", weight=4)
def kill_phones_case(lab):
    """Real phones, one on UDP and one on TCP, do not know that the server was killed."""
    lab.start()
    udp = Baresip(lab, "1427", 440)
    tcp = Baresip(lab, "1428", 1000, proto="tcp")
    for each in (udp, tcp):
        each.registered()
    kill(lab)
    lab.start()
    # A binding over TCP cannot be reached before its phone connects again (RFC 5626).
    seen = [r["aor"] for r in lab.ctl("registrations")]
    check("sip:109Q1427@pbx.test" in seen, f"registrations: {seen}")
    p28 = lab.sipp("trunk", outside(lab).invite().expect(100, optional=True)
                   .expect(180, optional=True).expect(200).ack().pause(300).bye(), 77, 5080)
    udp.wait("CALL_ESTABLISHED")
    finish(p28)


@case("second_server", captured=False)
def second_server_case(lab):
    """A second server of the same configuration says why it cannot run, and harms nothing."""
    lab.start()
    other = lab.job("other", [lab.program, "serve", "-c", "ringdown.yaml"])
    other.wait(10, 1)
    check(lab.pbx in other.text() or "ctl.sock" in other.text(), "no reason: " + other.text()[-200:])
    equal(lab.ctl("status")["calls"], 0, "the first server")


@case("shutdown", weight=3, survives=False)
def shutdown_case(lab):
    """SIGTERM with a call up: both legs get BYE, the record is written, and the program is gone."""
    calls = itertools.count(1)

    def ends():
        """After so many seconds."""
        lab.start()
        register(lab, "1427")
        p27, trk, _ = call_up(lab)
        began = time.monotonic()
        lab.server.signal(signal.SIGTERM)
        finish(p27, trk)
        lab.server.wait(30, 0)
        took = time.monotonic() - began
        row = lab.cdrs(next(calls))[-1]
        equal((row["disposition"], row["ended_by"]), ("ANSWERED", "system"), "CDR")
        return took
    lab.least(ends, 5, "until it has ended, s")
    ladder = Ladder(lab)
    for name in ("pbx>p27 BYE", "pbx>trk BYE"):
        check(ladder.find(name).message.get("reason"), f"no Reason in {name}")
    check(not socket_there(lab), "the control socket is left behind")


@case("shutdown_dead", weight=3, survives=False)
def shutdown_dead_case(lab):
    """SIGTERM when the phones are dead: it does not wait for them longer than 5 s."""
    calls = itertools.count(1)

    def ends():
        """After so many seconds."""
        lab.start()
        register(lab, "1427")
        p27, trk, _ = call_up(lab)
        for job in (p27, trk):
            job.signal(signal.SIGKILL)
            job.wait(5, None)
        began = time.monotonic()
        lab.server.signal(signal.SIGTERM)
        lab.server.wait(30, 0)
        took = time.monotonic() - began
        equal(lab.cdrs(next(calls))[-1]["ended_by"], "system", "ended by")
        return took
    lab.least(ends, 6, "until it has ended, s")


def socket_there(lab):
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(lab.path("ctl.sock"))
            return True
    except (FileNotFoundError, ConnectionRefusedError):
        return False
