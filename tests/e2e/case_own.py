"""The exchange's own traffic: what it sends to a capture server by HEP, and what `ringdown ctl`
says of its calls without any capture."""
import collections
import json
import os
import re
import secrets
import socket
import subprocess

import judge
import sip
from case_call import CALLER, callee, caller, finish, outside, phone, refused, register
from case_page import pcap
from hep import Collector
from ladder import Ladder
from lab import Skip, case, check, equal
from script import Script

PASSWORD = "hep-password-7"


def with_hep(lab, collector, **more):
    config = lab.config()
    config["hep"] = {"to": collector.address, "capture_id": 4242, "node": "pbx-one",
                     "password": PASSWORD, **more}
    return config


def answered_call(lab):
    """From the trunk to the phone and back; the callee hangs up."""
    p27 = callee(lab, phone("1427").ring_in().answer().pause(100).say_bye())
    trk = caller(lab, outside(lab).invite().answered().ack().get_bye())
    finish(trk, p27)


def masked(raw):
    """What a listener may see of a message."""
    return re.sub(rb'(?m)^((?:Proxy-)?Authorization: Digest .*\bresponse=")([^"]*)(".*)$',
                  lambda m: m[1] + b"*" * len(m[2]) + m[3], raw)


def analyze(lab, *words):
    done = subprocess.run([lab.program, "analyze", "--json", *words], capture_output=True,
                          text=True, timeout=60, check=False)
    equal(done.returncode, 0, f"analyze: {done.stderr}")
    return json.loads(done.stdout)


def told(report):
    """What a report says of its calls, without what depends on where the messages were seen."""
    return [{"call": [c[k] for k in ("scenario", "outcome", "status", "caller", "callee",
                                     "answered_by", "ended_by")],
             "legs": [[leg["call_id"], [(m["method"], m.get("status")) for m in leg["messages"]
                                       if not m.get("retransmission")]]
                      for leg in c["legs"]],
             "findings": [(f["rule"], f["leg"]) for f in c["findings"] if f["severity"] != "story"]}
            for c in report["calls"]]


# ---- HEP -------------------------------------------------------------------------------------------

@case("hep", weight=3)
def hep_case(lab):
    """Every message over UDP and TCP arrives once, whole, with its ends and its time; the capture of
    what arrived is analysed as that of the messages themselves."""
    with Collector() as collector:
        lab.start(with_hep(lab, collector))
        register(lab, "1427")
        answered_call(lab)
        register(lab, "1428", proto="tcp")
        lab.cdrs(1)
        lab.quiet()
        messages = lab.messages()
        lab.until(lambda: len(collector.packets) >= len(messages), 30, "all messages arrive")
        check(not collector.wrong, f"no HEP: {collector.wrong[:3]}")
        got = collections.Counter((p["src"], p["sport"], p["dst"], p["dport"], p["payload"])
                                  for p in collector.packets)
        sent = collections.Counter((*m.source, *m.target, masked(m.message.raw)) for m in messages)
        equal(len(collector.packets), len(messages), "packets")
        equal(got - sent, {}, "packets that are none of the messages")
        for p in collector.packets:
            equal((p["type"], p["node"], p["name"], p["key"], p["family"]),
                  (1, 4242, "pbx-one", PASSWORD, 2), "fields")
            equal(p["proto"], 6 if p["payload"].find(b"SIP/2.0/TCP") > 0 else 17, "protocol")
        seen = collections.defaultdict(list)
        for m in messages:
            seen[(*m.source, *m.target, masked(m.message.raw))].append(m.seconds)
        times = [p["seconds"] + p["micros"] / 1e6 for p in collector.packets]
        equal(times, sorted(set(times)), "times, in order and all different")
        apart = collections.defaultdict(list)
        for p, at in zip(collector.packets, times):
            was = seen[p["src"], p["sport"], p["dst"], p["dport"], p["payload"]].pop(0)
            check(abs(at - was) < 10, f"a time is {at - was:.3f} s off")
            apart[p["src"] == lab.pbx, p["proto"]].append(abs(at - was))
        # Sent and received, by UDP and by TCP: a machine may stand still for some of each.
        equal(len(apart), 4, "kinds of packets")
        check(all(min(off) < 1 for off in apart.values()), f"all times are off: {apart}")
        ladder = Ladder(lab)
        t, l27 = ladder.legs()
        ids = {p["id"] for p in collector.packets if t.encode() in p["payload"] or
               l27.encode() in p["payload"]}
        equal(ids, {t}, "correlation ids of both legs")
        check(any(b'response="***' in p["payload"] for p in collector.packets), "nothing is masked")
        check(PASSWORD not in lab.server.text(), "the password is in the log")
        # What arrived, captured on its way.
        hep = lab.path("hep.pcap")
        pcap(hep, [(at - 1767225600, ("127.0.0.1", 40000), ("127.0.0.1", 9060), raw)
                   for at, raw in zip(times, collector.raw)])
        equal(told(analyze(lab, hep)), told(analyze(lab, lab.path("capture.pcapng"))),
              "the calls by HEP, beside those of the messages")
        stats = lab.ctl("stats")["hep"]
        equal((stats["up"], stats["dropped"], stats["errors"], stats["packets"]),
              (True, 0, 0, len(messages)), "stats")


@case("hep_away", weight=2)
def hep_away_case(lab):
    """A capture server that is not there costs nothing; when it is, it gets what was kept for it. A
    reload names another one."""
    with Collector(tcp=True, away=True) as collector:
        config = with_hep(lab, collector, transport="tcp")
        lab.start(config)
        register(lab, "1427")
        answered_call(lab)
        lab.cdrs(1)
        stats = lab.ctl("stats")["hep"]
        equal((stats["up"], stats["packets"], stats["dropped"]), (False, 0, 0), "stats")
        check(stats["errors"] and stats["queued_bytes"] > 5000, f"stats: {stats}")
        check("no connection to the capture server" in lab.server.text(), "the log says so")
        collector.begin()

        def kept():
            stats = lab.ctl("stats")["hep"]
            return stats["queued_bytes"] == 0 and stats["packets"] == len(collector.packets) >= 15
        lab.until(kept, 40, "what was kept arrives")
        check(not collector.wrong, f"no HEP: {collector.wrong[:3]}")
        check(collector.packets[0]["payload"].startswith(b"REGISTER "), "from the beginning")
        check("connected to the capture server" in lab.server.text(), "the log says so")
        with Collector() as other:
            before = len(collector.packets)
            config["hep"].update(to=other.address, transport="udp", capture_id=7, password="")
            lab.put_config(config)
            lab.ctl("reload")
            register(lab, "1428")
            lab.until(lambda: len(other.packets) >= 4, 30, "the other one is told")
            equal({p["node"] for p in other.packets}, {7}, "node")
            check(not any("key" in p for p in other.packets), "a password that is none")
            equal(len(collector.packets), before, "packets for the first one")
            config["hep"]["to"] = ""
            lab.put_config(config)
            lab.ctl("reload")
            n = len(other.packets)
            register(lab, "1428")
            equal(lab.ctl("stats")["hep"]["queued_bytes"], 0, "bytes that wait for nobody")
            equal(len(other.packets), n, "packets after the end")


@case("hep_sngrep", weight=2)
def hep_sngrep_case(lab):
    """A reader of HEP that was not written for this: sngrep takes it and writes what it got."""
    port = lab.ports(1)
    try:
        sngrep = lab.job("sngrep", ["sngrep", "-F", "-N", "-q", "-L", f"udp:127.0.0.1:{port}",
                                    "-O", lab.path("sngrep.pcap")])
    except FileNotFoundError:
        raise Skip("sngrep is not installed") from None

    def listens():
        check(sngrep.running(), f"sngrep ended: {sngrep.last_words()}")
        with open("/proc/net/udp", encoding="ascii") as f:
            return f":{port:04X} " in f.read()
    lab.until(listens, 30, "sngrep listens")
    config = lab.config()
    config["hep"] = {"to": f"127.0.0.1:{port}"}
    lab.start(config)
    register(lab, "1427")
    answered_call(lab)
    lab.cdrs(1)
    messages = [m for m in lab.messages() if m.message.method != "REGISTER"]
    sent = sorted((*m.source, *m.target, m.message.raw) for m in messages)

    def written():
        found = judge.packets(lab.path("sngrep.pcap")) if os.path.exists(lab.path("sngrep.pcap")) \
            else []
        return [m for m in found if m.message.method != "REGISTER"] \
            if len(found) >= len(lab.messages()) else None
    def all_read():
        with open("/proc/net/udp", encoding="ascii") as f:
            return all(line.split()[4].endswith(":00000000") for line in f
                       if f":{port:04X} " in line)
    lab.until(all_read, 20, "sngrep has read what came")
    sngrep.end(10)
    got = lab.until(written, 30, "sngrep has written what it got")
    equal(sorted((*m.source, *m.target, m.message.raw) for m in got), sent, "what sngrep got")


@case("hep_rtcp", weight=3)
def hep_rtcp_case(lab):
    """Reports about media, sent and received, as JSON, with the correlation id of their call."""
    with Collector() as collector:
        lab.start(with_hep(lab, collector, send=["rtcp"]))
        register(lab, "1427")
        with open(lab.path("tone.ul"), "wb") as f:
            f.write(bytes(range(256)) * 80)
        p27 = callee(lab, phone("1427").ring_in().answer().get_bye(30), more=["-rtp_echo"])
        trk = caller(lab, outside(lab).invite().answered().ack().play(lab.path("tone.ul"))
                     .get_bye(30))
        lab.until(lambda: any(c["state"] == "up" for c in lab.ctl("calls")), 30, "the call is up")
        lab.until(lambda: len(collector.packets) >= 3, 25, "reports arrive")
        call, = lab.ctl("calls")
        lab.ctl("hangup", str(call["id"]))
        finish(p27, trk)
        check(not collector.wrong, f"no HEP: {collector.wrong[:3]}")
        equal({(p["type"], p["proto"]) for p in collector.packets}, {(5, 17)}, "what is sent")
        equal({p["id"] for p in collector.packets}, {call["legs"][0]["call_id"]}, "correlation ids")
        ports = {port + 1 for leg in call["legs"] for port in leg["rtp_ports"]}
        for p in collector.packets:
            check(lab.pbx in (p["src"], p["dst"]), f"the ends of a report: {p}")
            port = p["sport"] if p["src"] == lab.pbx else p["dport"]
            check(port in ports, f"port {port}, not of {ports}")
            check(json.loads(p["payload"])["type"] in (200, 201), f"a report: {p['payload']}")
        check(any(json.loads(p["payload"]).get("sender_information", {}).get("packets")
                  for p in collector.packets), "packets that were sent")


# ---- explained without a capture -------------------------------------------------------------------

def rules(lab, call, *words):
    """The findings about a call, by rule."""
    report = lab.ctl(*words, "explain", call)["report"]
    equal(len(report["calls"]), 1, "calls in the answer")
    return {f["rule"]: f["text"] for f in report["calls"][0]["findings"]}


def text(lab, *words):
    done = lab.ctl_run("--color", "never", *words)
    equal(done.returncode, 0, f"ctl {words}: {done.stderr}")
    return done.stdout


@case("own_explain", weight=3)
def own_explain_case(lab):
    """Calls that failed: busy, a trunk that refuses, wrong credentials over and over."""
    lab.start()
    register(lab, "1427")
    busy = phone("1427").ring_in(rings=False).reply(486, "Busy Here", retrans=True).get("ACK")
    p27 = callee(lab, busy)
    refused(lab, outside(lab).invite(), 486)
    finish(p27)
    # To a trunk that is out of order.
    down = Script("carrier").ring_in(rings=False).reply(503, "Service Unavailable", retrans=True)
    trk = lab.sipp("down", down.get("ACK"), 77, 5080)
    lab.bound(77, 5080)
    out = Script("109Q1427", to="0212345678", host="pbx.test")
    out.invite().challenge(407).invite(auth=("109Q1427", "secret-1427"))
    p27 = lab.sipp("dials", out.expect(100, optional=True).expect(503).ack_failure(), 55, 5070)
    finish(p27, trk)
    first, second = lab.cdrs(2)
    calls = [str(i) for i in (1, 2)]
    found = rules(lab, calls[0])
    check("busy" in found and "1427" in found["busy"], f"busy: {found}")
    found = rules(lab, calls[1])
    check("server-failed" in found and "503" in found["server-failed"], f"503: {found}")
    check("asked" in found, f"credentials: {found}")
    check("no-media" not in found and "goes-on" not in found, f"what cannot be known: {found}")
    # By number, Call-ID of either leg, and record; in two languages.
    ids = [leg["call_id"] for leg in first["legs"]]
    equal(len(ids), 2, "legs")
    for name in (calls[0], *ids, first["id"]):
        check("was busy" in text(lab, "explain", name), f"explain {name}")
    check("통화 중" in text(lab, "--lang", "ko", "explain", calls[0]), "Korean")
    check("통화 중" in rules(lab, calls[0], "--lang", "ko")["busy"], "Korean JSON")
    ladder = text(lab, "--width", "120", "ladder", calls[0])
    once = "\n".join(x for x in ladder.splitlines() if "(again)" not in x)
    equal(once.count(" INVITE"), 2, f"INVITEs of both legs:\n{ladder}")
    check(once.count("486 Busy Here") == 2 and lab.ip(55) in ladder and lab.trunk in ladder,
          f"both legs:\n{ladder}")
    whole = text(lab, "show", second["id"])
    check("the exchange knows both as one call" in whole and "0212345678" in whole, whole)
    # An endless round of wrong credentials is no call for the exchange, and explained all the same.
    call_id = secrets.token_hex(8) + "@loop"
    with sip.Peer(lab.ip(66), (lab.pbx, 5060)) as peer:
        more = {"call_id": call_id, "tag": "loop", "user": "109Q1427"}
        answer = peer.ask("INVITE", "sip:1428@pbx.test", **more)
        for i in range(6):
            wrong = sip.digest_answer(answer.get("proxy-authenticate"), "109Q1427", "wrong", "INVITE",
                                      "sip:1428@pbx.test")
            answer = peer.ask("INVITE", "sip:1428@pbx.test", ["Proxy-Authorization: " + wrong],
                              cseq=10 + i, **more)
            check(answer is not None and answer.status in (403, 407), f"answer: {answer}")
            if answer.status == 403:
                break
    tried = {a["call_id"]: a for a in lab.ctl("attempts")}
    equal([tried[ids[0]][k] for k in ("from", "status", "call")], [CALLER, 486, 1], "an attempt")
    equal(tried[call_id]["call"], None, "the call of an attempt that became none")
    check(tried[call_id]["invites"] >= 4 and tried[call_id]["status"] in (403, 407),
          f"an attempt: {tried[call_id]}")
    check(call_id in text(lab, "attempts", "1") and ids[0] not in text(lab, "attempts", "1"), "one")
    found = rules(lab, call_id)
    check("wrong-credentials" in found and "auth-loop" in found, f"credentials: {found}")
    # Call-IDs that look like the id of a record, or like the number of a call.
    like = secrets.token_hex(16)
    with sip.Peer(lab.ip(66), (lab.pbx, 5060)) as peer:
        for name in (like, "2"):
            answer = peer.ask("INVITE", "sip:1428@pbx.test", call_id=name, tag="like", user="109Q1427")
            equal(answer.status, 407, f"the answer to {name}")
    check("407" in text(lab, "ladder", like), "a Call-ID of 32 digits")
    tried = {a["call_id"]: a for a in lab.ctl("attempts")}
    equal([tried[name]["call"] for name in (like, "2")], [None, None], "calls of what became none")
    # What a phone calls itself does not steer the terminal (U+009B begins a control sequence).
    with sip.Peer(lab.ip(54), (lab.pbx, 5060)) as peer:
        peer.register("109Q1428", "secret-1428", fields=["User-Agent: evil\u009b2J phone"])
        shown = text(lab, "registrations")
        check("evil??2J phone" in shown and "\u009b" not in shown, f"a phone's name: {shown!r}")
    done = lab.ctl_run("explain", "no-such-call")
    equal(done.returncode, 1, "exit status for a call that is not there")
    check("no message of it is in memory" in done.stderr, done.stderr)


@case("own_live", weight=2)
def own_live_case(lab):
    """A call in progress: both legs, no end, the figures of its media; no secret in any of it."""
    lab.start()
    register(lab, "1427")
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye(30), more=["-rtp_echo"])
    with open(lab.path("tone.ul"), "wb") as f:
        f.write(bytes(range(256)) * 80)
    trk = caller(lab, outside(lab).invite().answered().ack().play(lab.path("tone.ul")).get_bye(30))
    lab.until(lambda: any(c["state"] == "up" for c in lab.ctl("calls")), 30, "the call is up")
    number = str(lab.ctl("calls")[0]["id"])
    answer = lab.ctl("explain", number)
    equal((answer["live"], answer["number"]), (True, int(number)), "the call")
    call, = answer["report"]["calls"]
    equal((call["number"], call["scenario"], call["caller"], call["callee"]),
          (int(number), "basic", CALLER, "1427"), "the call")
    equal(len(call["legs"]), 2, "legs")
    equal(call["edges"][0]["evidence"][0]["what"], "exchange", "what ties them")
    found = {f["rule"] for f in call["findings"]}
    check("under-way" in found and "no-media" not in found and "one-way" not in found,
          f"findings: {found}")
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(lab.path("ctl.sock"))
        control.sendall(json.dumps({"jsonrpc": "2.0", "id": 5, "method": "show", "params":
                                    {"call": int(number), "json": True, "messages": True}}).encode()
                        + b"\n")
        line = json.loads(control.makefile().readline())
        equal(line["id"], 5, "id of the answer")
        first = line["result"]["report"]["calls"][0]["legs"][0]["messages"][0]
        check(first["text"].startswith("INVITE sip:"), f"the text of a message: {first}")
    check("The call goes on" in text(lab, "explain", number), "it goes on")
    ladder = text(lab, "--width", "120", "ladder", number)
    check("1427" in ladder and "Ringdown" in ladder, f"who the columns are:\n{ladder}")
    # A registration is no call, and has messages.
    ladder = Ladder(lab)
    reg = next(p for p in ladder.packets if p.message.method == "REGISTER").message.get("call-id")
    check("REGISTER" in text(lab, "ladder", reg), "the messages of a registration")
    lab.ctl("hangup", number)
    finish(p27, trk)
    lab.cdrs(1)
    lab.until(lambda: lab.ctl("quality", lab.ctl("cdr")[0]["id"]), 30, "the figures are stored")
    answer = lab.ctl("show", number)
    check(not answer["live"] and answer["quality"], f"figures: {answer['quality']}")
    check("MOS" in text(lab, "show", number), "figures of a call that is over")
    responses = [m[1] for p in ladder.packets if p.message.get("authorization")
                 for m in [re.search(r'response="([0-9a-f]+)"', p.message.get("authorization"))]]
    check(responses, "no credentials were sent")
    everything = "".join(lab.ctl_run("--json", word, name).stdout
                         for word in ("show", "ladder") for name in (number, reg))
    for response in responses:
        check(response not in everything, "a digest response is in an answer")


@case("own_limit", weight=2, captured=False)
def own_limit_case(lab):
    """The memory is what the configuration grants, whatever comes; without it nothing is kept."""
    config = lab.config()
    config["limits"] = {"traffic": 1, "requests_per_second": 0}
    lab.start(config)
    with sip.Peer(lab.ip(66), (lab.pbx, 5060)) as peer:
        for i in range(1500):
            check(peer.ask("OPTIONS", "sip:pbx.test", ["X-Filling: " + "f" * 600]) is not None,
                  f"an answer to OPTIONS {i}")
        stats = lab.ctl("stats")["traffic"]
        check(stats["messages"] >= 3000, f"messages: {stats}")
        check(stats["kept_bytes"] <= stats["max_bytes"] == 1 << 20, f"bytes: {stats}")
        check(500 < stats["kept"] < 2500, f"kept: {stats}")
    lab.server.end()
    config["limits"] = {"traffic": 0}
    lab.start(config)
    done = lab.ctl_run("explain", "1")
    equal(done.returncode, 1, "exit status without memory")
    check("limits.traffic" in done.stderr, done.stderr)
    check("traffic" not in lab.ctl("stats"), "stats of what is not kept")
