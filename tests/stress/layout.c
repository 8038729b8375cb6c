/* Messages in memory: contiguous, or as one of many datatypes; filled, guarded and checked byte by byte. */
#include "stress.h"

/* Bytes before and after a message's memory that must stay as they are. */
enum { MARGIN = 64, UNTOUCHED = 0xa5, MOST_RUNS = 96 };

void pool_make(Pool *pool, size_t room)
{
    *pool = (Pool){.memory = malloc(room), .room = room};
    if (!pool->memory)
        wrong("no memory");
}

void *pool_take(Pool *pool, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    /* Large ones come and go, so that their addresses differ. */
    if (bytes > 1 << 20 || pool->used + bytes > pool->room) {
        void *memory = malloc(bytes);
        if (!memory || pool->larges == (int)(sizeof pool->large / sizeof *pool->large))
            wrong("no memory for %zu bytes", bytes);
        pool->large[pool->larges++] = memory;
        return memory;
    }
    pool->used += bytes;
    return pool->memory + pool->used - bytes;
}

void pool_empty(Pool *pool)
{
    for (int i = 0; i < pool->larges; i++)
        free(pool->large[i]);
    pool->larges = 0;
    pool->used = 0;
}

static MPI_Datatype basic(int unit)
{
    return unit == 8 ? MPI_DOUBLE : unit == 4 ? MPI_INT : MPI_BYTE;
}

static void add_run(Layout *layout, ptrdiff_t at, size_t bytes)
{
    layout->run[layout->runs++] = (struct run){at, bytes};
}

static void commit(Layout *layout, MPI_Count count, MPI_Datatype type)
{
    OK(MPI_Type_commit(&type));
    layout->type = type;
    layout->count = count;
    layout->own = 1;
}

/* Lengths of up to `most` blocks of values that are `values` together. */
static int cut(Random *random, size_t values, int most, int *lengths)
{
    int n = 0;
    while (values > 0 && n < most - 1) {
        size_t length = 1 + below(random, (unsigned)(values < 2 ? 1 : 2 * values / most + 1));
        length = length < values ? length : values;
        lengths[n++] = (int)length;
        values -= length;
    }
    if (values > 0)
        lengths[n++] = (int)values;
    return n;
}

/* Blocks of equal length at equal distances; with `count` more than one, elements of a resized type. */
static void strided(Layout *layout, Random *random, size_t values, int unit)
{
    size_t blocks = 1 + below(random, MOST_RUNS - 1);
    while (values % blocks)
        blocks--;
    size_t length = values / blocks, gap = (1 + below(random, 5)) * unit;
    size_t step = length * unit + gap;
    MPI_Datatype type, inner;
    switch (below(random, 3)) {
    case 0:
        OK(MPI_Type_vector((int)blocks, (int)length, (int)(step / unit), basic(unit), &type));
        commit(layout, 1, type);
        break;
    case 1:
        OK(MPI_Type_create_hvector((int)blocks, (int)length, (MPI_Aint)step, basic(unit), &type));
        commit(layout, 1, type);
        break;
    default:
        OK(MPI_Type_contiguous((int)length, basic(unit), &inner));
        OK(MPI_Type_create_resized(inner, 0, (MPI_Aint)step, &type));
        OK(MPI_Type_free(&inner));
        commit(layout, (MPI_Count)blocks, type);
    }
    layout->length = blocks * step;
    for (size_t i = 0; i < blocks; i++)
        add_run(layout, (ptrdiff_t)(i * step), length * unit);
}

/* The same from the end to the beginning. */
static void backwards(Layout *layout, Random *random, size_t values, int unit)
{
    size_t blocks = 1 + below(random, MOST_RUNS - 1);
    while (values % blocks)
        blocks--;
    size_t length = values / blocks, step = (length + 1 + below(random, 3)) * unit;
    MPI_Datatype type;
    OK(MPI_Type_create_hvector((int)blocks, (int)length, -(MPI_Aint)step, basic(unit), &type));
    commit(layout, 1, type);
    layout->length = blocks * step;
    ptrdiff_t first = (ptrdiff_t)((blocks - 1) * step);
    layout->origin = first;
    for (size_t i = 0; i < blocks; i++)
        add_run(layout, first - (ptrdiff_t)(i * step), length * unit);
}

/* Blocks of any lengths in any order. */
static void scattered(Layout *layout, Random *random, size_t values, int unit)
{
    int lengths[MOST_RUNS], places[MOST_RUNS], order[MOST_RUNS];
    MPI_Aint bytes[MOST_RUNS];
    MPI_Datatype type, types[MOST_RUNS];
    int n = cut(random, values, 1 + (int)below(random, MOST_RUNS - 1), lengths);
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)below(random, i + 1), other = order[i];
        order[i] = order[j], order[j] = other;
    }
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        places[order[i]] = (int)at;
        at += lengths[order[i]] + below(random, 4);
    }
    for (int i = 0; i < n; i++) {
        bytes[i] = (MPI_Aint)places[i] * unit;
        types[i] = basic(unit);
        add_run(layout, bytes[i], (size_t)lengths[i] * unit);
    }
    layout->length = at * unit;
    switch (below(random, 3)) {
    case 0:
        OK(MPI_Type_indexed(n, lengths, places, basic(unit), &type));
        break;
    case 1:
        OK(MPI_Type_create_hindexed(n, lengths, bytes, basic(unit), &type));
        break;
    default:
        OK(MPI_Type_create_struct(n, lengths, bytes, types, &type));
    }
    commit(layout, 1, type);
}

/* Rows of a matrix that is larger. */
static void part_of_array(Layout *layout, Random *random, size_t values, int unit)
{
    size_t rows = 1 + below(random, MOST_RUNS - 1);
    while (values % rows)
        rows--;
    size_t columns = values / rows;
    int size[2] = {(int)(rows + below(random, 3)), (int)(columns + below(random, 9))}, sub[2] = {(int)rows, (int)columns};
    int start[2] = {(int)below(random, size[0] - sub[0] + 1), (int)below(random, size[1] - sub[1] + 1)};
    MPI_Datatype type;
    OK(MPI_Type_create_subarray(2, size, sub, start, MPI_ORDER_C, basic(unit), &type));
    commit(layout, 1, type);
    layout->length = (size_t)size[0] * size[1] * unit;
    for (size_t i = 0; i < rows; i++)
        add_run(layout, ((ptrdiff_t)(start[0] + i) * size[1] + start[1]) * unit, columns * unit);
}

void layout_make(Layout *layout, Pool *pool, Random *random, size_t bytes, int unit)
{
    *layout = (Layout){.bytes = bytes};
    size_t values = bytes / unit;
    /* Most messages of most programs are contiguous. */
    int derived = values > 1 && percent(random, 20);
    layout->run = pool_take(pool, (derived ? MOST_RUNS : 1) * sizeof *layout->run);
    if (!derived) {
        layout->type = basic(unit);
        layout->count = (MPI_Count)values;
        layout->length = bytes;
        add_run(layout, 0, bytes);
    } else {
        switch (below(random, 8)) {
        case 0: case 1: case 2:
            strided(layout, random, values, unit);
            break;
        case 3:
            backwards(layout, random, values, unit);
            break;
        case 4: case 5: case 6:
            scattered(layout, random, values, unit);
            break;
        default:
            part_of_array(layout, random, values, unit);
        }
    }
    layout->memory = pool_take(pool, layout->length + 2 * MARGIN + 64);
    /* Values are where C would have them, the memory begins anywhere. */
    layout->memory += (size_t)below(random, 64 / unit) * unit;
    layout->buffer = layout->memory + MARGIN + layout->origin;
    for (int i = 0; i < layout->runs; i++)
        layout->run[i].at += MARGIN;
    layout->length += 2 * MARGIN;
    if (derived && percent(random, 10)) {
        /* By absolute address. */
        MPI_Aint address;
        MPI_Datatype type;
        int n = (int)layout->count;
        OK(MPI_Get_address(layout->buffer, &address));
        OK(MPI_Type_create_hindexed(1, &n, &address, layout->type, &type));
        OK(MPI_Type_free(&layout->type));
        commit(layout, 1, type);
        layout->buffer = MPI_BOTTOM;
    }
}

void layout_free(Layout *layout)
{
    if (layout->own)
        OK(MPI_Type_free(&layout->type));
    layout->own = 0;
}

/* Word `i` of the pattern of `key`. */
static inline uint64_t word(uint64_t key, size_t i)
{
    return key + i * 0x9e3779b97f4a7c15ull;
}

static inline unsigned char byte_of(uint64_t key, size_t i)
{
    return (unsigned char)(word(key, i / 8) >> i % 8 * 8);
}

void layout_fill(const Layout *layout, uint64_t key)
{
    size_t at = 0;
    for (int i = 0; i < layout->runs; i++) {
        char *to = layout->memory + layout->run[i].at;
        size_t n = layout->run[i].bytes, j = 0;
        for (; j < n && (at + j) % 8; j++)
            to[j] = (char)byte_of(key, at + j);
        for (; j + 8 <= n; j += 8) {
            uint64_t value = word(key, (at + j) / 8);
            memcpy(to + j, &value, 8);
        }
        for (; j < n; j++)
            to[j] = (char)byte_of(key, at + j);
        at += n;
    }
}

/* Goes over what lies around and between the runs: ranges in the order of memory. */
static int compare(const void *a, const void *b)
{
    const struct run *one = a, *other = b;
    return (one->at > other->at) - (one->at < other->at);
}

static int around(const Layout *layout, int (*visit)(char *, size_t))
{
    struct run sorted[MOST_RUNS];
    memcpy(sorted, layout->run, layout->runs * sizeof *sorted);
    if (layout->runs > 1)
        qsort(sorted, layout->runs, sizeof *sorted, compare);
    size_t at = 0;
    for (int i = 0; i < layout->runs; i++) {
        if (!visit(layout->memory + at, (size_t)sorted[i].at - at))
            return 0;
        at = (size_t)sorted[i].at + sorted[i].bytes;
    }
    return visit(layout->memory + at, layout->length - at);
}

static int mark(char *at, size_t bytes)
{
    memset(at, UNTOUCHED, bytes);
    return 1;
}

static int is_marked(char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)at[i] != UNTOUCHED)
            return 0;
    return 1;
}

void layout_guard(const Layout *layout)
{
    around(layout, mark);
}

int layout_check(const Layout *layout, uint64_t key, size_t bytes)
{
    size_t at = 0;
    for (int i = 0; i < layout->runs && at < bytes; i++) {
        const char *from = layout->memory + layout->run[i].at;
        size_t n = layout->run[i].bytes, j = 0;
        n = n < bytes - at ? n : bytes - at;
        uint64_t differs = 0;
        for (; j < n && (at + j) % 8; j++)
            differs |= (unsigned char)from[j] ^ byte_of(key, at + j);
        for (; j + 8 <= n; j += 8) {
            uint64_t value;
            memcpy(&value, from + j, 8);
            differs |= value ^ word(key, (at + j) / 8);
        }
        for (; j < n; j++)
            differs |= (unsigned char)from[j] ^ byte_of(key, at + j);
        if (differs) {
            for (j = 0; (unsigned char)from[j] == byte_of(key, at + j); j++)
                ;
            fprintf(stderr, "byte %zu of %zu is %#x, and was sent as %#x\n", at + j, bytes, (unsigned char)from[j],
                    byte_of(key, at + j));
            return 0;
        }
        at += n;
    }
    if (!around(layout, is_marked)) {
        fprintf(stderr, "bytes that belong to no message of %zu bytes were changed\n", bytes);
        return 0;
    }
    return 1;
}
