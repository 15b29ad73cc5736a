// A small face over liburing for Swift.
//
// This header includes neither a system header nor a liburing header: importing liburing.h into Swift defines feature
// macros before system headers are read and breaks the import of fd_set. The ring is opaque, completions are copied out
// as a flat array, and every operation has a prepare function of plain values.
//
// A ring belongs to the thread that created it; no function here may be called from another one.

#ifndef CURING_H
#define CURING_H

typedef struct curing curing;

typedef struct {
    unsigned long long user_data;
    int result;
    unsigned int flags;
} curing_completion;

enum curing_mode {
    // Single issuer with deferred task work: completions run when the ring is entered (kernel 6.1).
    CURING_MODE_DEFERRED = 0,
    // Cooperative task work (kernel 5.19).
    CURING_MODE_COOPERATIVE = 1,
    CURING_MODE_PLAIN = 2,
};

// The largest buffer a single operation takes.
enum { CURING_MAX_IO_BYTES = 1 << 30 };

// Makes a ring with the best mode that the kernel offers, and checks that it knows every operation below.
// Returns 0 or a negative error number; -EOPNOTSUPP when the kernel lacks an operation or feature that is needed.
int curing_create(unsigned int submissions, unsigned int completions, curing **out);
void curing_destroy(curing *ring);
enum curing_mode curing_mode_of(const curing *ring);

// Submits what was prepared and nothing else. What the kernel does not take now is submitted with the next call.
void curing_hand_over(curing *ring);

// Submits what was prepared and collects deferred completions without waiting. Returns 0 or a negative error number.
int curing_submit(curing *ring);

// Submits what was prepared and waits for a completion; a negative timeout waits without limit.
// Returns 0, also when the time ran out or a signal came, or a negative error number.
int curing_submit_and_wait(curing *ring, long long timeout_nanoseconds);

// Whether a completion is there. Enters the kernel only for what it has finished and not yet put there.
int curing_look(curing *ring);

// Copies out up to `capacity` completions and frees their places.
unsigned int curing_take_completions(curing *ring, curing_completion *out, unsigned int capacity);

// How often completions did not fit into the ring and were kept back by the kernel, and how often the submission queue
// was full, since creation.
unsigned int curing_completion_overflows(const curing *ring);
unsigned long long curing_submission_stalls(const curing *ring);

// Every prepare function returns 0, or -EAGAIN when the submission queue is full and the kernel takes nothing now.
int curing_prepare_nop(curing *ring, unsigned long long user_data);
int curing_prepare_open(
    curing *ring, unsigned long long user_data, const char *path, int flags, unsigned int mode);
int curing_prepare_close(curing *ring, unsigned long long user_data, int descriptor);
int curing_prepare_read(
    curing *ring, unsigned long long user_data, int descriptor, void *into, unsigned int count,
    unsigned long long offset);
// `write_flags` are RWF_ bits.
int curing_prepare_write(
    curing *ring, unsigned long long user_data, int descriptor, const void *from, unsigned int count,
    unsigned long long offset, int write_flags);
int curing_prepare_sync(curing *ring, unsigned long long user_data, int descriptor, int data_only);
int curing_prepare_allocate(
    curing *ring, unsigned long long user_data, int descriptor, int mode, unsigned long long offset,
    unsigned long long length);
int curing_prepare_rename(curing *ring, unsigned long long user_data, const char *source, const char *target);
int curing_prepare_unlink(curing *ring, unsigned long long user_data, const char *path, int directory);
int curing_prepare_make_directory(
    curing *ring, unsigned long long user_data, const char *path, unsigned int mode);
int curing_prepare_accept(curing *ring, unsigned long long user_data, int descriptor);
int curing_prepare_connect(
    curing *ring, unsigned long long user_data, int descriptor, const void *address, unsigned int address_length);
int curing_prepare_receive(
    curing *ring, unsigned long long user_data, int descriptor, void *into, unsigned int count);
// Sends all bytes where the kernel can, without SIGPIPE.
int curing_prepare_send(
    curing *ring, unsigned long long user_data, int descriptor, const void *from, unsigned int count);
int curing_prepare_wait_readable(curing *ring, unsigned long long user_data, int descriptor);
// Cancels the operation prepared with `target` as its user data. Its own completion carries `user_data`.
int curing_prepare_cancel(curing *ring, unsigned long long user_data, unsigned long long target);

#endif
