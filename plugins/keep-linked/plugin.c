/* Keeps files that have another name somewhere: removing one of them frees nothing. */
#include "retain.h"

retain_verdict review(const retain_entry *entry) {
    if (entry->links > 1)
        return (retain_verdict){ .kind = RETAIN_KEEP, .reason = RETAIN_TEXT("it has other names") };
    return (retain_verdict){ .kind = RETAIN_PROCEED };
}
