/* The contract of retain for reviewers in C: retain:plugin@0.1.0.
 *
 * The structs lie in memory as the component model wants them, so nothing is copied
 * and no generator is needed. `retain plugin build` makes a component of the module. */
#ifndef RETAIN_H
#define RETAIN_H

#include <stddef.h>
#include <stdint.h>

/* Text is UTF-8 and has no NUL at its end. */
typedef struct { const char *text; size_t length; } retain_string;

typedef struct { int64_t seconds; uint32_t nanoseconds; } retain_instant;

/* One file that is about to go; wit/retain.wit says what each field means. */
typedef struct {
    uint32_t slot;
    retain_string key;
    retain_string store;
    retain_string path;
    struct { uint8_t is_some; const uint8_t *bytes; size_t length; } raw_path;
    uint64_t size;
    uint64_t allocated;
    retain_instant modified;
    uint64_t links;
    retain_string collection;
    retain_string rule;
    struct { const struct { retain_string name, value; } *items; size_t length; } captures;
    uint32_t attempt;
} retain_entry;

typedef struct {
    uint8_t class; /* 0 retryable, 1 permanent, 2 misconfigured */
    retain_string code;
    retain_string message;
} retain_failure;

enum { RETAIN_PROCEED = 0, RETAIN_KEEP = 1, RETAIN_DEFER = 2, RETAIN_FAILED = 3 };

typedef struct {
    uint8_t kind;
    union {
        retain_string reason;
        retain_instant until;
        retain_failure failure;
    };
} retain_verdict;

_Static_assert(sizeof(retain_entry) == 112, "as the component model lays it out");
_Static_assert(sizeof(retain_verdict) == 32, "as the component model lays it out");

#define RETAIN_TEXT(literal) ((retain_string){ literal, sizeof(literal) - 1 })

__attribute__((import_module("retain:plugin/log@0.1.0"), import_name("log")))
void retain_log(uint32_t level, const char *text, size_t length);

/* The settings as canonical JSON. */
__attribute__((import_module("retain:plugin/config@0.1.0"), import_name("settings")))
void retain_settings(retain_string *settings);

typedef struct {
    uint8_t failed;
    union {
        uint8_t marked;
        retain_failure failure;
    };
} retain_marked;

_Static_assert(sizeof(retain_marked) == 24, "as the component model lays it out");

/* Whether an entry of that name lies beside the file in a slot, or in a directory above
 * it up to the store's root. Where that failed, the file had better stay. */
__attribute__((import_module("retain:plugin/surroundings@0.1.0"), import_name("marked")))
void retain_is_marked(uint32_t slot, const char *name, size_t length, retain_marked *answer);

/* An instance serves one call, so memory is only ever taken. */
extern unsigned char __heap_base;
static uintptr_t retain_heap;

static void *retain_take(size_t align, size_t size) {
    if (!retain_heap) retain_heap = (uintptr_t)&__heap_base;
    uintptr_t at = (retain_heap + align - 1) & ~(uintptr_t)(align - 1);
    uintptr_t end = at + size;
    uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
    if (end < at) __builtin_trap();
    if (end > have) {
        /* A MiB at once, where there is as much: asking takes longer than most answers. */
        size_t pages = (end - have + 65535) >> 16, most = pages < 16 ? 16 : pages;
        if (__builtin_wasm_memory_grow(0, most) == (size_t)-1
            && __builtin_wasm_memory_grow(0, pages) == (size_t)-1) __builtin_trap();
    }
    retain_heap = end;
    return (void *)at;
}

__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    unsigned char *new = retain_take(align, size);
    for (size_t i = 0; i < old_size && i < size; i++) new[i] = ((unsigned char *)old)[i];
    return new;
}

#ifndef RETAIN_BULK

/* What you write: the verdict on one file. */
retain_verdict review(const retain_entry *entry);

typedef struct { retain_verdict *verdicts; size_t length; } retain_verdicts;

__attribute__((export_name("retain:plugin/reviewer@0.1.0#review")))
retain_verdicts *retain_review(const retain_entry *entries, size_t length) {
    retain_verdicts *answer = retain_take(8, sizeof *answer);
    answer->verdicts = retain_take(8, length * sizeof(retain_verdict));
    answer->length = length;
    for (size_t i = 0; i < length; i++) answer->verdicts[i] = review(&entries[i]);
    return answer;
}

#else /* RETAIN_BULK: the same for very many files; define it before you include this. */

typedef struct { const uint8_t *bytes; size_t length; } retain_bytes;

/* What files have in common. */
typedef struct {
    retain_string store;
    retain_string collection;
    retain_string rule;
    struct { const retain_string *names; size_t length; } captures;
} retain_origin;

/* One file that is about to go; `bulk-reviewer` in wit/retain.wit says what each field means. */
typedef struct {
    uint32_t slot;
    retain_bytes path;
    uint64_t size;
    uint64_t allocated;
    retain_instant modified;
    uint32_t links;
    const retain_origin *origin;
    retain_bytes captures; /* their values, each with a zero byte behind it */
} retain_file;

/* What you write: the verdict on one file. */
retain_verdict review(const retain_file *file);

typedef struct {
    retain_bytes texts;
    struct { const uint32_t *at; size_t length; } path_ends, ends;
    struct { const retain_origin *at; size_t length; } origins;
    struct { const uint32_t *at; size_t length; } origin;
    struct { const uint64_t *at; size_t length; } size, allocated;
    struct { const int64_t *at; size_t length; } modified_seconds;
    struct { const uint32_t *at; size_t length; } modified_nanoseconds, links;
} retain_batch;

/* An objection is a verdict that is not RETAIN_PROCEED, counted from there. */
typedef struct {
    struct { uint8_t *at; size_t length; } proceed;
    struct { retain_verdict *at; size_t length; } objections;
} retain_verdicts;

_Static_assert(sizeof(retain_batch) == 80, "as the component model lays it out");
_Static_assert(sizeof(retain_verdicts) == 16, "as the component model lays it out");

__attribute__((export_name("retain:plugin/bulk-reviewer@0.1.0#review")))
retain_verdicts *retain_review(const retain_batch *batch) {
    size_t length = batch->ends.length;
    retain_verdicts *answer = retain_take(8, sizeof *answer);
    answer->proceed.at = retain_take(1, length);
    answer->proceed.length = length;
    answer->objections.at = retain_take(8, length * sizeof(retain_verdict));
    answer->objections.length = 0;
    uint32_t begin = 0;
    for (size_t i = 0; i < length; i++) {
        uint32_t path_end = batch->path_ends.at[i], end = batch->ends.at[i];
        retain_file file = {
            .slot = i,
            .path = { batch->texts.bytes + begin, path_end - begin },
            .size = batch->size.at[i],
            .allocated = batch->allocated.at[i],
            .modified = { batch->modified_seconds.at[i], batch->modified_nanoseconds.at[i] },
            .links = batch->links.at[i],
            .origin = &batch->origins.at[batch->origin.at[i]],
            .captures = { batch->texts.bytes + path_end, end - path_end },
        };
        begin = end;
        retain_verdict verdict = review(&file);
        answer->proceed.at[i] = verdict.kind == RETAIN_PROCEED;
        if (verdict.kind == RETAIN_PROCEED) continue;
        verdict.kind--;
        answer->objections.at[answer->objections.length++] = verdict;
    }
    return answer;
}

#endif

#endif
