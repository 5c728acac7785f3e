/* mix [-v] SEEDS [FIRST]: so many mixtures of calls, each from its seed, captured, analysed without
 * header fields that name other legs, and compared with the exchange's records.
 *
 * Prints "ok" or "not ok" for each thing demanded of all of them together, and the figures as
 * comments; exit status 1 if one was not met. */
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/call.h"
#include "base/mem.h"
#include "base/num.h"
#include "mix.h"

#define LEGS_PERMILLE  980
#define CALLS_PERMILLE 980
#define LIVE_PERMILLE  999 /* a rival that is gone may decide, too */

static double percent(uint64_t part, uint64_t all)
{
    return all ? 100.0 * (double)part / (double)all : 100.0;
}

static void confusion_print(const struct tally *t)
{
    printf("# what calls were, and what the analyser said:\n");
    for (unsigned was = 0; was < AN_SCENARIOS; was++) {
        uint64_t all = 0;
        for (unsigned said = 0; said <= AN_SCENARIOS; said++)
            all += t->confused[was][said];
        if (!all)
            continue;
        struct str word = an_scenario_word((enum an_scenario)was);
        printf("#   %-11.*s %6" PRIu64 "  %6.2f %%", STR_ARG(word), all,
               percent(t->confused[was][was], all));
        for (unsigned said = 0; said <= AN_SCENARIOS; said++)
            if (said != was && t->confused[was][said])
                printf("  %.*s %" PRIu64,
                       STR_ARG(said == AN_SCENARIOS ? STR("none")
                                                    : an_scenario_word((enum an_scenario)said)),
                       t->confused[was][said]);
        printf("\n");
    }
}

static void deciles_print(const struct tally *t)
{
    printf("# ties that were right, by how sure it was:\n");
    for (unsigned i = 0; i < 10; i++)
        if (t->decile[i])
            printf("#   %2u to %2u %%  %7" PRIu64 "  %6.2f %%\n", 10 * i, 10 * i + 9, t->decile[i],
                   percent(t->decile_right[i], t->decile[i]));
}

static void say(bool ok, const char *what, double got)
{
    if (ok)
        printf("ok %s\n", what);
    else
        printf("not ok %s: %.2f %%\n", what, got);
}

static bool permille(uint64_t part, uint64_t all, unsigned least)
{
    return 1000 * part >= least * all;
}

static bool verdict(const struct tally *t)
{
    bool legs = permille(t->legs_right, t->legs, LEGS_PERMILLE);
    bool calls = permille(t->calls_right, t->calls, CALLS_PERMILLE);
    confusion_print(t);
    deciles_print(t);
    printf("# %" PRIu64 " mixtures: legs %" PRIu64 " of %" PRIu64
           " tied right (%.3f %%), calls %" PRIu64 " of %" PRIu64
           " named right (%.3f %%); the worst is seed %" PRIu64 " with %u %% of its legs\n",
           t->seeds, t->legs_right, t->legs, percent(t->legs_right, t->legs), t->calls_right,
           t->calls, percent(t->calls_right, t->calls), t->worst, t->worst_percent);
    printf("# codes that picked up: %" PRIu64 ", real caller %" PRIu64 ", unknown %" PRIu64
           ", wrong %" PRIu64 "\n",
           t->codes, t->codes_right, t->codes_unknown, t->codes_wrong);
    printf("# calls handed over while it went on: %" PRIu64 ", otherwise than in the end: %" PRIu64
           "\n",
           t->live_calls, t->live_wrong);
    say(legs, "98 % of legs are tied right", percent(t->legs_right, t->legs));
    say(calls, "98 % of calls are named right", percent(t->calls_right, t->calls));
    say(!t->codes_wrong, "no code stands for a wrong caller", percent(t->codes_wrong, t->codes));
    bool live = permille(t->live_calls - t->live_wrong, t->live_calls, LIVE_PERMILLE);
    say(live, "who forgets says the same of calls",
        percent(t->live_calls - t->live_wrong, t->live_calls));
    say(!t->live_left, "who forgets has forgotten all", percent(t->seeds - t->live_left, t->seeds));
    return legs && calls && !t->codes_wrong && live && !t->live_left;
}

static bool one(uint64_t seed, bool verbose, struct tally *t)
{
    struct mix *m = mem_zero(sizeof(*m));
    bool ok = m != NULL;
    if (ok) {
        ok = mix_build(m, seed) == 0;
        if (ok)
            mix_run(m);
        m->verbose = verbose;
        if (!ok || m->w.failed || m->strays || judge(m, t)) {
            printf("not ok seed %" PRIu64 ": %s\n", seed,
                   m->w.failed ? m->w.failure
                   : m->strays ? "a call came to somebody who was not expected to be called"
                               : "it cannot be built or read");
            ok = false;
        }
        mix_done(m);
    }
    mem_free(m);
    return ok;
}

int main(int argc, char **argv)
{
    static struct tally tally;
    uint64_t seeds = 0, first = 1;
    bool verbose = argc > 1 && !strcmp(argv[1], "-v"), ok = true;
    int at = 1 + verbose;
    if (argc <= at || num_u64(&seeds, str_z(argv[at]), 1000000000) ||
        (argc > at + 1 && num_u64(&first, str_z(argv[at + 1]), UINT64_MAX / 2))) {
        fprintf(stderr, "usage: mix [-v] SEEDS [FIRST]\n");
        return 2;
    }
    for (uint64_t i = 0; i < seeds; i++)
        ok &= one(first + i, verbose, &tally);
    ok &= verdict(&tally);
    return ok ? 0 : 1;
}
