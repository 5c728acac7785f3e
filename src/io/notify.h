/* What systemd wants to hear from a Type=notify service. Without systemd nothing happens. */
#ifndef IO_NOTIFY_H
#define IO_NOTIFY_H

#include <stdint.h>

/* Serving; `status` is one line for `systemctl status`. Also ends a reload. */
void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);
/* How often notify_watchdog() must come at the latest, in milliseconds; 0: never. */
uint32_t notify_watchdog_ms(void);

#endif
