/* What zstd's C sources are compiled with, before everything else (`-include`).
 *
 * WebAssembly has no instruction that prefetches, and clang makes nothing of the builtin. A load
 * whose value nobody wants brings the line as well, and what comes after it does not wait: a
 * quarter of the time at level 9, where each of a row's candidates lies in a line of its own.
 * Unlike a prefetch it must stay within the memory, and zstd prefetches beyond its buffers.
 */
#define __builtin_prefetch(address, ...) \
    ((void)((size_t)(address) < __builtin_wasm_memory_size(0) << 16 \
                && *(const volatile unsigned char *)(address)))
