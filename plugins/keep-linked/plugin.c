/* Keeps files that have another name somewhere: removing one of them frees nothing. */
#define RETAIN_BULK
#include "retain.h"

retain_verdict review(const retain_file *file) {
    if (file->links > 1)
        return (retain_verdict){ .kind = RETAIN_KEEP, .reason = RETAIN_TEXT("it has other names") };
    return (retain_verdict){ .kind = RETAIN_PROCEED };
}
