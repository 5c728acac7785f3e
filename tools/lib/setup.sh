# Sourced by ./dev: installs the packages of tools/packages that are missing.

# The packages of the groups in "$@" that are not installed, one a line.
setup_missing() {
    if command -v dpkg-query >/dev/null 2>&1; then
        wanted=$(setup_list "$@" | awk '{print $2}' | sort -u)
        # shellcheck disable=SC2086 # a list of names
        dpkg-query -W -f '${Status} ${Package}\n' $wanted 2>/dev/null |
            awk -v wanted="$wanted" '
                /^install ok installed/ {have[$4] = 1}
                END {n = split(wanted, w); for (i = 1; i <= n; i++) if (!(w[i] in have)) print w[i]}'
        return
    fi
    setup_list "$@" | while read -r _ name check; do
        case $check in
        cmd:*) command -v "${check#cmd:}" >/dev/null 2>&1 || echo "$name" ;;
        pc:*) pkg-config --exists "${check#pc:}" 2>/dev/null || echo "$name" ;;
        esac
    done
}

setup_list() {
    for group; do
        grep "^${group}[[:space:]]" tools/packages
    done
}

# Services that a package brings (Kamailio) must not start and take port 5060 from us.
setup_apt() {
    policy=/usr/sbin/policy-rc.d
    ours=
    if [ ! -e "$policy" ]; then
        ours=yes
        trap '$as_root rm -f "$policy"' EXIT INT TERM
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod 755 "$policy"
    fi
    status=0
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update >/dev/null || status=1
    # shellcheck disable=SC2086 # a list of names
    [ "$status" != 0 ] || $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        install --no-install-recommends $missing >/dev/null || status=1
    if [ -n "$ours" ]; then
        trap - EXIT INT TERM
        $as_root rm -f "$policy"
    fi
    return "$status"
}

# Exit 3: something is missing and cannot be installed from here.
setup() {
    for group; do
        setup_list "$group" >/dev/null ||
            { echo "dev: no such package group: $group" >&2; exit 2; }
    done
    missing=$(setup_missing "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        as_root=sudo
        if ! command -v sudo >/dev/null 2>&1 || ! { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
            as_root=none
        fi
    fi
    if [ "$as_root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "dev: missing packages (Debian names): $missing" >&2
        echo "dev: install them and try again" >&2
        exit 3
    fi
    echo "dev: installing $missing" >&2
    if ! setup_apt; then
        echo "dev: apt-get could not install: $missing" >&2
        exit 3
    fi
}
