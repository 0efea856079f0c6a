/* Which way of searching is used: see scan.h. */
#include "scan.h"

const ms_path_functions *ms_path = &ms_path_plain;

bool ms_path_choose(int number) {
    const ms_path_functions *chosen = number == 0 || number == 1 ? &ms_path_plain : NULL;
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
    if (number == 2 || (number == 0 && !has_avx2)) chosen = &ms_path_sse2;
    if (has_avx2 && (number == 3 || number == 0)) chosen = &ms_path_avx2;
#endif
    if (chosen != NULL) ms_path = chosen;
    return chosen != NULL;
}
