/* The hook behind MH_POINT, in test builds only. */
#include "kill_points.h"

#ifdef MH_KILL_POINTS
static void nothing(mh_point point) { (void)point; }

void (*mh_point_hook)(mh_point) = nothing;

const char *const mh_point_names[MH_POINT_COUNT] = {
#define MH_POINT_NAME(name) #name,
    MH_POINTS(MH_POINT_NAME)
#undef MH_POINT_NAME
};
#else
typedef int mh_no_kill_points; /* a translation unit must not be empty */
#endif
