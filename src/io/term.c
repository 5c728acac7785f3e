#include "io/term.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define ENTER_SCREEN "\x1b[?1049h\x1b[?25l\x1b[2J"
#define LEAVE_SCREEN "\x1b[0m\x1b[?25h\x1b[?1049l"
#define ESCAPE_MS    50  /* so long after an escape nothing else of its sequence comes */
#define WRITE_MS     200 /* a terminal that takes nothing for so long misses what was to be shown */
#define IN_BYTES     256

struct term {
    struct term_config cfg;
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer escape;
    uv_signal_t winch;
    struct termios before;
    int flags;     /* of in_fd: others have it open, too, and want it back as it was */
    unsigned open; /* handles that are not closed yet */
    bool closed;
    char in[IN_BYTES];
    size_t in_n;
    char *shown; /* the screen as it is */
    size_t shown_n;
    unsigned columns, rows; /* when it was drawn */
};

static void put(const struct term *t, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(t->cfg.out_fd, p, n);
        struct pollfd room = {.fd = t->cfg.out_fd, .events = POLLOUT};
        if (done < 0 && errno == EAGAIN && poll(&room, 1, WRITE_MS) <= 0)
            return;
        if (done < 0 && errno != EINTR && errno != EAGAIN)
            return;
        p += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint32_t utf8(struct str s, bool last, size_t *ret_n)
{
    uint8_t first = (uint8_t)s.p[0];
    size_t n = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    *ret_n = 1;
    if (n == 1)
        return first == '\n' ? TERM_ENTER : first == 8 ? TERM_BACKSPACE : first ? first : 0xFFFD;
    if (first < 0xC2 || first > 0xF4)
        return 0xFFFD;
    if (s.n < n) {
        *ret_n = last ? s.n : 0;
        return last ? 0xFFFD : 0;
    }
    uint32_t c = first & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((uint8_t)s.p[i] & 0x3F);
    *ret_n = n;
    return c ? c : 0xFFFD; /* 0 would say that more has to come */
}

/* "\x1b[A", "\x1bOA", "\x1b[5~", and with numbers between them that say what else is held. */
static uint32_t sequence(struct str s, size_t *ret_n)
{
    size_t at = 2;
    unsigned number = 0;
    while (at < s.n && ((s.p[at] >= '0' && s.p[at] <= '9') || s.p[at] == ';')) {
        if (s.p[at] != ';' && number < 100)
            number = number * 10 + (unsigned)(s.p[at] - '0');
        at++;
    }
    if (at == s.n)
        return 0;
    *ret_n = at + 1;
    switch (s.p[at]) {
    case 'A':
        return TERM_UP;
    case 'B':
        return TERM_DOWN;
    case 'C':
        return TERM_RIGHT;
    case 'D':
        return TERM_LEFT;
    case 'H':
        return TERM_HOME;
    case 'F':
        return TERM_END;
    case '~':
        return number == 5                  ? TERM_PAGE_UP
               : number == 6                ? TERM_PAGE_DOWN
               : number == 1 || number == 7 ? TERM_HOME
               : number == 4 || number == 8 ? TERM_END
                                            : 0xFFFD;
    default:
        return 0xFFFD;
    }
}

uint32_t term_key_parse(struct str s, bool last, size_t *ret_n)
{
    *ret_n = 0;
    if (!s.n)
        return 0;
    if (s.p[0] != '\x1b')
        return utf8(s, last, ret_n);
    bool introduced = s.n > 1 && (s.p[1] == '[' || s.p[1] == 'O');
    uint32_t key = introduced && s.n > 2 ? sequence(s, ret_n) : 0;
    if (key)
        return key;
    /* An escape alone, or what follows it is a key of its own. */
    if (last || (s.n > 1 && !introduced)) {
        *ret_n = last && introduced ? s.n : 1;
        return TERM_ESCAPE;
    }
    return 0;
}

static void keys_take(struct term *t, bool last)
{
    size_t at = 0, n;
    uint32_t key;
    while (!t->closed && (key = term_key_parse(str_of(t->in + at, t->in_n - at), last, &n)) != 0) {
        at += n;
        t->cfg.key(t->cfg.ctx, key);
    }
    memmove(t->in, t->in + at, t->in_n - at);
    t->in_n -= at;
    if (t->closed)
        return;
    if (t->in_n && !last)
        loop_timer_start(&t->escape, ESCAPE_MS, 0);
    else
        loop_timer_stop(&t->escape);
}

static void on_escape(struct loop_timer *timer)
{
    keys_take(container_of(timer, struct term, escape), true);
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct term *t = container_of(w, struct term, watch);
    ssize_t n = read(t->cfg.in_fd, t->in + t->in_n, IN_BYTES - t->in_n);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || events & LOOP_ERROR) {
        loop_watch_set(w, 0);
        t->cfg.gone(t->cfg.ctx);
        return;
    }
    t->in_n += (size_t)n;
    keys_take(t, t->in_n == IN_BYTES);
}

static void on_winch(uv_signal_t *handle, int signum)
{
    struct term *t = handle->data;
    t->shown_n = 0; /* what is there has been moved */
    (void)signum;
    if (!t->closed)
        t->cfg.resized(t->cfg.ctx);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void release(struct term *t)
{
    if (--t->open || !t->closed)
        return;
    mem_free(t->shown);
    mem_free(t);
}

static void watch_closed(struct loop_watch *w)
{
    release(container_of(w, struct term, watch));
}

static void escape_closed(struct loop_timer *timer)
{
    release(container_of(timer, struct term, escape));
}

static void winch_closed(uv_handle_t *handle)
{
    struct term *t = handle->data;
    t->loop->closing--;
    release(t);
}

/* ---- a crash --------------------------------------------------------------------------------- */

static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

/* What a handler of signals can reach: there is one terminal to a process. */
static struct {
    int in_fd, out_fd;
    struct termios before;
} rescue;

/* Only what signal-safety(7) allows. The signal comes once more, and then as if this were not. */
static void on_fatal(int signum)
{
    ssize_t n = write(rescue.out_fd, LEAVE_SCREEN, sizeof(LEAVE_SCREEN) - 1);
    (void)n;
    (void)tcsetattr(rescue.in_fd, TCSANOW, &rescue.before);
    (void)raise(signum);
}

/* Who else handles one (a sanitizer) keeps it. */
static void rescue_set(bool on)
{
    struct sigaction sa = {.sa_handler = on ? on_fatal : SIG_DFL,
                           .sa_flags = (int)SA_RESETHAND | SA_NODEFER},
                     is;
    for (unsigned i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        if (sigaction(fatal[i], NULL, &is) == 0 && is.sa_handler == (on ? SIG_DFL : on_fatal))
            (void)sigaction(fatal[i], &sa, NULL);
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* Signals stay: ^C is SIGINT. ^Z does not stop the program, which would leave its screen behind. */
static int raw(struct term *t)
{
    t->flags = fcntl(t->cfg.in_fd, F_GETFL);
    if (t->flags < 0 || tcgetattr(t->cfg.in_fd, &t->before))
        return -errno;
    struct termios now = t->before;
    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
    now.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
    now.c_cc[VSUSP] = _POSIX_VDISABLE;
    now.c_cc[VMIN] = 0;
    now.c_cc[VTIME] = 0;
    return tcsetattr(t->cfg.in_fd, TCSADRAIN, &now) ? -errno : 0;
}

int term_open(struct term **ret, struct loop *loop, const struct term_config *cfg)
{
    struct term *t = mem_zero(sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->cfg = *cfg;
    t->loop = loop;
    t->watch.ready = on_ready;
    t->watch.closed = watch_closed;
    t->escape.fire = on_escape;
    t->escape.closed = escape_closed;
    int err = raw(t);
    if (err) {
        mem_free(t);
        return err;
    }
    uv_signal_init(&loop->uv, &t->winch);
    t->winch.data = t;
    t->open = 2;
    uv_signal_start(&t->winch, on_winch, SIGWINCH);
    loop_timer_open(loop, &t->escape);
    err = loop_watch_open(loop, &t->watch, cfg->in_fd, LOOP_READ);
    if (!err)
        t->open++;
    rescue.in_fd = cfg->in_fd;
    rescue.out_fd = cfg->out_fd;
    rescue.before = t->before;
    rescue_set(true);
    put(t, ENTER_SCREEN, sizeof(ENTER_SCREEN) - 1);
    if (err) {
        term_close(t);
        return err;
    }
    *ret = t;
    return 0;
}

void term_close(struct term *t)
{
    if (!t)
        return;
    t->closed = true;
    put(t, LEAVE_SCREEN, sizeof(LEAVE_SCREEN) - 1);
    rescue_set(false);
    if (t->watch.loop)
        loop_watch_close(&t->watch);
    loop_timer_close(&t->escape);
    t->loop->closing++;
    uv_close((uv_handle_t *)&t->winch, winch_closed);
    tcsetattr(t->cfg.in_fd, TCSADRAIN, &t->before);
    fcntl(t->cfg.in_fd, F_SETFL, t->flags);
}

void term_size(const struct term *t, unsigned *columns, unsigned *rows)
{
    struct winsize size;
    bool known = ioctl(t->cfg.out_fd, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;
    *columns = known ? size.ws_col : 80;
    *rows = known ? size.ws_row : 24;
}

/* ---- showing --------------------------------------------------------------------------------- */

static struct str line_take(struct str *rest)
{
    ptrdiff_t end = str_chr(*rest, '\n');
    struct str line = end < 0 ? *rest : str_sub(*rest, 0, (size_t)end);
    *rest = end < 0 ? STR("") : str_from(*rest, (size_t)end + 1);
    return line;
}

/* Lines that are as they were are left alone, so that little is sent and nothing flickers. */
void term_show(struct term *t, struct str screen)
{
    char *mem = mem_alloc(2 * screen.n + 64);
    struct str was = str_of(t->shown, t->shown_n), is = screen;
    struct buf b;
    unsigned columns, rows;
    term_size(t, &columns, &rows);
    /* The signal that it has another size may still be on its way. */
    if (columns != t->columns || rows != t->rows)
        was = STR("");
    bool anew = !was.n;
    t->columns = columns;
    t->rows = rows;
    if (!mem)
        return;
    buf_init(&b, mem, 2 * screen.n + 64);
    buf_z(&b, anew ? "\x1b[2J" : "");
    unsigned row = 1;
    for (; is.n; row++) {
        struct str line = line_take(&is), old = line_take(&was);
        if (!anew && str_eq(line, old))
            continue;
        if (b.cap - b.n < line.n + 32) { /* many short lines */
            put(t, b.p, b.n);
            b.n = 0;
        }
        buf_printf(&b, "\x1b[%u;1H", row);
        buf_str_put(&b, line);
        buf_lit(&b, "\x1b[0m\x1b[K");
    }
    if (was.n)
        buf_printf(&b, "\x1b[%u;1H\x1b[0m\x1b[J", row);
    put(t, b.p, b.n);
    mem_free(mem);
    char *copy = mem_resize(t->shown, screen.n + 1);
    if (copy) {
        memcpy(copy, screen.p, screen.n);
        t->shown = copy;
    }
    t->shown_n = copy ? screen.n : 0;
}
