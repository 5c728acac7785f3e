#!/usr/bin/env python3
"""gen_names.py: writes src/wire/sip/names_slot.h, the perfect hash over the header names.

Run it after a change of header.def. The hash is the one in names.c: the first and the last eight
bytes of the name in lower case, multiplied. A unit test fails when the table is stale."""
import os
import random
import re

HERE = os.path.dirname(os.path.abspath(__file__))
SIP = os.path.join(HERE, "..", "src", "wire", "sip")
BITS = 8
FOLD = 0x2020202020202020
ALL = (1 << 64) - 1


def words(name):
    raw = name.encode()
    first = int.from_bytes(raw[:8], "little") | FOLD
    if len(raw) < 8:
        return first & ((1 << (8 * len(raw))) - 1), 0
    return first, int.from_bytes(raw[-8:], "little") | FOLD


def slot(name, key):
    first, last = words(name)
    return (((first ^ ((last >> 7) | (last << 57) & ALL)) * key) & ALL) >> (64 - BITS)


def search(names):
    rng = random.Random(3261)
    while True:
        key = rng.getrandbits(64) | 1
        if len({slot(n, key) for n in names}) == len(names):
            return key


def main():
    text = open(os.path.join(SIP, "header.def")).read()
    rows = re.findall(r'^HEADER\((\w+), "([^"]+)", (0|\'.\')', text, re.M)
    key = search([name for _, name, _ in rows])
    table = {slot(name, key): ident for ident, name, _ in rows}
    compact = {short[1]: ident for ident, _, short in rows if short != "0"}
    with open(os.path.join(SIP, "names_slot.h"), "w") as out:
        out.write("/* Made by tools/gen_names.py from header.def. */\n")
        out.write(f"#define NAMES_KEY  0x{key:016X}u\n#define NAMES_BITS {BITS}\n\n")
        out.write("static const uint8_t names_slot[1 << NAMES_BITS] = {\n")
        for index in sorted(table):
            out.write(f"    [{index}] = SIP_H_{table[index]},\n")
        out.write("};\n\nstatic const uint8_t names_compact[26] = {\n")
        for short in sorted(compact):
            out.write(f"    ['{short}' - 'a'] = SIP_H_{compact[short]},\n")
        out.write("};\n")


if __name__ == "__main__":
    main()
