#define _GNU_SOURCE
#include "curing.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

struct curing {
    struct io_uring ring;
    enum curing_mode mode;
    unsigned long long stalls;
};

static const unsigned char needed_operations[] = {
    IORING_OP_NOP,      IORING_OP_OPENAT,   IORING_OP_CLOSE,        IORING_OP_READ,     IORING_OP_WRITE,
    IORING_OP_FSYNC,    IORING_OP_FALLOCATE, IORING_OP_RENAMEAT,    IORING_OP_UNLINKAT, IORING_OP_MKDIRAT,
    IORING_OP_ACCEPT,   IORING_OP_CONNECT,  IORING_OP_RECV,         IORING_OP_SEND,     IORING_OP_POLL_ADD,
    IORING_OP_ASYNC_CANCEL,
};

// Never set-up bits above those that the linked liburing knows: a newer kernel accepts them and lays the ring out
// differently.
static unsigned int setup_flags(enum curing_mode mode)
{
    unsigned int flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    switch (mode) {
    case CURING_MODE_DEFERRED:
        return flags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
               IORING_SETUP_TASKRUN_FLAG;
    case CURING_MODE_COOPERATIVE:
        return flags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    case CURING_MODE_PLAIN:
        return flags;
    }
    return flags;
}

static int set_up(curing *self, unsigned int submissions, unsigned int completions)
{
    int result = -EINVAL;
    for (int mode = CURING_MODE_DEFERRED; mode <= CURING_MODE_PLAIN && result == -EINVAL; mode++) {
        struct io_uring_params parameters = {
            .flags = setup_flags((enum curing_mode)mode),
            .cq_entries = completions,
        };
        self->mode = (enum curing_mode)mode;
        result = io_uring_queue_init_params(submissions, &self->ring, &parameters);
    }
    return result;
}

static int has_what_is_needed(struct io_uring *ring)
{
    unsigned int features = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL;
    if ((ring->features & features) != features)
        return 0;
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (!probe)
        return 0;
    int complete = 1;
    for (size_t i = 0; i < sizeof needed_operations; i++)
        complete = complete && io_uring_opcode_supported(probe, needed_operations[i]);
    io_uring_free_probe(probe);
    return complete;
}

int curing_create(unsigned int submissions, unsigned int completions, curing **out)
{
    curing *self = calloc(1, sizeof *self);
    if (!self)
        return -ENOMEM;
    int result = set_up(self, submissions, completions);
    if (result < 0) {
        free(self);
        return result;
    }
    if (!has_what_is_needed(&self->ring)) {
        curing_destroy(self);
        return -EOPNOTSUPP;
    }
    // Both only save time or guard a fork; a kernel that refuses them is no worse off.
    (void)io_uring_ring_dontfork(&self->ring);
    (void)io_uring_register_ring_fd(&self->ring);
    *out = self;
    return 0;
}

void curing_destroy(curing *self)
{
    io_uring_queue_exit(&self->ring);
    free(self);
}

enum curing_mode curing_mode_of(const curing *self) { return self->mode; }

void curing_hand_over(curing *self) { (void)io_uring_submit(&self->ring); }

int curing_submit(curing *self)
{
    int result = io_uring_submit_and_get_events(&self->ring);
    return result == -EINTR || result >= 0 ? 0 : result;
}

int curing_submit_and_wait(curing *self, long long timeout_nanoseconds)
{
    struct io_uring_cqe *first = NULL;
    struct __kernel_timespec timeout = {
        .tv_sec = timeout_nanoseconds / 1000000000,
        .tv_nsec = timeout_nanoseconds % 1000000000,
    };
    int result = io_uring_submit_and_wait_timeout(
        &self->ring, &first, 1, timeout_nanoseconds < 0 ? NULL : &timeout, NULL);
    return result == -ETIME || result == -EINTR || result >= 0 ? 0 : result;
}

int curing_look(curing *self)
{
    if (IO_URING_READ_ONCE(*self->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
        (void)io_uring_get_events(&self->ring);
    return io_uring_cq_ready(&self->ring) > 0;
}

unsigned int curing_take_completions(curing *self, curing_completion *out, unsigned int capacity)
{
    unsigned int head, count = 0;
    struct io_uring_cqe *entry;
    io_uring_for_each_cqe(&self->ring, head, entry)
    {
        if (count == capacity)
            break;
        out[count++] = (curing_completion){entry->user_data, entry->res, entry->flags};
    }
    io_uring_cq_advance(&self->ring, count);
    return count;
}

unsigned int curing_completion_overflows(const curing *self)
{
    return IO_URING_READ_ONCE(*self->ring.cq.koverflow);
}

unsigned long long curing_submission_stalls(const curing *self) { return self->stalls; }

static struct io_uring_sqe *next_entry(curing *self)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    if (entry)
        return entry;
    self->stalls++;
    (void)io_uring_submit(&self->ring);
    return io_uring_get_sqe(&self->ring);
}

#define PREPARE(call)                                                                                                  \
    struct io_uring_sqe *entry = next_entry(self);                                                                     \
    if (!entry)                                                                                                        \
        return -EAGAIN;                                                                                                \
    call;                                                                                                              \
    io_uring_sqe_set_data64(entry, user_data);                                                                         \
    return 0

int curing_prepare_nop(curing *self, unsigned long long user_data) { PREPARE(io_uring_prep_nop(entry)); }

int curing_prepare_open(
    curing *self, unsigned long long user_data, const char *path, int flags, unsigned int mode)
{
    PREPARE(io_uring_prep_openat(entry, AT_FDCWD, path, flags, mode));
}

int curing_prepare_close(curing *self, unsigned long long user_data, int descriptor)
{
    PREPARE(io_uring_prep_close(entry, descriptor));
}

int curing_prepare_read(
    curing *self, unsigned long long user_data, int descriptor, void *into, unsigned int count,
    unsigned long long offset)
{
    PREPARE(io_uring_prep_read(entry, descriptor, into, count, offset));
}

int curing_prepare_write(
    curing *self, unsigned long long user_data, int descriptor, const void *from, unsigned int count,
    unsigned long long offset, int write_flags)
{
    PREPARE(io_uring_prep_write(entry, descriptor, from, count, offset); entry->rw_flags = write_flags);
}

int curing_prepare_sync(curing *self, unsigned long long user_data, int descriptor, int data_only)
{
    PREPARE(io_uring_prep_fsync(entry, descriptor, data_only ? IORING_FSYNC_DATASYNC : 0));
}

int curing_prepare_allocate(
    curing *self, unsigned long long user_data, int descriptor, int mode, unsigned long long offset,
    unsigned long long length)
{
    PREPARE(io_uring_prep_fallocate(entry, descriptor, mode, (off_t)offset, (off_t)length));
}

int curing_prepare_rename(curing *self, unsigned long long user_data, const char *source, const char *target)
{
    PREPARE(io_uring_prep_renameat(entry, AT_FDCWD, source, AT_FDCWD, target, 0));
}

int curing_prepare_unlink(curing *self, unsigned long long user_data, const char *path, int directory)
{
    PREPARE(io_uring_prep_unlinkat(entry, AT_FDCWD, path, directory ? AT_REMOVEDIR : 0));
}

int curing_prepare_make_directory(
    curing *self, unsigned long long user_data, const char *path, unsigned int mode)
{
    PREPARE(io_uring_prep_mkdirat(entry, AT_FDCWD, path, mode));
}

int curing_prepare_accept(curing *self, unsigned long long user_data, int descriptor)
{
    PREPARE(io_uring_prep_accept(entry, descriptor, NULL, NULL, SOCK_CLOEXEC));
}

int curing_prepare_connect(
    curing *self, unsigned long long user_data, int descriptor, const void *address, unsigned int address_length)
{
    PREPARE(io_uring_prep_connect(entry, descriptor, address, address_length));
}

int curing_prepare_receive(
    curing *self, unsigned long long user_data, int descriptor, void *into, unsigned int count)
{
    // Whoever receives has read what there was: the kernel waits before it looks.
    PREPARE(io_uring_prep_recv(entry, descriptor, into, count, 0); entry->ioprio |= IORING_RECVSEND_POLL_FIRST);
}

int curing_prepare_send(
    curing *self, unsigned long long user_data, int descriptor, const void *from, unsigned int count)
{
    PREPARE(io_uring_prep_send(entry, descriptor, from, count, MSG_NOSIGNAL | MSG_WAITALL));
}

int curing_prepare_wait_readable(curing *self, unsigned long long user_data, int descriptor)
{
    PREPARE(io_uring_prep_poll_add(entry, descriptor, POLLIN));
}

int curing_prepare_cancel(curing *self, unsigned long long user_data, unsigned long long target)
{
    PREPARE(io_uring_prep_cancel64(entry, target, 0));
}
