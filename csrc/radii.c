/* Distances to the folds.

   Inside its region a neuron's sum is affine, z = g.x + c, so |z| / ||g|| in the dual norm is the distance to
   its fold, and the nearest fold is met first. Points with one pattern share all g and c: these are computed
   once for each pattern, layer by layer, columns of g and of c across lanes, with their errors as in certain.c.

   A point of which all s_j z_j are more than their errors, s_j the signs of its pattern, has that pattern, layer
   after layer, however its own sums were rounded. So with ||g|| as large as its error allows,

       q_j = (s_j z_j - error) / ||g_j||,    min over j of max(0, q_j)

   is a lower bound, 0 where a sign is not sure. What the error is at a point is bounded by f max |x_k| + e. */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "network.h"

/* Patterns lie across lanes, as many at once as leave the forms in cache. */
enum { FORM_REALS = 1 << 21, STRIDE = 16 /* no vector has more lanes */ };

typedef struct {
    size_t n_slots;
    uint32_t *slots;           /* [n_slots]: 1 + the number of the group there */
    uint32_t *first;           /* [n_points]: a point of each group */
    uint32_t *ends;            /* [n_points]: where each group ends in `order` */
    uint32_t *group, *order;   /* [n_points]: of each point; the points, group after group */
    size_t most, lanes;        /* patterns at once; the same in whole panels */
    size_t stride;             /* neurons, rounded up */
    double *active;              /* [n_neurons][lanes]: 1 or 0 */
    double *values[2], *errors[2];   /* [widest] panels: a column of the forms on its way */
    fl_kept_f64 kept;          /* of [n_in + 1] columns, [stride] neurons */
    size_t table_size;
    double *tables;              /* [lanes][n_in + 3][stride]: as `least` reads them, one a pattern */
    double *x;                   /* [STRIDE][n_in + 1]: as `least` reads points */
    void *memory;
} scratch;

static fl_status scratch_new(const fl_network_f64 *network, size_t n_points, scratch *s)
{
    fl_arena arena = {NULL, 0};
    const size_t n_neurons = network->n_neurons, n_columns = network->n_in + 1, panel = network->kernels->panel;
    s->stride = fl_round_up(n_neurons, STRIDE);
    s->most = FORM_REALS / (n_neurons * n_columns) + 1;
    if (s->most > FL_BLOCK) s->most = FL_BLOCK;
    if (s->most > n_points) s->most = n_points;
    s->lanes = (s->most + panel - 1) / panel * panel;
    s->table_size = (n_columns + 2) * s->stride;
    s->n_slots = 64;
    while (s->n_slots < 2 * n_points) s->n_slots *= 2;
    for (int pass = 0; pass < 2; pass++) {
        s->slots = fl_take(&arena, s->n_slots, sizeof(uint32_t));
        s->first = fl_take(&arena, n_points, sizeof(uint32_t));
        s->ends = fl_take(&arena, n_points, sizeof(uint32_t));
        s->group = fl_take(&arena, n_points, sizeof(uint32_t));
        s->order = fl_take(&arena, n_points, sizeof(uint32_t));
        s->active = fl_take(&arena, n_neurons * s->lanes, sizeof(double));
        for (int i = 0; i < 2; i++) {
            s->values[i] = fl_take(&arena, network->widest * FL_BLOCK, sizeof(double));
            s->errors[i] = fl_take(&arena, network->widest * FL_BLOCK, sizeof(double));
        }
        s->kept.forms = fl_take(&arena, n_columns * s->stride * s->lanes, sizeof(double));
        s->kept.lengths = fl_take(&arena, s->stride * s->lanes, sizeof(double));
        s->kept.e = fl_take(&arena, s->stride * s->lanes, sizeof(double));
        s->kept.f = fl_take(&arena, s->stride * s->lanes, sizeof(double));
        s->tables = fl_take(&arena, s->lanes * s->table_size, sizeof(double));
        s->x = fl_take(&arena, STRIDE * n_columns, sizeof(double));
        if (pass == 0 && !(s->memory = fl_arena_allocate(&arena))) return FL_NO_MEMORY;
    }
    return FL_OK;
}

/* Points by their patterns; returns the number of groups. */
static size_t group_points(const scratch *s, const uint8_t *patterns, size_t n_bytes, size_t n_points)
{
    size_t n_groups = 0;
    for (size_t p = 0; p < n_points; p++) {
        const uint8_t *pattern = patterns + p * n_bytes;
        size_t slot = fl_hash_pattern(pattern, n_bytes) & (s->n_slots - 1);
        while (s->slots[slot] && memcmp(patterns + s->first[s->slots[slot] - 1] * n_bytes, pattern, n_bytes))
            slot = (slot + 1) & (s->n_slots - 1);
        if (!s->slots[slot]) {
            s->first[n_groups] = (uint32_t)p;
            s->slots[slot] = (uint32_t)++n_groups;
        }
        s->group[p] = s->slots[slot] - 1;
        s->ends[s->group[p]]++;
    }
    size_t end = 0;
    for (size_t g = 0; g < n_groups; g++) {   /* where it begins, which its points then push on to its end */
        const size_t size = s->ends[g];
        s->ends[g] = (uint32_t)end;
        end += size;
    }
    for (size_t p = 0; p < n_points; p++) s->order[s->ends[s->group[p]]++] = (uint32_t)p;
    return n_groups;
}

/* One layer of one column of the forms, c being the last, for n patterns, and, rounding upward, its errors;
   keeps what the neurons get. Returns how many neurons the layer has. */
static size_t push(const fl_network_f64 *network, const fl_layer_f64 *layer, fl_norm norm, const scratch *s,
                   int turn, size_t first_bit, size_t column, size_t n)
{
    const fl_kernels_f64 *kernels = network->kernels;
    const size_t n_in = layer->affine.n_in, n_out = layer->affine.n_out, panel = kernels->panel;
    const size_t n_panels = (n + panel - 1) / panel, row = s->stride * s->lanes;
    fl_kept_f64 kept = s->kept;
    kept.forms += column * row;
    const int constant = column == network->n_in;
    const double underflow = (double)(2 * n_in + 4) * DBL_TRUE_MIN;
    const double *values = s->values[turn];
    double *errors = s->errors[turn], *next_values = s->values[!turn], *next_errors = s->errors[!turn];
    fl_mask_row no_masks[1];   /* FL_AFFINE writes none */
    size_t bit = first_bit;
    kernels->layer(constant ? &layer->affine : &layer->linear, FL_AFFINE, values, next_values, no_masks, n);
    fesetround(FE_UPWARD);
    kernels->add_relative(errors, values, layer->rounding.relative_error, n_in * n_panels * panel);
    kernels->layer(&layer->magnitude, FL_AFFINE, errors, next_errors, no_masks, n);
    for (size_t j = 0; j < n_out; j++) {
        const double slope = layer->affine.slopes[j];
        const double rest = constant ? layer->rounding.bias_error[j] : underflow;
        if (slope == 1) {
            for (size_t q = 0; q < n_panels; q++)
                for (size_t p = 0; p < panel; p++) {
                    double *error = next_errors + (q * n_out + j) * panel + p;
                    *error += *error > 0 ? rest : 0;
                }
            continue;
        }
        for (size_t q = 0; q < n_panels; q++) {
            const size_t from = (q * n_out + j) * panel, at = bit * s->lanes + q * panel;
            kernels->forms->keep_forms(&kept, norm, constant, rest, slope, layer->rounding.slope_error[j],
                                       s->active + at, next_values + from, next_errors + from, at);
        }
        bit++;
    }
    fesetround(FE_TONEAREST);
    return bit - first_bit;
}

static void make_forms(const fl_network_f64 *network, fl_norm norm, const scratch *s, size_t n, fl_patience *patience)
{
    const size_t panel = network->kernels->panel, n_in = network->n_in;
    const size_t n_panels = (n + panel - 1) / panel, size = n_in * n_panels * panel * sizeof(double);
    memset(s->kept.lengths, 0, s->stride * s->lanes * sizeof(double));
    memset(s->kept.f, 0, s->stride * s->lanes * sizeof(double));
    for (size_t column = 0; column <= n_in; column++) {
        int turn = 0;
        size_t bit = 0;
        memset(s->values[0], 0, size);
        memset(s->errors[0], 0, size);
        for (size_t q = 0; q < n_panels && column < n_in; q++)
            for (size_t p = 0; p < panel; p++) s->values[0][(q * n_in + column) * panel + p] = 1;
        for (size_t l = 0; l + 1 < network->n_layers; l++, turn = !turn) {
            const fl_affine_f64 *affine = &network->layers[l].affine;
            bit += push(network, network->layers + l, norm, s, turn, bit, column, n);
            if (fl_is_over(patience, 2 * affine->n_out * affine->n_in * n_panels * panel)) return;
        }
    }
}

/* Divides forms and errors by the lengths and signs, what is rounded here and in `least` added to the errors;
   then one table a pattern. A neuron without a gradient has no fold to be near, but its sign must be sure. */
static void make_tables(const fl_network_f64 *network, fl_norm norm, const scratch *s, size_t n)
{
    const fl_kernels_f64 *kernels = network->kernels;
    const size_t n_in = network->n_in, row = s->stride * s->lanes, lanes = kernels->lanes;
    const double up = 1 + 8 * REAL_UNIT_ROUNDOFF;
    for (size_t i = 0; i < network->n_neurons * s->lanes && norm == FL_NORM_2; i++)
        s->kept.lengths[i] = (double)sqrt(s->kept.lengths[i]) * up;
    for (size_t j = 0; j < network->n_neurons; j++)
        for (size_t q = 0; q < n; q += kernels->panel)
            kernels->forms->divide_forms(&s->kept, n_in, row, s->active, j * s->lanes + q);
    for (size_t i = 0; i < n; i += lanes)
        for (size_t r = 0; r < n_in + 3; r++) {
            const double *from = r == 0 ? s->kept.forms + n_in * row : r == 1 ? s->kept.e : r == 2 ? s->kept.f
                               : s->kept.forms + (r - 3) * row;
            for (size_t j = 0; j < s->stride; j += lanes)
                kernels->forms->turn_tile(from + j * s->lanes + i, s->lanes,
                                          s->tables + i * s->table_size + r * s->stride + j, s->table_size);
        }
}

/* The points of one group. */
static void measure(const fl_network_f64 *network, const double *points, const scratch *s, const double *table,
                    size_t group, double *radii, fl_patience *patience)
{
    const size_t n_in = network->n_in, lanes = network->kernels->lanes;
    for (size_t start = group ? s->ends[group - 1] : 0; start < s->ends[group]; start += lanes) {
        const size_t n = s->ends[group] - start < lanes ? s->ends[group] - start : lanes;
        double found[STRIDE];
        for (size_t i = 0; i < n; i++) {
            const double *point = points + s->order[start + i] * n_in;
            double *x = s->x + i * (n_in + 1), size = 0, doubt = 0;
            for (size_t k = 0; k < n_in; k++) {
                x[k] = point[k];
                size = fabs(x[k]) > size ? fabs(x[k]) : size;
                doubt += x[k] - x[k];   /* NaN where something is not finite */
            }
            x[n_in] = size + doubt;
        }
        network->kernels->forms->least(n_in, s->stride, table, n, s->x, found);
        if (fl_is_over(patience, n * n_in * s->stride)) return;
        for (size_t i = 0; i < n; i++) {
            const double size = s->x[i * (n_in + 1) + n_in];
            radii[s->order[start + i]] = size - size == 0 ? found[i] : 0;
        }
    }
}

static void measure_groups(const fl_network_f64 *network, const double *points, const uint8_t *patterns, fl_norm norm,
                           const scratch *s, size_t n_groups, double *radii, fl_patience *patience)
{
    const size_t n_neurons = network->n_neurons, n_bytes = (n_neurons + 7) / 8;
    for (size_t start = 0; start < n_groups; start += s->most) {
        const size_t n = n_groups - start < s->most ? n_groups - start : s->most;
        for (size_t i = 0; i < n; i++) {
            const uint8_t *pattern = patterns + s->first[start + i] * n_bytes;
            for (size_t j = 0; j < n_neurons; j++) s->active[j * s->lanes + i] = fl_bit_of(pattern, j);
        }
        make_forms(network, norm, s, n, patience);
        if (patience->is_over) return;
        make_tables(network, norm, s, n);
        for (size_t i = 0; i < n; i++)
            measure(network, points, s, s->tables + i * s->table_size, start + i, radii, patience);
    }
}

fl_status fl_radii_of_patterns(const fl_network_f64 *network, const double *points, const uint8_t *patterns,
                               size_t n_points, fl_norm norm, double *radii, int (*interrupted)(void *),
                               void *context)
{
    const size_t n_neurons = network->n_neurons;
    fl_patience patience = {.interrupted = interrupted, .context = context};
    if (!n_neurons)
        for (size_t p = 0; p < n_points; p++) radii[p] = HUGE_VAL;
    if (!n_neurons || !n_points) return FL_OK;
    scratch s = {0};
    if (scratch_new(network, n_points, &s)) return FL_NO_MEMORY;
    for (size_t i = n_neurons * s.lanes; i < s.stride * s.lanes; i++)
        s.kept.forms[network->n_in * s.stride * s.lanes + i] = HUGE_VAL;
    fenv_t callers;
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    const size_t n_groups = group_points(&s, patterns, (n_neurons + 7) / 8, n_points);
    measure_groups(network, points, patterns, norm, &s, n_groups, radii, &patience);
    fesetenv(&callers);
    free(s.memory);
    return FL_OK;
}
