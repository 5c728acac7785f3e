#include "io/notify.h"

#include <systemd/sd-daemon.h>

void notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_reloading(void)
{
    sd_notify(0, "RELOADING=1");
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void notify_watchdog(void)
{
    sd_notify(0, "WATCHDOG=1");
}

uint32_t notify_watchdog_ms(void)
{
    uint64_t usec = 0;
    /* Half of what systemd allows, so that one late turn is no death sentence. */
    return sd_watchdog_enabled(0, &usec) > 0 ? (uint32_t)(usec / 2000) : 0;
}
