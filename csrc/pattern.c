/* Mask rows, a row a neuron, to packed patterns, a row a point. */
#include <string.h>

#include "network.h"

/* n bytes of every row, n a constant: the compiler makes it one store. */
#define COPY_BYTES(n) \
    case n: \
        for (size_t p = 0; p < n_points; p++) memcpy(patterns + p * n_bytes + first, rows + p, n); \
        break;

void FL(fl_write_patterns)(const struct FL(fl_network) *network, const fl_mask_row *masks, uint8_t *patterns,
                           size_t n_points)
{
    const size_t n_bytes = (network->n_neurons + 7) / 8;
    uint64_t rows[FL_BLOCK];
    for (size_t first = 0; first < n_bytes; first += 8) {
        network->kernels->transpose_bits(masks + 8 * first, rows);
        switch (n_bytes - first) {
        COPY_BYTES(1)
        COPY_BYTES(2)
        COPY_BYTES(3)
        COPY_BYTES(4)
        COPY_BYTES(5)
        COPY_BYTES(6)
        COPY_BYTES(7)
        default:
            for (size_t p = 0; p < n_points; p++) memcpy(patterns + p * n_bytes + first, rows + p, 8);
        }
    }
}
