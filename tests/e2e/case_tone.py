"""Who hears whom, when, and how late: phones whose voice is a tone (tone.py), through every way in which
the exchange joins calls."""
import itertools
import json
import os

from lab import Fail, case, check, equal
from tone import EDGE_MS, PT, Bench, TonePhone, talk

CODECS = tuple(PT)
MOST_MS = 100  # a delay above this is wrong on any machine


def missing(feature, why):
    raise Fail(f"{feature}: {why}")


def exchange(lab, numbers, **changes):
    """A server with so many extensions, and a bench for their phones."""
    config = lab.config()
    config["media"]["codecs"] = ["opus", "G722", "PCMU", "PCMA", "L16"]
    config["media"]["ports"] = "20000-20799"
    config["extensions"] = [
        {"number": str(1001 + i), "password": f"secret-{1001 + i}", "pickup_group": "office"}
        for i in range(numbers)]
    config["trunks"], config["routes"] = [], []
    config["sounds"] = {"hold_music": False}  # it would be heard beside the voices
    for key, value in changes.items():
        if isinstance(value, dict):
            config.setdefault(key, {}).update(value)
        else:
            config[key] = value
    bench = Bench(lab)
    lab.start(config)
    return bench


def phones(bench, *codecs, first=500, apart=200, **more):
    """Phones 1001, 1002... with these codecs, one each, and voices so many Hz apart."""
    return [TonePhone(bench, str(1001 + i), first + apart * i, (codec,), **more)
            for i, codec in enumerate(codecs)]


def p50(values):
    return sorted(values)[len(values) // 2]


def check_delays(what, delays):
    """A way that is too long makes every delay long; a machine that stands still only some of them."""
    check(min(delays) < MOST_MS, f"{what}: delays {delays}")


def all_closed(lab):
    lab.until(lambda: not lab.ctl("calls"), 30, "no call is left")


# ---- codecs ------------------------------------------------------------------------------------------

def pairs(bench, ways, ptimes=((20, 20),)):
    """Calls between two new phones each, of all ways at once: [(way, caller's call, callee's)]."""
    found = []
    for i, (a, b) in enumerate(ways):
        number, ptime = 1001 + 2 * i, ptimes[i % len(ptimes)]
        caller, callee = [
            TonePhone(bench, str(number + k), 300 + 50 * (2 * i + k), (codec,), ptime[k], 2400 + 500 * k)
            for k, codec in enumerate((a, b))]
        found.append(((a, b), ptime, *talk(caller, callee)))
    return found


def check_pair(way, ptime, one, other, report):
    """Both hear each other, at the right level, in packets of the length they asked for."""
    since = max(one.hears(other.phone), other.hears(one.phone))
    for mine, theirs in ((one, other), (other, one)):
        delays = mine.delays(theirs, n=4)
        mine.heard_only(theirs.phone, since=since)
        got = mine.heard(since)
        tone = got["tones"][str(theirs.phone.hertz)]
        # 3 dB: the codecs change the level of a tone by less.
        check(0.18 < tone["median"] < 0.35, f"{way}: level {tone['median']}")
        check(got["noise"] < 0.05, f"{way}: {got['noise']} of what is heard is neither voice")
        check_delays(way, delays)
        mine.whole()
        source = theirs.phone.codecs[0]
        relayed = source == mine.phone.codecs[0]
        packet = got["ms"] / got["packets"]
        # From one law to the other each packet stays what it is.
        as_sent = relayed or (source.startswith("PCM") and mine.phone.codecs[0].startswith("PCM"))
        asked = theirs.phone.ptime if as_sent else mine.phone.ptime
        check(abs(packet - asked) < 1 or source_limits(mine, theirs), f"{way} {ptime}: packets of "
              f"{packet:.1f} ms, not {asked}")
        report.append((relayed, source, mine.phone.codecs[0], theirs.phone.ptime, mine.phone.ptime,
                       p50(delays), max(delays)))


def source_limits(*calls):
    """Opus has no packets of 30 ms, and L16 none above 40."""
    return any((c.phone.codecs[0].startswith("opus") and c.phone.ptime == 30) or
               (c.phone.codecs[0].startswith("L16") and c.phone.ptime > 40) for c in calls)


def show(lab, report):
    lines = [f"# {lab.name}: from the sending of a burst to its place in the ear, ms, with",
             "#   what the codecs of both phones add"]
    for relayed, source, target, sent, asked, middle, most in sorted(report):
        way = "relayed" if relayed else "transcoded"
        lines.append(f"#   {way:10} {source:>12} {sent:2} ms > {target:12} {asked:2} ms  "
                     f"p50 {middle:5.1f}  max {most:5.1f}")
    for relayed, name, bound in ((True, "relayed", 25), (False, "transcoded", 40)):
        middles = [r[5] for r in report if r[0] is relayed]
        if middles:
            lines.append(f"#   {name}: p50 {p50(middles):.1f} ms, meant to be at most {bound}")
    print("\n".join(lines), flush=True)


@case("tone_codecs", weight=9, captured=False, measures=True)
def tone_codecs_case(lab):
    """Each codec with each: relayed where both have it, else transcoded, all calls at once."""
    bench = exchange(lab, 40)
    ways = list(itertools.combinations_with_replacement(CODECS, 2))
    report, calls = [], pairs(bench, ways)
    for call in calls:
        check_pair(*call, report)
    show(lab, report)
    for _, _, one, _ in calls:
        one.hang_up()
    all_closed(lab)


@case("tone_ptime", weight=6, captured=False, measures=True)
def tone_ptime_case(lab):
    """Packets of 10, 20, 30 and 60 ms: relayed as they are, and made as long as the other asks."""
    bench = exchange(lab, 40)
    ways = [("PCMU/8000", "PCMU/8000"), ("PCMU/8000", "PCMA/8000"), ("PCMA/8000", "G722/8000"),
            ("G722/8000", "opus/48000/2"), ("opus/48000/2", "PCMU/8000"),
            ("opus/48000/2", "opus/48000/2"), ("PCMA/8000", "PCMU/8000"), ("G722/8000", "PCMU/8000")]
    ptimes = [(10, 60), (10, 60), (30, 20), (60, 10), (60, 30), (20, 60), (60, 10), (20, 30)]
    report, calls = [], pairs(bench, ways, ptimes)
    for call in calls:
        check_pair(*call, report)
    show(lab, report)


@case("tone_wide", weight=3, captured=False)
def tone_wide_case(lab):
    """A voice of 5 kHz passes between wide codecs; a narrow one takes it away, and folds it back to
    nothing else."""
    bench = exchange(lab, 10)
    wide = ("G722/8000", "opus/48000/2", "L16/16000")
    ways = [*itertools.combinations(wide, 2), ("PCMU/8000", "G722/8000"), ("PCMA/8000", "opus/48000/2")]
    calls = []
    for i, (a, b) in enumerate(ways):
        caller = TonePhone(bench, str(1001 + 2 * i), 500, (a,))
        callee = TonePhone(bench, str(1002 + 2 * i), 5000, (b,))
        calls.append(talk(caller, callee))
    for one, other in calls:
        since = other.hears(one.phone)
        if one.phone.codecs[0] in wide:
            one.hears(other.phone)
            continue
        bench.elapse(600, since=since + 500)
        lab.until(lambda o=one, s=since: o.heard(s + 500)["windows"] > 10, 30,
                  f"{one.ear} gets sound")
        got = one.heard(since + 500)
        check(got["rms"] < 0.01, f"{one.ear} hears {got['rms']:.3f} of what it cannot have: {got}")


# ---- hold --------------------------------------------------------------------------------------------

def hold(lab, directions, music):
    """While a party holds, its voice is not heard; afterwards it is again, in the same stream. Once
    relayed and once transcoded. The voices are above the notes of the music."""
    bench = exchange(lab, 4, sounds={"hold_music": music})
    everyone = phones(bench, "PCMU/8000", "PCMU/8000", "PCMA/8000", "opus/48000/2", first=1900,
                      apart=300)
    for one, other in (talk(*everyone[:2]), talk(*everyone[2:])):
        one.hears(other.phone)
        other.hears(one.phone)
        for direction, rude in directions:
            one.phone.rude = rude
            one.hold(direction)
            other.hears()
            since = bench.now()
            until = bench.elapse(600)
            other.heard_only(since=since, until=until)
            one.heard_only(since=since, until=until)
            if music and not bench.settles(lambda o=other: o.heard(-300)["rms"] > 0.01, 3000):
                missing("music on hold", f"{other.ear} hears nothing while it is held")
            one.resume()
            one.hears(other.phone)
            other.hears(one.phone)
        # The numbers of packets that were not for them are missing in what is relayed.
        relayed = one.phone.codecs == other.phone.codecs
        for call in (one, other):
            call.whole(jumps=2 * len(directions), but=("lost",) if relayed else ())
        one.hang_up()
    all_closed(lab)


@case("tone_hold", weight=4)
def tone_hold_case(lab):
    """Hold and resume. What one may send who holds with sendonly could be music of its own."""
    hold(lab, [("sendonly", False), ("inactive", True)], music=False)


@case("tone_music", weight=4)
def tone_music_case(lab):
    """Who is held hears music, even if the other speaks on."""
    hold(lab, [("sendonly", False), ("sendonly", True), ("inactive", True)], music=True)


# ---- oneself -----------------------------------------------------------------------------------------

@case("tone_echo", weight=2)
def tone_echo_case(lab):
    """*43: one hears oneself, without a delay of the exchange."""
    bench = exchange(lab, 4)
    calls = []
    for i, codec in enumerate(("PCMU/8000", "G722/8000", "opus/48000/2", "L16/16000")):
        phone = TonePhone(bench, str(1001 + i), 500 + 200 * i, (codec,), burst=2500)
        calls.append(phone.dial("*43"))
        entered(calls[-1], "echo")
    for call in calls:
        since = call.hears(call.phone)
        delays = call.delays(call, n=3)
        check_delays(call.ear, delays)
        call.heard_only(call.phone, since=since)
        call.whole()
        call.hang_up()
    all_closed(lab)


# ---- calls that move ---------------------------------------------------------------------------------

def check_switch(call, before, after, since):
    """The ear went from one voice to the other: nobody else was heard, it is one stream, and no click
    beyond the edge where one tone ends and another begins."""
    call.whole(jumps=6)
    got = call.heard(since)
    others = {hz: t for hz, t in got["tones"].items()
              if int(hz) not in (before.hertz, after.hertz) and t["run_ms"] > EDGE_MS}
    check(not others, f"{call.ear} hears others meanwhile: {others}")
    # From one tone to another is a step of both levels at most.
    most = before.level + after.level
    most *= {"opus": 1.5}.get(call.format[0].split("/")[0], 1.05)
    check(got["step"] < most, f"{call.ear}: a click, a step of {got['step']:.2f} of full scale")
    check(got["rough_ms"] <= 2 * EDGE_MS, f"{call.ear}: {got['rough_ms']} ms of noise")


def settle(bench, expected, outside=()):
    """Each ear hears exactly its parties, and goes on to; the ears outside hear nobody."""
    for call, others in expected:
        call.hears(*others)
    for call in outside:
        call.hears()
    since = bench.now()
    until = bench.elapse(500)
    for call, others in expected:
        call.heard_only(*others, since=since, until=until)
    for call in outside:
        call.heard_only(since=since, until=until)


def blind(lab, *codecs):
    """1002 sends its caller on to 1003; each of the two hears the other, and 1002 nobody."""
    bench = exchange(lab, 3)
    a, b, c = phones(bench, *codecs)
    one, other = talk(a, b)
    since = one.hears(b)
    other.hears(a)
    other.refer("1003")
    third = c.arrival()
    if not third.answer():
        other.referred(488)
        missing("transfer to another codec", "488, the target is offered none to be transcoded")
    other.referred()
    settle(bench, [(one, [c]), (third, [a])], [other])
    check_switch(one, b, c, since)
    third.whole()
    other.hang_up()
    one.hang_up()
    lab.until(lambda: third.state == "ended", 30, "the target's call ends")
    all_closed(lab)


@case("tone_blind", weight=4)
def tone_blind_case(lab):
    """A blind transfer among phones of one codec."""
    blind(lab, "PCMU/8000", "PCMU/8000", "PCMU/8000")


@case("tone_blind_codecs", weight=4)
def tone_blind_codecs_case(lab):
    """A blind transfer to a phone with another codec."""
    blind(lab, "PCMA/8000", "PCMA/8000", "opus/48000/2")


def attended(lab, own, second_has, third_has):
    """1001 talks with 1002, asks 1003, and joins the two."""
    bench = exchange(lab, 3)
    a, b, c = phones(bench, own[0], second_has, third_has)
    a.codecs = own
    first, second = talk(a, b)
    since = second.hears(a)
    first.hold("inactive")
    second.hears()
    consult, third = talk(a, c)
    settle(bench, [(third, [a]), (consult, [c])], [second])
    consult.hold("inactive")
    third.hears()
    first.refer("1003", replaces=consult)
    settle(bench, [(second, [c]), (third, [b])])
    first.hang_up()
    consult.hang_up()
    settle(bench, [(second, [c]), (third, [b])])
    check_switch(second, a, c, since)
    check_switch(third, a, b, since)
    second.hang_up()
    all_closed(lab)


@case("tone_attended", weight=4)
def tone_attended_case(lab):
    """An attended transfer among phones of one codec."""
    attended(lab, ("PCMU/8000",), "PCMU/8000", "PCMU/8000")


@case("tone_attended_codecs", weight=4)
def tone_attended_codecs_case(lab):
    """An attended transfer that joins two phones without a codec in common."""
    attended(lab, ("PCMU/8000", "G722/8000"), "PCMU/8000", "G722/8000")


def pickup(lab, *codecs):
    """1002 rings; 1003 dials *8 and has the caller; 1002 hears nothing."""
    bench = exchange(lab, 3)
    a, b, c = phones(bench, *codecs)
    one = a.dial("1002")
    rings = b.arrival()
    one.wait("ringing")
    picker = c.dial("*8")
    lab.until(lambda: picker.state in ("up", "failed"), 30, "the call is picked up")
    if picker.status == 488 and codecs[0] != codecs[2]:
        missing("pickup with another codec", "488")
    picker.wait("up")
    one.wait("up")
    settle(bench, [(one, [c]), (picker, [a])], [rings])
    equal(rings.state, "ended", "the call at 1002")
    equal(rings.stats()["packets"], 0, "packets to 1002")
    one.whole()
    picker.whole()
    picker.hang_up()
    all_closed(lab)


@case("tone_pickup", weight=4)
def tone_pickup_case(lab):
    """A call that is picked up by a phone of the same codec."""
    pickup(lab, "PCMU/8000", "PCMU/8000", "PCMU/8000")


@case("tone_pickup_codecs", weight=4)
def tone_pickup_codecs_case(lab):
    """A call that is picked up by a phone with another codec."""
    pickup(lab, "PCMU/8000", "PCMU/8000", "opus/48000/2")


# ---- a conference in the phone -----------------------------------------------------------------------

@case("tone_phone_mixes", weight=4)
def tone_phone_mixes_case(lab):
    """S4: 1001 has two calls, neither held, and would mix them itself. The exchange does not: each leg
    of 1001 brings one voice, once, and the two others hear 1001 alone."""
    bench = exchange(lab, 3)
    a, b, c = phones(bench, "PCMU/8000", "PCMU/8000", "PCMA/8000")
    one, other = talk(a, b)
    one.hears(b)
    one.hold()
    two, third = talk(a, c)
    two.hears(c)
    one.resume()
    settle(bench, [(one, [b]), (two, [c]), (other, [a]), (third, [a])])
    calls = lab.ctl("calls")
    equal([call["conference"] and call["conference"]["kind"] for call in calls],
          ["phone_mixed", "phone_mixed"], "what the exchange sees")
    third.hang_up()
    settle(bench, [(one, [b]), (other, [a])], [two])
    equal(two.state, "ended", "the consultation")
    one.hang_up()
    all_closed(lab)


# ---- before the answer -------------------------------------------------------------------------------

@case("tone_early", weight=3)
def tone_early_case(lab):
    """183 with SDP: caller and callee hear each other before the answer, and go on after it in the same
    stream. Once relayed and once transcoded."""
    bench = exchange(lab, 4)
    everyone = phones(bench, "PCMU/8000", "PCMU/8000", "PCMA/8000", "opus/48000/2")
    for a, b in (everyone[:2], everyone[2:]):
        one = a.dial(b.number)
        other = b.arrival()
        other.progress()
        since = one.hears(b)
        other.hears(a)
        equal((one.state, one.status), ("ringing", 183), "the caller's call")
        other.answer()
        one.wait("up")
        settle(bench, [(one, [b]), (other, [a])])
        one.heard_only(b, since=since)
        for call in (one, other):
            call.whole(jumps=1)
        one.hang_up()
    all_closed(lab)


def some_sound(call):
    return call.heard(-300)["rms"] > 0.01


@case("tone_announce", weight=2)
def tone_announce_case(lab):
    """A caller of a number that does not exist hears a tone before the 404."""
    bench = exchange(lab, 1, sounds={"hold_music": False, "announce": "tone"})
    call = TonePhone(bench, "1001", 500).dial("9999")
    check(bench.settles(lambda: call.heard(0)["rms"] > 0.01, 5000),
          "nothing is heard before the refusal")
    call.wait("failed")
    equal([s for s in call.statuses if s > 100], [407, 183, 404], "the responses, the refusal last")
    all_closed(lab)


@case("tone_ringback", weight=3)
def tone_ringback_case(lab):
    """Who is transferred hears ringing until the target answers, and then the target alone."""
    bench = exchange(lab, 3)
    a, b, c = phones(bench, "PCMU/8000", "PCMU/8000", "PCMA/8000", first=1900, apart=300)
    one, other = talk(a, b)
    one.hears(b)
    other.hold()
    one.hears()
    check(not some_sound(one), "who is held hears something though there is no music")
    other.refer("1003")
    third = c.arrival()
    check(bench.settles(lambda: some_sound(one), 3000), "no ringing is heard")
    third.answer()
    other.referred()
    settle(bench, [(one, [c]), (third, [a])], [other])
    since = bench.now()
    bench.elapse(600)
    one.heard_only(c, since=since)
    other.hang_up()
    one.hang_up()
    lab.until(lambda: third.state == "ended", 30, "the target's call ends")
    all_closed(lab)


# ---- strangers ---------------------------------------------------------------------------------------

@case("tone_stranger", weight=3, captured=False)
def tone_stranger_case(lab):
    """Who sends RTP to a call's ports from elsewhere is not heard, neither from another host nor from
    another port of the phone's, and does not divert the voices to himself."""
    bench = exchange(lab, 4)
    everyone = phones(bench, "PCMU/8000", "PCMU/8000", "PCMA/8000", "opus/48000/2")
    calls = [talk(*everyone[:2]), talk(*everyone[2:])]
    strangers = []
    for one, other in calls:
        one.hears(other.phone)
        other.hears(one.phone)
        for call in (one, other):
            for where in (f"{lab.ip(200)}:{40000 + 2 * len(strangers)}",
                          f"{call.phone.ip}:{40000 + 2 * len(strangers)}"):
                name = f"stranger{len(strangers)}"
                codec, pt = call.format
                bench.tell("open", name, where)
                bench.tell("send", name, f"{call.remote.address}:{call.remote.port}",
                           "/".join(codec.split("/")[:2]), pt, 20, 1900)
                strangers.append(name)
    since = bench.now()
    for name in strangers:
        lab.until(lambda n=name: bench.tell("stats", n)["sent"] >= 100, 30, f"{name} has spoken")
    until = bench.now()
    for one, other in calls:
        for call, party in ((one, other), (other, one)):
            call.heard_only(party.phone, since=since, until=until)
            level = bench.tell("heard", call.ear, since, until, 1900)["tones"]["1900"]
            check(level["run_ms"] <= EDGE_MS, f"{call.ear} hears a stranger: {level}")
            call.whole()
    for name in strangers:
        equal(bench.tell("stats", name)["packets"], 0, f"packets to {name}")


# ---- keys --------------------------------------------------------------------------------------------

def keys(lab, *codecs):
    """Keys of RFC 4733 arrive once and in order, with the sound before and after them."""
    bench = exchange(lab, 2)
    a, b = phones(bench, *codecs)
    one, other = talk(a, b)
    one.hears(b)
    other.hears(a)
    if not (one.event and other.event):
        missing("keys between clocks", f"no telephone-event between {codecs[0]} and {codecs[1]}")
    for sender, hearer, digits in ((one, other, "15599#"), (other, one, "*0D")):
        sender.keys(digits)
        lab.until(lambda h=hearer, d=digits: len(h.stats()["digits"]) >= len(d), 30,
                  f"{hearer.ear} gets {digits}")
        equal(hearer.stats()["digits"], digits, f"the keys at {hearer.ear}")
        hearer.hears(sender.phone)
        hearer.whole(jumps=3 * len(digits))
    one.hang_up()
    all_closed(lab)


@case("tone_keys", weight=2)
def tone_keys_case(lab):
    """Keys between phones of one codec."""
    keys(lab, "PCMU/8000", "PCMU/8000")


@case("tone_keys_codecs", weight=2)
def tone_keys_codecs_case(lab):
    """Keys in a call that is transcoded."""
    keys(lab, "PCMA/8000", "G722/8000")


@case("tone_keys_clocks", weight=2)
def tone_keys_clocks_case(lab):
    """Keys between clocks of 8 and 48 kHz."""
    keys(lab, "PCMA/8000", "opus/48000/2")


# ---- rooms, mailboxes, recordings --------------------------------------------------------------------

def entered(call, what):
    """The exchange itself answers the call."""
    call.phone.lab.until(lambda: call.state in ("up", "failed"), 30, f"{what} answers")
    if call.state == "failed":
        missing(what, f"refused with {call.status}")


def in_turn(bench, calls, speaking):
    """Only these speak, the others are silent; each hears those who speak, and not itself."""
    for call in calls:
        bench.tell("mute", call.ear, int(call not in speaking))
    settle(bench, [(c, [s.phone for s in speaking if s is not c]) for c in calls])


def check_levels(calls, speaking):
    """All are about as loud: a room may bring them to a level of its own."""
    for call in calls:
        tones = call.heard(-1000)["tones"]
        levels = [tones[str(s.phone.hertz)]["median"] for s in speaking if s is not call]
        check(max(levels) < 0.35 and max(levels) < 2 * min(levels), f"{call.ear}: levels {levels}")


def conference(lab, codecs, at_once):
    """Each hears those who speak and not itself; who leaves is heard no more. No more than at_once
    speak at a time."""
    bench = exchange(lab, len(codecs), conferences=[{"number": "3000"}])
    calls = []
    for phone in phones(bench, *codecs, first=400, apart=250, level=0.2):
        calls.append(phone.dial("3000"))
        entered(calls[-1], "conference")
    for first in range(0, len(calls), at_once):
        speaking = calls[first:first + at_once]
        in_turn(bench, calls, speaking)
        check_levels(calls, speaking)
    for call in calls:
        call.whole(jumps=2)
    gone = calls.pop(0)
    gone.hang_up()
    in_turn(bench, calls, calls[:at_once])
    for call in calls:
        call.hang_up()
    all_closed(lab)


@case("tone_room3", weight=4)
def tone_room3_case(lab):
    """A conference of three with three codecs, who all speak at once."""
    conference(lab, ["PCMU/8000", "PCMA/8000", "opus/48000/2"], 3)


@case("tone_room_delay", weight=4, measures=True)
def tone_room_delay_case(lab):
    """From mouth to ear through a room: the jitter buffer, the tick and nothing else."""
    bench = exchange(lab, 3, conferences=[{"number": "3000"}])
    calls = []
    for phone in phones(bench, "PCMU/8000", "PCMA/8000", "PCMU/8000", burst=2500):
        calls.append(phone.dial("3000"))
        entered(calls[-1], "conference")
    for call in calls[1:]:
        bench.tell("mute", call.ear, 1)
    delays = sorted(d for ear in calls[1:] for d in ear.delays(calls[0], n=6))
    print(f"#   mixed: p50 {p50(delays):.1f} ms, max {delays[-1]:.1f}, meant to be at most 60")
    check_delays("mixed", delays)
    for call in calls:
        call.hang_up()
    all_closed(lab)


@case("tone_room10", weight=5, captured=False)
def tone_room10_case(lab):
    """A conference of ten, five of whom speak at a time."""
    conference(lab, ["PCMU/8000", "PCMA/8000", "G722/8000", "PCMU/8000", "opus/48000/2"] * 2, 5)


@case("tone_voicemail", weight=4)
def tone_voicemail_case(lab):
    """1001 leaves its tone in the mailbox of 1002, who is away; 1002 listens to it."""
    extensions = [{"number": n, "password": "secret-" + n, "voicemail": True}
                  for n in ("1001", "1002")]
    bench = exchange(lab, 2, extensions=extensions)
    a = TonePhone(bench, "1001", 500)
    leaves = a.dial("1002")
    entered(leaves, "voicemail")
    lab.until(lambda: has_spoken(leaves), 30, "the greeting is over")
    bench.elapse(4000)
    leaves.hang_up()
    b = TonePhone(bench, "1002", 900)
    fetches = b.dial("*97")
    entered(fetches, "mailbox")
    bench.tell("mute", fetches.ear, 1)
    lab.until(lambda: has_spoken(fetches), 30, "the menu is over")
    fetches.keys("1")  # its first item is to listen
    lab.until(lambda: told(fetches, a), 20, "the message is played")
    waiting = {m["extension"]: m["new"] for m in lab.ctl("mailboxes")}
    equal(waiting, {"1001": 0, "1002": 1}, "messages that wait")
    fetches.hang_up()
    all_closed(lab)


@case("tone_voicemail_ends", weight=4)
def tone_voicemail_ends_case(lab):
    """A caller that falls silent is thanked, and the call ends; one that says nothing leaves nothing."""
    extensions = [{"number": n, "password": "secret-" + n, "voicemail": True}
                  for n in ("1001", "1002")]
    bench = exchange(lab, 2, extensions=extensions, voicemail={"silence": 2})
    a = TonePhone(bench, "1001", 500)
    for speaks, left in ((True, 1), (False, 1)):
        call = a.dial("1002")
        entered(call, "voicemail")
        if not speaks:
            bench.tell("mute", call.ear, 1)
        lab.until(lambda c=call: has_spoken(c), 30, "the greeting is over")
        if speaks:
            bench.elapse(4000)
            bench.tell("mute", call.ear, 1)
        call.wait("ended", 20)
        lab.until(lambda n=left: [m["new"] for m in lab.ctl("mailboxes")] == [0, n], 20,
                  f"{left} message")
    all_closed(lab)


def has_spoken(call):
    """It said something, and now nothing for a while."""
    # Longer than a machine stands still: then nothing comes, either.
    return call.heard(0)["rms"] > 0.003 and call.heard(-2500)["rms"] < 0.003


def told(call, phone):
    return call.heard(0)["tones"][str(phone.hertz)]["run_ms"] >= 1500


def recorded(lab):
    """The WAV files of recordings that are finished, as their sidecars say."""
    found = []
    for folder, _, names in os.walk(lab.path("recordings")):
        for name in names:
            if not name.endswith(".json"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                about = json.load(f)
            if about["state"] == "done":
                found += [os.path.join(folder, file["name"]) for file in about["files"]]
    return found


@case("tone_record", weight=4)
def tone_record_case(lab):
    """A call that is recorded in tracks: each track is one voice, and both begin at one time."""
    bench = exchange(lab, 2, recording={"dir": lab.path("recordings"), "mode": "tracks"})
    a, b = phones(bench, "PCMU/8000", "PCMU/8000", burst=2500)
    one, other = talk(a, b)
    one.hears(b)
    other.hears(a)
    one.delays(other, n=4)
    apart = one.delays(other, n=4)
    one.hang_up()
    all_closed(lab)
    if not bench.settles(lambda: recorded(lab), 15000):
        missing("recording", f"no file in {lab.path('recordings')}")
    files = recorded(lab)
    tracks = []
    for path in files:
        for channel in range(bench.file(path)["channels"]):
            tracks.append(bench.file(path, channel, 2500))
    equal(len(tracks), 2, "tracks")
    voices = [[hz for hz, t in track["tones"].items() if t["median"] > 0.1] for track in tracks]
    equal(sorted(voices), [["500"], ["700"]], "the voices on the tracks")
    check_aligned(bench, one, other, tracks, p50(apart))


def check_aligned(bench, one, other, tracks, delay):
    """Between a burst of the one and the next of the other is as much time on the tracks as there was
    between their being sent, within 20 ms and the delay of the plane."""
    sent = [bench.tell("bursts", call.ear)["sent"] for call in (one, other)]
    by_voice = {hz: t["onsets"] for t in tracks for hz, v in t["tones"].items() if v["median"] > 0.1}
    first, second = by_voice["500"], by_voice["700"]
    check(len(first) >= 3 and len(second) >= 3, f"bursts on the tracks: {by_voice}")
    period = 480
    meant = (sent[1][0] - sent[0][0]) % period
    # Of each burst with the one beside it: a machine that stands still puts off some of them.
    apart = [(b - a - meant) % period for a, b in zip(first, second)]
    off = p50([min(v, period - v) for v in apart])
    check(off <= 20 + delay, f"the tracks are {off:.1f} ms apart")
