/* A round of a lane: all ranks make the same list of messages from the seed; each sends and receives its own.
 *
 *   1  receives that are there early, in all ways that do not wait
 *   2  sends: first those that do not wait, then those that wait for a receive that is there early
 *   3  receives that come late, which may wait: what they wait for was sent in 2
 *   4  what is under way is completed
 *
 * Nothing waits for a later phase of another rank, so no rank waits for ever. */
#include "stress.h"

enum { MOST = 500, ACTIVE = 2 * MOST, FLAG = 1, ROUND_BYTES = 40 << 20 };

/* An operation under way. */
typedef struct {
    Message *out, *in; /* both for MPI_Isendrecv */
    Layout from, to;
    int persistent, times; /* done */
} Op;

typedef struct {
    Lane *lane;
    Message messages[MOST];
    char seen[MOST]; /* received, or reserved for a receive that is part of a send */
    int count, style;
    MPI_Request request[ACTIVE];
    Op *op[ACTIVE];
    int active, repeating;
    size_t widest; /* of the wild messages to this rank */
} Round;

/* The tag of message `i`: unique, and with room for a second message about it. */
static int tag_of(Random *random, int i)
{
    return (int)(next(random) & 0x7ffffc00) | i << 1;
}

static size_t draw_size(Random *random)
{
    /* Up to so many bytes, this often in 10,000; evenly over the logarithm in between. */
    static const struct { unsigned often, low, high; } sizes[] = {
        {500, 0, 0},           {7500, 1, 64},         {1300, 64, 4096},        {550, 4096, 65536},
        {135, 65536, 1 << 19}, {14, 1 << 19, 8 << 20}, {1, 12 << 20, 16 << 20},
    };
    unsigned drawn = below(random, 10000), i = 0;
    while (drawn >= sizes[i].often)
        drawn -= sizes[i++].often;
    size_t low = sizes[i].low, high = sizes[i].high;
    while (high > 2 * low && percent(random, 50))
        high /= 2;
    return low + below(random, (unsigned)(high - low + 1));
}

static SendWay draw_send(Random *random, const Message *message)
{
    static const SendWay late[] = {ISEND, ISEND, ISSEND, IBSEND, BSEND, SEND_INIT, SSEND_INIT, BSEND_INIT, ISENDRECV};
    int simple = message->kind != EXACT;
    if (message->recv == ASKED)
        return CANCELLED_SEND;
    /* Only a receive that is surely there may be waited for. */
    SendWay way = message->recv == EARLY && !simple ? (SendWay)below(random, CANCELLED_SEND)
                                                    : late[below(random, simple ? 8 : 9)];
    int buffered = way == BSEND || way == IBSEND || way == BSEND_INIT;
    return buffered && message->size > 65536 ? ISEND : way;
}

static void make_messages(Round *round)
{
    Lane *lane = round->lane;
    Random random = {mixed(lane->seed ^ mixed(lane->number * 1000003ull + mixed(lane->round)))};
    int wanted = percent(&random, 10) ? 1 + (int)below(&random, 4) : 1 + (int)below(&random, MOST);
    size_t bytes = 0;
    /* Chains of ordered messages are early up to some message, then late. */
    char late[64] = {0};
    round->style = (int)below(&random, 3);
    for (round->count = 0; round->count < wanted && bytes < ROUND_BYTES; round->count++) {
        Message *message = &round->messages[round->count];
        *message = (Message){.source = (int)below(&random, lane->ranks), .repeat = 1};
        message->dest = percent(&random, 10) ? message->source : (int)below(&random, lane->ranks);
        message->kind = percent(&random, 70) ? EXACT : percent(&random, 50) ? WILD : ORDERED;
        message->size = draw_size(&random);
        message->unit = message->kind == WILD || percent(&random, 60) ? 1 : percent(&random, 50) ? 4 : 8;
        message->size -= message->size % message->unit;
        message->recv = percent(&random, 50) ? EARLY : LATE;
        message->tag = tag_of(&random, round->count);
        message->key = next(&random);
        if (message->kind == ORDERED) {
            message->tag = 7;
            char *chain = &late[(message->source * 8 + message->dest) % 64];
            *chain |= message->recv == LATE;
            message->recv = *chain ? LATE : EARLY;
        } else if (message->kind == EXACT && message->recv == LATE) {
            if (percent(&random, 8))
                message->recv = ASKED;
            else if (message->size && percent(&random, 8))
                message->recv = SHORT;
        }
        message->send = draw_send(&random, message);
        int persistent = message->send >= SEND_INIT && message->send <= RSEND_INIT;
        if (persistent && message->kind == EXACT && message->recv != SHORT && message->send != RSEND_INIT)
            message->repeat = 1 + (int)below(&random, 3);
        bytes += message->size * message->repeat;
        if (message->kind == WILD && message->dest == lane->rank && message->size > round->widest)
            round->widest = message->size;
    }
}

static int is_ready(SendWay way)
{
    return way == RSEND || way == IRSEND || way == RSEND_INIT;
}

static void *take(Round *round, size_t bytes)
{
    return memset(pool_take(&round->lane->pool, bytes), 0, bytes);
}

static void describe(const Round *round, const Message *message)
{
    static const char *const sends[] = {"Send", "Ssend", "Bsend", "Rsend", "Sendrecv", "Isend", "Issend", "Ibsend", "Irsend",
                                        "Isendrecv", "Send_init", "Ssend_init", "Bsend_init", "Rsend_init", "cancelled"};
    static const char *const recvs[] = {"early", "late", "too short", "late, if not cancelled"};
    fprintf(stderr, "rank %d, lane %d, round %llu: from %d to %d, tag %d, %zu bytes, %s, receive %s, kind %d\n",
            round->lane->rank, round->lane->number, (unsigned long long)round->lane->round, message->source, message->dest,
            message->tag, message->size, sends[message->send], recvs[message->recv], message->kind);
}

/* A message has come: everything about it must be right. */
static void arrived(Round *round, const Message *message, const Layout *to, int times, const MPI_Status *status)
{
    MPI_Count count;
    int cancelled;
    OK(MPI_Get_elements_c(status, MPI_BYTE, &count));
    OK(MPI_Test_cancelled(status, &cancelled));
    size_t values = message->size / message->unit;
    MPI_Count elements = -1;
    MPI_Datatype unit = message->unit == 8 ? MPI_DOUBLE : message->unit == 4 ? MPI_INT : MPI_BYTE;
    OK(MPI_Get_elements_c(status, unit, &elements));
    if (status->MPI_SOURCE != message->source || status->MPI_TAG != message->tag || cancelled
        || (size_t)count != message->size || (size_t)elements != values) {
        describe(round, message);
        wrong("the status says source %d, tag %d, %lld bytes, %lld values, cancelled %d", status->MPI_SOURCE,
              status->MPI_TAG, (long long)count, (long long)elements, cancelled);
    }
    if (!layout_check(to, message->key + times, message->size)) {
        describe(round, message);
        wrong("time %d of %d", times + 1, message->repeat);
    }
    round->lane->done++;
    round->lane->bytes += message->size;
}

/* The wild message that a status names, which must not have come before. */
static Message *named(Round *round, const MPI_Status *status)
{
    int i = status->MPI_TAG >> 1 & 511;
    Message *message = &round->messages[i];
    if (i >= round->count || message->tag != status->MPI_TAG || message->kind != WILD || round->seen[i])
        wrong("a wildcard receive got a message from %d with tag %d, which nobody sent or which has come before",
              status->MPI_SOURCE, status->MPI_TAG);
    round->seen[i] = 1;
    return message;
}

static void add(Round *round, Op *op, MPI_Request request)
{
    round->request[round->active] = request;
    round->op[round->active++] = op;
    const Message *message = op->out ? op->out : op->in;
    round->repeating += message && op->times + 1 < message->repeat;
}

/* What a receive says about source and tag. */
static void wildcards(Round *round, const Message *message, int *source, int *tag)
{
    *source = message->source, *tag = message->tag;
    if (message->kind == WILD) {
        if (round->style == 0 || round->style == 1)
            *source = MPI_ANY_SOURCE;
        if (round->style == 0 || round->style == 2)
            *tag = MPI_ANY_TAG;
    } else if (message->kind == EXACT && percent(&round->lane->own, 30)) {
        *source = MPI_ANY_SOURCE;
    }
}

static Op *receiving(Round *round, Message *message)
{
    Op *op = take(round, sizeof *op);
    op->in = message;
    size_t bytes = message->size;
    if (message->kind == WILD && round->style != 1)
        bytes = round->widest;
    layout_make(&op->to, &round->lane->pool, &round->lane->own, bytes, message->unit);
    layout_guard(&op->to);
    return op;
}

static void start_receive(Round *round, Op *op, MPI_Request *request)
{
    MPI_Comm comm = round->lane->comm[op->in->kind];
    int source, tag;
    wildcards(round, op->in, &source, &tag);
    if (percent(&round->lane->own, 25)) {
        OK(MPI_Recv_init_c(op->to.buffer, op->to.count, op->to.type, source, tag, comm, request));
        OK(MPI_Start(request));
        op->persistent = 1;
    } else {
        OK(MPI_Irecv_c(op->to.buffer, op->to.count, op->to.type, source, tag, comm, request));
    }
}

static void finish(Op *op, MPI_Request *request)
{
    if (op->persistent && *request != MPI_REQUEST_NULL)
        OK(MPI_Request_free(request));
    layout_free(&op->from);
    layout_free(&op->to);
}

/* Operation `i` is complete: looks at what came, starts it again, or takes it out. */
static void completed(Round *round, int i, const MPI_Status *status)
{
    Op *op = round->op[i];
    MPI_Request *request = &round->request[i];
    Message *message = op->in ? op->in : op->out;
    if (op->in) {
        const Message *in = op->in->kind == WILD ? named(round, status) : op->in;
        arrived(round, in, &op->to, op->times, status);
    }
    op->times++;
    if (message && op->times < message->repeat && !(op->in && op->out)) {
        round->repeating -= op->times + 1 == message->repeat;
        if (op->in)
            layout_guard(&op->to);
        else
            layout_fill(&op->from, message->key + op->times);
        if (op->persistent)
            OK(MPI_Start(request));
        else
            OK(MPI_Irecv_c(op->to.buffer, op->to.count, op->to.type, message->source, message->tag,
                           round->lane->comm[message->kind], request));
        return;
    }
    finish(op, request);
    round->active--;
    round->request[i] = round->request[round->active];
    round->op[i] = round->op[round->active];
}

/* Statuses of several: from the last index on, since completed ones change places with the last. */
static void completed_some(Round *round, int n, const int *indices, const MPI_Status *statuses)
{
    static _Thread_local int place[ACTIVE];
    for (int i = 0; i < round->active; i++)
        place[i] = -1;
    for (int i = 0; i < n; i++)
        place[indices[i]] = i;
    for (int i = round->active - 1; i >= 0; i--)
        if (place[i] >= 0)
            completed(round, i, &statuses[place[i]]);
}

/* One look at what is under way; with `wait`, until at least something is complete. */
static void complete_some(Round *round, int wait)
{
    static _Thread_local MPI_Status statuses[ACTIVE];
    static _Thread_local int indices[ACTIVE];
    Random *own = &round->lane->own;
    int n = round->active, flag = 0, some = 0, one = 0;
    if (!n)
        return;
    /* One alone, or all, may be waited for only if none has to be started again before. */
    int once = round->repeating == 0;
    if (wait) {
        switch (below(own, once ? 4 : 2)) {
        case 0:
            OK(MPI_Waitany(n, round->request, &one, statuses));
            return completed(round, one, statuses);
        case 1:
            OK(MPI_Waitsome(n, round->request, &some, indices, statuses));
            return completed_some(round, some, indices, statuses);
        case 2:
            one = (int)below(own, n);
            OK(MPI_Wait(&round->request[one], statuses));
            return completed(round, one, statuses);
        default:
            OK(MPI_Waitall(n, round->request, statuses));
            for (int i = 0; i < n; i++)
                indices[i] = i;
            return completed_some(round, n, indices, statuses);
        }
    }
    switch (below(own, 5)) {
    case 0:
        one = (int)below(own, n);
        OK(MPI_Test(&round->request[one], &flag, statuses));
        if (flag)
            completed(round, one, statuses);
        break;
    case 1:
        OK(MPI_Testany(n, round->request, &one, &flag, statuses));
        if (flag)
            completed(round, one, statuses);
        break;
    case 2:
        OK(MPI_Testsome(n, round->request, &some, indices, statuses));
        if (some != MPI_UNDEFINED)
            completed_some(round, some, indices, statuses);
        break;
    case 3:
        OK(MPI_Testall(n, round->request, &flag, statuses));
        for (int i = 0; i < n; i++)
            indices[i] = i;
        if (flag)
            completed_some(round, n, indices, statuses);
        break;
    default:
        one = (int)below(own, n);
        OK(MPI_Request_get_status(round->request[one], &flag, statuses));
        if (flag) {
            OK(MPI_Wait(&round->request[one], statuses));
            completed(round, one, statuses);
        }
    }
}

/* Indices of messages that `wanted` picks: those in a chain in order, the others in any. */
static int choose(Round *round, int *order, int (*wanted)(const Round *, int))
{
    int n = 0, ordered = 0;
    for (int i = 0; i < round->count; i++)
        if (wanted(round, i))
            order[n++] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)below(&round->lane->own, i + 1), other = order[i];
        order[i] = order[j], order[j] = other;
    }
    for (int i = 0; i < round->count; i++) {
        if (!wanted(round, i) || round->messages[i].kind != ORDERED)
            continue;
        while (round->messages[order[ordered]].kind != ORDERED)
            ordered++;
        order[ordered++] = i;
    }
    return n;
}

static int comes_early(const Round *round, int i)
{
    const Message *message = &round->messages[i];
    return message->dest == round->lane->rank && message->recv == EARLY;
}

static int comes_late(const Round *round, int i)
{
    const Message *message = &round->messages[i];
    return message->dest == round->lane->rank && message->recv != EARLY && (message->kind == WILD || !round->seen[i]);
}

static int goes_at_once(const Round *round, int i)
{
    const Message *message = &round->messages[i];
    return message->source == round->lane->rank && (message->send >= ISEND || message->send == BSEND);
}

static int goes_when_asked(const Round *round, int i)
{
    return round->messages[i].source == round->lane->rank && !goes_at_once(round, i);
}

/* A receive for the second half of MPI_(I)sendrecv, if one is left. */
static Message *reserve(Round *round, RecvWay recv, size_t most, int unit)
{
    for (int i = 0; i < round->count; i++) {
        Message *message = &round->messages[i];
        if (message->dest == round->lane->rank && message->kind == EXACT && message->recv == recv && !round->seen[i]
            && message->repeat == 1 && !is_ready(message->send) && message->size <= most
            && (!unit || message->unit == unit)) {
            round->seen[i] = 1;
            return message;
        }
    }
    return NULL;
}

/* Phase 1. A sender in ready mode hears that its receive is there. */
static void post_early(Round *round, int *order)
{
    Lane *lane = round->lane;
    MPI_Comm comm = lane->comm[EXACT];
    MPI_Request request;
    for (int i = 0; i < round->count; i++) {
        Message *message = &round->messages[i];
        if (message->source == lane->rank && message->send == ISENDRECV) {
            Op *op = take(round, sizeof *op);
            op->out = message;
            op->in = reserve(round, EARLY, message->size, 0);
            layout_make(&op->from, &lane->pool, &lane->own, message->size, message->unit);
            layout_fill(&op->from, message->key);
            if (op->in) {
                layout_make(&op->to, &lane->pool, &lane->own, op->in->size, op->in->unit);
                layout_guard(&op->to);
            }
            OK(MPI_Isendrecv_c(op->from.buffer, op->from.count, op->from.type, message->dest, message->tag, op->to.buffer,
                               op->in ? op->to.count : 0, op->in ? op->to.type : MPI_BYTE,
                               op->in ? op->in->source : MPI_PROC_NULL, op->in ? op->in->tag : 0, comm, &request));
            add(round, op, request);
        }
    }
    int n = choose(round, order, comes_early);
    for (int i = 0; i < n; i++) {
        Message *message = &round->messages[order[i]];
        if (message->kind != WILD && round->seen[order[i]])
            continue;
        Op *op = receiving(round, message);
        start_receive(round, op, &request);
        add(round, op, request);
        if (is_ready(message->send)) {
            OK(MPI_Isend(NULL, 0, MPI_BYTE, message->source, message->tag | FLAG, comm, &request));
            add(round, take(round, sizeof *op), request);
        }
    }
}

/* Phase 2, one message. */
static void send(Round *round, Message *message)
{
    Lane *lane = round->lane;
    MPI_Comm comm = lane->comm[message->kind];
    MPI_Request request = MPI_REQUEST_NULL;
    Op *op = take(round, sizeof *op);
    op->out = message;
    layout_make(&op->from, &lane->pool, &lane->own, message->size, message->unit);
    layout_fill(&op->from, message->key);
    if (is_ready(message->send))
        OK(MPI_Recv(NULL, 0, MPI_BYTE, message->dest, message->tag | FLAG, comm, MPI_STATUS_IGNORE));
#define SENT_BY(function, ...) \
    OK(function(op->from.buffer, op->from.count, op->from.type, message->dest, message->tag, comm __VA_ARGS__))
    switch (message->send) {
    case SEND: SENT_BY(MPI_Send_c); break;
    case SSEND: SENT_BY(MPI_Ssend_c); break;
    case BSEND: SENT_BY(MPI_Bsend_c); break;
    case RSEND: SENT_BY(MPI_Rsend_c); break;
    case CANCELLED_SEND:
        if (percent(&lane->own, 50)) {
            SENT_BY(MPI_Isend_c, , &request);
            break;
        } /* else */ __attribute__((fallthrough));
    case ISSEND: SENT_BY(MPI_Issend_c, , &request); break;
    case ISEND: SENT_BY(MPI_Isend_c, , &request); break;
    case IBSEND: SENT_BY(MPI_Ibsend_c, , &request); break;
    case IRSEND: SENT_BY(MPI_Irsend_c, , &request); break;
    case SEND_INIT: SENT_BY(MPI_Send_init_c, , &request); break;
    case SSEND_INIT: SENT_BY(MPI_Ssend_init_c, , &request); break;
    case BSEND_INIT: SENT_BY(MPI_Bsend_init_c, , &request); break;
    case RSEND_INIT: SENT_BY(MPI_Rsend_init_c, , &request); break;
    default: wrong("no such way to send");
    }
#undef SENT_BY
    op->persistent = message->send >= SEND_INIT && message->send <= RSEND_INIT;
    if (op->persistent)
        OK(MPI_Start(&request));
    if (message->send == CANCELLED_SEND) {
        int *cancelled = take(round, sizeof *cancelled);
        MPI_Status status;
        if (percent(&lane->own, 50))
            complete_some(round, 0);
        OK(MPI_Cancel(&request));
        OK(MPI_Wait(&request, &status));
        OK(MPI_Test_cancelled(&status, cancelled));
        layout_free(&op->from);
        OK(MPI_Isend(cancelled, 1, MPI_INT, message->dest, message->tag | FLAG, comm, &request));
        add(round, take(round, sizeof *op), request);
    } else if (request != MPI_REQUEST_NULL) {
        add(round, op, request);
    } else {
        layout_free(&op->from);
    }
}

/* Phase 2, a message that is sent while another one is received. */
static void send_and_receive(Round *round, Message *message)
{
    Lane *lane = round->lane;
    MPI_Comm comm = lane->comm[EXACT];
    MPI_Status status;
    Layout from, to = {.type = MPI_BYTE};
    layout_make(&from, &lane->pool, &lane->own, message->size, message->unit);
    layout_fill(&from, message->key);
    int replace = percent(&lane->own, 40);
    Message *in = replace ? reserve(round, LATE, message->size, message->unit) : reserve(round, LATE, SIZE_MAX, 0);
    int source = in ? in->source : MPI_PROC_NULL, tag = in ? in->tag : 0;
    if (replace) {
        layout_guard(&from);
        OK(MPI_Sendrecv_replace_c(from.buffer, from.count, from.type, message->dest, message->tag, source, tag, comm,
                                  &status));
    } else {
        if (in) {
            layout_make(&to, &lane->pool, &lane->own, in->size, in->unit);
            layout_guard(&to);
        }
        OK(MPI_Sendrecv_c(from.buffer, from.count, from.type, message->dest, message->tag, to.buffer, to.count, to.type,
                          source, tag, comm, &status));
    }
    if (in)
        arrived(round, in, replace ? &from : &to, 0, &status);
    layout_free(&from);
    layout_free(&to);
}

/* A receive that must fail, since it has too little room. */
static void receive_short(Round *round, Message *message)
{
    Lane *lane = round->lane;
    size_t values = below(&lane->own, (unsigned)(message->size / message->unit));
    MPI_Comm comm = lane->comm[EXACT];
    MPI_Request request;
    Layout to;
    int class;
    layout_make(&to, &lane->pool, &lane->own, values * message->unit, message->unit);
    layout_guard(&to);
    int code;
    if (percent(&lane->own, 50)) {
        code = MPI_Recv_c(to.buffer, to.count, to.type, message->source, message->tag, comm, MPI_STATUS_IGNORE);
    } else {
        OK(MPI_Irecv_c(to.buffer, to.count, to.type, message->source, message->tag, comm, &request));
        code = MPI_Wait(&request, MPI_STATUS_IGNORE);
    }
    OK(MPI_Error_class(code, &class));
    if (class != MPI_ERR_TRUNCATE || !layout_check(&to, 0, 0)) {
        describe(round, message);
        wrong("%zu bytes of room: error class %d", values * message->unit, class);
    }
    layout_free(&to);
}

/* Phase 3, one message. */
static void receive_late(Round *round, Message *message)
{
    Lane *lane = round->lane;
    Random *own = &lane->own;
    MPI_Comm comm = lane->comm[message->kind];
    MPI_Message matched;
    MPI_Request request;
    MPI_Status status, probed;
    int source, tag, flag = 0;
    if (message->recv == SHORT)
        return receive_short(round, message);
    if (message->recv == ASKED) {
        int cancelled;
        OK(MPI_Recv(&cancelled, 1, MPI_INT, message->source, message->tag | FLAG, comm, MPI_STATUS_IGNORE));
        if (cancelled)
            return;
    }
    Op *op = receiving(round, message);
    Layout *to = &op->to;
    wildcards(round, message, &source, &tag);
    int way = (int)below(own, 9);
    switch (way) {
    case 0:
    case 1:
        OK(MPI_Probe(source, tag, comm, &probed));
        break;
    case 2:
        while (!flag)
            OK(MPI_Iprobe(source, tag, comm, &flag, &probed));
        break;
    case 3:
        while (!flag)
            OK(MPI_Improbe(source, tag, comm, &flag, &matched, &probed));
        break;
    case 4:
    case 5:
        OK(MPI_Mprobe(source, tag, comm, &matched, &probed));
        break;
    case 6: {
        int cancelled;
        OK(MPI_Irecv_c(to->buffer, to->count, to->type, source, tag, comm, &request));
        OK(MPI_Cancel(&request));
        OK(MPI_Wait(&request, &status));
        OK(MPI_Test_cancelled(&status, &cancelled));
        if (!cancelled)
            goto here;
        break;
    }
    default:
        break;
    }
    switch (way) {
    case 1:
    case 2:
        /* What was seen is what comes. */
        OK(MPI_Recv_c(to->buffer, to->count, to->type, probed.MPI_SOURCE, probed.MPI_TAG, comm, &status));
        break;
    case 3:
    case 4:
        OK(MPI_Mrecv_c(to->buffer, to->count, to->type, &matched, &status));
        break;
    case 5:
        OK(MPI_Imrecv_c(to->buffer, to->count, to->type, &matched, &request));
        return add(round, op, request);
    case 7:
        start_receive(round, op, &request);
        return add(round, op, request);
    default:
        OK(MPI_Recv_c(to->buffer, to->count, to->type, source, tag, comm, &status));
    }
    if (way >= 1 && way <= 4) {
        MPI_Count before, after;
        OK(MPI_Get_elements_c(&probed, MPI_BYTE, &before));
        OK(MPI_Get_elements_c(&status, MPI_BYTE, &after));
        if (before != after || probed.MPI_TAG != status.MPI_TAG || probed.MPI_SOURCE != status.MPI_SOURCE)
            wrong("probed: %lld bytes from %d, tag %d; received: %lld from %d, %d", (long long)before, probed.MPI_SOURCE,
                  probed.MPI_TAG, (long long)after, status.MPI_SOURCE, status.MPI_TAG);
    }
here:
    arrived(round, message->kind == WILD ? named(round, &status) : message, to, 0, &status);
    if (message->repeat > 1) {
        /* The next times have to be sent first: not waited for here. */
        op->times = 1;
        layout_guard(to);
        OK(MPI_Irecv_c(to->buffer, to->count, to->type, message->source, message->tag, comm, &request));
        return add(round, op, request);
    }
    finish(op, &request);
}

/* Receives that nothing fits, and takes them back. */
static void never(Round *round)
{
    Lane *lane = round->lane;
    int n = (int)below(&lane->own, 4), cancelled;
    char bytes[4];
    MPI_Request requests[4];
    MPI_Status status;
    for (int i = 0; i < n; i++)
        OK(MPI_Irecv(&bytes[i], 1, MPI_BYTE, MPI_ANY_SOURCE, 0x7ffffff0 + i, lane->comm[EXACT], &requests[i]));
    for (int i = n - 1; i >= 0; i--) {
        complete_some(round, 0);
        OK(MPI_Cancel(&requests[i]));
        OK(MPI_Wait(&requests[i], &status));
        OK(MPI_Test_cancelled(&status, &cancelled));
        if (!cancelled)
            wrong("a receive that no message fits was not cancelled");
    }
}

static void one_round(Round *round)
{
    Lane *lane = round->lane;
    int order[MOST];
    round->active = round->repeating = 0;
    round->widest = 0;
    memset(round->seen, 0, sizeof round->seen);
    make_messages(round);
    post_early(round, order);
    int n = choose(round, order, goes_at_once);
    for (int i = 0; i < n; i++)
        if (round->messages[order[i]].send != ISENDRECV)
            send(round, &round->messages[order[i]]);
    never(round);
    n = choose(round, order, goes_when_asked);
    for (int i = 0; i < n; i++) {
        Message *message = &round->messages[order[i]];
        if (message->send == SENDRECV)
            send_and_receive(round, message);
        else
            send(round, message);
    }
    n = choose(round, order, comes_late);
    for (int i = 0; i < n; i++) {
        receive_late(round, &round->messages[order[i]]);
        if (percent(&lane->own, 30))
            complete_some(round, 0);
    }
    while (round->active)
        complete_some(round, percent(&lane->own, 80));
    for (int i = 0; i < round->count; i++)
        if (round->messages[i].kind == WILD && round->messages[i].dest == lane->rank && !round->seen[i])
            wrong("message %d did not come", i);
    for (int kind = 0; kind < KINDS; kind++)
        if (percent(&lane->own, 20))
            OK(MPI_Comm_flush_buffer(lane->comm[kind]));
    OK(MPI_Barrier(lane->comm[EXACT]));
    pool_empty(&lane->pool);
}

void lane_run(Lane *lane)
{
    Round *round = malloc(sizeof *round);
    uint64_t sent = 0;
    if (!round)
        wrong("no memory");
    round->lane = lane;
    /* All ranks count the same messages, so they stop at the same round: those that must arrive whole. */
    for (lane->round = 0; sent < lane->messages; lane->round++) {
        one_round(round);
        for (int i = 0; i < round->count; i++)
            if (round->messages[i].recv == EARLY || round->messages[i].recv == LATE)
                sent += round->messages[i].repeat;
    }
    free(round);
}
