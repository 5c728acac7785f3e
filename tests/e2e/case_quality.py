"""What the exchange says of the media of a call: RTCP of its own to each party, and the figures of both
ways in ctl and with the record."""
import rtp
from lab import case, check, equal
from tone import TonePhone, talk


def exchange(lab, codecs=("PCMU", "PCMA")):
    config = lab.config()
    config["media"]["codecs"] = list(codecs)
    config["extensions"] = [{"number": n, "password": f"secret-{n}"} for n in ("1001", "1002")]
    config["trunks"], config["routes"] = [], []
    lab.start(config)
    return rtp.Wire(lab)


def rows(lab, what):
    return {(r["leg"], r["direction"]): r for r in lab.ctl("quality", str(what))}


def settled(lab, call):
    """Both legs are measured in both directions, by two reports each."""
    found = rows(lab, call)
    return len(found) == 4 and all(r["mos"] and r["packets"] > 400 for r in found.values())


def counted(found, bad, good):
    return all(abs(found[way]["packets"] - n) <= 2 for way, n in
               (((1, "in"), bad.sent), ((2, "in"), good.sent), ((2, "out"), good.got)))


def check_reports(end, muxed):
    """Our reports: SR and SDES in each, VoIP metrics in some, BYE in the last, where they belong."""
    check(all(on_rtp is muxed for on_rtp, _ in end.reports), f"RTCP on the wrong port: {muxed}")
    for _, parts in end.reports:
        check(parts[0][0] in (rtp.SR, rtp.RR), f"a report begins with {parts[0][0]}")
        check(rtp.SDES in [kind for kind, _ in parts], "a report without SDES")
    kinds = end.kinds()
    check(kinds.count(rtp.SR) >= 2 and rtp.XR in kinds, f"reports: {kinds}")
    check(rtp.BYE in [kind for kind, _ in end.reports[-1][1]], f"no BYE: {kinds}")
    equal(kinds.count(rtp.BYE), 1, "BYEs")


def near(value, wanted, by, what):
    check(abs(value - wanted) <= by, f"{what}: {value}, not {wanted}")


def measure(lab, codecs, mux):
    """A caller with 5 % loss both ways, and a callee with none."""
    bench = exchange(lab)
    bench.loses["1001"] = (20, 20)
    caller, callee = [TonePhone(bench, number, 500, (codec,))
                      for number, codec in zip(("1001", "1002"), codecs)]
    caller.mux = mux
    one, other = talk(caller, callee)
    equal(one.remote.mux, mux, "rtcp-mux in the answer")
    bad, good = bench.ends[one.ear], bench.ends[other.ear]
    call = lab.ctl("calls")[0]
    lab.until(lambda: settled(lab, call["id"]), 40, "the call is measured")
    live = rows(lab, call["id"])
    legs = lab.ctl("calls")[0]["legs"]
    check(all(len(leg["quality"]) == 2 for leg in legs), f"ctl calls: {legs}")
    # Who speaks on while the BYE is on its way would have sent more than is counted.
    for ear in (one.ear, other.ear):
        bench.tell("stop", ear)
    lab.until(lambda: counted(rows(lab, call["id"]), bad, good), 20, "all is counted")
    one.hang_up()
    lab.until(lambda: len(rows(lab, call["record"])) == 4, 30, "the rows are stored")
    kept = rows(lab, call["record"])
    for found, what in ((live, "live"), (kept, "record")):
        sent, back, clean, given = (found[key] for key in ((1, "in"), (1, "out"), (2, "in"), (2, "out")))
        near(sent["lost"] / (sent["packets"] + sent["lost"]), 0.05, 0.01, f"{what}: share lost")
        near(back["lost"] / back["packets"], 0.05, 0.015, f"{what}: share lost, as reported")
        equal(clean["lost"], 0, f"{what}: lost by the good phone")
        check(sent["mos"] < clean["mos"] - 0.1, f"{what}: MOS {sent['mos']}, good {clean['mos']}")
        check(back["mos"] < clean["mos"] - 0.1, f"{what}: MOS {back['mos']}, good {clean['mos']}")
        check(3.5 < clean["mos"] <= 4.5, f"{what}: MOS {clean['mos']}")
        for row in (sent, clean):
            check(0 < row["rtt_mean_us"] <= row["rtt_max_us"] < 5000000, f"{what}: {row}")
        equal([sent["codec"], given["codec"]], [c.split("/")[0] for c in codecs], f"{what}: codecs")
    # A machine that stands still makes some of them long.
    came = [found[leg, "in"] for found in (live, kept) for leg in (1, 2)]
    check(min(row["rtt_max_us"] for row in came) < 300000, f"round trips: {came}")
    check(min(row["jitter_us"] for row in came) < 30000, f"jitter: {came}")
    near(kept[1, "in"]["packets"], bad.sent, 2, "packets of the bad phone")
    near(kept[1, "in"]["lost"], bad.lost_tx, 1, "packets that it lost")
    near(kept[2, "in"]["packets"], good.sent, 2, "packets of the good phone")
    near(kept[2, "out"]["packets"], good.got, 2, "packets to the good phone")
    check_reports(bad, mux)
    check_reports(good, False)
    # A packet lost on its way to us is lost to the other party too, when it is passed on.
    near(good.lost_rx, 0, 0, "packets the good phone threw away")
    check(lab.ctl("cdr")[0]["id"] == call["record"], "the record is another one")


@case("quality_relayed", weight=8, measures=True)
def quality_relayed_case(lab):
    """5 % loss of one phone, in a relayed call: as much in the figures, a lower MOS, and RTCP apart."""
    measure(lab, ("PCMU/8000", "PCMU/8000"), mux=False)


@case("quality_mux", weight=8, measures=True)
def quality_mux_case(lab):
    """The same between two codecs, with RTCP on the RTP port where the phone has offered it."""
    measure(lab, ("PCMU/8000", "PCMA/8000"), mux=True)
