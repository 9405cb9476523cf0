/* The real types. A source that includes this is compiled once with FL_REAL_BITS 32 and once with 64;
   FL(name) is a name for that type, name_f32 or name_f64, and FL_TABLE(isa) the name of a table of
   kernels, fl_kernels_isa_f32 or fl_kernels_isa_f64. With 80, which only knots.c knows, real is long double,
   whatever that is here. */
#ifndef FOLDLINE_REAL_H
#define FOLDLINE_REAL_H

/* The kernels of the walk through cells know doubles only. */
#define FL_CELL_TABLE(isa) FL_CELL_TABLE_(isa)
#define FL_CELL_TABLE_(isa) fl_cell_kernels_##isa

#include <float.h>
#include <math.h>

#if FL_REAL_BITS == 32
typedef float real;
#define FL(name) name##_f32
#define FL_TABLE(isa) fl_kernels_##isa##_f32
#define REAL_UNIT_ROUNDOFF (FLT_EPSILON / 2)
#define REAL_SMALLEST FLT_TRUE_MIN
#define real_size fabsf
#elif FL_REAL_BITS == 64
typedef double real;
#define FL(name) name##_f64
#define FL_TABLE(isa) fl_kernels_##isa##_f64
#define REAL_UNIT_ROUNDOFF (DBL_EPSILON / 2)
#define REAL_SMALLEST DBL_TRUE_MIN
#define real_size fabs
#elif FL_REAL_BITS == 80
typedef long double real;
#define FL(name) name##_wide
#define REAL_UNIT_ROUNDOFF (LDBL_EPSILON / 2)
#define real_size fabsl
#else
#error "compile with FL_REAL_BITS=32, 64 or 80"
#endif

#endif
