/* Units of one layer whose forms are multiples of each other's: fl_cells_new has the encoding. */
#ifndef FOLDLINE_TWINS_H
#define FOLDLINE_TWINS_H

#include <stddef.h>
#include <stdint.h>

/* The first of a unit's twins, which may be itself. */
static inline size_t fl_first_twin(const int64_t *twins, size_t unit)
{
    return twins[unit] ? (size_t)(twins[unit] < 0 ? -twins[unit] : twins[unit]) - 1 : unit;
}

#endif
