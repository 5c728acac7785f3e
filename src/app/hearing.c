#include "app/hearing.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "io/ears.h"
#include "io/mailbox.h"

#define LEAD        20 /* frames of 20 ms before voice was noticed: they belong to the utterance */
#define LONGEST     (EARS_MAX_S * 50)
#define EXPECTED    1000
#define MAX_WORKERS 4
#define WORKERS     2

/* Phrases with their texts, one block. */
struct phrases {
    unsigned n;
    struct botlink_phrase v[BOTLINK_PHRASES];
    char text[];
};

struct job {
    struct list list;
    uint64_t id;
    uint32_t token;
    struct phrases *phrases;
    int at; /* of the phrases; -1 */
    uint32_t n, rate_hz;
    int16_t pcm[];
};

struct caller {
    struct hash_node node;
    struct list list;
    uint64_t id;
    uint32_t token;
    struct phrases *phrases; /* NULL: nothing is asked */
    struct job *utterance;   /* what it is saying; NULL: nothing */
    unsigned frame;          /* samples of one; 0: none has come */
    unsigned n_lead, at_lead;
    int16_t lead[LEAD][PLANE_TAP_SAMPLES]; /* a ring */
};

struct hearing {
    struct hearing_conf conf;
    struct hash_table by_id;
    struct list all;
    unsigned waiting; /* jobs without an answer */
    struct mailbox out;
    int cancel_fd;
    pthread_t worker[MAX_WORKERS];
    unsigned n_workers;
    pthread_mutex_t lock; /* of what follows, and of putting into `out` */
    pthread_cond_t work;
    struct list jobs;
    bool over;
};

/* ---- the workers ----------------------------------------------------------------------------- */

static void job_free(struct job *j)
{
    mem_free(j->phrases);
    mem_free(j);
}

static void look_at(const struct hearing *h, struct job *j)
{
    struct ears_request q = {.program = h->conf.program,
                             .dictionary = h->conf.dictionary,
                             .sample = j->pcm,
                             .n = j->n,
                             .rate_hz = j->rate_hz,
                             .phrase = j->phrases->v,
                             .n_phrases = j->phrases->n,
                             .cancel_fd = h->cancel_fd};
    if (ears_listen(&q, &j->at))
        j->at = -1; /* it is not understood, whatever the reason */
}

static void *work(void *arg)
{
    struct hearing *h = arg;
    pthread_setname_np(pthread_self(), "ringdown-ears");
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (!h->over && list_empty(&h->jobs))
            pthread_cond_wait(&h->work, &h->lock);
        if (h->over)
            break;
        struct job *j = container_of(h->jobs.next, struct job, list);
        list_remove(&j->list);
        pthread_mutex_unlock(&h->lock);
        look_at(h, j);
        pthread_mutex_lock(&h->lock);
        if (mailbox_put(&h->out, &j))
            BUG_ON(true); /* it has room for all that may wait */
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* ---- callers --------------------------------------------------------------------------------- */

static struct caller *caller_find(const struct hearing *h, uint64_t id)
{
    hash_each(node, &h->by_id, hash_bytes(&h->by_id, &id, sizeof(id)))
    {
        struct caller *c = container_of(node, struct caller, node);
        if (c->id == id)
            return c;
    }
    return NULL;
}

int hearing_open(struct hearing *h, uint64_t id)
{
    if (caller_find(h, id))
        return -EEXIST;
    struct caller *c = mem_zero(sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->id = id;
    hash_put(&h->by_id, &c->node, hash_bytes(&h->by_id, &id, sizeof(id)));
    list_append(&h->all, &c->list);
    return 0;
}

static void phrases_drop(struct caller *c)
{
    mem_free(c->phrases);
    c->phrases = NULL;
}

static void caller_free(struct hearing *h, struct caller *c)
{
    hash_remove(&h->by_id, &c->node);
    list_remove(&c->list);
    phrases_drop(c);
    mem_free(c->utterance);
    mem_free(c);
}

int hearing_close(struct hearing *h, uint64_t id)
{
    struct caller *c = caller_find(h, id);
    if (!c)
        return -ENOENT;
    caller_free(h, c);
    return 0;
}

static struct phrases *phrases_copy(const struct botlink_phrase *v, unsigned n)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < n; i++)
        bytes += v[i].words.n;
    struct phrases *p = mem_alloc(sizeof(*p) + bytes);
    if (!p)
        return NULL;
    char *at = p->text;
    p->n = n;
    for (unsigned i = 0; i < n; i++) {
        memcpy(at, v[i].words.p, v[i].words.n);
        p->v[i] = (struct botlink_phrase){.words = str_of(at, v[i].words.n), .means = v[i].means};
        at += v[i].words.n;
    }
    return p;
}

int hearing_ask(struct hearing *h, uint64_t id, uint32_t token, const struct botlink_phrase *phrase,
                unsigned n)
{
    struct caller *c = caller_find(h, id);
    if (!c)
        return -ENOENT;
    if (n == 0 || n > BOTLINK_PHRASES)
        return -EINVAL;
    struct phrases *p = phrases_copy(phrase, n);
    if (!p)
        return -ENOMEM;
    phrases_drop(c);
    c->phrases = p;
    c->token = token;
    return 0;
}

int hearing_deaf(struct hearing *h, uint64_t id)
{
    struct caller *c = caller_find(h, id);
    if (!c)
        return -ENOENT;
    phrases_drop(c);
    c->token = 0;
    return 0;
}

/* ---- utterances ------------------------------------------------------------------------------ */

static void tell(struct hearing *h, const struct job *j)
{
    bool understood = j->at >= 0;
    struct botlink_heard heard = {.outcome = understood ? BOTLINK_UNDERSTOOD : BOTLINK_NO_MATCH,
                                  .means = 0xFF};
    if (understood) {
        heard.means = j->phrases->v[j->at].means;
        heard.words = j->phrases->v[j->at].words;
    }
    h->conf.heard(h->conf.ctx, j->id, j->token, &heard);
}

/* What is asked is answered with it: phrases and utterance go to a worker. */
static void utterance_give(struct hearing *h, struct caller *c)
{
    struct job *j = c->utterance;
    c->utterance = NULL;
    if (!c->phrases) { /* nobody wants to know */
        mem_free(j);
        return;
    }
    j->id = c->id;
    j->token = c->token;
    j->phrases = c->phrases;
    j->at = -1;
    c->phrases = NULL;
    if (h->waiting == HEARING_WAITING) {
        tell(h, j);
        job_free(j);
        return;
    }
    h->waiting++;
    pthread_mutex_lock(&h->lock);
    list_append(&h->jobs, &j->list);
    pthread_cond_signal(&h->work);
    pthread_mutex_unlock(&h->lock);
}

static void frame_add(struct job *j, const int16_t *pcm, unsigned n)
{
    memcpy(j->pcm + j->n, pcm, n * sizeof(*pcm));
    j->n += n;
}

static void utterance_begin(struct caller *c)
{
    struct job *j = mem_alloc(sizeof(*j) + (size_t)LONGEST * c->frame * sizeof(int16_t));
    if (!j)
        return;
    *j = (struct job){.rate_hz = c->frame * 50};
    for (unsigned i = 0; i < c->n_lead; i++)
        frame_add(j, c->lead[(c->at_lead + LEAD - c->n_lead + i) % LEAD], c->frame);
    c->utterance = j;
}

static void lead_put(struct caller *c, const int16_t *pcm, unsigned n)
{
    memcpy(c->lead[c->at_lead], pcm, n * sizeof(*pcm));
    c->at_lead = (c->at_lead + 1) % LEAD;
    c->n_lead += c->n_lead < LEAD;
}

bool hearing_tap(struct hearing *h, const struct media_tap *t)
{
    struct caller *c = caller_find(h, t->tap.link);
    unsigned n = t->tap.n;
    if (!c)
        return false;
    if (t->tap.kind != PLANE_TAP_SOUND || n == 0 || n > PLANE_TAP_SAMPLES)
        return true;
    if (n != c->frame) { /* another rate: nothing of before fits */
        c->frame = n;
        c->n_lead = 0;
        mem_free(c->utterance);
        c->utterance = NULL;
    }
    if (t->tap.voice && !c->utterance)
        utterance_begin(c);
    if (c->utterance)
        frame_add(c->utterance, t->pcm, n);
    lead_put(c, t->pcm, n);
    if (c->utterance && (!t->tap.voice || c->utterance->n + n > (uint32_t)LONGEST * n))
        utterance_give(h, c);
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

void hearing_ready(struct hearing *h)
{
    struct job *j;
    mailbox_ack(&h->out);
    while (mailbox_take(&h->out, &j)) {
        h->waiting--;
        if (caller_find(h, j->id)) /* else it was for one who has gone */
            tell(h, j);
        job_free(j);
    }
}

int hearing_fd(const struct hearing *h)
{
    return h->out.fd;
}

int hearing_can(const struct hearing *h)
{
    struct ears_request q = {.program = h->conf.program, .dictionary = h->conf.dictionary};
    return ears_installed(&q);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int workers_start(struct hearing *h)
{
    unsigned n = h->conf.workers ? h->conf.workers : WORKERS;
    sigset_t all, old;
    int err = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are for the loop's thread */
    while (!err && h->n_workers < n && h->n_workers < MAX_WORKERS) {
        err = -pthread_create(&h->worker[h->n_workers], NULL, work, h);
        h->n_workers += !err;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return h->n_workers ? 0 : err;
}

static void workers_stop(struct hearing *h)
{
    uint64_t one = 1;
    pthread_mutex_lock(&h->lock);
    h->over = true;
    pthread_cond_broadcast(&h->work);
    pthread_mutex_unlock(&h->lock);
    if (write(h->cancel_fd, &one, sizeof(one)) < 0)
        BUG_ON(errno != EAGAIN);
    while (h->n_workers)
        pthread_join(h->worker[--h->n_workers], NULL);
}

static int parts_open(struct hearing *h)
{
    int err = hash_init(&h->by_id, EXPECTED, 0);
    if (err)
        return err;
    err = mailbox_init(&h->out, sizeof(struct job *), HEARING_WAITING);
    if (err)
        goto no_out;
    h->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = h->cancel_fd < 0 ? -errno : workers_start(h);
    if (err)
        goto no_workers;
    return 0;
no_workers:
    if (h->cancel_fd >= 0)
        close(h->cancel_fd);
    mailbox_done(&h->out);
no_out:
    hash_done(&h->by_id);
    return err;
}

int hearing_new(struct hearing **ret, const struct hearing_conf *conf)
{
    struct hearing *h = mem_map(sizeof(*h)); /* a page, for the mailbox's alignment */
    if (!h)
        return -ENOMEM;
    h->conf = *conf;
    list_init(&h->all);
    list_init(&h->jobs);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->work, NULL);
    int err = parts_open(h);
    if (err)
        mem_unmap(h, sizeof(*h));
    else
        *ret = h;
    return err;
}

void hearing_free(struct hearing *h)
{
    struct job *j;
    if (!h)
        return;
    workers_stop(h);
    while (mailbox_take(&h->out, &j))
        job_free(j);
    list_each(node, &h->jobs)
    {
        j = container_of(node, struct job, list);
        list_remove(&j->list);
        job_free(j);
    }
    list_each(node, &h->all)
    {
        caller_free(h, container_of(node, struct caller, list));
    }
    mailbox_done(&h->out);
    hash_done(&h->by_id);
    close(h->cancel_fd);
    mem_unmap(h, sizeof(*h));
}
