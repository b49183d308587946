/* SPDX-License-Identifier: MIT
 * Seconds since 1970 -> calendar, without libc's time zones. */
#ifndef SP_COMPAT_UTC_H
#define SP_COMPAT_UTC_H

#include "compat/base.h"

struct sp_utc {
    uint32_t year, month, day, hour, minute, second;
};

/* Proleptic Gregorian calendar; years from 1970 on. */
static inline struct sp_utc sp_utc_from_seconds(uint64_t seconds)
{
    uint64_t days = seconds / 86400, rest = seconds % 86400;
    uint32_t year = 1970, month = 0;
    for (;; year++) {
        uint32_t n = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 366 : 365;
        if (days < n)
            break;
        days -= n;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    const uint8_t lengths[] = {31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    while (days >= lengths[month])
        days -= lengths[month++];
    return (struct sp_utc){
        year, month + 1, (uint32_t)days + 1, (uint32_t)(rest / 3600), (uint32_t)(rest / 60 % 60), (uint32_t)(rest % 60)};
}

#endif
