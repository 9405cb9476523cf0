/* What a walk finds, in arrays that grow. */
#include <stdlib.h>
#include <string.h>

#include "cells.h"
#include "walk.h"

static int grown(void *array, size_t capacity, size_t item_size)
{
    void *larger = realloc(*(void **)array, capacity * item_size);
    if (!larger) return 0;
    *(void **)array = larger;
    return 1;
}

static size_t more_than(size_t n) { return n + n / 2 + 64; }

uint8_t *fl_cell_opens_room(fl_cell_opens *opens)
{
    if (opens->n == opens->capacity) {
        const size_t capacity = more_than(opens->n);
        if (!grown(&opens->bits, capacity, opens->n_bytes + 1) ||
            !grown(&opens->lengths, capacity, sizeof *opens->lengths) || !grown(&opens->ties, capacity, 1))
            return NULL;
        opens->capacity = capacity;
    }
    return opens->bits + opens->n * opens->n_bytes;
}

void fl_cell_opens_add(fl_cell_opens *opens, size_t length, int tie)
{
    uint8_t *bits = opens->bits + opens->n * opens->n_bytes;
    if (length % 8) bits[length / 8] &= (uint8_t)((1 << length % 8) - 1);
    for (size_t i = (length + 7) / 8; i < opens->n_bytes; i++) bits[i] = 0;
    opens->lengths[opens->n] = length;
    opens->ties[opens->n++] = (uint8_t)tie;
}

fl_status fl_cell_rows_add(fl_cell_rows *rows, const uint8_t *bits, const double *point,
                           const fl_cell_facts *facts, const int64_t *cut_bits)
{
    const size_t n_vertices = facts->n_vertices, n_facets = facts->n_facets;
    const size_t d = rows->d;
    if (rows->n == rows->capacity) {
        const size_t capacity = more_than(rows->n);
        if (!grown(&rows->patterns, capacity, rows->n_bytes + 1) ||
            !grown(&rows->points, capacity, d * sizeof(double)) ||
            !grown(&rows->volumes, capacity, sizeof(double)) ||
            !grown(&rows->vertex_ends, capacity, sizeof(size_t)) ||
            !grown(&rows->facet_ends, capacity, sizeof(size_t)))
            return FL_NO_MEMORY;
        rows->capacity = capacity;
    }
    if (rows->n_vertices + n_vertices > rows->vertex_capacity) {
        const size_t capacity = more_than(rows->n_vertices + n_vertices);
        if (!grown(&rows->vertices, capacity, d * sizeof(double))) return FL_NO_MEMORY;
        rows->vertex_capacity = capacity;
    }
    if (rows->n_facets + n_facets > rows->facet_capacity) {
        const size_t capacity = more_than(rows->n_facets + n_facets);
        if (!grown(&rows->facets, capacity, sizeof(int64_t))) return FL_NO_MEMORY;
        rows->facet_capacity = capacity;
    }
    memcpy(rows->patterns + rows->n * rows->n_bytes, bits, rows->n_bytes);
    memcpy(rows->points + rows->n * d, point, d * sizeof(double));
    if (n_vertices) memcpy(rows->vertices + rows->n_vertices * d, facts->vertices, n_vertices * d * sizeof(double));
    for (size_t i = 0; i < n_facets; i++) rows->facets[rows->n_facets + i] = cut_bits[facts->facets[i]];
    rows->volumes[rows->n] = facts->volume;
    rows->vertex_ends[rows->n] = rows->n_vertices += n_vertices;
    rows->facet_ends[rows->n++] = rows->n_facets += n_facets;
    return FL_OK;
}

void fl_cell_opens_free(fl_cell_opens *opens)
{
    free(opens->bits);
    free(opens->lengths);
    free(opens->ties);
    memset(opens, 0, sizeof *opens);
}

void fl_cell_rows_free(fl_cell_rows *rows)
{
    free(rows->patterns);
    free(rows->points);
    free(rows->volumes);
    free(rows->vertex_ends);
    free(rows->facet_ends);
    free(rows->vertices);
    free(rows->facets);
    memset(rows, 0, sizeof *rows);
}

static fl_status make_room(fl_exact_rows *rows, size_t n_vertices, size_t n_facets, size_t n_members)
{
    const size_t size = rows->d + 1;
    if (rows->n == rows->capacity) {
        const size_t capacity = more_than(rows->n);
        if (!grown(&rows->patterns, capacity, rows->n_bytes + 1)) return FL_NO_MEMORY;
        if (!rows->only_patterns && (!grown(&rows->forms, capacity, rows->n_out * size * sizeof(int64_t)) ||
                                     !grown(&rows->vertex_ends, capacity, sizeof(size_t)) ||
                                     !grown(&rows->facet_ends, capacity, sizeof(size_t))))
            return FL_NO_MEMORY;
        rows->capacity = capacity;
    }
    if (rows->n_vertices + n_vertices > rows->vertex_capacity) {
        const size_t capacity = more_than(rows->n_vertices + n_vertices);
        if (!grown(&rows->vertices, capacity, size * sizeof(int64_t))) return FL_NO_MEMORY;
        rows->vertex_capacity = capacity;
    }
    if (rows->n_facets + n_facets > rows->facet_capacity) {
        const size_t capacity = more_than(rows->n_facets + n_facets);
        if (!grown(&rows->member_ends, capacity, sizeof(size_t))) return FL_NO_MEMORY;
        rows->facet_capacity = capacity;
    }
    if (rows->n_members + n_members > rows->member_capacity) {
        const size_t capacity = more_than(rows->n_members + n_members);
        if (!grown(&rows->members, capacity, sizeof(uint32_t))) return FL_NO_MEMORY;
        rows->member_capacity = capacity;
    }
    return FL_OK;
}

fl_status fl_exact_rows_add(fl_exact_rows *rows, const uint8_t *bits, const int64_t *forms, size_t n_vertices,
                            const int64_t *vertices, size_t n_facets, const uint64_t *members)
{
    const size_t size = rows->d + 1, n_words = fl_words(n_vertices), n_forms = rows->n_out * size;
    if (rows->only_patterns) n_vertices = n_facets = 0;
    const fl_status status = make_room(rows, n_vertices, n_facets, n_facets * n_vertices);
    if (status) return status;
    memcpy(rows->patterns + rows->n++ * rows->n_bytes, bits, rows->n_bytes);
    if (rows->only_patterns) return FL_OK;
    for (size_t o = 0; o < rows->n_out; o++)
        for (size_t k = 0; k < size; k++)
            rows->forms[(rows->n - 1) * n_forms + o * size + k] = forms[k * rows->n_out + o];
    memcpy(rows->vertices + rows->n_vertices * size, vertices, n_vertices * size * sizeof(int64_t));
    for (size_t i = 0; i < n_facets; i++) {
        for (size_t v = 0; v < n_vertices; v++)
            if (fl_bit(members + i * n_words, v)) rows->members[rows->n_members++] = (uint32_t)v;
        rows->member_ends[rows->n_facets++] = rows->n_members;
    }
    rows->vertex_ends[rows->n - 1] = rows->n_vertices += n_vertices;
    rows->facet_ends[rows->n - 1] = rows->n_facets;
    return FL_OK;
}

void fl_exact_rows_free(fl_exact_rows *rows)
{
    free(rows->patterns);
    free(rows->forms);
    free(rows->vertex_ends);
    free(rows->facet_ends);
    free(rows->vertices);
    free(rows->member_ends);
    free(rows->members);
    memset(rows, 0, sizeof *rows);
}
