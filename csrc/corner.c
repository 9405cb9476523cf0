/* Cells are kept a little too large, so that what is found on them is proved; to be described, their vertices
   are put back to where their cuts meet: one step of Newton's, which is exact for forms. */
#include <math.h>
#include <string.h>

#include "walk.h"

enum { MOST_DIMENSIONS = 6 };

/* A move by more than this part of the domain is due to cuts that nearly coincide, and is not made. */
#define LONGEST_MOVE 1e-3

void fl_move_to_corner(const fl_walk *w, const uint32_t *cuts, double *point)
{
    const size_t d = w->cells->d;
    double m[MOST_DIMENSIONS][MOST_DIMENSIONS + 1];
    for (size_t i = 0; i < d; i++) {
        double z = w->cuts.rows[d * w->cuts.stride + cuts[i]];
        for (size_t k = 0; k < d; k++) {
            m[i][k] = w->cuts.rows[k * w->cuts.stride + cuts[i]];
            z += m[i][k] * point[k];
        }
        m[i][d] = -z;
    }
    for (size_t i = 0; i < d; i++) {
        size_t pivot = i;
        for (size_t r = i + 1; r < d; r++)
            if (fabs(m[r][i]) > fabs(m[pivot][i])) pivot = r;
        if (m[pivot][i] == 0) return;
        double row[MOST_DIMENSIONS + 1];
        memcpy(row, m[pivot], sizeof row);
        memcpy(m[pivot], m[i], sizeof row);
        memcpy(m[i], row, sizeof row);
        for (size_t r = 0; r < d; r++) {
            if (r == i) continue;
            const double factor = m[r][i] / m[i][i];
            for (size_t k = i + 1; k <= d; k++) m[r][k] -= factor * m[i][k];
        }
    }
    double moved[MOST_DIMENSIONS];
    for (size_t k = 0; k < d; k++) {
        const double move = m[k][d] / m[k][k];
        if (!(fabs(move) <= LONGEST_MOVE * w->cells->reach[k])) return;
        moved[k] = point[k] + move;
    }
    memcpy(point, moved, d * sizeof(double));
}
