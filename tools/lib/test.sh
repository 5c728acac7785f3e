# Sourced by ./dev: runs every suite and counts the cases of all of them.
#
# A suite is tests/NAME/run: it gets a build directory, prints `ok CASE`, `not ok CASE: why` or
# `skip CASE: why`, one a line, and exits nonzero if one failed. Unit tests are the programs
# BUILD/tests/unit_*, which print TAP.

suites="lint docs unit unit-asan unit-tsan cli torture scenario scenario-asan sim sim-asan mix calls golden fuzz e2e"

test_now() {
    date +%s
}

# stage NAME COMMAND...: says how long it took.
stage() {
    stage_name=$1
    shift
    stage_from=$(test_now)
    stage_rc=0
    "$@" || stage_rc=$?
    printf '%-28s %4d s\n' "$stage_name" $(($(test_now) - stage_from))
    return "$stage_rc"
}

test_has() {
    case " $chosen " in *" $1 "*) return 0 ;; esac
    return 1
}

# What has threads; all else the thread sanitizer would only make slow.
test_targets() {
    case $1 in tsan) echo threads ;; *) echo all ;; esac
}

# e2e compiles the program once more, in a clone, as README says: what is the same by then is taken from here.
test_cache() {
    command -v ccache >/dev/null || return 0
    export CMAKE_C_COMPILER_LAUNCHER=ccache CCACHE_DIR="$PWD/build/ccache" CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
}

# A preset that cannot be built is one failed case, with the compiler's words.
test_build() {
    # One program that does not compile must not hide what the others would say.
    if (
        [ "$1" != dev ] || test_cache
        build "$1" -k "$(test_targets "$1")"
    ) >"$logs/build-$1.log" 2>&1; then
        echo "ok build $1" >>"$logs/build-$1.log"
    else
        echo "not ok build $1: see the compiler's messages" >>"$logs/build-$1.log"
    fi
}

# Adds "LOG COMMAND..." lines for every unit program of a preset.
test_queue_units() {
    for program in "$(build_dir "$1")"/tests/unit_*; do
        [ -f "$program" ] && [ -x "$program" ] || continue
        echo "$2.$(basename "$program") 300 $program" >>"$logs/queue"
    done
}

# test_queue_suite LOG SECONDS DIRECTORY PRESET [VARIABLE=VALUE...]
test_queue_suite() {
    [ -x "tests/$3/run" ] || return 0
    log=$1 limit=$2 script=tests/$3/run dir=$(build_dir "$4")
    shift 4
    echo "$log $limit env $* $script $dir" >>"$logs/queue"
}

test_builds() {
    for preset in dev asan tsan; do
        case $preset in
        dev) for_suites="docs unit cli torture scenario sim mix calls golden e2e" ;;
        asan) for_suites="unit-asan scenario-asan sim-asan fuzz e2e" ;;
        tsan) for_suites="unit-tsan" ;;
        esac
        for suite in $for_suites; do
            if test_has "$suite"; then
                stage "build $preset" test_build "$preset"
                break
            fi
        done
    done
}

test_queue() {
    : >"$logs/queue"
    # The longest first, so that both cores end together.
    test_has sim-asan && test_queue_suite sim-asan 300 sim asan RD_SIM_SEEDS=100
    test_has scenario && test_queue_suite scenario 300 scenario dev
    test_has scenario-asan && test_queue_suite scenario-asan 300 scenario asan
    test_has sim && test_queue_suite sim 300 sim dev RD_SIM_SEEDS="${RD_SIM_SEEDS:-1000}"
    test_has mix && test_queue_suite mix 300 mix dev RD_MIX_SEEDS="${RD_MIX_SEEDS:-1000}"
    test_has lint && test_queue_suite lint 240 lint dev
    test_has unit && test_queue_units dev unit
    test_has unit-asan && test_queue_units asan unit-asan
    test_has unit-tsan && test_queue_units tsan unit-tsan
    test_has docs && test_queue_suite docs 60 docs dev
    test_has cli && test_queue_suite cli 60 cli dev
    test_has golden && test_queue_suite golden 120 golden dev
    test_has torture && test_queue_suite torture 120 torture dev
    test_has calls && test_queue_suite calls 120 calls dev
    return 0
}

# One more than there are cores: many of them wait for clocks.
test_run_queue() {
    xargs -r -P $((jobs + 1)) -L 1 tools/run_case "$logs" <"$logs/queue" || true
    sort -rn "$logs/seconds" | head -n 8 | sed 's/^/    /'
}

# Most cases run the program with the sanitizers.
test_e2e() {
    test_cache
    export RD_E2E_SANITIZED=build-asan
    tools/run_case "$logs" e2e 900 tests/e2e/run build
}

test_main() {
    chosen=${*:-$suites}
    for suite in $chosen; do
        case " $suites " in
        *" $suite "*) ;;
        *) echo "dev: no suite $suite; there are: $suites" >&2; exit 2 ;;
        esac
    done
    setup build test
    logs=build/test-logs
    rm -rf "$logs"
    mkdir -p "$logs"
    began=$(test_now)
    test_builds
    test_queue
    stage "lint unit scenario sim ..." test_run_queue
    # Fuzzing loads both cores and e2e has real clocks, so each of them runs by itself.
    if test_has fuzz && [ -x tests/fuzz/run ] && [ -f build-asan/build.ninja ]; then
        stage fuzz env RD_FUZZ_SECONDS="${RD_FUZZ_SECONDS:-2}" JOBS="$jobs" \
            tools/run_case "$logs" fuzz 300 tests/fuzz/run build-asan
    fi
    if test_has e2e && [ -x tests/e2e/run ]; then
        stage e2e test_e2e
    fi
    # Which requirement held in this run: docs/conformance.md with its last column filled.
    tools/conformance --results "$logs" >build/conformance.md || true
    printf '%-28s %4d s\n' "all" $(($(test_now) - began))
    tools/count_cases "$logs"
}
