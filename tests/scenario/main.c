/* scenario [-v] [-q] [--pcap FILE | --pcap-dir DIR] FILE.call...: plays scripts in virtual time.
 * Prints "ok NAME" or "not ok NAME: FILE:LINE: why" for each; exit status 1 if one failed. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "play.h"

static void name_of(const char *path, char *out, size_t cap)
{
    const char *slash = strrchr(path, '/');
    snprintf(out, cap, "%s", slash ? slash + 1 : path);
    char *dot = strrchr(out, '.');
    if (dot)
        *dot = '\0';
}

static bool play_one(const char *path, const char *pcap, const char *dir, bool verbose)
{
    char name[128], at[512];
    name_of(path, name, sizeof(name));
    if (dir) {
        snprintf(at, sizeof(at), "%s/%s.pcap", dir, name);
        pcap = at;
    }
    struct play *p = mem_zero(sizeof(*p));
    if (!p)
        return false;
    p->verbose = verbose;
    p->level = TRACE_DEBUG;
    uint64_t live = mem_live();
    bool ok = play_run(p, path, pcap) == 0;
    if (ok && mem_live() != live) {
        ok = false;
        snprintf(p->failure, sizeof(p->failure), "%s:1: %llu blocks of memory were not given back",
                 path, (unsigned long long)(mem_live() - live));
    }
    if (ok)
        printf("ok %s\n", name);
    else
        printf("not ok %s: %s\n", name, p->failure);
    mem_free(p);
    return ok;
}

int main(int argc, char **argv)
{
    const char *pcap = NULL, *dir = NULL;
    bool verbose = false, all = true;
    int i = 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (!strcmp(argv[i], "-v"))
            verbose = true;
        else if (!strcmp(argv[i], "--pcap") && i + 1 < argc)
            pcap = argv[++i];
        else if (!strcmp(argv[i], "--pcap-dir") && i + 1 < argc)
            dir = argv[++i];
        else
            break;
    }
    if (i == argc || argv[i][0] == '-') {
        fprintf(stderr, "usage: scenario [-v] [--pcap FILE | --pcap-dir DIR] FILE.call...\n");
        return 2;
    }
    for (; i < argc; i++)
        all = play_one(argv[i], pcap, dir, verbose) && all;
    return all ? 0 : 1;
}
